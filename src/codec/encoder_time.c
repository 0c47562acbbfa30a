/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an encoder does with its time: how much of it is a segment's, and which network is worth it, see encoder_internal.h.
 */
#include "codec/encoder_internal.h"
#include "codec/settings.h"

/* Of the time that is left, for a segment of a stream of unknown length. */
#define UNKNOWN_PART 0.5
/* With fewer steps a smaller network does better; how much smaller one is tried then, at least. */
#define LEAST_STEPS   50
#define LEAST_SHRINK  0.15
#define SHRINK_MARGIN 0.8
#define NARROWER      0.9 /* times the multiplications: less is no other network */

gint64 nerv_encoder_deadline(const NervEncoder *enc)
{
    const gint64 now = g_get_monotonic_time();
    const double n = enc->frames->len;
    double part = enc->n_expected == NERV_EXPECT_END ? 1. : UNKNOWN_PART;
    if (enc->settings.max_seconds <= 0.)
        return 0;
    if (part < 1. && enc->n_expected >= enc->n_sent + enc->frames->len)
        part = n / (double)(enc->n_expected - enc->n_sent);
    const double left = (double)(enc->start_us - now) + enc->settings.max_seconds * 1e6;
    return now + (gint64)(MAX(left, 1.) * part);
}

/* Takes the place of what the encoder has for the model if it gives a network of fewer multiplications, or of fewer weights. */
static bool take(NervEncoder *enc, const NervModel *model, double growth, double most_macs)
{
    const double old_growth = enc->growth, old_macs = enc->most_macs;
    enc->growth = growth;
    enc->most_macs = most_macs;
    NervModel *other =
        nerv_encoder_new_model(enc, enc->frames->len, nerv_encoder_target_bytes(enc, enc->frames->len), NULL);
    const bool less =
        other && (nerv_model_macs_per_pixel(other) < nerv_model_macs_per_pixel(model) * NARROWER ||
                  other->n_weights < model->n_weights);
    nerv_model_free(other);
    if (!less) {
        enc->growth = old_growth;
        enc->most_macs = old_macs;
    }
    return less;
}

bool nerv_encoder_take_less(NervEncoder *enc, const NervModel *model, uint32_t n_steps)
{
    const double macs = nerv_model_macs_per_pixel(model);
    const double passes = (double)n_steps * enc->settings.batch_size / enc->frames->len;
    /* with keyframes nobody knows what fewer multiplications are worth */
    if (model->n_keys == 0 && passes < nerv_settings_least_passes(&enc->settings, &model->clip, macs) &&
        take(enc, model, enc->growth, nerv_settings_fewer_macs(&enc->settings, &model->clip, macs, passes)))
        return true;
    return n_steps < LEAST_STEPS &&
           take(enc, model, enc->growth * MAX(SHRINK_MARGIN * n_steps / LEAST_STEPS, LEAST_SHRINK),
                enc->most_macs);
}
