/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Helpers of the element tests, see common.h.
 */
#include <glib/gstdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "nerv.h"

gint64 cancel_limit_ms(void)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    return 2000;
#else
    return 200;
#endif
}

GstElement *tiny_encoder(guint segment_frames)
{
    GstElement *enc = gst_element_factory_make("nervenc", NULL);
    fail_unless(enc != NULL, "no nervenc: is GST_PLUGIN_PATH set?");
    gst_util_set_object_arg(G_OBJECT(enc), "model-options", TINY_OPTIONS);
    g_object_set(enc, "model", "nerv-mlp", "epochs", 1, "segment-frames", segment_frames, NULL);
    return enc;
}

void video_info(GstVideoInfo *info, GstVideoFormat format, gint width, gint height, gint fps_n, gint fps_d)
{
    gst_video_info_set_format(info, format, width, height);
    GST_VIDEO_INFO_FPS_N(info) = fps_n;
    GST_VIDEO_INFO_FPS_D(info) = fps_d;
}

/* Component c (R G B or Y U V) of a pixel: gradients that a tiny network can learn, within what RGB can show. */
static guint8 sample(bool yuv, guint c, guint x, guint y, guint n)
{
    if (yuv)
        return (guint8)(c == 0 ? 60 + x + y / 2 + 4 * n : c == 1 ? 108 + x : 144 - y);
    return (guint8)MIN(c == 0 ? 30 + 2 * x + 4 * n : c == 1 ? 60 + 2 * y : 60 + x + y / 2, 240);
}

GstBuffer *picture(const GstVideoInfo *info, guint n)
{
    GstBuffer *buffer = gst_buffer_new_allocate(NULL, GST_VIDEO_INFO_SIZE(info), NULL);
    GstVideoFrame frame;
    gst_buffer_memset(buffer, 0, 0, GST_VIDEO_INFO_SIZE(info));
    fail_unless(gst_video_frame_map(&frame, info, buffer, GST_MAP_WRITE));
    for (guint c = 0; c < 3; c++) {
        guint8 *data = GST_VIDEO_FRAME_COMP_DATA(&frame, c);
        for (gint y = 0; y < GST_VIDEO_FRAME_COMP_HEIGHT(&frame, c); y++)
            for (gint x = 0; x < GST_VIDEO_FRAME_COMP_WIDTH(&frame, c); x++)
                data[y * GST_VIDEO_FRAME_COMP_STRIDE(&frame, c) +
                     x * GST_VIDEO_FRAME_COMP_PSTRIDE(&frame, c)] =
                    sample(GST_VIDEO_INFO_IS_YUV(info), c, x, y, n);
    }
    gst_video_frame_unmap(&frame);
    if (GST_VIDEO_INFO_FPS_N(info) > 0) {
        const guint64 frame_ns = GST_SECOND * (guint64)GST_VIDEO_INFO_FPS_D(info);
        GST_BUFFER_PTS(buffer) = gst_util_uint64_scale(n, frame_ns, GST_VIDEO_INFO_FPS_N(info));
        GST_BUFFER_DURATION(buffer) =
            gst_util_uint64_scale(n + 1, frame_ns, GST_VIDEO_INFO_FPS_N(info)) - GST_BUFFER_PTS(buffer);
    }
    return buffer;
}

void append_sequence_unit(GByteArray *out, const NervSequence *seq)
{
    NervBitWriter w;
    nerv_writer_init(&w);
    nerv_sequence_write(seq, &w);
    nerv_unit_write(out, NERV_UNIT_SEQUENCE, w.bytes->data, w.bytes->len);
    nerv_writer_clear(&w);
}

void append_frame_unit(GByteArray *out, const NervSequence *seq, guint index)
{
    const NervFrameHeader frame = { seq->segment_id & 0xff, index, 0 };
    NervBitWriter w;
    nerv_writer_init(&w);
    nerv_frame_write(&frame, &w);
    nerv_unit_write(out, NERV_UNIT_FRAME, w.bytes->data, w.bytes->len);
    nerv_writer_clear(&w);
}

GBytes *make_stream(guint n, guint segment_frames, gsize *offsets)
{
    GstVideoInfo info;
    video_info(&info, GST_VIDEO_FORMAT_RGB, 64, 48, 25, 1);
    return make_stream_of(&info, n, segment_frames, offsets);
}

GBytes *make_stream_of(const GstVideoInfo *info, guint n, guint segment_frames, gsize *offsets)
{
    GstHarness *h = gst_harness_new_with_element(tiny_encoder(segment_frames), "sink", "src");
    GByteArray *bytes = g_byte_array_new();
    GstBuffer *buffer;
    guint units = 0;

    gst_harness_set_src_caps(h, gst_video_info_to_caps(info));
    for (guint i = 0; i < n; i++)
        fail_unless_equals_int(gst_harness_push(h, picture(info, i)), GST_FLOW_OK);
    fail_unless(gst_harness_push_event(h, gst_event_new_eos()));
    while ((buffer = gst_harness_try_pull(h))) {
        GstMapInfo map;
        fail_unless(gst_buffer_map(buffer, &map, GST_MAP_READ));
        if (offsets)
            offsets[units] = bytes->len;
        units++;
        g_byte_array_append(bytes, map.data, (guint)map.size);
        gst_buffer_unmap(buffer, &map);
        gst_buffer_unref(buffer);
    }
    if (offsets)
        offsets[units] = bytes->len;
    fail_unless_equals_int(units, n);
    g_object_unref(h->element);
    gst_harness_teardown(h);
    return g_byte_array_free_to_bytes(bytes);
}

GstBuffer *slice(GBytes *stream, gsize from, gsize to)
{
    gsize size;
    const guint8 *data = g_bytes_get_data(stream, &size);
    fail_unless(from <= to && to <= size);
    return gst_buffer_new_memdup(data + from, to - from);
}

GPtrArray *decode(GBytes *stream)
{
    GstHarness *h = gst_harness_new_parse("nervparse ! nervdec");
    GPtrArray *out = g_ptr_array_new_with_free_func((GDestroyNotify)gst_buffer_unref);
    GstSegment segment;
    GstBuffer *buffer;

    gst_harness_set_src_caps_str(h, "video/x-nerv");
    gst_segment_init(&segment, GST_FORMAT_BYTES);
    gst_harness_push_event(h, gst_event_new_segment(&segment));
    fail_unless_equals_int(gst_harness_push(h, slice(stream, 0, g_bytes_get_size(stream))), GST_FLOW_OK);
    gst_harness_push_event(h, gst_event_new_eos());
    while ((buffer = gst_harness_try_pull(h)))
        g_ptr_array_add(out, buffer);
    gst_harness_teardown(h);
    return out;
}

/* Sums of one component: squared differences of x and y, values and squares of y. */
static double component_error(const GstVideoFrame *x, const GstVideoFrame *y, guint c)
{
    double difference = 0., sum = 0., squares = 0.;
    const gint width = GST_VIDEO_FRAME_COMP_WIDTH(x, c), height = GST_VIDEO_FRAME_COMP_HEIGHT(x, c);
    for (gint j = 0; j < height; j++)
        for (gint i = 0; i < width; i++) {
            const double p = GST_VIDEO_FRAME_COMP_DATA(
                x, c)[j * GST_VIDEO_FRAME_COMP_STRIDE(x, c) + i * GST_VIDEO_FRAME_COMP_PSTRIDE(x, c)];
            const double q = GST_VIDEO_FRAME_COMP_DATA(
                y, c)[j * GST_VIDEO_FRAME_COMP_STRIDE(y, c) + i * GST_VIDEO_FRAME_COMP_PSTRIDE(y, c)];
            difference += (p - q) * (p - q);
            sum += q;
            squares += q * q;
        }
    return difference / (squares - sum * sum / (width * height));
}

double picture_error(const GstVideoInfo *info, GstBuffer *a, GstBuffer *b)
{
    GstVideoFrame x, y;
    double worst = 0.;
    fail_unless(gst_video_frame_map(&x, info, a, GST_MAP_READ));
    fail_unless(gst_video_frame_map(&y, info, b, GST_MAP_READ));
    for (guint c = 0; c < 3; c++)
        worst = MAX(worst, component_error(&x, &y, c));
    gst_video_frame_unmap(&x);
    gst_video_frame_unmap(&y);
    return worst;
}

char *write_temp(GBytes *stream)
{
    char *path = NULL;
    gsize size;
    const void *data = g_bytes_get_data(stream, &size);
    const int fd = g_file_open_tmp("nerv-test-XXXXXX.nerv", &path, NULL);
    fail_unless(fd >= 0);
    close(fd);
    fail_unless(g_file_set_contents(path, data, (gssize)size, NULL));
    return path;
}

/* --- pipelines --- */

static bool note_message(RunResult *r, GstMessage *message)
{
    GstProgressType type;
    switch (GST_MESSAGE_TYPE(message)) {
    case GST_MESSAGE_EOS:
        r->eos = true;
        return true;
    case GST_MESSAGE_ERROR:
        gst_message_parse_error(message, &r->error, &r->debug);
        return true;
    case GST_MESSAGE_WARNING:
        r->warnings++;
        return false;
    case GST_MESSAGE_PROGRESS:
        gst_message_parse_progress(message, &type, NULL, NULL);
        r->progress[type & 7]++;
        return false;
    case GST_MESSAGE_ELEMENT:
        r->elements += gst_message_has_name(message, "nerv-progress");
        return false;
    default:
        return false;
    }
}

/* CK_TIMEOUT_MULTIPLIER, Check's own variable for slow machines: valgrind is one. */
static guint slowness(void)
{
    const char *value = g_getenv("CK_TIMEOUT_MULTIPLIER");
    return value ? (guint)CLAMP(atoi(value), 1, 100) : 1;
}

void run_pipeline(const char *description, guint seconds, PipelineFunc setup, PipelineFunc done,
                  gpointer user, RunResult *result)
{
    const gint64 end = g_get_monotonic_time() + (gint64)(seconds * slowness()) * G_USEC_PER_SEC;
    GError *error = NULL;
    GstElement *pipeline = gst_parse_launch(description, &error);
    bool over = false;

    fail_unless(pipeline != NULL && !error, "%s: %s", description, error ? error->message : "");
    memset(result, 0, sizeof(*result));
    if (setup)
        setup(pipeline, user);
    GstBus *bus = gst_element_get_bus(pipeline);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    while (!over && g_get_monotonic_time() < end) {
        GstMessage *message = gst_bus_timed_pop(bus, 100 * GST_MSECOND);
        if (message) {
            over = note_message(result, message);
            gst_message_unref(message);
        }
    }
    if (done)
        done(pipeline, user);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(bus);
    gst_object_unref(pipeline);
    fail_unless(over, "neither end nor error after %u s: %s", seconds, description);
}

void run_result_clear(RunResult *result)
{
    g_clear_error(&result->error);
    g_clear_pointer(&result->debug, g_free);
}

bool choice_of(GstElement *pipeline, const char *way)
{
    GstElement *enc = gst_bin_get_by_name(GST_BIN(pipeline), "enc");
    g_autofree char *bytes = g_strconcat(way, "-bytes", NULL), *db = g_strconcat(way, "-psnr", NULL);
    GstStructure *s;
    gboolean is_other;
    guint64 whole, other, chosen;
    gdouble psnr, whole_psnr, other_psnr;
    g_object_get(enc, "stats", &s, NULL);
    fail_unless(gst_structure_get(s, way, G_TYPE_BOOLEAN, &is_other, "whole-bytes", G_TYPE_UINT64, &whole,
                                  bytes, G_TYPE_UINT64, &other, "network-bytes", G_TYPE_UINT64, &chosen,
                                  "psnr-frames", G_TYPE_DOUBLE, &psnr, "whole-psnr", G_TYPE_DOUBLE,
                                  &whole_psnr, db, G_TYPE_DOUBLE, &other_psnr, NULL));
    fail_unless(whole > 0 && other > 0);
    fail_unless_equals_uint64(chosen, is_other ? other : whole);
    fail_unless_equals_float(psnr, is_other ? other_psnr : whole_psnr);
    gst_structure_free(s);
    gst_object_unref(enc);
    return is_other;
}

/* --- frames --- */

GPtrArray *new_frames(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify)gst_buffer_unref);
}

static void on_handoff(GstElement *sink, GstBuffer *buffer, GstPad *pad, gpointer user)
{
    g_ptr_array_add(user, gst_buffer_ref(buffer));
}

void collect_frames(GstElement *pipeline, gpointer frames)
{
    GstElement *sink = gst_bin_get_by_name(GST_BIN(pipeline), "sink");
    if (!sink) /* playbin takes its sink in later */
        g_object_get(pipeline, "video-sink", &sink, NULL);
    fail_unless(sink != NULL);
    g_object_set(sink, "signal-handoffs", TRUE, NULL);
    g_signal_connect(sink, "handoff", G_CALLBACK(on_handoff), frames);
    gst_object_unref(sink);
}

bool same_content(GstBuffer *a, GstBuffer *b)
{
    GstMapInfo map;
    bool same;
    fail_unless(gst_buffer_map(a, &map, GST_MAP_READ));
    same = gst_buffer_get_size(b) == map.size && !gst_buffer_memcmp(b, 0, map.data, map.size);
    gst_buffer_unmap(a, &map);
    return same;
}

void expect_message(GstBus *bus, GstMessageType type)
{
    GstMessage *message =
        gst_bus_timed_pop_filtered(bus, 30 * slowness() * GST_SECOND, type | GST_MESSAGE_ERROR);
    fail_unless(message != NULL && GST_MESSAGE_TYPE(message) == type, "waited for %s, got %s",
                gst_message_type_get_name(type), message ? GST_MESSAGE_TYPE_NAME(message) : "nothing");
    gst_message_unref(message);
}

GPtrArray *play_from_seek(const char *description, const SeekCall *s)
{
    GstElement *pipeline = gst_parse_launch(description, NULL);
    GstBus *bus = gst_element_get_bus(pipeline);
    GPtrArray *frames = new_frames();

    collect_frames(pipeline, frames);
    gst_element_set_state(pipeline, GST_STATE_PAUSED);
    expect_message(bus, GST_MESSAGE_ASYNC_DONE);
    fail_unless(gst_element_seek(pipeline, s->rate, GST_FORMAT_TIME, GST_SEEK_FLAG_FLUSH | s->flags,
                                 s->start_type, s->start, s->stop_type, s->stop));
    expect_message(bus, GST_MESSAGE_ASYNC_DONE);
    /* what came before the seek; the frame that the sink waits with is handed over when it plays */
    g_ptr_array_set_size(frames, 0);
    gst_element_set_state(pipeline, GST_STATE_PLAYING);
    expect_message(bus, GST_MESSAGE_EOS);
    gst_element_set_state(pipeline, GST_STATE_NULL);
    gst_object_unref(bus);
    gst_object_unref(pipeline);
    return frames;
}

/* --- a Vulkan device --- */

static bool try_device(const char *self)
{
    const char *argv[] = { self, "--probe", NULL };
    gint status = 1;
    return g_spawn_sync(NULL, (gchar **)argv, NULL, G_SPAWN_DEFAULT, NULL, NULL, NULL, NULL, &status, NULL) &&
           g_spawn_check_wait_status(status, NULL);
}

static G_NORETURN void probe(const char *device)
{
    NervDecoderSettings settings;
    NervDecoder *dec;
    nerv_decoder_settings_init(&settings);
    g_free(settings.device);
    settings.device = g_strdup(device);
    dec = nerv_decoder_new(&settings, NULL);
    nerv_decoder_settings_clear(&settings);
    nerv_decoder_free(dec);
    exit(dec ? EXIT_SUCCESS : EXIT_FAILURE);
}

const char *vulkan_device(int argc, char **argv)
{
#ifdef __SANITIZE_ADDRESS__
    g_printerr("skipped: under the sanitizers a software driver compiles its shaders for minutes\n");
    return NULL;
#endif
    const char *device = g_getenv("NERV_CHECKOP_DEVICE");
    if (!device || !g_str_has_prefix(device, "vulkan"))
        device = "vulkan:0";
    if (argc == 2 && g_str_equal(argv[1], "--probe"))
        probe(device);
    return try_device(argv[0]) ? device : NULL;
}
