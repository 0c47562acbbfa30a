/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an encoder says of a segment: the bytes of its units, to the last one, and warnings, of which none hides another.
 */
#include <string.h>

#include "codec/report.h"
#include "codec/segment.h"

#define N 70

/* Bytes are those of the access units, for payloads on both sides of each length of a unit's size field. */
static void test_bytes(void)
{
    static const uint32_t payloads[] = { 0, 1, 63, 64, 16383, 16384, 70000, 4194303, 4194304 };
    const NervSequence sequence = { .version = NERV_STREAM_VERSION,
                                    .segment_id = 300,
                                    .n_frames = N,
                                    .width = 64,
                                    .height = 48,
                                    .fps_n = 30000,
                                    .fps_d = 1001,
                                    .par_n = 1,
                                    .par_d = 1 };
    const NervClip clip = { 64, 48, N };
    const NervKeys keys = { 0 };
    GError *error = NULL;
    int64_t pts[N];
    NervModel *model = nerv_model_new("nerv-mlp", NULL, &clip, &error);
    g_assert_no_error(error);
    for (int i = 0; i < N; i++)
        pts[i] = nerv_sequence_pts(&sequence, (uint32_t)i) + i * i;
    const NervSegment segment = { .sequence = &sequence, .pts_ns = pts, .model = model, .keys = &keys };
    for (size_t i = 0; i < G_N_ELEMENTS(payloads); i++) {
        GByteArray *out = g_byte_array_new();
        NervBitWriter network;
        nerv_writer_init(&network);
        g_byte_array_set_size(network.bytes, payloads[i]);
        if (payloads[i])
            memset(network.bytes->data, 0, payloads[i]);
        for (uint32_t f = 0; f < N; f++)
            nerv_segment_append(&segment, f, &network, out);
        g_assert_cmpuint(nerv_segment_bytes(&segment, payloads[i]), ==, out->len);
        nerv_writer_clear(&network);
        g_byte_array_unref(out);
    }
    nerv_model_free(model);
}

static void expect(NervReport report, bool missed, const char *first, const char *second)
{
    const NervFitResult result = { .missed = missed,
                                   .n_steps = 300,
                                   .score = { .psnr_frames = 28., .psnr = 27. } };
    report.result = &result;
    g_autofree char *text = nerv_report_warning(&report);
    g_assert_true((text == NULL) == (first == NULL));
    g_assert_true(!first || strstr(text, first));
    g_assert_true(!second || strstr(text, second));
}

static void test_warnings(void)
{
    expect((NervReport){ .seconds = 5.2, .max_seconds = 5. }, false, NULL, NULL);
    expect((NervReport){ .seconds = 5.3, .max_seconds = 5. }, false, "5.30 s", NULL);
    expect((NervReport){ .seconds = 50. }, false, NULL, NULL);
    expect((NervReport){ .seconds = 9., .max_seconds = 5., .target_psnr = 40. }, true, "9.00 s",
           "28.00 dB, not the 40.00");
    expect((NervReport){ .seconds = 9., .max_seconds = 5., .target_psnr = 40. }, true, "more seconds", NULL);
    expect((NervReport){ .target_psnr = 40. }, true, "more epochs", NULL);
    expect((NervReport){ .target_psnr = 20. }, true, "jumps", NULL);
    expect((NervReport){ .bytes = 590, .target_bytes = 1 }, true, "takes 590 bytes, not the 1 ",
           "that small");
    expect((NervReport){ .bytes = 590, .target_bytes = 9000 }, true, "takes 590 bytes", "no use for more");
    const NervFitResult short_fit = { .n_steps = 3 };
    g_autofree char *steps =
        nerv_report_warning(&(NervReport){ .result = &short_fit, .seconds = 5., .max_seconds = 5. });
    g_assert_nonnull(strstr(steps, "time for 3 steps only"));
    g_assert_null(nerv_report_warning(&(NervReport){ .result = &short_fit })); /* as asked for */
    expect((NervReport){ .bytes = 1029., .target_bytes = 1000. }, false, NULL, NULL);
    expect((NervReport){ .bytes = 1031., .target_bytes = 1000. }, false, "not the 1000 asked for", NULL);
    const NervKeys few = { .n = 4, .bytes = 600 }, many = { .n = 60, .bytes = 800 };
    expect((NervReport){ .bytes = 1200., .target_bytes = 1000., .keys = &many }, true,
           "takes 1200 bytes, not the 1000", "60 keyframes, one or two for each scene, take 800 bytes");
    const NervFitResult missed = { .missed = true };
    g_autofree char *text = nerv_report_warning(
        &(NervReport){ .result = &missed, .bytes = 1200., .target_bytes = 1000., .keys = &few });
    g_assert_null(strstr(text, "keyframes"));
    expect((NervReport){ .excess_macs = 1509. }, false, "takes 1509 multiplications a pixel", NULL);
    expect((NervReport){ .target_psnr = 40., .excess_macs = 1509. }, true, "more epochs",
           ". decoding takes 1509");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/report/bytes", test_bytes);
    g_test_add_func("/report/warnings", test_warnings);
    return g_test_run();
}
