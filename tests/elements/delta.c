/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * weight-deltas=true as a user meets it: a file that seeks and plays where the init is, and says what is missing where it is not.
 */
#include <glib/gstdio.h>
#include <string.h>

#include "../unit/layers.h"
#include "common.h"

#define N     12
#define FRAME (40 * GST_MSECOND)

#define SOURCE                                                                                               \
    "videotestsrc pattern=gradient num-buffers=12 ! "                                                        \
    "video/x-raw,format=RGB,width=64,height=48,framerate=25/1 "
#define MODEL                                                                                                \
    "model=nerv-grid init=none model-options=\"options,grids=3x4/2x2/1x2,widths=<10,8>,strides=<4,2>,"       \
    "kernels=<1,3>\" "

static char *folder, *init, *file;

static void run(const char *description, PipelineFunc done, gpointer user)
{
    RunResult r;
    run_pipeline(description, 60, NULL, done, user, &r);
    fail_unless(r.eos && !r.error, "%s: %s", description, r.error ? r.error->message : "no end");
    run_result_clear(&r);
}

static void check_stats(GstElement *pipeline, gpointer is_delta)
{
    *(bool *)is_delta = choice_of(pipeline, "delta");
}

static void setup(void)
{
    const NervClip clip = { 64, 48, 4 };
    bool is_delta = false;
    gsize bytes;
    g_autofree char *data = NULL;
    folder = g_dir_make_tmp("nerv-delta-XXXXXX", NULL);
    init = g_build_filename(folder, "a.init", NULL);
    file = g_build_filename(folder, "b.nerv", NULL);
    g_autofree char *raw = g_build_filename(folder, "a.nerv", NULL);
    g_autofree char *learn = g_strdup_printf(
        SOURCE "! nervenc epochs=40 tune=psnr segment-frames=4 " MODEL "! filesink location=%s", raw);
    g_autofree char *encode = g_strdup_printf(
        SOURCE "! nervenc name=enc epochs=10 tune=psnr segment-frames=4 init-location=%s weight-deltas=true "
               "! filesink location=%s",
        init, file);
    run(learn, NULL, NULL);
    fail_unless(g_file_get_contents(raw, &data, &bytes, NULL));
    layers_to_init((const guint8 *)data, bytes, &clip, init);
    g_unlink(raw);
    run(encode, check_stats, &is_delta);
    fail_unless(is_delta); /* the layers are there already */
}

static void teardown(void)
{
    g_unlink(init);
    g_unlink(file);
    g_rmdir(folder);
    g_free(init);
    g_free(file);
    g_free(folder);
}

static char *player(const char *properties)
{
    return g_strdup_printf("filesrc location=%s ! nervparse ! nervdec %s ! fakesink name=sink", file,
                           properties);
}

/* Every segment stands alone: pictures are right from the beginning and from the middle. */
GST_START_TEST(test_play)
{
    g_autofree char *property = g_strdup_printf("init-location=%s", init);
    g_autofree char *play = player(property);
    const SeekCall call = { 1., GST_SEEK_FLAG_ACCURATE, GST_SEEK_TYPE_SET, 9 * FRAME, GST_SEEK_TYPE_NONE, 0 };
    GPtrArray *frames = new_frames(), *source = new_frames(), *behind = play_from_seek(play, &call);
    GstVideoInfo info;
    RunResult r;
    run_pipeline(play, 60, collect_frames, NULL, frames, &r);
    fail_unless(r.eos && !r.error, "%s", r.error ? r.error->message : "no end");
    run_result_clear(&r);
    run_pipeline(SOURCE "! fakesink name=sink", 60, collect_frames, NULL, source, &r);
    run_result_clear(&r);
    fail_unless_equals_int(frames->len, N);
    fail_unless_equals_int(behind->len, N - 9);
    video_info(&info, GST_VIDEO_FORMAT_RGB, 64, 48, 25, 1);
    for (guint i = 0; i < N; i++)
        fail_unless(picture_error(&info, g_ptr_array_index(frames, i), g_ptr_array_index(source, i)) < .1,
                    "frame %u", i);
    for (guint i = 0; i < behind->len; i++)
        fail_unless(same_content(g_ptr_array_index(behind, i), g_ptr_array_index(frames, 9 + i)));
    g_ptr_array_unref(frames);
    g_ptr_array_unref(source);
    g_ptr_array_unref(behind);
}
GST_END_TEST;

static void expect_error(const char *description, const char *word)
{
    RunResult r;
    run_pipeline(description, 60, NULL, NULL, NULL, &r);
    fail_unless(r.error != NULL, "%s", description);
    fail_unless(strstr(r.error->message, word) != NULL, "\"%s\" does not name \"%s\"", r.error->message,
                word);
    run_result_clear(&r);
}

/* What a decoder without the init says, and one whose file is none; and an encoder that is to begin with nothing. */
GST_START_TEST(test_missing)
{
    GError *error = NULL;
    NervInit *it = nerv_init_load(init, &error);
    fail_unless(it != NULL, "%s", error ? error->message : "");
    g_autofree char *name = nerv_init_name(it->hash);
    g_autofree char *property = g_strdup_printf("init-location=%s", file);
    g_autofree char *without = player(""), *wrong = player(property);
    g_autofree char *nowhere = player("init-location=/nonexistent/a.init");
    expect_error(without, name);
    expect_error(without, "init-location");
    expect_error(wrong, "no init file");
    expect_error(nowhere, "/nonexistent/a.init");
    expect_error(SOURCE "! nervenc init=none weight-deltas=true ! fakesink", "weight-deltas");
    nerv_init_free(it);
}
GST_END_TEST;

static Suite *delta_suite(void)
{
    Suite *s = suite_create("delta");
    TCase *tc = tcase_create("delta");
    tcase_set_timeout(tc, 120);
    tcase_add_checked_fixture(tc, setup, teardown);
    suite_add_tcase(s, tc);
    tcase_add_test(tc, test_play);
    tcase_add_test(tc, test_missing);
    return s;
}

GST_CHECK_MAIN(delta)
