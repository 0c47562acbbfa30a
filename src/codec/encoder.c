/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Encoder of one stream: collects a segment's frames, fits a network to them, writes the access units
 * (docs/bitstream.md). The mathematics is src/train's, the syntax units.c's and weights.c's; this file joins
 * them.
 */
#include <math.h>
#include <string.h>

#include "backend/backend.h"
#include "codec/cuts.h"
#include "codec/encoder_internal.h"
#include "codec/fitter.h"
#include "codec/keys.h"
#include "codec/report.h"
#include "codec/choice.h"
#include "codec/segment.h"
#include "codec/settings.h"
#include "nerv.h"

#define MAX_SECONDS_PER_FRAME 32768u
#define MAX_PTS_NS            ((int64_t)1 << 59) /* 18 years either way: keeps every sum of times in range */
#define PROGRESS_INTERVAL_US  100000
#define MOST_RESTARTS         3
#define RESTART_GROWTH        2.5
/* With fewer steps a smaller network does better; how much smaller one is tried then, at least. */
#define LEAST_STEPS   200
#define LEAST_SHRINK  0.15
#define SHRINK_MARGIN 0.8
#define NARROWER      0.9 /* times the multiplications: less is no other network */

/* Brings what is only carried into the ranges that the sequence header has: a frame rate beyond them is variable. */
static void tidy_rates(NervVideoInfo *info)
{
    if (info->fps_n == 0 || info->fps_d == 0 || info->fps_n > G_MAXINT32 || info->fps_d > G_MAXINT32 ||
        info->fps_d / info->fps_n >= MAX_SECONDS_PER_FRAME) {
        info->fps_n = 0;
        info->fps_d = 1;
    }
    if (info->par_n == 0 || info->par_d == 0 || info->par_n > G_MAXINT32 || info->par_d > G_MAXINT32)
        info->par_n = info->par_d = 1;
    info->primaries = MIN(info->primaries, 255);
    info->transfer = MIN(info->transfer, 255);
}

/* --- construction --- */

NervEncoder *nerv_encoder_new(const NervVideoInfo *info, const NervEncoderSettings *settings, GError **error)
{
    if (!nerv_settings_valid(info, settings, error))
        return NULL;
    NervEncoder *enc = g_new0(NervEncoder, 1);
    enc->info = *info;
    enc->growth = 1.;
    tidy_rates(&enc->info);
    nerv_settings_copy(&enc->settings, settings);
    enc->frame_bytes = (nerv_pixels_bytes(&info->pixels) + 3) / 4 * 4;
    enc->frames = g_array_new(FALSE, FALSE, sizeof(StoredFrame));
    g_queue_init(&enc->packets);
    g_mutex_init(&enc->lock);

    enc->be = nerv_backend_open(enc->settings.device, enc->settings.threads, error);
    if (!enc->be)
        goto error;
    enc->be->limit_bytes = (size_t)MIN(enc->settings.max_memory_bytes, SIZE_MAX);
    enc->be->cancel = &enc->cancel;
    g_strlcpy(enc->stats.device, enc->be->description, sizeof(enc->stats.device));
    if (settings->init_location && !(enc->init = nerv_init_load(settings->init_location, error)))
        goto error;
    if (!nerv_encoder_plan(enc, error))
        goto error;
    return enc;

error:
    nerv_encoder_free(enc);
    return NULL;
}

static void drop_frames(NervEncoder *enc)
{
    for (guint i = 0; i < enc->frames->len; i++)
        g_free(g_array_index(enc->frames, StoredFrame, i).pixels);
    g_array_set_size(enc->frames, 0);
}

static void drop_packets(NervEncoder *enc)
{
    NervPacket packet;
    while (nerv_encoder_get(enc, &packet))
        g_bytes_unref(packet.data);
}

/* What is known of the segment that was fitted. */
static void drop_scenes(NervEncoder *enc)
{
    g_clear_pointer(&enc->videos, g_free);
    enc->n_videos = 0;
    nerv_keys_clear(&enc->keys);
}

void nerv_encoder_free(NervEncoder *enc)
{
    if (!enc)
        return;
    drop_frames(enc);
    drop_packets(enc);
    drop_scenes(enc);
    g_array_unref(enc->frames);
    nerv_warm_clear(&enc->warm);
    nerv_init_free(enc->init);
    nerv_backend_free(enc->be);
    nerv_encoder_settings_clear(&enc->settings);
    g_free(enc->warning);
    g_mutex_clear(&enc->lock);
    g_free(enc);
}

void nerv_encoder_set_progress(NervEncoder *enc, NervProgressFunc func, void *user)
{
    enc->progress = func;
    enc->progress_user = user;
}

/* --- frames in --- */

bool nerv_encoder_send(NervEncoder *enc, const NervFrame *frame, int64_t pts_ns, GError **error)
{
    NervPlane plane[3];
    const int n_planes = nerv_pixels_planes(&enc->info.pixels, plane);
    if (nerv_encoder_is_full(enc)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "the segment is full");
        return false;
    }
    if (pts_ns > MAX_PTS_NS || pts_ns < -MAX_PTS_NS) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "a time stamp of %" G_GINT64_FORMAT " ns is out of range", pts_ns);
        return false;
    }
    StoredFrame stored = { g_try_malloc0(enc->frame_bytes), pts_ns };
    if (!stored.pixels) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for another frame");
        return false;
    }
    for (int i = 0; i < n_planes; i++)
        for (int32_t y = 0; y < plane[i].rows; y++)
            memcpy(stored.pixels + plane[i].offset + (size_t)y * plane[i].stride,
                   frame->data[i] + (ptrdiff_t)y * frame->stride[i], plane[i].row_bytes);
    g_array_append_val(enc->frames, stored);
    if (!enc->start_us)
        enc->start_us = g_get_monotonic_time();
    return true;
}

uint32_t nerv_encoder_max_frames(const NervEncoder *enc)
{
    return enc->max_frames;
}

void nerv_encoder_continue(NervEncoder *enc, const NervEncoder *previous)
{
    enc->segment_id = previous->segment_id;
    enc->n_sent = previous->n_sent;
    enc->start_us = previous->start_us;
    enc->growth = previous->growth;
    enc->most_macs = previous->most_macs;
    enc->stats.segment = previous->stats.segment;
}

void nerv_encoder_force_sync(NervEncoder *enc)
{
    enc->wants_sync = true;
}

void nerv_encoder_expect(NervEncoder *enc, uint64_t n_frames)
{
    enc->n_expected = n_frames;
}

uint32_t nerv_encoder_pending(const NervEncoder *enc)
{
    return enc->frames->len;
}

bool nerv_encoder_is_full(const NervEncoder *enc)
{
    return enc->frames->len >= enc->max_frames;
}

/* --- the fit --- */

static void publish(void *user, const NervTrainProgress *p, bool last)
{
    NervEncoder *enc = user;
    const gint64 now = g_get_monotonic_time();
    NervEncoderStats copy;
    if (!last && p->step > 0 && now - enc->published_us < PROGRESS_INTERVAL_US)
        return;
    enc->published_us = now;
    g_mutex_lock(&enc->lock);
    enc->stats.step = p->step;
    enc->stats.n_steps = p->n_steps;
    enc->stats.loss = p->loss;
    enc->stats.psnr = p->psnr;
    enc->stats.psnr_frames = p->psnr_frames;
    enc->stats.weight_bits = p->bits;
    enc->stats.steps_per_second = p->steps_per_second;
    enc->stats.eta_seconds = p->eta_seconds;
    enc->stats.fit_seconds = (double)(now - enc->fit_start_us) * 1e-6;
    enc->stats.peak_bytes = enc->be->peak_bytes;
    copy = enc->stats;
    g_mutex_unlock(&enc->lock);
    if (enc->progress)
        enc->progress(enc->progress_user, &copy);
}

static NervBuffer *upload_frames(NervEncoder *enc, GError **error)
{
    NervBuffer *store = nerv_buffer_new(enc->be, enc->frame_bytes * enc->frames->len, error);
    for (guint i = 0; store && i < enc->frames->len; i++) {
        const StoredFrame *f = &g_array_index(enc->frames, StoredFrame, i);
        if (!nerv_buffer_upload(store, i * enc->frame_bytes, f->pixels, enc->frame_bytes, error)) {
            nerv_buffer_free(store);
            return NULL;
        }
    }
    return store;
}

/* What all of the segment's access units are written from. *s is filled; pts: of each frame, freed by the caller. */
static NervSegment describe_segment(const NervEncoder *enc, const NervModel *model, NervSequence *s,
                                    int64_t **pts)
{
    nerv_segment_sequence(&enc->info, enc->segment_id, enc->n_sent, enc->frames->len,
                          g_array_index(enc->frames, StoredFrame, 0).pts_ns, s);
    *pts = g_new(int64_t, enc->frames->len);
    for (guint i = 0; i < enc->frames->len; i++)
        (*pts)[i] = g_array_index(enc->frames, StoredFrame, i).pts_ns;
    return (NervSegment){ .sequence = s, .pts_ns = *pts, .model = model, .keys = &enc->keys };
}

/* The size or quality that the segment's network has to meet. */
static void set_target(NervEncoder *enc, const NervSegment *segment, NervFitter *f)
{
    const double bytes = nerv_encoder_target_bytes(enc, enc->frames->len);
    f->key_bytes = enc->keys.bytes;
    if (bytes > 0.) {
        const double least = (double)f->model->n_weights / NERV_WEIGHTS_PER_BYTE;
        f->target_bytes =
            (uint64_t)MAX(bytes - (double)nerv_segment_bytes(segment, (uint32_t)bytes) + bytes, least);
    }
    if (nerv_settings_rate_mode(&enc->settings) == NERV_RATE_PSNR)
        f->target_psnr = enc->settings.target_psnr;
}

static void warn_of(NervEncoder *enc, const NervSegment *segment, const NervFitResult *r,
                    uint32_t network_bytes)
{
    const bool psnr = nerv_settings_rate_mode(&enc->settings) == NERV_RATE_PSNR;
    const NervReport report = { .segment_id = enc->segment_id,
                                .result = r,
                                .seconds = (double)(g_get_monotonic_time() - enc->start_us) * 1e-6,
                                .max_seconds = enc->settings.max_seconds,
                                .bytes = (double)nerv_segment_bytes(segment, network_bytes),
                                .target_bytes = nerv_encoder_target_bytes(enc, enc->frames->len),
                                .keys = &enc->keys,
                                .excess_macs = enc->segment_id == 0 ? segment->model->excess_macs : 0.,
                                .target_psnr = psnr ? enc->settings.target_psnr : 0. };
    g_free(enc->warning);
    enc->warning = nerv_report_warning(&report);
}

static const uint8_t *frame_at(void *user, uint32_t i)
{
    const NervEncoder *enc = user;
    return g_array_index(enc->frames, StoredFrame, i).pixels;
}

/* Whether the open segment need not be a sync point. */
static bool may_be_residual(const NervEncoder *enc)
{
    return enc->settings.warm_start == NERV_WARM_START_RESIDUAL && !enc->wants_sync &&
           enc->warm.n_residuals + 1 < enc->settings.sync_interval;
}

static void set_choice(NervEncoderStats *stats, const NervChoice *choice, const NervInit *init)
{
    const bool residual = choice->other == NERV_UNIT_RESIDUAL, delta = choice->other == NERV_UNIT_DELTA;
    stats->is_residual = choice->way == NERV_UNIT_RESIDUAL;
    stats->is_delta = choice->way == NERV_UNIT_DELTA;
    stats->whole_bytes = choice->whole_bytes;
    stats->whole_psnr = choice->whole_psnr;
    stats->residual_bytes = residual ? choice->other_bytes : 0;
    stats->residual_psnr = residual ? choice->other_psnr : 0.;
    stats->delta_bytes = delta ? choice->other_bytes : 0;
    stats->delta_psnr = delta ? choice->other_psnr : 0.;
    if (choice->is_learned) {
        g_autofree char *name = nerv_init_name(init->hash);
        g_strlcpy(stats->init, name, sizeof(stats->init));
    } else {
        g_strlcpy(stats->init, choice->is_warm ? "previous" : "none", sizeof(stats->init));
    }
}

/* The learned start of the segment's network, and its rates, but for one that was asked for. */
static void set_init(const NervEncoder *enc, NervFitter *f)
{
    f->init = nerv_encoder_init(enc, f->model);
    if (!f->init)
        return;
    f->rates = nerv_init_rates(f->init, f->model);
    if (enc->settings.learning_rate > 0.)
        f->rates = (NervInitRates){ enc->settings.learning_rate, f->rates.layers_rate, 0 };
}

/* Whether the last segment's weights are left for a learned start. */
static bool begins_anew(const NervEncoder *enc, const NervFitter *f)
{
    return enc->settings.init == NERV_INIT_BUILTIN && enc->settings.warm_start != NERV_WARM_START_RESIDUAL &&
           f->init;
}

static bool fit_and_queue(NervEncoder *enc, const NervModel *model, NervBuffer *store, bool may_give_up,
                          uint32_t least_steps, NervFitResult *result, GError **error)
{
    NervFitter fitter = {
        .be = enc->be,
        .model = model,
        .footage = { .frames = store,
                     .pixels = &enc->info.pixels,
                     .keys = enc->keys.store,
                     .key_pixels = enc->keys.pixels },
        .bits = enc->settings.bits,
        .huffman = enc->settings.coding == NERV_CODING_HUFFMAN,
        .may_give_up = may_give_up,
        .least_steps = least_steps,
        .progress = publish,
        .user = enc,
    };
    g_autofree int64_t *pts = NULL;
    const NervWarm none = { 0 };
    NervChoice choice;
    NervBitWriter network;
    NervSequence s;

    NervSegment segment = describe_segment(enc, model, &s, &pts);
    set_init(enc, &fitter);
    nerv_settings_train(&enc->settings, model, enc->segment_id, fitter.init != NULL, &fitter.train);
    fitter.train.deadline_us = nerv_encoder_deadline(enc);
    set_target(enc, &segment, &fitter);
    nerv_writer_init(&network);
    const bool ok =
        nerv_choice_fit(&fitter, begins_anew(enc, &fitter) ? &none : &enc->warm, may_be_residual(enc),
                        enc->settings.weight_deltas, &enc->keys.motion, &network, result, &choice, error);
    if (ok && !result->gave_up && !result->too_few_steps) {
        segment.way = choice.way;
        warn_of(enc, &segment, result, network.bytes->len);
        nerv_segment_queue(&segment, &network, &enc->packets);
        if (enc->settings.init != NERV_INIT_NONE && enc->settings.warm_start != NERV_WARM_START_NONE)
            nerv_warm_keep(&enc->warm, choice.way, network.bytes->data, network.bytes->len, &model->clip,
                           fitter.init);
        g_mutex_lock(&enc->lock);
        enc->stats.segment++;
        enc->stats.network_bytes = network.bytes->len;
        enc->stats.keyframe_bytes = enc->keys.bytes;
        set_choice(&enc->stats, &choice, fitter.init);
        enc->stats.psnr = result->score.psnr;
        enc->stats.psnr_frames = result->score.psnr_frames;
        enc->stats.fit_seconds = (double)(g_get_monotonic_time() - enc->fit_start_us) * 1e-6;
        g_mutex_unlock(&enc->lock);
    }
    nerv_writer_clear(&network);
    return ok;
}

/* Of the bytes asked for, 0 if none are, those that keyframes and network share: what surrounds frames is not theirs. */
static double shared_bytes(const NervEncoder *enc, const NervModel *model)
{
    const double bytes = nerv_encoder_target_bytes(enc, enc->frames->len);
    const NervKeys none = { 0 };
    g_autofree int64_t *pts = NULL;
    NervSequence s;
    NervSegment segment = describe_segment(enc, model, &s, &pts);
    segment.keys = &none;
    return bytes > 0. ? MAX(bytes - (double)nerv_segment_bytes(&segment, 0), 1.) : 0.;
}

/* A model of the present growth for the segment, with the motion that it begins with and, if it has keyframes, those, which come first: it takes what
 * they leave of the bytes. */
static NervModel *plan_segment(NervEncoder *enc, GError **error)
{
    NervModel *model = nerv_encoder_new_model(enc, enc->frames->len,
                                              nerv_encoder_target_bytes(enc, enc->frames->len), error);
    if (!model)
        return NULL;
    const double bytes = shared_bytes(enc, model);
    const NervKeysJob job = { .be = enc->be,
                              .pixels = &enc->info.pixels,
                              .frame_at = frame_at,
                              .user = enc,
                              .quant = nerv_settings_key_quant(&enc->settings),
                              .target_bytes = bytes * nerv_settings_keys_share(),
                              .target_psnr = nerv_settings_key_psnr(&enc->settings),
                              .speed = nerv_settings_key_speed(&enc->settings, &enc->info.pixels),
                              .n_threads = enc->settings.threads };
    const bool ok = nerv_keys_make(&enc->keys, model, &job, error);
    if (ok && model->n_keys == 0)
        return model;
    nerv_model_free(model);
    if (!ok)
        return NULL;
    return nerv_encoder_new_model(enc, enc->frames->len,
                                  bytes > 0. ? MAX(bytes - (double)enc->keys.bytes, 1.) : 0., error);
}

/* Whether a network of another growth has more or fewer weights than the model: options may leave no choice. */
static bool differs(NervEncoder *enc, const NervModel *model, double factor)
{
    const double growth = enc->growth;
    enc->growth = growth * factor;
    NervModel *other =
        nerv_encoder_new_model(enc, enc->frames->len, nerv_encoder_target_bytes(enc, enc->frames->len), NULL);
    const bool differs =
        other && (factor > 1. ? other->n_weights > model->n_weights : other->n_weights < model->n_weights);
    nerv_model_free(other);
    enc->growth = growth;
    return differs;
}

/* Passes below which the time is better spent on a network of fewer multiplications than the model's; 0: there is none, or, with keyframes, nobody knows. */
static double passes_for(NervEncoder *enc, const NervModel *model)
{
    const double macs = nerv_model_macs_per_pixel(model), most = enc->most_macs;
    const double passes = nerv_settings_least_passes(&enc->settings, &model->clip, macs);
    if (passes <= 0. || model->n_keys > 0)
        return 0.;
    enc->most_macs = nerv_settings_fewer_macs(&enc->settings, &model->clip, macs, 0.);
    NervModel *other =
        nerv_encoder_new_model(enc, enc->frames->len, nerv_encoder_target_bytes(enc, enc->frames->len), NULL);
    const bool narrower = other && nerv_model_macs_per_pixel(other) < macs * NARROWER;
    nerv_model_free(other);
    enc->most_macs = most;
    return narrower ? passes : 0.;
}

/* What to try in place of the model where there is no time for more steps than that: fewer multiplications, or fewer weights. */
static void take_less(NervEncoder *enc, const NervModel *model, double least_passes, uint32_t n_steps)
{
    const double passes = (double)n_steps * enc->settings.batch_size / enc->frames->len;
    if (passes < least_passes)
        enc->most_macs =
            nerv_settings_fewer_macs(&enc->settings, &model->clip, nerv_model_macs_per_pixel(model), passes);
    else
        enc->growth *= MAX(SHRINK_MARGIN * n_steps / LEAST_STEPS, LEAST_SHRINK);
}

/* One try with a network of the present size. *again: whether another size, which it then is, is worth one more. */
static bool try_fit(NervEncoder *enc, NervBuffer *store, bool may_give_up, bool *again, GError **error)
{
    const bool timed = enc->settings.max_seconds > 0.;
    const bool wants_more = nerv_settings_rate_mode(&enc->settings) == NERV_RATE_PSNR && !timed;
    NervFitResult result;
    NervModel *model = plan_segment(enc, error);
    if (!model)
        return false;
    const bool may_grow = may_give_up && wants_more && differs(enc, model, RESTART_GROWTH);
    const bool may_shrink = may_give_up && timed && differs(enc, model, SHRINK_MARGIN);
    const double passes = may_give_up && timed ? passes_for(enc, model) : 0.;
    const double least = ceil(passes * enc->frames->len / enc->settings.batch_size);
    nerv_encoder_describe(enc, model);
    const bool ok =
        fit_and_queue(enc, model, store, may_grow,
                      (uint32_t)fmin(MAX(least, may_shrink ? LEAST_STEPS : 0), UINT32_MAX), &result, error);
    *again = ok && (result.gave_up || result.too_few_steps);
    if (*again && result.gave_up)
        enc->growth *= RESTART_GROWTH;
    else if (*again)
        take_less(enc, model, passes, result.too_few_steps);
    nerv_model_free(model);
    return ok;
}

bool nerv_encoder_fit(NervEncoder *enc, GError **error)
{
    bool again = true, ok;

    if (nerv_backend_cancelled(enc->be, error))
        return false;
    if (enc->frames->len == 0)
        return true;
    g_mutex_lock(&enc->lock);
    enc->stats.frames = enc->frames->len;
    g_mutex_unlock(&enc->lock);
    enc->fit_start_us = g_get_monotonic_time();
    drop_scenes(enc);
    enc->n_videos = nerv_cuts_find(&enc->info.pixels, enc->frames->len, frame_at, enc, &enc->videos);
    NervBuffer *store = upload_frames(enc, error);
    ok = store != NULL;
    for (int i = 0; ok && again; i++)
        ok = try_fit(enc, store, i < MOST_RESTARTS, &again, error);
    if (ok) {
        enc->segment_id++;
        enc->wants_sync = false;
        enc->n_sent += enc->frames->len;
        drop_frames(enc);
    } else {
        nerv_warm_clear(&enc->warm);
    }
    drop_scenes(enc);
    nerv_buffer_free(store);
    return ok;
}

const char *nerv_encoder_warning(const NervEncoder *enc)
{
    return enc->warning;
}

void nerv_encoder_cancel(NervEncoder *enc)
{
    g_atomic_int_set(&enc->cancel, 1);
}

void nerv_encoder_reset(NervEncoder *enc)
{
    drop_frames(enc);
    drop_packets(enc);
    nerv_warm_clear(&enc->warm);
    g_atomic_int_set(&enc->cancel, 0);
    enc->start_us = 0;
}

void nerv_encoder_get_stats(NervEncoder *enc, NervEncoderStats *stats)
{
    g_mutex_lock(&enc->lock);
    *stats = enc->stats;
    g_mutex_unlock(&enc->lock);
}

bool nerv_encoder_get(NervEncoder *enc, NervPacket *packet)
{
    NervPacket *queued = g_queue_pop_head(&enc->packets);
    if (!queued)
        return false;
    *packet = *queued;
    g_free(queued);
    return true;
}
