/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * nerv-compare [OPTION...] SOURCE DECODED
 *
 * Plays two videos frame by frame side by side and says how far apart they are in R'G'B': PSNR, SSIM, the
 * largest difference of any pixel. Each is a file that decodebin understands or the beginning of a
 * gst-launch-1.0 pipeline that ends in raw video. Prints "key value" lines for people and scripts; --sheet
 * writes a contact sheet. Frames are paired by order, not by time. Exit status: 0 compared, 1 the videos do
 * not pair up, 2 could not play.
 */
#include <gst/app/gstappsink.h>
#include <gst/gst.h>
#include <gst/video/video.h>
#include <locale.h>
#include <math.h>

#include "backend/backend.h"
#include "contact-sheet.h"
#include "ops/ops.h"

typedef struct {
    const char *what; /* for messages: the argument */
    GstElement *pipeline;
    GstAppSink *sink;
    char *device; /* nervdec's device, if there is one */
} Player;

/* SSIM of one pair of frames, by the library's op. */
typedef struct {
    NervBackend *be;
    NervTape *tape;
    NervExec *exec;
    NervTensor *a, *b, *y;
    NervBuffer *buffer_a, *buffer_b;
    float *planes; /* one picture, [3,H,W] in [0,1] */
} Ssim;

typedef struct {
    uint32_t n_frames, max_difference;
    double sum_psnr, min_psnr, sum_mse, sum_ssim;
} Totals;

static int opt_frames, opt_sheet_columns = 6, opt_sheet_width;
static double opt_sheet_errors;
static char *opt_sheet;
static gboolean opt_no_ssim;

static const GOptionEntry options[] = {
    { "frames", 'n', 0, G_OPTION_ARG_INT, &opt_frames, "Compare the first N frames (default: all)", "N" },
    { "sheet", 0, 0, G_OPTION_ARG_FILENAME, &opt_sheet,
      "Write a contact sheet, SOURCE above DECODED; needs --frames", "PNG" },
    { "sheet-columns", 0, 0, G_OPTION_ARG_INT, &opt_sheet_columns, "Frames on the sheet (default 6)", "N" },
    { "sheet-width", 0, 0, G_OPTION_ARG_INT, &opt_sheet_width,
      "Width of the sheet in pixels (default: unscaled)", "PIXELS" },
    { "sheet-errors", 0, 0, G_OPTION_ARG_DOUBLE, &opt_sheet_errors,
      "A third row: how far SOURCE and DECODED are apart, X times (default 0: none)", "X" },
    { "no-ssim", 0, 0, G_OPTION_ARG_NONE, &opt_no_ssim, "Leave SSIM out", NULL },
    { NULL, 0, 0, 0, NULL, NULL, NULL },
};

/* --- players --- */

static gboolean player_init(Player *player, const char *what, GError **error)
{
    char *head = NULL;
    if (g_file_test(what, G_FILE_TEST_IS_REGULAR)) {
        char *escaped = g_strescape(what, NULL);
        head = g_strdup_printf("filesrc location=\"%s\" ! decodebin", escaped);
        g_free(escaped);
    }
    /* Dithering would count as difference. */
    char *description = g_strdup_printf("%s ! videoconvert dither=none ! video/x-raw,format=RGB ! appsink "
                                        "name=frames sync=false max-buffers=4",
                                        head ? head : what);
    player->what = what;
    player->pipeline = gst_parse_launch_full(description, NULL, GST_PARSE_FLAG_FATAL_ERRORS, error);
    g_free(description);
    g_free(head);
    if (!player->pipeline)
        return FALSE;
    player->sink = GST_APP_SINK(gst_bin_get_by_name(GST_BIN(player->pipeline), "frames"));
    gst_element_set_state(player->pipeline, GST_STATE_PLAYING);
    return TRUE;
}

static void player_clear(Player *player)
{
    if (player->pipeline)
        gst_element_set_state(player->pipeline, GST_STATE_NULL);
    g_clear_object(&player->sink);
    g_clear_pointer(&player->pipeline, gst_object_unref);
    g_clear_pointer(&player->device, g_free);
}

/* The next frame, or NULL at the end (no error) or on an error of the pipeline. */
static GstSample *player_next(Player *player, GError **error)
{
    GstBus *bus = gst_element_get_bus(player->pipeline);
    GstSample *sample = NULL;
    GstMessage *message = NULL;
    do {
        sample = gst_app_sink_try_pull_sample(player->sink, 50 * GST_MSECOND);
        message = sample ? NULL : gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
    } while (!sample && !message && !gst_app_sink_is_eos(player->sink));
    /* A failing source may end the stream first. */
    if (!sample && !message)
        message = gst_bus_pop_filtered(bus, GST_MESSAGE_ERROR);
    if (message) {
        gst_message_parse_error(message, error, NULL);
        g_prefix_error(error, "%s: ", player->what);
        gst_message_unref(message);
    }
    gst_object_unref(bus);
    return sample;
}

/* Asks a nervdec in the pipeline which device it ran on. */
static void player_find_device(Player *player)
{
    GstIterator *it = gst_bin_iterate_all_by_element_factory_name(GST_BIN(player->pipeline), "nervdec");
    GValue item = G_VALUE_INIT;
    if (gst_iterator_next(it, &item) == GST_ITERATOR_OK) {
        GstStructure *stats = NULL;
        g_object_get(g_value_get_object(&item), "stats", &stats, NULL);
        if (stats) {
            player->device = g_strdup(gst_structure_get_string(stats, "device"));
            gst_structure_free(stats);
        }
        g_value_unset(&item);
    }
    gst_iterator_free(it);
}

/* --- measures --- */

static void ssim_clear(Ssim *s)
{
    if (s->exec)
        nerv_exec_free(s->exec);
    if (s->buffer_a)
        nerv_buffer_free(s->buffer_a);
    if (s->buffer_b)
        nerv_buffer_free(s->buffer_b);
    if (s->tape)
        nerv_tape_free(s->tape);
    if (s->be)
        nerv_backend_free(s->be);
    g_free(s->planes);
}

static gboolean ssim_init(Ssim *s, int width, int height, GError **error)
{
    const NervShape shape = nerv_shape(1, 3, height, width);
    const size_t bytes = (size_t)3 * height * width * sizeof(float);
    s->planes = g_malloc(bytes);
    s->be = nerv_backend_open("cpu", 0, error);
    if (!s->be)
        return FALSE;
    s->tape = nerv_tape_new();
    s->a = nerv_tape_leaf(s->tape, NERV_TENSOR_PARAM, NERV_F32, shape, "a");
    s->b = nerv_tape_leaf(s->tape, NERV_TENSOR_PARAM, NERV_F32, shape, "b");
    s->y = nerv_ssim(s->tape, s->a, s->b);
    nerv_tape_output(s->tape, s->y, "ssim");
    s->exec = nerv_exec_new(s->be, s->tape, error);
    s->buffer_a = s->exec ? nerv_buffer_new(s->be, bytes, error) : NULL;
    s->buffer_b = s->buffer_a ? nerv_buffer_new(s->be, bytes, error) : NULL;
    return s->buffer_b && nerv_exec_bind(s->exec, s->a, s->buffer_a, 0, error) &&
           nerv_exec_bind(s->exec, s->b, s->buffer_b, 0, error);
}

static gboolean ssim_load(Ssim *s, NervBuffer *buffer, const GstVideoFrame *frame, GError **error)
{
    const int width = GST_VIDEO_FRAME_WIDTH(frame), height = GST_VIDEO_FRAME_HEIGHT(frame);
    const size_t plane = (size_t)width * height;
    for (int y = 0; y < height; y++) {
        const uint8_t *row = (const uint8_t *)GST_VIDEO_FRAME_PLANE_DATA(frame, 0) +
                             (size_t)y * GST_VIDEO_FRAME_PLANE_STRIDE(frame, 0);
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++)
                s->planes[c * plane + (size_t)y * width + x] = row[3 * x + c] / 255.0f;
    }
    return nerv_buffer_upload(buffer, 0, s->planes, 3 * plane * sizeof(float), error);
}

static gboolean ssim_run(Ssim *s, const GstVideoFrame *a, const GstVideoFrame *b, float *ssim, GError **error)
{
    return ssim_load(s, s->buffer_a, a, error) && ssim_load(s, s->buffer_b, b, error) &&
           nerv_exec_run(s->exec, error) && nerv_exec_read(s->exec, s->y, ssim, error);
}

static double psnr_of(double mse)
{
    return mse > 0 ? 10 * log10(255.0 * 255.0 / mse) : INFINITY;
}

static void add_differences(Totals *totals, const GstVideoFrame *a, const GstVideoFrame *b)
{
    const int width = GST_VIDEO_FRAME_WIDTH(a), height = GST_VIDEO_FRAME_HEIGHT(a);
    uint64_t sum = 0;
    for (int y = 0; y < height; y++) {
        const uint8_t *pa = (const uint8_t *)GST_VIDEO_FRAME_PLANE_DATA(a, 0) +
                            (size_t)y * GST_VIDEO_FRAME_PLANE_STRIDE(a, 0);
        const uint8_t *pb = (const uint8_t *)GST_VIDEO_FRAME_PLANE_DATA(b, 0) +
                            (size_t)y * GST_VIDEO_FRAME_PLANE_STRIDE(b, 0);
        for (int i = 0; i < 3 * width; i++) {
            const uint32_t d = (uint32_t)ABS(pa[i] - pb[i]);
            sum += (uint64_t)d * d;
            totals->max_difference = MAX(totals->max_difference, d);
        }
    }
    const double mse = (double)sum / (3.0 * width * height);
    const double psnr = psnr_of(mse);
    totals->sum_mse += mse;
    totals->sum_psnr += psnr;
    totals->min_psnr = totals->n_frames ? MIN(totals->min_psnr, psnr) : psnr;
}

/* --- the comparison --- */

typedef struct {
    Player a, b;
    GstVideoInfo info;
    Ssim ssim;
    gboolean with_ssim;
    ContactSheet *sheet;
    Totals totals;
} Comparison;

static gboolean begin(Comparison *cmp, GstSample *a, GstSample *b, GError **error)
{
    GstVideoInfo info_b;
    if (!gst_video_info_from_caps(&cmp->info, gst_sample_get_caps(a)) ||
        !gst_video_info_from_caps(&info_b, gst_sample_get_caps(b))) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT, "not raw video");
        return FALSE;
    }
    const int width = GST_VIDEO_INFO_WIDTH(&cmp->info), height = GST_VIDEO_INFO_HEIGHT(&cmp->info);
    if (width != GST_VIDEO_INFO_WIDTH(&info_b) || height != GST_VIDEO_INFO_HEIGHT(&info_b)) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT, "sizes differ: %dx%d and %dx%d", width,
                    height, GST_VIDEO_INFO_WIDTH(&info_b), GST_VIDEO_INFO_HEIGHT(&info_b));
        return FALSE;
    }
    if (opt_sheet)
        cmp->sheet = contact_sheet_new((uint32_t)opt_sheet_columns, (uint32_t)width, (uint32_t)height,
                                       opt_sheet_errors);
    /* The window of SSIM needs eleven pixels each way. */
    cmp->with_ssim = !opt_no_ssim && width >= 11 && height >= 11;
    return !cmp->with_ssim || ssim_init(&cmp->ssim, width, height, error);
}

/* The column of the sheet that frame i of n goes to, or -1: columns are spread evenly from the first to the
 * last. */
static int sheet_column(uint32_t i, uint32_t n, uint32_t n_columns)
{
    for (uint32_t column = 0; column < n_columns; column++)
        if (i == (n_columns > 1 ? (uint64_t)column * (n - 1) / (n_columns - 1) : 0))
            return (int)column;
    return -1;
}

static gboolean add_frames(Comparison *cmp, GstSample *sample_a, GstSample *sample_b, GError **error)
{
    GstVideoInfo info_a, info_b;
    GstVideoFrame a, b;
    gboolean ok = FALSE;
    if (!gst_video_info_from_caps(&info_a, gst_sample_get_caps(sample_a)) ||
        !gst_video_info_from_caps(&info_b, gst_sample_get_caps(sample_b)) ||
        GST_VIDEO_INFO_WIDTH(&info_a) != GST_VIDEO_INFO_WIDTH(&cmp->info) ||
        GST_VIDEO_INFO_HEIGHT(&info_a) != GST_VIDEO_INFO_HEIGHT(&cmp->info) ||
        GST_VIDEO_INFO_WIDTH(&info_b) != GST_VIDEO_INFO_WIDTH(&cmp->info) ||
        GST_VIDEO_INFO_HEIGHT(&info_b) != GST_VIDEO_INFO_HEIGHT(&cmp->info)) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FORMAT, "the size changes at frame %u",
                    cmp->totals.n_frames);
        return FALSE;
    }
    if (!gst_video_frame_map(&a, &info_a, gst_sample_get_buffer(sample_a), GST_MAP_READ))
        goto unmapped;
    if (!gst_video_frame_map(&b, &info_b, gst_sample_get_buffer(sample_b), GST_MAP_READ)) {
        gst_video_frame_unmap(&a);
        goto unmapped;
    }
    float ssim = 0;
    ok = !cmp->with_ssim || ssim_run(&cmp->ssim, &a, &b, &ssim, error);
    add_differences(&cmp->totals, &a, &b);
    cmp->totals.sum_ssim += ssim;
    if (cmp->sheet) {
        const int column =
            sheet_column(cmp->totals.n_frames, (uint32_t)opt_frames, (uint32_t)opt_sheet_columns);
        if (column >= 0)
            contact_sheet_set(cmp->sheet, (uint32_t)column, GST_VIDEO_FRAME_PLANE_DATA(&a, 0),
                              (size_t)GST_VIDEO_FRAME_PLANE_STRIDE(&a, 0), GST_VIDEO_FRAME_PLANE_DATA(&b, 0),
                              (size_t)GST_VIDEO_FRAME_PLANE_STRIDE(&b, 0));
    }
    cmp->totals.n_frames++;
    gst_video_frame_unmap(&b);
    gst_video_frame_unmap(&a);
    return ok;

unmapped:
    g_set_error(error, GST_RESOURCE_ERROR, GST_RESOURCE_ERROR_READ, "cannot map frame %u",
                cmp->totals.n_frames);
    return FALSE;
}

static void print_results(const Comparison *cmp)
{
    const Totals *t = &cmp->totals;
    g_print("frames %u\n", t->n_frames);
    g_print("width %d\nheight %d\n", GST_VIDEO_INFO_WIDTH(&cmp->info), GST_VIDEO_INFO_HEIGHT(&cmp->info));
    g_print("psnr_db %.2f\n", t->sum_psnr / t->n_frames);
    g_print("psnr_min_db %.2f\n", t->min_psnr);
    g_print("psnr_of_mean_mse_db %.2f\n", psnr_of(t->sum_mse / t->n_frames));
    if (cmp->with_ssim)
        g_print("ssim %.4f\n", t->sum_ssim / t->n_frames);
    g_print("max_difference %u\n", t->max_difference);
    if (cmp->a.device)
        g_print("source_device %s\n", cmp->a.device);
    if (cmp->b.device)
        g_print("decoded_device %s\n", cmp->b.device);
}

/* Returns the exit status. */
static int compare(Comparison *cmp, GError **error)
{
    while (opt_frames == 0 || cmp->totals.n_frames < (uint32_t)opt_frames) {
        GstSample *a = player_next(&cmp->a, error);
        GstSample *b = *error ? NULL : player_next(&cmp->b, error);
        int status = *error ? 2 : 0;
        if (status == 0 && !a != !b) {
            g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "%s ends first, after %u frames",
                        a ? cmp->b.what : cmp->a.what, cmp->totals.n_frames);
            status = 1;
        } else if (a && b) {
            if ((cmp->totals.n_frames == 0 && !begin(cmp, a, b, error)) || !add_frames(cmp, a, b, error))
                status = 1;
        }
        const gboolean at_end = !a;
        g_clear_pointer(&a, gst_sample_unref);
        g_clear_pointer(&b, gst_sample_unref);
        if (status)
            return status;
        if (at_end)
            break;
    }
    if (cmp->totals.n_frames == 0) {
        g_set_error(error, GST_STREAM_ERROR, GST_STREAM_ERROR_FAILED, "there is no frame");
        return 1;
    }
    if (cmp->sheet && !contact_sheet_write(cmp->sheet, opt_sheet, (uint32_t)opt_sheet_width, error))
        return 2;
    player_find_device(&cmp->a);
    player_find_device(&cmp->b);
    print_results(cmp);
    return 0;
}

int main(int argc, char **argv)
{
    setlocale(LC_CTYPE, ""); /* names of files are printed as they are; numbers as in C */
    GError *error = NULL;
    Comparison cmp = { 0 };
    GOptionContext *context = g_option_context_new("SOURCE DECODED");
    g_option_context_set_summary(context,
                                 "Compares two videos in R'G'B'. Each is a file, or the beginning of a "
                                 "pipeline such as \"filesrc location=a.nerv ! nervparse ! nervdec\".");
    g_option_context_add_main_entries(context, options, NULL);
    g_option_context_add_group(context, gst_init_get_option_group());
    const gboolean parsed = g_option_context_parse(context, &argc, &argv, &error);
    g_option_context_free(context);
    if (parsed && (argc != 3 || opt_frames < 0 || opt_sheet_columns < 1 || opt_sheet_columns > 64 ||
                   opt_sheet_width < 0 || !(opt_sheet_errors >= 0. && opt_sheet_errors <= 255.) ||
                   opt_sheet_width > 16384 || (opt_sheet && opt_frames == 0)))
        g_set_error(&error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE, "see nerv-compare --help");

    int status = 2;
    if (!error && player_init(&cmp.a, argv[1], &error) && player_init(&cmp.b, argv[2], &error))
        status = compare(&cmp, &error);
    if (error)
        g_printerr("nerv-compare: %s\n", error->message);
    g_clear_error(&error);
    player_clear(&cmp.a);
    player_clear(&cmp.b);
    ssim_clear(&cmp.ssim);
    contact_sheet_free(cmp.sheet);
    g_free(opt_sheet);
    return status;
}
