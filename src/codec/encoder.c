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
#include "codec/holes.h"
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
    enc->segment_id = settings->first_segment;
    enc->n_sent = settings->first_frame;
    tidy_rates(&enc->info);
    nerv_settings_copy(&enc->settings, settings);
    enc->frame_bytes = (nerv_pixels_bytes(&info->pixels) + 3) / 4 * 4;
    if (settings->masked || settings->held_out > 0.) {
        const NervPixels mask = nerv_footage_mask_pixels(&info->pixels);
        enc->mask_bytes = (nerv_pixels_bytes(&mask) + 3) / 4 * 4;
    }
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
    for (guint i = 0; i < enc->frames->len; i++) {
        g_free(g_array_index(enc->frames, StoredFrame, i).pixels);
        g_free(g_array_index(enc->frames, StoredFrame, i).mask);
    }
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

static bool may_send(const NervEncoder *enc, const uint8_t *known, int64_t pts_ns, GError **error)
{
    if (nerv_encoder_is_full(enc)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "the segment is full");
        return false;
    }
    if (known && !enc->settings.masked) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "the settings say that frames have no masks");
        return false;
    }
    if (pts_ns > MAX_PTS_NS || pts_ns < -MAX_PTS_NS) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "a time stamp of %" G_GINT64_FORMAT " ns is out of range", pts_ns);
        return false;
    }
    return true;
}

static void copy_planes(const NervEncoder *enc, const NervFrame *frame, uint8_t *dst)
{
    NervPlane plane[3];
    const int n_planes = nerv_pixels_planes(&enc->info.pixels, plane);
    for (int i = 0; i < n_planes; i++)
        for (int32_t y = 0; y < plane[i].rows; y++)
            memcpy(dst + plane[i].offset + (size_t)y * plane[i].stride,
                   frame->data[i] + (ptrdiff_t)y * frame->stride[i], plane[i].row_bytes);
}

/* The frame's pixels and, where not all of them count, its mask. known: NULL if all are known. */
static bool store_frame(const NervEncoder *enc, const NervFrame *frame, const uint8_t *known, int32_t stride,
                        StoredFrame *stored, GError **error)
{
    const NervPixels *pixels = &enc->info.pixels;
    const bool masked = known || enc->settings.held_out > 0.;
    stored->pixels = g_try_malloc0(enc->frame_bytes);
    stored->mask = masked ? g_try_malloc0(enc->mask_bytes) : NULL;
    if (!stored->pixels || (masked && !stored->mask)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for another frame");
        return false;
    }
    copy_planes(enc, frame, stored->pixels);
    if (masked)
        nerv_holes_mask(pixels, known, stride, enc->settings.held_out, enc->settings.seed,
                        enc->n_sent + enc->frames->len, stored->mask);
    return !known || nerv_holes_fill(pixels, known, stride, stored->pixels, error);
}

bool nerv_encoder_send_masked(NervEncoder *enc, const NervFrame *frame, const uint8_t *known, int32_t stride,
                              int64_t pts_ns, GError **error)
{
    StoredFrame stored = { .pts_ns = pts_ns };
    if (!may_send(enc, known, pts_ns, error))
        return false;
    if (known && nerv_holes_none(&enc->info.pixels, known, stride))
        known = NULL;
    if (!store_frame(enc, frame, known, stride, &stored, error)) {
        g_free(stored.pixels);
        g_free(stored.mask);
        return false;
    }
    g_array_append_val(enc->frames, stored);
    if (!enc->start_us)
        enc->start_us = g_get_monotonic_time();
    return true;
}

bool nerv_encoder_send(NervEncoder *enc, const NervFrame *frame, int64_t pts_ns, GError **error)
{
    return nerv_encoder_send_masked(enc, frame, NULL, 0, pts_ns, error);
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
    enc->stats.held_l1 = p->held_l1;
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

/* What is not known of a frame, out of others of its video. */
static void find_holes(NervEncoder *enc)
{
    g_autofree uint8_t **frames = g_new(uint8_t *, enc->frames->len);
    g_autofree uint8_t **masks = g_new(uint8_t *, enc->frames->len);
    uint32_t first = 0;
    for (guint i = 0; i < enc->frames->len; i++) {
        frames[i] = g_array_index(enc->frames, StoredFrame, i).pixels;
        masks[i] = g_array_index(enc->frames, StoredFrame, i).mask;
    }
    for (uint32_t k = 0; k < enc->n_videos; k++) {
        const uint32_t n = (uint32_t)enc->videos[k];
        nerv_holes_find(&enc->info.pixels, frames + first, masks + first, n);
        first += n;
    }
}

/* The frames on the device, and what of them counts, where not all does. */
typedef struct {
    NervBuffer *frames, *masks;
} Store;

static void store_clear(Store *store)
{
    nerv_buffer_free(store->frames);
    nerv_buffer_free(store->masks);
}

static bool upload_frames(const NervEncoder *enc, const Store *store, GError **error)
{
    g_autofree uint8_t *all = NULL;
    if (store->masks) {
        all = g_malloc0(enc->mask_bytes);
        nerv_holes_mask(&enc->info.pixels, NULL, 0, 0., 0, 0, all);
    }
    for (guint i = 0; i < enc->frames->len; i++) {
        const StoredFrame *f = &g_array_index(enc->frames, StoredFrame, i);
        if (!nerv_buffer_upload(store->frames, i * enc->frame_bytes, f->pixels, enc->frame_bytes, error) ||
            (store->masks && !nerv_buffer_upload(store->masks, i * enc->mask_bytes, f->mask ? f->mask : all,
                                                 enc->mask_bytes, error)))
            return false;
    }
    return true;
}

static bool has_masks(const NervEncoder *enc)
{
    for (guint i = 0; i < enc->frames->len; i++)
        if (g_array_index(enc->frames, StoredFrame, i).mask)
            return true;
    return false;
}

static bool store_init(Store *store, NervEncoder *enc, GError **error)
{
    const bool masked = has_masks(enc);
    *store = (Store){ nerv_buffer_new(enc->be, enc->frame_bytes * enc->frames->len, error), NULL };
    if (store->frames && masked)
        store->masks = nerv_buffer_new(enc->be, enc->mask_bytes * enc->frames->len, error);
    if (store->frames && (!masked || store->masks) && upload_frames(enc, store, error))
        return true;
    store_clear(store);
    return false;
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

/* How the segment's frames, which are in the store, are fitted. */
static bool set_fitter(NervEncoder *enc, const NervModel *model, const Store *store, NervFitter *f,
                       GError **error)
{
    g_autofree int64_t *pts = NULL;
    NervSequence s;
    const NervSegment segment = describe_segment(enc, model, &s, &pts);
    *f = (NervFitter){
        .be = enc->be,
        .model = model,
        .footage = { .frames = store->frames,
                     .pixels = &enc->info.pixels,
                     .keys = enc->keys.store,
                     .key_pixels = enc->keys.pixels,
                     .masks = store->masks,
                     .held_out = enc->settings.held_out > 0. },
        .bits = enc->settings.bits,
        .huffman = enc->settings.coding == NERV_CODING_HUFFMAN,
        .progress = publish,
        .user = enc,
    };
    set_init(enc, f);
    nerv_settings_train(&enc->settings, model, enc->segment_id, f->init != NULL, &f->train);
    set_target(enc, &segment, f);
    f->keeps_rate = enc->settings.learning_rate > 0.;
    f->train.deadline_us = enc->deadline_us;
    const double seconds = (double)(enc->deadline_us - g_get_monotonic_time()) * 1e-6;
    return !enc->deadline_us ||
           nerv_pace_find(&f->pace, enc->be, model, &f->footage, &f->train, seconds, error);
}

static bool fit_and_queue(NervEncoder *enc, NervFitter *f, NervFitResult *result, GError **error)
{
    g_autofree int64_t *pts = NULL;
    const NervWarm none = { 0 };
    NervChoice choice;
    NervBitWriter network;
    NervSequence s;

    NervSegment segment = describe_segment(enc, f->model, &s, &pts);
    nerv_writer_init(&network);
    const bool ok =
        nerv_choice_fit(f, begins_anew(enc, f) ? &none : &enc->warm, may_be_residual(enc),
                        enc->settings.weight_deltas, &enc->keys.motion, &network, result, &choice, error);
    if (ok && !result->gave_up) {
        segment.way = choice.way;
        warn_of(enc, &segment, result, network.bytes->len);
        nerv_segment_queue(&segment, &network, &enc->packets);
        if (enc->settings.init != NERV_INIT_NONE && enc->settings.warm_start != NERV_WARM_START_NONE)
            nerv_warm_keep(&enc->warm, choice.way, network.bytes->data, network.bytes->len, &f->model->clip,
                           f->init);
        g_mutex_lock(&enc->lock);
        enc->stats.segment++;
        enc->stats.network_bytes = network.bytes->len;
        enc->stats.keyframe_bytes = enc->keys.bytes;
        set_choice(&enc->stats, &choice, f->init);
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

/* Whether a network of a greater growth has more weights than the model: options may leave no choice. */
static bool may_grow(NervEncoder *enc, const NervModel *model)
{
    const double growth = enc->growth;
    enc->growth *= RESTART_GROWTH;
    NervModel *other =
        nerv_encoder_new_model(enc, enc->frames->len, nerv_encoder_target_bytes(enc, enc->frames->len), NULL);
    const bool grows = other && other->n_weights > model->n_weights;
    nerv_model_free(other);
    enc->growth = growth;
    return grows;
}

/* One try with a network of the present size. *again: whether another size, which it then is, is worth one more. */
static bool try_fit(NervEncoder *enc, const Store *store, bool last, bool *again, GError **error)
{
    NervModel *model = plan_segment(enc, error);
    NervFitResult result;
    NervFitter f;
    *again = false;
    if (!model)
        return false;
    bool ok = set_fitter(enc, model, store, &f, error);
    if (ok && f.train.deadline_us) {
        *again = !last && nerv_encoder_take_less(enc, model, nerv_fitter_steps(&f, 1.));
    } else if (ok) {
        f.may_give_up = !last && f.target_psnr > 0. && may_grow(enc, model);
    }
    if (ok && !*again) {
        nerv_encoder_describe(enc, model);
        ok = fit_and_queue(enc, &f, &result, error);
        *again = ok && result.gave_up;
        if (*again)
            enc->growth *= RESTART_GROWTH;
    }
    nerv_model_free(model);
    return ok;
}

bool nerv_encoder_fit(NervEncoder *enc, GError **error)
{
    bool again = true, ok, have_store;
    Store store;

    if (nerv_backend_cancelled(enc->be, error))
        return false;
    if (enc->frames->len == 0)
        return true;
    g_mutex_lock(&enc->lock);
    enc->stats.frames = enc->frames->len;
    g_mutex_unlock(&enc->lock);
    enc->fit_start_us = g_get_monotonic_time();
    enc->deadline_us = nerv_encoder_deadline(enc);
    drop_scenes(enc);
    enc->n_videos = nerv_cuts_find(&enc->info.pixels, enc->frames->len, frame_at, enc, &enc->videos);
    find_holes(enc);
    ok = have_store = store_init(&store, enc, error);
    for (int i = 0; ok && again; i++)
        ok = try_fit(enc, &store, i == MOST_RESTARTS, &again, error);
    if (ok) {
        enc->segment_id++;
        enc->wants_sync = false;
        enc->n_sent += enc->frames->len;
        drop_frames(enc);
    } else {
        nerv_warm_clear(&enc->warm);
    }
    drop_scenes(enc);
    if (have_store)
        store_clear(&store);
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
