/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames that are known in part: which samples count, what stands in place of the others, a fit that does not look at them and finds out from other frames what
 * they hide, on the CPU and on Vulkan; and samples that are held out, which end a fit of noise.
 */
#include <math.h>
#include <string.h>

#include "backend/backend.h"
#include "base/rng.h"
#include "codec/holes.h"
#include "codec/patience.h"
#include "device.h"
#include "nerv.h"

#define WIDTH  48
#define HEIGHT 32
#define FRAMES 8

static const char *device;

static bool is_cpu(void)
{
    return g_str_equal(device, "cpu");
}

static NervPixels pixels_of(NervPixelFormat format)
{
    return (NervPixels){
        .format = format, .width = WIDTH, .height = HEIGHT, .matrix = NERV_MATRIX_BT601, .full_range = 1
    };
}

/* --- masks --- */

static void test_mask(void)
{
    const NervPixels rgb = pixels_of(NERV_PIXELS_RGB), yuv = pixels_of(NERV_PIXELS_NV12);
    uint8_t known[HEIGHT][WIDTH + 5], mask[HEIGHT][WIDTH][3];
    memset(known, 255, sizeof known);
    g_assert_true(nerv_holes_none(&rgb, known[0], sizeof known[0]));
    known[7][9] = NERV_KNOWN - 1;
    known[8][9] = NERV_KNOWN;
    g_assert_false(nerv_holes_none(&rgb, known[0], sizeof known[0]));
    nerv_holes_mask(&rgb, known[0], sizeof known[0], 0., 1, 0, mask[0][0]);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            const bool hidden = y == 7 && x == 9;
            g_assert_cmpint(mask[y][x][0], ==, hidden ? NERV_GUESS_WEIGHT : 255);
            g_assert_cmpint(mask[y][x][1], ==, 0);
            g_assert_cmpint(mask[y][x][2], ==, hidden ? 0 : 255);
        }
    /* its chroma is of four */
    nerv_holes_mask(&yuv, known[0], sizeof known[0], 0., 1, 0, mask[0][0]);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            g_assert_cmpint(mask[y][x][2], ==, y / 2 == 3 && x / 2 == 4 ? 0 : 255);
}

static void test_held_out(void)
{
    const NervPixels rgb = pixels_of(NERV_PIXELS_RGB);
    uint8_t known[HEIGHT][WIDTH], mask[HEIGHT][WIDTH][3], again[HEIGHT][WIDTH][3];
    int held = 0, differ = 0;
    memset(known, 255, sizeof known);
    memset(known[3], 0, sizeof known[3]);
    nerv_holes_mask(&rgb, known[0], WIDTH, .25, 7, 2, mask[0][0]);
    nerv_holes_mask(&rgb, known[0], WIDTH, .25, 7, 2, again[0][0]);
    g_assert_cmpmem(mask, sizeof mask, again, sizeof again);
    nerv_holes_mask(&rgb, known[0], WIDTH, .25, 7, 3, again[0][0]);
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            g_assert_cmpint(mask[y][x][2] + mask[y][x][1], ==, y == 3 ? 0 : 255);
            g_assert_cmpint(mask[y][x][0], ==, y == 3 ? NERV_GUESS_WEIGHT : mask[y][x][2]);
            held += mask[y][x][1] == 255;
            differ += mask[y][x][1] != again[y][x][1];
        }
    g_assert_cmpfloat(fabs(held / (double)(WIDTH * (HEIGHT - 1)) - .25), <, .04);
    g_assert_cmpint(differ, >, held);
}

/* --- filling --- */

/* A slope is found again where a hole is cut out of it; what is known stays. */
static void check_fill(NervPixelFormat format)
{
    const NervPixels p = pixels_of(format);
    NervPlane planes[3];
    const int n = nerv_pixels_planes(&p, planes);
    const size_t bytes = nerv_pixels_bytes(&p);
    g_autofree uint8_t *frame = g_malloc(bytes), *want = g_malloc(bytes);
    uint8_t known[HEIGHT][WIDTH];
    memset(known, 255, sizeof known);
    for (int y = 10; y < 18; y++)
        memset(known[y] + 20, 0, 8);
    for (int i = 0; i < MIN(n, 3); i++)
        for (int y = 0; y < planes[i].rows; y++)
            for (int x = 0; x < planes[i].row_bytes; x++)
                want[planes[i].offset + (size_t)y * planes[i].stride + x] = (uint8_t)(60 + y + x / 3);
    memcpy(frame, want, bytes);
    for (int i = 0; i < MIN(n, 3); i++) {
        const int scale = i ? 2 : 1, step = planes[i].row_bytes / (WIDTH / scale);
        for (int y = 10 / scale; y < 18 / scale; y++)
            memset(frame + planes[i].offset + (size_t)y * planes[i].stride + 20 / scale * step, 255,
                   (size_t)(8 / scale * step));
    }
    g_assert_true(nerv_holes_fill(&p, known[0], WIDTH, frame, NULL));
    int worst = 0;
    for (int i = 0; i < MIN(n, 3); i++) {
        const int scale = i ? 2 : 1, step = planes[i].row_bytes / (WIDTH / scale);
        for (int y = 0; y < planes[i].rows; y++)
            for (int x = 0; x < planes[i].row_bytes; x++) {
                const size_t at = planes[i].offset + (size_t)y * planes[i].stride + (size_t)x;
                const bool hole = !known[y * scale][x / step * scale];
                if (!hole)
                    g_assert_cmpint(frame[at], ==, want[at]);
                worst = MAX(worst, ABS(frame[at] - want[at]));
            }
    }
    g_assert_cmpint(worst, <=, 12);
}

static void test_fill(void)
{
    for (int format = 0; format < NERV_PIXELS_N; format++)
        check_fill(format);
    /* nothing is known */
    const NervPixels p = pixels_of(NERV_PIXELS_RGB);
    uint8_t known[HEIGHT][WIDTH] = { { 0 } }, frame[HEIGHT][WIDTH][3];
    memset(frame, 7, sizeof frame);
    g_assert_true(nerv_holes_fill(&p, known[0], WIDTH, frame[0][0], NULL));
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++)
            for (int c = 0; c < 3; c++)
                g_assert_cmpint(frame[y][x][c], ==, 128);
}

/* A picture that moves by three samples a frame behind a hole that stays: what the hole hides others show. */
static void check_find(NervPixelFormat format)
{
    enum { N = 12 };
    const NervPixels p = pixels_of(format);
    const size_t bytes = nerv_pixels_bytes(&p);
    NervPlane planes[3];
    const int n_planes = nerv_pixels_planes(&p, planes);
    uint8_t known[HEIGHT][WIDTH], *frames[N], *masks[N], *want[N];
    double filled = 0., found = 0.;
    memset(known, 255, sizeof known);
    for (int y = 12; y < 18; y++)
        memset(known[y] + 20, 0, 6);
    for (int i = 0; i < N; i++) {
        frames[i] = g_malloc0(bytes);
        masks[i] = g_malloc(3 * WIDTH * HEIGHT);
        for (int k = 0; k < n_planes; k++)
            for (int y = 0; y < planes[k].rows; y++)
                for (int x = 0; x < planes[k].row_bytes; x++) {
                    const int step = k ? planes[k].row_bytes / (WIDTH / 2) : planes[k].row_bytes / WIDTH;
                    const double u = (x / step) * (k ? 2. : 1.) + 2. * i, v = y * (k ? 2. : 1.);
                    frames[i][planes[k].offset + (size_t)y * planes[k].stride + (size_t)x] =
                        (uint8_t)lrint(120. + 60. * sin(u * .9 + v * .31) * cos(v * .8 - u * .17));
                }
        want[i] = g_memdup2(frames[i], bytes);
        nerv_holes_mask(&p, known[0], WIDTH, 0., 1, 0, masks[i]);
        g_assert_true(nerv_holes_fill(&p, known[0], WIDTH, frames[i], NULL));
        for (size_t k = 0; k < bytes; k++)
            filled += fabs(frames[i][k] - (double)want[i][k]);
    }
    nerv_holes_find(&p, frames, masks, N);
    uint32_t n_found = 0;
    for (int i = 0; i < N; i++) {
        for (size_t k = 0; k < bytes; k++)
            found += fabs(frames[i][k] - (double)want[i][k]);
        for (size_t k = 0; k < WIDTH * HEIGHT; k++)
            n_found += masks[i][3 * k] == NERV_FOUND_WEIGHT;
        g_free(frames[i]);
        g_free(masks[i]);
        g_free(want[i]);
    }
    g_test_message("format %d: off by %.0f as filled, %.0f as found, %u samples", format, filled, found,
                   n_found);
    g_assert_cmpuint(n_found, >, N * 36 * 9 / 10);
    g_assert_cmpfloat(found, <, .2 * filled);
}

static void test_find(void)
{
    for (int format = 0; format < NERV_PIXELS_N; format++)
        check_find(format);
}

/* --- when to stop --- */

static void test_patience(void)
{
    NervPatience p;
    uint32_t better = 0, step = 0;
    NervPatienceSays says = NERV_PATIENCE_WAIT;
    nerv_patience_init(&p, 10);
    /* falls up to step 300, stays for as long, and rises */
    while (says != NERV_PATIENCE_LOST && step < 2000) {
        step++;
        says = nerv_patience_look(&p, step,
                                  step < 5     ? 0.
                                  : step < 300 ? 2. - step / 300.
                                  : step < 600 ? 1.
                                               : step / 600.);
        better += says == NERV_PATIENCE_BETTER;
    }
    g_assert_cmpuint(p.best_step, ==, 300);
    g_assert_cmpuint(step, ==, 650); /* the fourth that is more than two hundredths above */
    g_assert_cmpuint(better, ==, 30);
    g_assert_true(nerv_patience_was_better(&p));
    /* what falls again is not lost */
    nerv_patience_init(&p, 1);
    nerv_patience_look(&p, 1, 1.);
    for (step = 2; step < 50; step++)
        g_assert_cmpint(nerv_patience_look(&p, step, 2. - step / 100.), ==, NERV_PATIENCE_WAIT);
    /* luck is no gain, and nothing known is nothing said */
    nerv_patience_init(&p, 1);
    g_assert_cmpint(nerv_patience_look(&p, 1, 1.), ==, NERV_PATIENCE_BETTER);
    g_assert_cmpint(nerv_patience_look(&p, 2, .9999), ==, NERV_PATIENCE_WAIT);
    g_assert_cmpint(nerv_patience_look(&p, 3, 0.), ==, NERV_PATIENCE_WAIT);
    g_assert_false(nerv_patience_was_better(&p));
}

/* --- fits --- */

/* A texture that moves by two samples a frame. */
static uint8_t texture(int x, int y, int frame, int channel)
{
    const double u = x + 2. * frame;
    return (uint8_t)lrint(120. + 50. * sin(u * .37 + channel) * cos(y * .29) + 40. * sin(u * .11 - y * .07));
}

typedef struct {
    uint8_t rgb[FRAMES][HEIGHT][WIDTH][3];
} Clip;

static void paint(Clip *clip)
{
    for (int i = 0; i < FRAMES; i++)
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++)
                for (int c = 0; c < 3; c++)
                    clip->rgb[i][y][x][c] = texture(x, y, i, c);
}

static NervEncoder *encoder_new(NervEncoderSettings *s)
{
    GError *error = NULL;
    const NervVideoInfo info = {
        .pixels = pixels_of(NERV_PIXELS_RGB), .fps_n = 25, .fps_d = 1, .par_n = 1, .par_d = 1
    };
    g_free(s->device);
    s->device = g_strdup(device);
    NervEncoder *enc = nerv_encoder_new(&info, s, &error);
    g_assert_no_error(error);
    return enc;
}

/* Fits, and decodes all frames into `out`. */
static void fit(NervEncoder *enc, Clip *out)
{
    GError *error = NULL;
    NervDecoderSettings s;
    NervPacket packet;
    nerv_encoder_fit(enc, &error);
    g_assert_no_error(error);
    nerv_decoder_settings_init(&s);
    g_free(s.device);
    s.device = g_strdup("cpu");
    NervDecoder *dec = nerv_decoder_new(&s, &error);
    g_assert_no_error(error);
    for (int i = 0; nerv_encoder_get(enc, &packet); i++) {
        NervDecodedInfo info;
        gsize bytes;
        const uint8_t *data = g_bytes_get_data(packet.data, &bytes);
        const NervFrame frame = { { out->rgb[i][0][0] }, { 3 * WIDTH } };
        g_assert_cmpint(i, <, FRAMES);
        g_assert_true(nerv_decoder_send(dec, data, bytes, &info, &error) &&
                      nerv_decoder_render(dec, &frame, &error));
        g_bytes_unref(packet.data);
    }
    nerv_decoder_free(dec);
    nerv_decoder_settings_clear(&s);
}

/* Squared error inside or outside of the box that known has. */
static double error_of(const Clip *a, const Clip *b, const uint8_t known[FRAMES][HEIGHT][WIDTH], bool inside)
{
    double sum = 0., n = 0.;
    for (int i = 0; i < FRAMES; i++)
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++)
                for (int c = 0; c < 3; c++)
                    if ((known[i][y][x] == 0) == inside) {
                        const double d = a->rgb[i][y][x][c] - b->rgb[i][y][x][c];
                        sum += d * d;
                        n++;
                    }
    return sum / n;
}

/* A box that moves hides another place in each frame: what is written into it must not matter, and what is shown there is what the others say. */
static void check_inpainting(const char *model)
{
    static Clip clip, damaged[2], shown[2];
    static uint8_t known[FRAMES][HEIGHT][WIDTH];
    GError *error = NULL;
    paint(&clip);
    memset(known, 255, sizeof known);
    for (int i = 0; i < FRAMES; i++)
        for (int y = 12; y < 20; y++)
            memset(known[i][y] + 6 + 4 * i, 0, 8);
    for (int k = 0; k < 2; k++) {
        NervEncoderSettings s;
        damaged[k] = clip;
        for (int i = 0; i < FRAMES; i++)
            for (int y = 0; y < HEIGHT; y++)
                for (int x = 0; x < WIDTH; x++)
                    if (!known[i][y][x])
                        memset(damaged[k].rgb[i][y][x], k ? 255 : 0, 3);
        nerv_encoder_settings_init(&s);
        g_free(s.model);
        s.model = g_strdup(model);
        s.masked = true;
        s.epochs = is_cpu() ? 60 : 12; /* software devices are slow */
        s.tune = NERV_TUNE_PSNR;
        s.quality = 65.;
        NervEncoder *enc = encoder_new(&s);
        for (int i = 0; i < FRAMES; i++) {
            const NervFrame frame = { { damaged[k].rgb[i][0][0] }, { 3 * WIDTH } };
            g_assert_true(nerv_encoder_send_masked(enc, &frame, known[i][0], WIDTH, i * 40000000, &error));
        }
        fit(enc, &shown[k]);
        nerv_encoder_free(enc);
        nerv_encoder_settings_clear(&s);
    }
    g_assert_cmpmem(&shown[0], sizeof shown[0], &shown[1], sizeof shown[1]);
    const double inside = error_of(&clip, &shown[0], known, true),
                 outside = error_of(&clip, &shown[0], known, false);
    g_test_message("%s: %.1f squared inside, %.1f outside, %.1f as it was", model, inside, outside,
                   error_of(&clip, &damaged[0], known, true));
    if (is_cpu()) {
        g_assert_cmpfloat(outside, <, 150.);
        g_assert_cmpfloat(inside, <, 200.);
    }
    g_assert_cmpfloat(inside, <, .1 * error_of(&clip, &damaged[0], known, true));
}

static void test_nerv(void)
{
    check_inpainting("nerv");
}

static void test_dnerv(void)
{
    check_inpainting("dnerv");
}

/* Masks are for encoders that were told of them, and a frame without holes is one without a mask. */
static void test_settings(void)
{
    static Clip clip;
    static uint8_t known[HEIGHT][WIDTH];
    GError *error = NULL;
    NervEncoderSettings s;
    const NervFrame frame = { { clip.rgb[0][0][0] }, { 3 * WIDTH } };
    memset(known, 255, sizeof known);
    nerv_encoder_settings_init(&s);
    s.epochs = 1;
    NervEncoder *enc = encoder_new(&s);
    g_assert_false(nerv_encoder_send_masked(enc, &frame, known[0], WIDTH, 0, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_clear_error(&error);
    nerv_encoder_free(enc);

    const NervVideoInfo info = {
        .pixels = pixels_of(NERV_PIXELS_RGB), .fps_n = 25, .fps_d = 1, .par_n = 1, .par_d = 1
    };
    s.held_out = .6;
    g_assert_null(nerv_encoder_new(&info, &s, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_clear_error(&error);
    s.held_out = .1;
    s.target_psnr = 30.;
    g_assert_null(nerv_encoder_new(&info, &s, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_clear_error(&error);
    nerv_encoder_settings_clear(&s);
}

/* Noise: the fit that holds samples out ends early, and shows the clip better than the one that does not, which learns the noise. */
static void test_noise(void)
{
    static Clip clip, noisy, shown[2];
    static uint8_t all[FRAMES][HEIGHT][WIDTH];
    GError *error = NULL;
    uint32_t steps[2];
    NervRng rng;
    nerv_rng_init(&rng, 3);
    memset(all, 255, sizeof all);
    paint(&clip);
    for (size_t i = 0; i < sizeof clip; i++) {
        const int sum = (int)(nerv_rng_below(&rng, 60) + nerv_rng_below(&rng, 60));
        ((uint8_t *)&noisy)[i] = (uint8_t)CLAMP(((const uint8_t *)&clip)[i] + sum - 59, 0, 255);
    }
    for (int k = 0; k < 2; k++) {
        NervEncoderSettings s;
        NervEncoderStats stats;
        nerv_encoder_settings_init(&s);
        s.model_options = g_variant_ref_sink(g_variant_new_parsed("{'weights': <16000>}"));
        s.init = NERV_INIT_NONE;
        s.epochs = 200;
        s.tune = NERV_TUNE_PSNR;
        s.rate_weight = 0.;
        s.held_out = k ? .1 : 0.;
        NervEncoder *enc = encoder_new(&s);
        for (int i = 0; i < FRAMES; i++) {
            const NervFrame frame = { { noisy.rgb[i][0][0] }, { 3 * WIDTH } };
            g_assert_true(nerv_encoder_send(enc, &frame, i * 40000000, &error));
        }
        fit(enc, &shown[k]);
        nerv_encoder_get_stats(enc, &stats);
        steps[k] = stats.step;
        g_test_message("held out %g: %u steps, %.2f dB, held out %.4f", s.held_out, stats.step, stats.psnr,
                       stats.held_l1);
        g_assert_true((stats.held_l1 > 0.) == (k == 1));
        nerv_encoder_free(enc);
        nerv_encoder_settings_clear(&s);
    }
    const double noise = error_of(&clip, &noisy, all, false), with = error_of(&clip, &shown[1], all, false),
                 without = error_of(&clip, &shown[0], all, false);
    g_test_message("squared error: noisy %.1f, all learned %.1f, stopped %.1f", noise, without, with);
    g_assert_cmpuint(steps[1], <, steps[0]);
    g_assert_cmpfloat(with, <, .9 * without);
    g_assert_cmpfloat(with, <, .7 * noise);
}

int main(int argc, char **argv)
{
    device = test_device_name(argc, argv);
    if (!is_cpu()) {
        NervBackend *be = nerv_backend_open(device, 0, NULL);
        if (!be)
            return 77;
        nerv_backend_free(be);
    }
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/holes/mask", test_mask);
    g_test_add_func("/holes/held-out", test_held_out);
    g_test_add_func("/holes/fill", test_fill);
    g_test_add_func("/holes/find", test_find);
    g_test_add_func("/holes/patience", test_patience);
    g_test_add_func("/holes/settings", test_settings);
    g_test_add_func("/holes/nerv", test_nerv);
    g_test_add_func("/holes/dnerv", test_dnerv);
    if (is_cpu())
        g_test_add_func("/holes/noise", test_noise);
    return g_test_run();
}
