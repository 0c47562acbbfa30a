/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an encoder knows before a fit: the network's size and the fit's memory, see encoder_internal.h.
 */
#include "codec/builtin.h"
#include "codec/encoder_internal.h"
#include "codec/settings.h"
#include "train/score.h"
#include "train/trainer.h"

/* A segment of any length is planned for so many frames at least. */
#define LEAST_PLANNED 128

void nerv_encoder_describe(NervEncoder *enc, const NervModel *model)
{
    g_autofree char *text = nerv_model_describe(model);
    g_mutex_lock(&enc->lock);
    g_strlcpy(enc->stats.model, text, sizeof(enc->stats.model));
    enc->stats.parameters = model->n_weights;
    g_mutex_unlock(&enc->lock);
}

/* Seconds that n_frames last: at the constant rate, more where frames were left out, or n times the stored frames' mean distance; 0 if
 * neither says. */
static double seconds_of(const NervEncoder *enc, uint32_t n_frames)
{
    const uint32_t n = enc->frames->len;
    const double frame = enc->info.fps_n ? (double)enc->info.fps_d / enc->info.fps_n : 0.;
    if (n < 2)
        return n_frames * frame;
    const int64_t span = g_array_index(enc->frames, StoredFrame, n - 1).pts_ns -
                         g_array_index(enc->frames, StoredFrame, 0).pts_ns;
    const double seen = MAX((double)span, 0.) * 1e-9;
    return frame > 0. ? MAX(n_frames * frame, seen + frame) : seen * n_frames / (n - 1);
}

double nerv_encoder_target_bytes(const NervEncoder *enc, uint32_t n_frames)
{
    switch (nerv_settings_rate_mode(&enc->settings)) {
    case NERV_RATE_SIZE:
        return (double)enc->settings.target_size_bytes;
    case NERV_RATE_BITRATE:
        return enc->settings.bitrate * 125. * seconds_of(enc, n_frames);
    default:
        return 0.;
    }
}

/* Whether the network may be another one of about its size. What grows until it has a quality is to have the size that it has. */
static bool may_be_builtin(const NervEncoder *enc, const NervModel *model)
{
    const NervEncoderSettings *s = &enc->settings;
    const bool sized = g_str_equal(s->model, "nerv") || g_str_equal(s->model, model->klass->name);
    return !enc->init && s->init != NERV_INIT_NONE && !s->model_options && sized && enc->growth == 1.;
}

/* The built-in network that is near to the model, in its place; or the model. */
static NervModel *near_builtin(NervModel *model, const NervModelSize *size)
{
    NervModel *like;
    if (!nerv_builtin_near(model, size, &like))
        return model;
    nerv_model_free(model);
    return like;
}

NervModel *nerv_encoder_new_model(const NervEncoder *enc, uint32_t n_frames, double bytes, GError **error)
{
    const NervClip clip = { enc->info.pixels.width, enc->info.pixels.height, (int32_t)n_frames };
    NervModelSize size = nerv_settings_model_size(&enc->settings, &clip, bytes, enc->growth, enc->most_macs);
    size.bytes = nerv_encoder_target_bytes(enc, n_frames);
    size.videos = enc->videos;
    size.n_videos = enc->n_videos;
    size.like = enc->init ? enc->init->model : NULL;
    NervModel *model =
        nerv_model_new_sized(enc->settings.model, enc->settings.model_options, &clip, &size, error);
    return model && may_be_builtin(enc, model) ? near_builtin(model, &size) : model;
}

const NervInit *nerv_encoder_init(const NervEncoder *enc, const NervModel *model)
{
    if (enc->init || enc->settings.init == NERV_INIT_NONE)
        return enc->init;
    for (uint32_t i = 0; i < nerv_n_builtin_files; i++) {
        const NervInit *init = nerv_builtin_init(i);
        if (init && nerv_init_suits(init, model))
            return init;
    }
    return NULL;
}

/* Of one keyframe on the device. */
static size_t key_bytes(const NervEncoder *enc)
{
    NervPixels pixels;
    nerv_keyframe_pixels(&enc->info.pixels, &pixels);
    return (nerv_pixels_bytes(&pixels) + 3) / 4 * 4;
}

static bool check_init(const NervEncoder *enc, const NervModel *model, GError **error)
{
    if (!enc->init || nerv_init_suits(enc->init, model))
        return true;
    g_autofree char *its = nerv_model_describe(enc->init->model), *own = nerv_model_describe(model);
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "%s is of another network than model and model-options ask for: its own is %s, this one %s",
                enc->settings.init_location, its, own);
    return false;
}

/* Makes the training plan of a whole segment's network, with frames for one batch, to learn before any frame comes whether the
 * options are valid and how much memory the fit takes besides the frames. */
static bool rehearse(NervEncoder *enc, uint32_t batch_size, size_t *fit_bytes, GError **error)
{
    const size_t before = enc->be->live_bytes;
    NervTrainSettings train;
    NervBuffer *store = NULL, *keys = NULL, *masks = NULL;
    NervTrainer *tr = NULL;
    NervScorer *scorer = NULL;
    const uint32_t wanted = enc->planned_frames;
    NervModel *model = nerv_encoder_new_model(enc, wanted, nerv_encoder_target_bytes(enc, wanted), error);
    NervFootage footage = { .pixels = &enc->info.pixels };
    g_autofree float *base = NULL;

    if (model && !check_init(enc, model, error))
        g_clear_pointer(&model, nerv_model_free);
    if (model) {
        batch_size = MAX(batch_size, (uint32_t)model->run_frames);
        model->clip.n_frames = (int32_t)batch_size;
        model->n_runs = MIN(model->n_runs, (int32_t)batch_size);
        enc->keys_per_frame = (double)model->n_keys / wanted;
        model->n_keys = MIN(model->n_keys, 2);
        nerv_settings_train(&enc->settings, model, enc->segment_id, false, &train);
        train.batch_size = batch_size;
        if (enc->settings.warm_start == NERV_WARM_START_RESIDUAL || enc->settings.weight_deltas)
            train.base = base = g_try_new0(float, (gsize)model->n_weights);
        store = nerv_buffer_new(enc->be, enc->frame_bytes * batch_size, error);
    }
    footage.frames = store;
    if (store && enc->mask_bytes) {
        footage.masks = masks = nerv_buffer_new(enc->be, enc->mask_bytes * batch_size, error);
        footage.held_out = enc->settings.held_out > 0.;
    }
    nerv_keyframe_pixels(&enc->info.pixels, &footage.key_pixels);
    if (store && model->n_keys > 0)
        footage.keys = keys = nerv_buffer_new(enc->be, 2 * key_bytes(enc), error);
    if (store && (keys || model->n_keys == 0) && (masks || !enc->mask_bytes))
        tr = nerv_trainer_new(enc->be, model, &footage, &train, error);
    if (tr) /* looks at the network while it may yet be trained on */
        scorer = nerv_scorer_new(enc->be, model, &footage, error);
    if (scorer) {
        *fit_bytes = enc->be->live_bytes - before;
        nerv_encoder_describe(enc, model);
    }
    const bool ok = scorer != NULL;
    nerv_scorer_free(scorer);
    nerv_trainer_free(tr);
    nerv_buffer_free(store);
    nerv_buffer_free(masks);
    nerv_buffer_free(keys);
    nerv_model_free(model);
    return ok;
}

/* The batch that would fit into max-memory, from what one and two frames a step take; 0 if not even those do. */
static uint64_t estimate_batch(NervEncoder *enc)
{
    const uint64_t max = enc->settings.max_memory_bytes;
    size_t one = 0, two = 0;
    if (!rehearse(enc, 1, &one, NULL))
        return 0;
    if (!rehearse(enc, 2, &two, NULL) || two <= one)
        return 1;
    return max > one ? 1 + (max - one) / (two - one) : 1;
}

/* Rehearses with the batch that was asked for, or a segment's frames if those are fewer. If only the batch is too
 * large, the error says so in the terms of the settings. */
static bool plan_batch(NervEncoder *enc, size_t *fit_bytes, GError **error)
{
    NervEncoderSettings *s = &enc->settings;
    GError *why = NULL;

    if (s->segment_frames)
        s->batch_size = MIN(s->batch_size, s->segment_frames);
    if (rehearse(enc, s->batch_size, fit_bytes, &why))
        return true;

    const bool size_matters = g_error_matches(why, NERV_ERROR, NERV_ERROR_MEMORY) ||
                              g_error_matches(why, NERV_ERROR, NERV_ERROR_INVALID);
    const uint64_t possible = s->batch_size > 1 && size_matters ? estimate_batch(enc) : 0;
    if (possible == 0) {
        g_propagate_error(error, why);
        return false;
    }
    g_set_error(error, NERV_ERROR, why->code,
                "a batch-size of %u is too large for this model and frame size: about %" G_GUINT64_FORMAT
                " frames a step fit into max-memory's %.0f MiB",
                s->batch_size, MIN(possible, (uint64_t)s->batch_size - 1),
                (double)s->max_memory_bytes / 0x1p20);
    g_debug("batch-size: %s", why->message);
    g_error_free(why);
    return false;
}

/* Frames are held twice during a fit: as sent, and on the device; so is what keyframes there are. */
static uint32_t count_frames(const NervEncoder *enc, size_t fit_bytes)
{
    const uint64_t left = enc->settings.max_memory_bytes - fit_bytes;
    const double each =
        2. * (double)(enc->frame_bytes + enc->mask_bytes) + enc->keys_per_frame * (double)key_bytes(enc);
    return (uint32_t)MIN((double)left / each, NERV_MAX_SEGMENT_FRAMES);
}

/* A segment is as long as was asked for, or shorter where memory holds no more. */
static bool budget_frames(NervEncoder *enc, size_t fit_bytes, GError **error)
{
    const uint32_t wanted = enc->planned_frames;

    enc->max_frames = MIN(count_frames(enc, fit_bytes), wanted);
    if (enc->max_frames == 0) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                    "one frame of %d x %d and its fit take %.0f MiB, more than max-memory's %.0f MiB: lower "
                    "the size, the model or the "
                    "batch, or raise max-memory",
                    enc->info.pixels.width, enc->info.pixels.height,
                    ((double)fit_bytes + 2. * (double)(enc->frame_bytes + enc->mask_bytes)) / 0x1p20,
                    (double)enc->settings.max_memory_bytes / 0x1p20);
        return false;
    }
    if (enc->settings.segment_frames && enc->max_frames < wanted)
        g_info("segments have %u frames instead of %u: max-memory holds no more", enc->max_frames, wanted);
    return true;
}

/* A segment of as many frames as memory holds: the more they are, the larger may be the network that is fitted to them, and the less room is left
 * for them. */
static bool plan_open_end(NervEncoder *enc, size_t *fit_bytes, GError **error)
{
    const uint32_t least = MAX(enc->settings.batch_size, LEAST_PLANNED);
    uint32_t n = MAX(count_frames(enc, 0), least);
    for (;;) {
        GError *why = NULL;
        enc->planned_frames = n;
        const bool ok = plan_batch(enc, fit_bytes, &why);
        if (!ok && n <= least) {
            g_propagate_error(error, why);
            return false;
        }
        g_clear_error(&why);
        const uint32_t capacity = ok ? count_frames(enc, *fit_bytes) : 0;
        if (ok && (capacity >= n || n <= least))
            return true;
        n = MAX(MAX(capacity, n / 2), least);
    }
}

bool nerv_encoder_plan(NervEncoder *enc, GError **error)
{
    size_t fit_bytes = 0;
    const bool is_open = enc->settings.segment_frames == 0;
    enc->planned_frames = enc->settings.segment_frames;
    return (is_open ? plan_open_end(enc, &fit_bytes, error) : plan_batch(enc, &fit_bytes, error)) &&
           budget_frames(enc, fit_bytes, error);
}
