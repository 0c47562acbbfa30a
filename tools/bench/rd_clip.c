/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Clips in memory, see rd_clip.h. Decoders give R'G'B' or I420, which is converted here (yuv.h); other kinds of clips go
 * through videoconvert once, when they are loaded. Memory is one and a half times the clip as R'G'B': --frames bounds it.
 */
#include <gst/app/gstappsink.h>
#include <gst/app/gstappsrc.h>
#include <math.h>
#include <string.h>

#include "quality.h"
#include "rd_clip.h"

/* --- pulling and pushing --- */

typedef struct {
    GstElement *pipeline;
    GstAppSink *sink;
} Puller;

static void puller_clear(Puller *p)
{
    if (p->pipeline)
        gst_element_set_state(p->pipeline, GST_STATE_NULL);
    g_clear_object(&p->sink);
    g_clear_object(&p->pipeline);
}

/* `description` ends in raw video of a kind that `formats` names. */
static bool puller_init(Puller *p, const char *description, const char *formats, GError **error)
{
    g_autofree char *line =
        g_strdup_printf("%s ! videoconvert dither=none ! video/x-raw,format=(string){%s} ! "
                        "appsink name=frames sync=false max-buffers=4",
                        description, formats);
    *p = (Puller){ .pipeline = gst_parse_launch_full(line, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error) };
    if (!p->pipeline)
        return false;
    p->sink = GST_APP_SINK(gst_bin_get_by_name(GST_BIN(p->pipeline), "frames"));
    gst_element_set_state(p->pipeline, GST_STATE_PLAYING);
    return true;
}

static bool take_error(GstElement *pipeline, GError **error)
{
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    g_autoptr(GstMessage) message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
    if (message)
        gst_message_parse_error(message, error, NULL);
    return message != NULL;
}

/* False with an error; *sample NULL: the end. */
static bool pull(Puller *p, GstSample **sample, GError **error)
{
    do {
        *sample = gst_app_sink_try_pull_sample(p->sink, 50 * GST_MSECOND);
        if (!*sample && take_error(p->pipeline, error))
            return false;
    } while (!*sample && !gst_app_sink_is_eos(p->sink));
    return *sample || !take_error(p->pipeline, error);
}

/* The message that ends it; what elements warn of, a size that was missed for instance, goes to standard error. */
static GstMessage *wait_for_end(GstElement *pipeline)
{
    g_autoptr(GstBus) bus = gst_element_get_bus(pipeline);
    for (;;) {
        GstMessage *message = gst_bus_timed_pop_filtered(
            bus, GST_CLOCK_TIME_NONE, GST_MESSAGE_EOS | GST_MESSAGE_ERROR | GST_MESSAGE_WARNING);
        if (GST_MESSAGE_TYPE(message) != GST_MESSAGE_WARNING)
            return message;
        g_autoptr(GError) warning = NULL;
        g_autofree char *details = NULL; /* a line of where, and what there is to say */
        gst_message_parse_warning(message, &warning, &details);
        const char *behind = details ? strchr(details, '\n') : NULL;
        g_printerr("%s: %s%s\n", GST_MESSAGE_SRC_NAME(message), warning->message, behind ? behind : "");
        gst_message_unref(message);
    }
}

bool rd_feed(const char *description, GstCaps *caps, GstBuffer *const *frames, uint32_t n, GError **error)
{
    g_autofree char *line =
        g_strdup_printf("appsrc name=frames format=time block=true max-bytes=16777216 ! %s", description);
    g_autoptr(GstElement) pipeline = gst_parse_launch_full(line, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error);
    if (!pipeline)
        return false;
    gst_object_ref_sink(pipeline);
    g_autoptr(GstElement) source = gst_bin_get_by_name(GST_BIN(pipeline), "frames");
    gst_app_src_set_caps(GST_APP_SRC(source), caps);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    GstFlowReturn flow = GST_FLOW_OK;
    for (uint32_t i = 0; i < n && flow == GST_FLOW_OK; i++)
        flow = gst_app_src_push_buffer(GST_APP_SRC(source), gst_buffer_ref(frames[i]));
    gst_app_src_end_of_stream(GST_APP_SRC(source));
    g_autoptr(GstMessage) message = wait_for_end(pipeline);
    const bool ok = GST_MESSAGE_TYPE(message) == GST_MESSAGE_EOS;
    if (!ok)
        gst_message_parse_error(message, error, NULL);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    return ok;
}

/* --- the clip --- */

static void frames_clear(RdFrames *f)
{
    g_clear_pointer(&f->frames, g_ptr_array_unref);
    gst_clear_caps(&f->caps);
}

static void part_clear(RdPart *part)
{
    g_free(part->name);
}

void rd_clip_clear(RdClip *clip)
{
    g_clear_pointer(&clip->name, g_free);
    g_clear_pointer(&clip->parts, g_array_unref);
    frames_clear(&clip->rgb);
    frames_clear(&clip->yuv);
}

static YuvPlanes planes_of(const GstVideoFrame *f)
{
    YuvPlanes p;
    for (guint i = 0; i < 3; i++) {
        p.data[i] = GST_VIDEO_FRAME_PLANE_DATA(f, i);
        p.stride[i] = (uint32_t)GST_VIDEO_FRAME_PLANE_STRIDE(f, i);
    }
    return p;
}

/* Converts either way, as the two kinds say. */
static void convert(const YuvMatrix *matrix, const GstVideoFrame *from, GstVideoFrame *to)
{
    const uint32_t width = (uint32_t)GST_VIDEO_FRAME_WIDTH(from),
                   height = (uint32_t)GST_VIDEO_FRAME_HEIGHT(from);
    if (GST_VIDEO_FRAME_FORMAT(from) == GST_VIDEO_FORMAT_RGB) {
        const YuvPlanes planes = planes_of(to);
        yuv_from_rgb(matrix, GST_VIDEO_FRAME_PLANE_DATA(from, 0),
                     (uint32_t)GST_VIDEO_FRAME_PLANE_STRIDE(from, 0), width, height, &planes);
    } else {
        const YuvPlanes planes = planes_of(from);
        yuv_to_rgb(matrix, &planes, width, height, GST_VIDEO_FRAME_PLANE_DATA(to, 0),
                   (uint32_t)GST_VIDEO_FRAME_PLANE_STRIDE(to, 0));
    }
}

static bool map(GstVideoFrame *frame, const GstVideoInfo *info, GstBuffer *buffer, GstMapFlags flags,
                GError **error)
{
    if (gst_video_frame_map(frame, info, buffer, flags))
        return true;
    g_set_error(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ, "a picture cannot be read");
    return false;
}

/* The clip's kind of picture decides on the other, with the size's usual matrix where the clip doesn't say one. */
static bool set_kinds(RdClip *clip, GstCaps *caps, GError **error)
{
    GstVideoInfo own, other;
    if (!gst_video_info_from_caps(&own, caps)) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT, "%s is no raw video", clip->name);
        return false;
    }
    const bool is_yuv = GST_VIDEO_INFO_IS_YUV(&own);
    gst_video_info_set_format(&other, is_yuv ? GST_VIDEO_FORMAT_RGB : GST_VIDEO_FORMAT_I420,
                              (guint)GST_VIDEO_INFO_WIDTH(&own), (guint)GST_VIDEO_INFO_HEIGHT(&own));
    other.fps_n = own.fps_n;
    other.fps_d = own.fps_d;
    other.par_n = own.par_n;
    other.par_d = own.par_d;
    clip->rgb.info = is_yuv ? other : own;
    clip->yuv.info = is_yuv ? own : other;
    clip->rgb.caps = is_yuv ? gst_video_info_to_caps(&other) : gst_caps_ref(caps);
    clip->yuv.caps = is_yuv ? gst_caps_ref(caps) : gst_video_info_to_caps(&other);
    clip->matrix.is_full_range = clip->yuv.info.colorimetry.range == GST_VIDEO_COLOR_RANGE_0_255;
    if (!gst_video_color_matrix_get_Kr_Kb(clip->yuv.info.colorimetry.matrix, &clip->matrix.kr,
                                          &clip->matrix.kb))
        gst_video_color_matrix_get_Kr_Kb(GST_VIDEO_COLOR_MATRIX_BT601, &clip->matrix.kr, &clip->matrix.kb);
    return true;
}

static bool add_frame(RdClip *clip, GstSample *sample, GError **error)
{
    if (!clip->rgb.caps && !set_kinds(clip, gst_sample_get_caps(sample), error))
        return false;
    const bool is_yuv = gst_caps_is_equal(clip->yuv.caps, gst_sample_get_caps(sample));
    if (!is_yuv && !gst_caps_is_equal(clip->rgb.caps, gst_sample_get_caps(sample))) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT, "%s changes its format at frame %u",
                    clip->name, clip->rgb.frames->len);
        return false;
    }
    RdFrames *own = is_yuv ? &clip->yuv : &clip->rgb, *other = is_yuv ? &clip->rgb : &clip->yuv;
    /* In new memory with the usual strides: decoders' may be anything. */
    GstBuffer *a = gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(&own->info), NULL);
    GstBuffer *b = gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(&other->info), NULL);
    g_ptr_array_add(own->frames, a);
    g_ptr_array_add(other->frames, b);
    gst_buffer_memset(b, 0, 0, GST_VIDEO_INFO_SIZE(&other->info));
    GstVideoFrame from, frame_a, frame_b;
    if (!map(&from, &own->info, gst_sample_get_buffer(sample), GST_MAP_READ, error))
        return false;
    bool ok = map(&frame_a, &own->info, a, GST_MAP_WRITE, error);
    if (ok) {
        gst_video_frame_copy(&frame_a, &from);
        gst_video_frame_unmap(&frame_a);
        ok = map(&frame_b, &other->info, b, GST_MAP_WRITE, error);
    }
    if (ok) {
        convert(&clip->matrix, &from, &frame_b);
        gst_video_frame_unmap(&frame_b);
    }
    gst_video_frame_unmap(&from);
    return ok;
}

/* Encoders drop or invent frames where times have gaps: the frames get those of their rate. */
static void number_frames(const RdFrames *f)
{
    const int n = MAX(1, GST_VIDEO_INFO_FPS_N(&f->info)), d = MAX(1, GST_VIDEO_INFO_FPS_D(&f->info));
    for (guint i = 0; i < f->frames->len; i++) {
        GstBuffer *b = g_ptr_array_index(f->frames, i);
        GST_BUFFER_PTS(b) = gst_util_uint64_scale(i, GST_SECOND * (guint64)d, (guint64)n);
        GST_BUFFER_DURATION(b) = gst_util_uint64_scale(1, GST_SECOND * (guint64)d, (guint64)n);
    }
}

static GPtrArray *buffers_new(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)gst_buffer_unref);
}

bool rd_clip_load(RdClip *clip, const char *what, uint32_t n_frames, int32_t width, int32_t height,
                  GError **error)
{
    const bool is_file = g_file_test(what, G_FILE_TEST_IS_REGULAR);
    if (!is_file && strpbrk(what, "./") && !strpbrk(what, " !=:")) { /* no element has such a name */
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "%s: there is no such file", what);
        return false;
    }
    g_autofree char *escaped = g_strescape(what, NULL);
    g_autofree char *head =
        is_file ? g_strdup_printf("filesrc location=\"%s\" ! decodebin", escaped) : g_strdup(what);
    g_autofree char *line = width ? g_strdup_printf("%s ! videoscale method=lanczos add-borders=false ! "
                                                    "video/x-raw,width=%d,height=%d,pixel-aspect-ratio=1/1",
                                                    head, width, height)
                                  : g_strdup(head);
    Puller p;
    GstSample *sample = NULL;
    *clip = (RdClip){ .name = is_file ? g_filename_display_basename(what) : g_filename_display_name(what) };
    clip->rgb.frames = buffers_new();
    clip->yuv.frames = buffers_new();
    bool ok = puller_init(&p, line, "RGB,I420", error);
    while (ok && (n_frames == 0 || clip->rgb.frames->len < n_frames)) {
        ok = pull(&p, &sample, error);
        if (!ok || !sample)
            break;
        ok = add_frame(clip, sample, error);
        gst_sample_unref(sample);
    }
    puller_clear(&p);
    if (!ok && is_file)
        g_prefix_error(error, "%s: ", what);
    if (ok && clip->rgb.frames->len < 2) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "%s has fewer than two pictures", what);
        ok = false;
    }
    if (!ok) {
        rd_clip_clear(clip);
        return false;
    }
    number_frames(&clip->rgb);
    number_frames(&clip->yuv);
    return true;
}

bool rd_clip_feed(const RdFrames *frames, const char *description, double *seconds, GError **error)
{
    const gint64 start = g_get_monotonic_time();
    const bool ok = rd_feed(description, frames->caps, (GstBuffer *const *)frames->frames->pdata,
                            frames->frames->len, error);
    *seconds = (double)(g_get_monotonic_time() - start) * 1e-6;
    return ok;
}

/* --- joined clips --- */

/* A frame's I420 in the joined clip's colours. */
static bool add_yuv_of(RdClip *out, GstBuffer *rgb, const GstVideoInfo *rgb_info, GError **error)
{
    GstVideoFrame from, to;
    GstBuffer *yuv = gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(&out->yuv.info), NULL);
    g_ptr_array_add(out->yuv.frames, yuv);
    gst_buffer_memset(yuv, 0, 0, GST_VIDEO_INFO_SIZE(&out->yuv.info));
    if (!map(&from, rgb_info, rgb, GST_MAP_READ, error))
        return false;
    const bool ok = map(&to, &out->yuv.info, yuv, GST_MAP_WRITE, error);
    if (ok) {
        convert(&out->matrix, &from, &to);
        gst_video_frame_unmap(&to);
    }
    gst_video_frame_unmap(&from);
    return ok;
}

static bool join_clip(RdClip *out, const RdClip *clip, GError **error)
{
    const RdPart part = { g_strdup(clip->name), out->rgb.frames->len, clip->rgb.frames->len };
    const bool same_colours =
        gst_video_colorimetry_is_equal(&out->yuv.info.colorimetry, &clip->yuv.info.colorimetry) &&
        out->yuv.info.chroma_site == clip->yuv.info.chroma_site;
    g_array_append_val(out->parts, part);
    for (guint i = 0; i < clip->rgb.frames->len; i++) {
        GstBuffer *rgb = g_ptr_array_index(clip->rgb.frames, i);
        g_ptr_array_add(out->rgb.frames, gst_buffer_ref(rgb));
        if (same_colours)
            g_ptr_array_add(out->yuv.frames, gst_buffer_ref(g_ptr_array_index(clip->yuv.frames, i)));
        else if (!add_yuv_of(out, rgb, &clip->rgb.info, error))
            return false;
    }
    return true;
}

static bool same_size(const RdClip *a, const RdClip *b)
{
    return GST_VIDEO_INFO_WIDTH(&a->rgb.info) == GST_VIDEO_INFO_WIDTH(&b->rgb.info) &&
           GST_VIDEO_INFO_HEIGHT(&a->rgb.info) == GST_VIDEO_INFO_HEIGHT(&b->rgb.info);
}

bool rd_clip_join(RdClip *out, const RdClip *clips, uint32_t n, GError **error)
{
    *out = (RdClip){ .name = g_strdup_printf("%u clips", n),
                     .parts = g_array_new(FALSE, FALSE, sizeof(RdPart)),
                     .rgb = { clips->rgb.info, gst_caps_ref(clips->rgb.caps), buffers_new() },
                     .yuv = { clips->yuv.info, gst_caps_ref(clips->yuv.caps), buffers_new() },
                     .matrix = clips->matrix };
    g_array_set_clear_func(out->parts, (GDestroyNotify)part_clear);
    bool ok = true;
    for (uint32_t i = 0; ok && i < n; i++) {
        ok = same_size(clips, &clips[i]);
        if (!ok)
            g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT,
                        "%s and %s differ in size; --size makes them alike", clips->name, clips[i].name);
        ok = ok && join_clip(out, &clips[i], error);
    }
    if (!ok) {
        rd_clip_clear(out);
        return false;
    }
    number_frames(&out->rgb);
    number_frames(&out->yuv);
    return true;
}

static GPtrArray *some(const GPtrArray *frames, const RdPart *part)
{
    GPtrArray *out = buffers_new();
    for (guint i = 0; i < part->n; i++)
        g_ptr_array_add(out, gst_buffer_ref(g_ptr_array_index(frames, part->first + i)));
    return out;
}

void rd_clip_part(const RdClip *clip, const RdPart *part, RdClip *out)
{
    *out = *clip;
    out->name = part->name;
    out->parts = NULL;
    out->rgb.frames = some(clip->rgb.frames, part);
    out->yuv.frames = some(clip->yuv.frames, part);
}

void rd_clip_part_clear(RdClip *part)
{
    g_ptr_array_unref(part->rgb.frames);
    g_ptr_array_unref(part->yuv.frames);
}

/* --- the comparison --- */

typedef struct {
    const RdClip *clip;
    GstBuffer *converted; /* room for a decoded picture as the other kind */
    uint32_t n;
    double mse_rgb, psnr_rgb, mse_yuv[3], ms_ssim; /* sums */
    double mse_parts[RD_MAX_PARTS];
} Comparison;

/* The part that picture n is in. */
static guint part_of(const RdClip *clip, uint32_t n)
{
    guint i = 0;
    while (clip->parts && i + 1 < clip->parts->len && g_array_index(clip->parts, RdPart, i + 1).first <= n)
        i++;
    return i;
}

static QualityPlane plane(const GstVideoFrame *f, guint i, uint32_t samples)
{
    return (QualityPlane){ GST_VIDEO_FRAME_PLANE_DATA(f, i),
                           (uint32_t)GST_VIDEO_FRAME_COMP_WIDTH(f, i) * samples,
                           (uint32_t)GST_VIDEO_FRAME_COMP_HEIGHT(f, i),
                           (uint32_t)GST_VIDEO_FRAME_PLANE_STRIDE(f, i) };
}

static void add_rgb(Comparison *c, const GstVideoFrame *clip, const GstVideoFrame *decoded)
{
    const QualityPlane a = plane(clip, 0, 3), b = plane(decoded, 0, 3);
    const double mse = quality_mse(&a, &b);
    c->mse_rgb += mse;
    c->mse_parts[part_of(c->clip, c->n)] += mse;
    c->psnr_rgb += quality_psnr(mse);
}

static void add_yuv(Comparison *c, const GstVideoFrame *clip, const GstVideoFrame *decoded)
{
    for (guint i = 0; i < 3; i++) {
        const QualityPlane a = plane(clip, i, 1), b = plane(decoded, i, 1);
        c->mse_yuv[i] += quality_mse(&a, &b);
        if (i == 0)
            c->ms_ssim += quality_ms_ssim_scales(a.width, a.height) ? quality_ms_ssim(&a, &b) : NAN;
    }
}

/* `kind`: the clip's frames of the picture's kind. */
static bool add_as(Comparison *c, const RdFrames *kind, const GstVideoFrame *decoded, GError **error)
{
    GstVideoFrame clip;
    if (!map(&clip, &kind->info, g_ptr_array_index(kind->frames, c->n), GST_MAP_READ, error))
        return false;
    if (kind == &c->clip->rgb)
        add_rgb(c, &clip, decoded);
    else
        add_yuv(c, &clip, decoded);
    gst_video_frame_unmap(&clip);
    return true;
}

static bool add_decoded(Comparison *c, const GstVideoFrame *decoded, GError **error)
{
    const bool is_rgb = GST_VIDEO_FRAME_FORMAT(decoded) == GST_VIDEO_FORMAT_RGB;
    const RdFrames *own = is_rgb ? &c->clip->rgb : &c->clip->yuv,
                   *other = is_rgb ? &c->clip->yuv : &c->clip->rgb;
    GstVideoFrame converted;
    if (!c->converted)
        c->converted = gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(&other->info), NULL);
    if (!add_as(c, own, decoded, error) ||
        !map(&converted, &other->info, c->converted, GST_MAP_READWRITE, error))
        return false;
    convert(&c->clip->matrix, decoded, &converted);
    const bool ok = add_as(c, other, &converted, error);
    gst_video_frame_unmap(&converted);
    return ok;
}

static bool add_picture(Comparison *c, GstSample *sample, GstVideoFormat *format, GError **error)
{
    const GstVideoInfo *want = &c->clip->rgb.info;
    GstVideoInfo info;
    GstVideoFrame decoded;
    if (!gst_video_info_from_caps(&info, gst_sample_get_caps(sample)) ||
        GST_VIDEO_INFO_WIDTH(&info) != GST_VIDEO_INFO_WIDTH(want) ||
        GST_VIDEO_INFO_HEIGHT(&info) != GST_VIDEO_INFO_HEIGHT(want) ||
        (c->n && GST_VIDEO_INFO_FORMAT(&info) != *format)) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT, "picture %u has another size", c->n);
        return false;
    }
    *format = GST_VIDEO_INFO_FORMAT(&info);
    if (c->n >= c->clip->rgb.frames->len) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE, "more pictures than the clip's %u",
                    c->clip->rgb.frames->len);
        return false;
    }
    if (!map(&decoded, &info, gst_sample_get_buffer(sample), GST_MAP_READ, error))
        return false;
    const bool ok = add_decoded(c, &decoded, error);
    gst_video_frame_unmap(&decoded);
    c->n++;
    return ok;
}

static RdQuality summary(const Comparison *c)
{
    RdQuality q = { .psnr_rgb = quality_psnr(c->mse_rgb / c->n),
                    .psnr_rgb_frames = c->psnr_rgb / c->n,
                    .psnr_yuv =
                        quality_psnr_611(c->mse_yuv[0] / c->n, c->mse_yuv[1] / c->n, c->mse_yuv[2] / c->n),
                    .ms_ssim = c->ms_ssim / c->n };
    const guint n = c->clip->parts ? c->clip->parts->len : 1;
    for (guint i = 0; i < n; i++) {
        const uint32_t frames = c->clip->parts ? g_array_index(c->clip->parts, RdPart, i).n : c->n;
        q.psnr_parts[i] = quality_psnr(c->mse_parts[i] / frames);
        q.psnr_mean += q.psnr_parts[i] / n;
    }
    return q;
}

bool rd_clip_compare(const RdClip *clip, const char *file, const char *chain, RdQuality *out, GError **error)
{
    g_autofree char *escaped = g_strescape(file, NULL);
    g_autofree char *line = g_strdup_printf("filesrc location=\"%s\" ! %s", escaped, chain);
    Comparison c = { .clip = clip };
    GstVideoFormat format = GST_VIDEO_FORMAT_UNKNOWN;
    Puller p;
    GstSample *sample = NULL;
    bool ok = puller_init(&p, line, "I420,RGB", error);
    while (ok && (ok = pull(&p, &sample, error)) && sample) {
        ok = add_picture(&c, sample, &format, error);
        gst_sample_unref(sample);
    }
    puller_clear(&p);
    if (ok && c.n != clip->rgb.frames->len) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_DECODE, "%u pictures instead of the clip's %u",
                    c.n, clip->rgb.frames->len);
        ok = false;
    }
    if (ok)
        *out = summary(&c);
    gst_clear_buffer(&c.converted);
    return ok;
}
