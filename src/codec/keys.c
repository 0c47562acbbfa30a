/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From a segment's frames to its coded keyframes, see keys.h.
 */
#include "codec/keys.h"

#include <math.h>

#include "codec/stills.h"

#define TRIAL_SPEED 6 /* at least: in a sixth of the time what 4 gives, nearly */
/* Pictures that a quantiser is tried on, and as many more as have so many samples: videos of one segment differ by ten times in what they take. */
#define LEAST_TRIALS  4
#define TRIAL_SAMPLES 2e6
#define LEAST_QUANT   4
#define OVERSHOOT     1.05

void nerv_keys_clear(NervKeys *keys)
{
    for (int32_t i = 0; i < keys->n; i++)
        if (keys->coded[i])
            g_byte_array_unref(keys->coded[i]);
    g_free(keys->coded);
    g_free(keys->frames);
    nerv_buffer_free(keys->store);
    *keys = (NervKeys){ 0 };
}

static size_t picture_bytes(const NervKeys *keys)
{
    return (nerv_pixels_bytes(&keys->pixels) + 3) / 4 * 4;
}

static NervStillsJob stills_job(const NervKeysJob *job, uint32_t quant, uint32_t speed)
{
    const NervBackend *be = job->be;
    return (NervStillsJob){ .pixels = job->pixels,
                            .frame_at = job->frame_at,
                            .user = job->user,
                            .quant = quant,
                            .speed = speed,
                            .n_threads = job->n_threads,
                            .max_bytes = be->limit_bytes ? MAX(be->limit_bytes - be->live_bytes, 1) : 0,
                            .cancel = be->cancel };
}

/* Of the pictures that a quantiser is tried on. */
typedef struct {
    double bytes, error; /* sums */
} Trial;

static bool count(void *user, uint32_t i, const NervStill *still, GError **error)
{
    Trial *t = user;
    t->bytes += still->coded->len;
    t->error += still->error;
    return true;
}

/* Whether some of the keyframes come out better than they need to, or larger than they may, with that quantiser. */
static bool try_quant(const NervKeys *keys, const NervKeysJob *job, uint32_t quant, bool *too_fine,
                      GError **error)
{
    const NervStillsJob stills = stills_job(job, quant, MAX(job->speed, TRIAL_SPEED));
    const double area = (double)job->pixels->width * job->pixels->height;
    const int32_t n = MIN(keys->n, MAX((int32_t)(TRIAL_SAMPLES / area), LEAST_TRIALS));
    g_autofree int32_t *frames = g_new(int32_t, n);
    Trial t = { 0 };
    for (int32_t i = 0; i < n; i++)
        frames[i] = keys->frames[(int64_t)i * keys->n / n];
    if (!nerv_stills_code(&stills, frames, (uint32_t)n, count, &t, error))
        return false;
    if (job->target_bytes > 0.)
        *too_fine = t.bytes / n * keys->n > job->target_bytes * OVERSHOOT;
    else
        *too_fine = 10. * log10(255. * 255. * n / fmax(t.error, 1e-9)) >= job->target_psnr;
    return true;
}

/* By bisection the least quantiser with which the pictures take no more than the bytes asked for, or the greatest with which they have the
 * quality asked for. */
static bool choose_quant(NervKeys *keys, const NervKeysJob *job, GError **error)
{
    uint32_t low = LEAST_QUANT - 1, high = NERV_KEYFRAME_QUANT_MAX + 1; /* too fine at low, not at high */
    keys->quant = job->quant;
    if (job->target_bytes <= 0. && job->target_psnr <= 0.)
        return true;
    while (high - low > 1) {
        const uint32_t middle = (low + high) / 2;
        bool too_fine;
        if (!try_quant(keys, job, middle, &too_fine, error))
            return false;
        *(too_fine ? &low : &high) = middle;
    }
    if (job->target_bytes > 0.)
        keys->quant = MIN(high, NERV_KEYFRAME_QUANT_MAX);
    else
        keys->quant = MAX(low, LEAST_QUANT);
    return true;
}

static bool same_frames(const NervKeys *keys, const NervModel *model)
{
    if (keys->n != model->n_keys)
        return false;
    for (int32_t i = 0; i < keys->n; i++)
        if (keys->frames[i] != model->keys[i])
            return false;
    return true;
}

static bool keep(void *user, uint32_t i, const NervStill *still, GError **error)
{
    NervKeys *keys = user;
    const size_t bytes = picture_bytes(keys);
    keys->coded[i] = g_byte_array_ref(still->coded);
    keys->bytes += still->coded->len;
    return nerv_buffer_upload(keys->store, i * bytes, still->decoded, bytes, error);
}

bool nerv_keys_make(NervKeys *keys, const NervModel *model, const NervKeysJob *job, GError **error)
{
    if (same_frames(keys, model))
        return true;
    nerv_keys_clear(keys);
    nerv_keyframe_pixels(job->pixels, &keys->pixels);
    keys->n = model->n_keys;
    keys->frames = g_memdup2(model->keys, (gsize)keys->n * sizeof(*keys->frames));
    keys->coded = g_new0(GByteArray *, keys->n);
    keys->store = nerv_buffer_new(job->be, picture_bytes(keys) * (size_t)keys->n, error);
    if (!keys->store || !choose_quant(keys, job, error))
        goto error;
    const NervStillsJob stills = stills_job(job, keys->quant, job->speed);
    if (!nerv_stills_code(&stills, keys->frames, (uint32_t)keys->n, keep, keys, error))
        goto error;
    g_debug("%d keyframes, quantiser %u: %" G_GUINT64_FORMAT " bytes", keys->n, keys->quant, keys->bytes);
    return true;

error:
    nerv_keys_clear(keys);
    return false;
}
