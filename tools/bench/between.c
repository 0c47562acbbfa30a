/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Held-out frames, see between.h. The stream's networks are evaluated here and not by nervdec, which is never asked for a time between
 * frames.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "between.h"
#include "codec/cuts.h"
#include "codec/evaluator.h"
#include "quality.h"

/* Sums of errors. */
typedef struct {
    double mse, psnr;
    guint n;
} Sum;

static void add(Sum *s, double mse)
{
    s->mse += mse;
    s->psnr += quality_psnr(mse);
    s->n++;
}

static BetweenQuality quality_of(const Sum *s)
{
    return (BetweenQuality){ quality_psnr(s->mse / MAX(s->n, 1)), s->psnr / MAX(s->n, 1) };
}

static NervPixels rgb_of(const RdClip *clip)
{
    return (NervPixels){ .format = NERV_PIXELS_RGB,
                         .width = GST_VIDEO_INFO_WIDTH(&clip->rgb.info),
                         .height = GST_VIDEO_INFO_HEIGHT(&clip->rgb.info),
                         .matrix = NERV_MATRIX_RGB };
}

static size_t row_bytes(const RdClip *clip)
{
    return (size_t)GST_VIDEO_INFO_WIDTH(&clip->rgb.info) * 3;
}

static size_t picture_bytes(const RdClip *clip)
{
    return row_bytes(clip) * (size_t)GST_VIDEO_INFO_HEIGHT(&clip->rgb.info);
}

/* Frame i of the clip without what GStreamer has between rows. */
static bool copy_picture(const RdClip *clip, guint i, uint8_t *dst, GError **error)
{
    GstVideoFrame f;
    if (!gst_video_frame_map(&f, &clip->rgb.info, g_ptr_array_index(clip->rgb.frames, i), GST_MAP_READ)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "a picture cannot be read");
        return false;
    }
    const uint8_t *src = GST_VIDEO_FRAME_PLANE_DATA(&f, 0);
    for (int y = 0; y < GST_VIDEO_FRAME_HEIGHT(&f); y++)
        memcpy(dst + (size_t)y * row_bytes(clip),
               src + (size_t)y * (size_t)GST_VIDEO_FRAME_PLANE_STRIDE(&f, 0), row_bytes(clip));
    gst_video_frame_unmap(&f);
    return true;
}

static double distance(const RdClip *clip, const uint8_t *a, const uint8_t *b)
{
    const uint32_t row = (uint32_t)row_bytes(clip), rows = (uint32_t)GST_VIDEO_INFO_HEIGHT(&clip->rgb.info);
    return quality_mse(&(QualityPlane){ a, row, rows, row }, &(QualityPlane){ b, row, rows, row });
}

/* dst = the mean of a and b, which dst may be. */
static void blend(const RdClip *clip, const uint8_t *a, const uint8_t *b, uint8_t *dst)
{
    for (size_t i = 0; i < picture_bytes(clip); i++)
        dst[i] = (uint8_t)((a[i] + b[i] + 1) / 2);
}

/* --- what is held out --- */

static const uint8_t *even_frame(void *user, uint32_t i)
{
    const uint8_t *const *pictures = user;
    return pictures[i];
}

/* All pictures of the fitted frames, as nervenc sees them when it looks for cuts. */
static bool ask(Between *b, GError **error)
{
    const guint n = b->frames->len;
    const NervPixels rgb = rgb_of(b->clip);
    g_autoptr(GPtrArray) pictures = g_ptr_array_new_with_free_func(g_free);
    g_autofree int32_t *videos = NULL;
    for (guint i = 0; i < n; i++) {
        uint8_t *p = g_malloc(picture_bytes(b->clip));
        g_ptr_array_add(pictures, p);
        if (!copy_picture(b->clip, 2 * i, p, error))
            return false;
    }
    const uint32_t n_videos = nerv_cuts_find(&rgb, n, even_frame, pictures->pdata, &videos);
    b->is_asked = g_new0(bool, n);
    guint at = 0;
    for (uint32_t v = 0; v < n_videos; v++, at++)
        for (int32_t i = 1; i < videos[v]; i++, b->n_asked++)
            b->is_asked[at++] = true;
    return true;
}

bool between_init(Between *b, const RdClip *clip, GError **error)
{
    *b = (Between){ .clip = clip,
                    .frames = g_ptr_array_new_with_free_func((GDestroyNotify)gst_buffer_unref),
                    .caps = gst_caps_copy(clip->rgb.caps) };
    const int n = MAX(1, GST_VIDEO_INFO_FPS_N(&clip->rgb.info)),
              d = MAX(1, GST_VIDEO_INFO_FPS_D(&clip->rgb.info));
    gst_caps_set_simple(b->caps, "framerate", GST_TYPE_FRACTION, n, 2 * d, NULL);
    for (guint i = 0; i < clip->rgb.frames->len; i += 2) {
        GstBuffer *f = gst_buffer_copy(g_ptr_array_index(clip->rgb.frames, i));
        GST_BUFFER_PTS(f) = gst_util_uint64_scale(i, GST_SECOND * (guint64)d, (guint64)n);
        GST_BUFFER_DURATION(f) = gst_util_uint64_scale(2, GST_SECOND * (guint64)d, (guint64)n);
        g_ptr_array_add(b->frames, f);
    }
    if (b->frames->len < 2) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "%s has fewer than three frames", clip->name);
        between_clear(b);
        return false;
    }
    if (ask(b, error) && b->n_asked > 0)
        return true;
    if (error && !*error)
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "%s has nothing but cuts", clip->name);
    between_clear(b);
    return false;
}

void between_clear(Between *b)
{
    g_clear_pointer(&b->frames, g_ptr_array_unref);
    g_clear_pointer(&b->is_asked, g_free);
    gst_clear_caps(&b->caps);
}

bool between_blend(const Between *b, BetweenQuality *out, GError **error)
{
    g_autofree uint8_t *before = g_malloc(picture_bytes(b->clip)), *behind = g_malloc(picture_bytes(b->clip)),
                       *middle = g_malloc(picture_bytes(b->clip));
    Sum sum = { 0 };
    for (guint i = 0; i < b->frames->len; i++) {
        if (!b->is_asked[i])
            continue;
        if (!copy_picture(b->clip, 2 * i, before, error) ||
            !copy_picture(b->clip, 2 * i + 1, middle, error) ||
            !copy_picture(b->clip, 2 * i + 2, behind, error))
            return false;
        blend(b->clip, before, behind, behind);
        add(&sum, distance(b->clip, behind, middle));
    }
    *out = quality_of(&sum);
    return true;
}

/* --- ffmpeg's interpolation --- */

/* Behind the last frame, which it ends two pictures before. */
#define MORE_FRAMES 2

static bool write_fitted(const Between *b, const char *file, GError **error)
{
    const size_t bytes = picture_bytes(b->clip);
    const guint n = b->frames->len;
    g_autofree uint8_t *all = g_malloc(bytes * (n + MORE_FRAMES));
    for (guint i = 0; i < n + MORE_FRAMES; i++)
        if (!copy_picture(b->clip, 2 * MIN(i, n - 1), all + i * bytes, error))
            return false;
    return g_file_set_contents(file, (const char *)all, (gssize)(bytes * (n + MORE_FRAMES)), error);
}

static bool run_ffmpeg(const Between *b, const char *program, const char *in, const char *out, GError **error)
{
    g_autofree char *size = g_strdup_printf("%dx%d", GST_VIDEO_INFO_WIDTH(&b->clip->rgb.info),
                                            GST_VIDEO_INFO_HEIGHT(&b->clip->rgb.info));
    /* its planes are Y'CbCr's; frames are a second apart, since only their order counts */
    const char *filter = "format=yuv444p,minterpolate=fps=2:mi_mode=mci:mc_mode=aobmc:me_mode=bidir:vsbmc=1";
    const char *argv[] = { program, "-nostdin", "-v",       "error",    "-y",    "-f", "rawvideo", "-pix_fmt",
                           "rgb24", "-s",       size,       "-r",       "1",     "-i", in,         "-vf",
                           filter,  "-f",       "rawvideo", "-pix_fmt", "rgb24", out,  NULL };
    int status;
    return g_spawn_sync(NULL, (char **)argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL, NULL, &status,
                        error) &&
           g_spawn_check_wait_status(status, error);
}

/* Picture 2 i + 1 of what came out lies between frames i and i + 1. */
static bool compare_halves(const Between *b, const char *file, BetweenQuality *out, GError **error)
{
    const size_t bytes = picture_bytes(b->clip);
    g_autoptr(GMappedFile) map = g_mapped_file_new(file, FALSE, error);
    g_autofree uint8_t *middle = g_malloc(bytes);
    Sum sum = { 0 };
    if (!map)
        return false;
    const uint8_t *pictures = (const uint8_t *)g_mapped_file_get_contents(map);
    if (g_mapped_file_get_length(map) < bytes * (2 * b->frames->len - 1)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "ffmpeg's minterpolate gave too few pictures");
        return false;
    }
    for (guint i = 0; i < b->frames->len; i++) {
        if (!b->is_asked[i])
            continue;
        if (!copy_picture(b->clip, 2 * i + 1, middle, error))
            return false;
        add(&sum, distance(b->clip, pictures + (2 * i + 1) * bytes, middle));
    }
    *out = quality_of(&sum);
    return true;
}

bool between_minterpolate(const Between *b, const char *program, const char *folder, BetweenQuality *out,
                          GError **error)
{
    g_autofree char *from = g_build_filename(folder, "fitted.rgb", NULL),
                    *to = g_build_filename(folder, "between.rgb", NULL);
    const bool ok = write_fitted(b, from, error) && run_ffmpeg(b, program, from, to, error) &&
                    compare_halves(b, to, out, error);
    g_unlink(from);
    g_unlink(to);
    return ok;
}

/* --- a stream's networks --- */

/* A segment's network, ready for any time. */
typedef struct {
    NervKeyring *keyring;
    NervParams *params;
    NervEvaluator *ev;
    uint8_t *pictures; /* of a run */
} Network;

static void network_clear(Network *n)
{
    nerv_evaluator_free(n->ev);
    nerv_params_free(n->params);
    nerv_keyring_free(n->keyring);
    g_free(n->pictures);
}

static bool put_keyframes(Network *n, const NervFileSegment *s, GError **error)
{
    for (guint i = 0; i < s->keyframes->len; i++) {
        const NervUnit *u = &g_array_index(s->keyframes, NervUnit, i);
        NervKeyframeHeader k;
        if (!nerv_keyframe_header_read(u->payload, u->payload_bytes, &k, error) ||
            !nerv_keyring_put(n->keyring, (int32_t)k.index, k.data, k.bytes, error))
            return false;
    }
    return true;
}

static bool network_init(Network *n, const Between *b, NervBackend *be, const NervFileSegment *s,
                         GError **error)
{
    const NervPixels rgb = rgb_of(b->clip);
    const NervPixels source = { .format = (int32_t)s->sequence.format,
                                .width = (int32_t)s->sequence.width,
                                .height = (int32_t)s->sequence.height,
                                .matrix = (int32_t)s->sequence.matrix,
                                .full_range = (int32_t)s->sequence.full_range,
                                .h_cosited = (int32_t)s->sequence.h_cosited,
                                .v_cosited = (int32_t)s->sequence.v_cosited };
    NervPixels keys;
    memset(&keys, 0, sizeof(keys));
    nerv_keyframe_pixels(&source, &keys);
    *n = (Network){ .keyring = nerv_keyring_new(be) };
    n->params = nerv_params_new(be, s->model, error);
    if (!n->params || !nerv_params_upload(n->params, s->weights, error) ||
        !nerv_keyring_reset(n->keyring, s->model, &keys, error) || !put_keyframes(n, s, error))
        return false;
    n->ev = nerv_evaluator_new(be, n->params, n->keyring, &rgb, error);
    n->pictures = n->ev ? g_malloc(n->ev->run_bytes + 4) : NULL;
    return n->ev != NULL;
}

/* A run's pictures `later` frames after its own, in n->pictures. */
static bool evaluate(Network *n, int32_t run, double later, GError **error)
{
    return nerv_evaluator_start_at(n->ev, run, later, error) &&
           nerv_evaluator_read(n->ev, n->pictures, error);
}

typedef struct {
    Sum between, blend, fitted;
} Sums;

/* What the comparison of a segment works with. */
typedef struct {
    const Between *b;
    const NervFileSegment *segment;
    guint first;             /* the segment's first frame, among the fitted ones */
    uint8_t *truth, *before; /* before: the last fitted frame as the network has it */
} Place;

/* Adds a run's own frames, and the blends that end there. */
static bool add_fitted(const Place *p, Network *n, const NervRun *r, Sums *sums, GError **error)
{
    for (int32_t k = 0; k < r->n; k++) {
        const guint i = p->first + (guint)(r->first + k);
        const uint8_t *own = n->pictures + (size_t)k * n->ev->frame_bytes;
        if (!copy_picture(p->b->clip, 2 * i, p->truth, error))
            return false;
        add(&sums->fitted, distance(p->b->clip, own, p->truth));
        if (r->first + k > 0 && p->b->is_asked[i - 1]) {
            if (!copy_picture(p->b->clip, 2 * i - 1, p->truth, error))
                return false;
            blend(p->b->clip, p->before, own, p->before);
            add(&sums->blend, distance(p->b->clip, p->before, p->truth));
        }
        memcpy(p->before, own, picture_bytes(p->b->clip));
    }
    return true;
}

/* Behind the segment's last frame there is nothing that its network has heard of. */
static bool add_between(const Place *p, Network *n, const NervRun *r, Sums *sums, GError **error)
{
    for (int32_t k = 0; k < r->n && r->first + k + 1 < p->segment->model->clip.n_frames; k++) {
        const guint i = p->first + (guint)(r->first + k);
        if (!p->b->is_asked[i])
            continue;
        if (!copy_picture(p->b->clip, 2 * i + 1, p->truth, error))
            return false;
        add(&sums->between, distance(p->b->clip, n->pictures + (size_t)k * n->ev->frame_bytes, p->truth));
    }
    return true;
}

static bool add_segment(const Place *p, NervBackend *be, Sums *sums, GError **error)
{
    const NervModel *model = p->segment->model;
    Network n;
    bool ok = network_init(&n, p->b, be, p->segment, error);
    for (int32_t run = 0; ok && run < model->n_runs; run++) {
        const NervRun r = nerv_model_run(model, run);
        ok = evaluate(&n, run, 0., error) && add_fitted(p, &n, &r, sums, error) &&
             evaluate(&n, run, .5, error) && add_between(p, &n, &r, sums, error);
    }
    network_clear(&n);
    return ok;
}

bool between_measure(const Between *b, NervBackend *be, const NervFile *file, BetweenResult *out,
                     GError **error)
{
    g_autofree uint8_t *truth = g_malloc(picture_bytes(b->clip)), *before = g_malloc(picture_bytes(b->clip));
    Place p = { .b = b, .truth = truth, .before = before };
    Sums sums;
    memset(&sums, 0, sizeof(sums));
    if (file->frames->len != b->frames->len) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "%u frames in the stream instead of %u",
                    file->frames->len, b->frames->len);
        return false;
    }
    for (guint i = 0; i < file->segments->len; i++) {
        p.segment = &g_array_index(file->segments, NervFileSegment, i);
        if (!add_segment(&p, be, &sums, error))
            return false;
        p.first += (guint)p.segment->model->clip.n_frames;
    }
    *out = (BetweenResult){ quality_of(&sums.between), quality_of(&sums.blend), quality_of(&sums.fitted) };
    return true;
}
