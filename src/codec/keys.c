/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From a segment's frames to its coded keyframes, see keys.h.
 */
#include "codec/keys.h"

#include <math.h>

#include "codec/stills.h"

#define TRIAL_SPEED 6 /* at least: in a sixth of the time what 4 gives, nearly */
/* Pictures that a quantiser is tried on, and as many more as have so many samples. */
#define LEAST_TRIALS  4
#define TRIAL_SAMPLES 2e6
#define LEAST_QUANT   4
#define OVERSHOOT     1.05
/* Of a video's quantiser, for each octave of what motion leaves of its error above the mean. */
#define OCTAVE_OFFSET 4.5
#define MOST_OFFSET   20
#define LEAST_ERROR   1.
/* Where there are more videos than so many pictures are tried, they are not told apart. */
#define MOST_TRIALS 16

void nerv_keys_clear(NervKeys *keys)
{
    for (int32_t i = 0; i < keys->n; i++)
        if (keys->coded[i])
            g_byte_array_unref(keys->coded[i]);
    g_free(keys->coded);
    g_free(keys->frames);
    nerv_buffer_free(keys->store);
    nerv_motion_clear(&keys->motion);
    *keys = (NervKeys){ 0 };
}

static size_t picture_bytes(const NervKeys *keys)
{
    return (nerv_pixels_bytes(&keys->pixels) + 3) / 4 * 4;
}

/* One video's keyframes. */
typedef struct {
    int32_t first, n; /* places in the list */
    int8_t offset;    /* of their quantisers */
    int32_t tried;    /* of the last quantiser's trial: pictures, and sums over them */
    double bytes, error;
} Video;

typedef struct {
    const NervKeys *keys;
    const NervKeysJob *job;
    Video *videos;
    uint32_t n_videos;
    /* Pictures that quantisers are tried on: frames, videos, and quantisers' offsets. */
    int32_t *frames;
    uint32_t *video;
    int8_t *offsets;
    uint32_t n;
} Search;

static void search_clear(Search *s)
{
    g_free(s->videos);
    g_free(s->frames);
    g_free(s->video);
    g_free(s->offsets);
}

/* The pictures to be tried: evenly so many of all; where videos are told apart, one of each at least. */
static void pick_pictures(Search *s)
{
    const NervPixels *pixels = s->job->pixels;
    const double area = (double)pixels->width * pixels->height;
    const int32_t n_keys = s->keys->n, most = MIN(n_keys, MAX((int32_t)(TRIAL_SAMPLES / area), LEAST_TRIALS));
    for (uint32_t i = 0; i < s->n_videos; i++) {
        const Video *v = &s->videos[i];
        const int32_t n = CLAMP((int32_t)lrint((double)v->n * most / n_keys), 1, v->n);
        for (int32_t j = 0; j < n; j++) {
            s->video[s->n] = i;
            s->frames[s->n++] = s->keys->frames[v->first + (int64_t)j * v->n / n];
        }
    }
}

static void find_videos(Search *s, const NervModel *model)
{
    for (int32_t i = 0; i < model->n_runs; i++) {
        const NervRun run = nerv_model_run(model, i);
        Video *v = &s->videos[run.video];
        if (v->n == 0)
            v->first = run.keys[0];
        v->n = run.keys[1] + 1 - v->first;
    }
}

static void search_init(Search *s, const NervKeys *keys, const NervModel *model, const NervKeysJob *job)
{
    *s = (Search){ .keys = keys, .job = job, .n_videos = MAX(model->n_videos, 1) };
    const bool apart = s->n_videos <= MOST_TRIALS;
    s->n_videos = apart ? s->n_videos : 1;
    s->videos = g_new0(Video, s->n_videos);
    s->frames = g_new(int32_t, keys->n);
    s->video = g_new(uint32_t, keys->n);
    s->offsets = g_new0(int8_t, keys->n);
    if (apart)
        find_videos(s, model);
    else
        s->videos[0].n = keys->n;
    pick_pictures(s);
}

/* What a video's quantiser differs by from that of all, within what there is. */
static int8_t offset_of(const Video *v, uint32_t quant)
{
    const int32_t own = CLAMP((int32_t)quant + v->offset, LEAST_QUANT, NERV_KEYFRAME_QUANT_MAX);
    return (int8_t)(own - (int32_t)quant);
}

static NervStillsJob stills_job(const NervKeysJob *job, uint32_t quant, uint32_t speed, const int8_t *offsets)
{
    const NervBackend *be = job->be;
    return (NervStillsJob){ .pixels = job->pixels,
                            .frame_at = job->frame_at,
                            .user = job->user,
                            .quant = quant,
                            .speed = speed,
                            .offsets = offsets,
                            .n_threads = job->n_threads,
                            .max_bytes = be->limit_bytes ? MAX(be->limit_bytes - be->live_bytes, 1) : 0,
                            .cancel = be->cancel };
}

static bool count(void *user, uint32_t i, const NervStill *still, GError **error)
{
    const Search *s = user;
    Video *v = &s->videos[s->video[i]];
    v->tried++;
    v->bytes += still->coded->len;
    v->error += still->error;
    return true;
}

static bool try_pictures(Search *s, uint32_t quant, GError **error)
{
    for (uint32_t i = 0; i < s->n_videos; i++) {
        s->videos[i].tried = 0;
        s->videos[i].bytes = s->videos[i].error = 0.;
    }
    for (uint32_t i = 0; i < s->n; i++)
        s->offsets[i] = offset_of(&s->videos[s->video[i]], quant);
    const NervStillsJob stills = stills_job(s->job, quant, MAX(s->job->speed, TRIAL_SPEED), s->offsets);
    return nerv_stills_code(&stills, s->frames, s->n, count, s, error);
}

/* Whether the keyframes come out better than they need to, or larger than they may, with that quantiser. */
static bool try_quant(Search *s, uint32_t quant, bool *too_fine, GError **error)
{
    double bytes = 0., sum = 0.;
    if (!try_pictures(s, quant, error))
        return false;
    for (uint32_t i = 0; i < s->n_videos; i++) {
        const Video *v = &s->videos[i];
        bytes += v->bytes / v->tried * v->n;
        sum += v->error / v->tried * v->n;
    }
    if (s->job->target_bytes > 0.)
        *too_fine = bytes > s->job->target_bytes * OVERSHOOT;
    else
        *too_fine = 10. * log10(255. * 255. * s->keys->n / fmax(sum, 1e-9)) >= s->job->target_psnr;
    return true;
}

/* What is shown of a video errs by what motion leaves of it and by what coding took from its keyframes: where the former is large, fine keyframes
 * are wasted. Nine steps are 3 dB of them; half of that keeps videos half-way alike in decibels, as the fit's weights do (train/balance.h). */
static void choose_offsets(Search *s)
{
    const NervMotion *motion = &s->keys->motion;
    double sum = 0.;
    if (s->n_videos == 1 || !motion->error)
        return;
    g_autofree double *octaves = g_new(double, s->n_videos);
    for (uint32_t i = 0; i < s->n_videos; i++) {
        octaves[i] = log2(fmax(motion->error[i], LEAST_ERROR));
        sum += octaves[i] * s->videos[i].n / s->keys->n;
    }
    for (uint32_t i = 0; i < s->n_videos; i++) {
        const double offset = OCTAVE_OFFSET * (octaves[i] - sum);
        s->videos[i].offset = (int8_t)CLAMP(lrint(offset), -MOST_OFFSET, MOST_OFFSET);
    }
}

/* By bisection the least quantiser with which the pictures take no more than the bytes asked for, or the greatest with which they have the
 * quality asked for. */
static bool choose_quant(NervKeys *keys, Search *s, GError **error)
{
    const NervKeysJob *job = s->job;
    uint32_t low = LEAST_QUANT - 1, high = NERV_KEYFRAME_QUANT_MAX + 1; /* too fine at low, not at high */
    keys->quant = job->quant;
    if (job->target_bytes > 0. || job->target_psnr <= 0.) /* else they are to be as good as each other */
        choose_offsets(s);
    if (job->target_bytes <= 0. && job->target_psnr <= 0.)
        return true;
    while (high - low > 1) {
        const uint32_t middle = (low + high) / 2;
        bool too_fine;
        if (!try_quant(s, middle, &too_fine, error))
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

static bool code_all(NervKeys *keys, const Search *s, GError **error)
{
    for (uint32_t i = 0; i < s->n_videos; i++)
        for (int32_t j = 0; j < s->videos[i].n; j++)
            s->offsets[s->videos[i].first + j] = offset_of(&s->videos[i], keys->quant);
    const NervStillsJob stills = stills_job(s->job, keys->quant, s->job->speed, s->offsets);
    if (!nerv_stills_code(&stills, keys->frames, (uint32_t)keys->n, keep, keys, error))
        return false;
    g_debug("%d keyframes, quantiser %u: %" G_GUINT64_FORMAT " bytes", keys->n, keys->quant, keys->bytes);
    return true;
}

static bool find_motion(NervKeys *keys, const NervModel *model, const NervKeysJob *job, GError **error)
{
    return nerv_motion_suits(&keys->motion, model) ||
           nerv_motion_find(&keys->motion, model, job->pixels, job->frame_at, job->user, job->be->cancel,
                            error);
}

static bool make_pictures(NervKeys *keys, const NervModel *model, const NervKeysJob *job, GError **error)
{
    nerv_keyframe_pixels(job->pixels, &keys->pixels);
    keys->n = model->n_keys;
    keys->frames = g_memdup2(model->keys, (gsize)keys->n * sizeof(*keys->frames));
    keys->coded = g_new0(GByteArray *, keys->n);
    keys->store = nerv_buffer_new(job->be, picture_bytes(keys) * (size_t)keys->n, error);
    Search s;
    search_init(&s, keys, model, job);
    const bool ok = keys->store && choose_quant(keys, &s, error) && code_all(keys, &s, error);
    search_clear(&s);
    return ok;
}

bool nerv_keys_make(NervKeys *keys, const NervModel *model, const NervKeysJob *job, GError **error)
{
    const bool are_there = same_frames(keys, model);
    if (!are_there)
        nerv_keys_clear(keys);
    const bool ok =
        find_motion(keys, model, job, error) && (are_there || make_pictures(keys, model, job, error));
    if (!ok)
        nerv_keys_clear(keys);
    return ok;
}
