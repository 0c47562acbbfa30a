/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Rate control: the controller on a made-up plant that answers late and drifts, and a whole encode whose stream has the size asked
 * for.
 */
#include <math.h>

#include "codec/rate.h"
#include "nerv.h"

/* Bits follow the weight with a lag, less and less as the learning rate falls; the coder's ratio drifts. */
static void check_plant(double target, double scale, double slope)
{
    enum { STEPS = 1000 };
    const double n_pixels = 1e6;
    NervRate r;
    double bits = 8. * target;
    nerv_rate_init_size(&r, target, 300000, n_pixels, 0.);
    double weight = r.weight, ratio = 1.;
    for (uint32_t i = 0; i < STEPS; i++) {
        const double answer = .08 * (1. + cos(G_PI * i / STEPS)) / 2.;
        bits *= exp(answer * log(scale * pow(weight / 1e-3, -slope) / bits));
        ratio = .8 + .1 * i / STEPS;
        const double position = (i + 1.) / STEPS;
        if (nerv_rate_wants_measure(&r, position))
            nerv_rate_measure(&r, position, bits, bits * ratio);
        weight = nerv_rate_update_size(&r, position, i < STEPS / 10 ? 0. : bits);
        g_assert_true(isfinite(weight) && weight > 0.);
    }
    g_test_message("wanted %g, got %g", target, bits * ratio);
    g_assert_cmpfloat(fabs(bits * ratio / target - 1.), <, .03);
}

static void test_controller(void)
{
    check_plant(1e5, 1e5, .3);
    check_plant(1e5, 3e5, .3);
    check_plant(1e5, 4e4, .3);
    check_plant(2e4, 1e5, .5);
    check_plant(1e6, 5e5, .2);
}

/* Measured at most so often; a measurement of nothing changes nothing. */
static void test_measures(void)
{
    NervRate r;
    uint32_t n = 0;
    nerv_rate_init_size(&r, 1e5, 30000, 1e6, 0.);
    const double ratio = r.ratio;
    for (uint32_t i = 0; i < 10; i++)
        if (nerv_rate_wants_measure(&r, i / 10.)) {
            nerv_rate_measure(&r, i / 10., 0., 0.);
            n++;
        }
    g_assert_cmpuint(n, ==, 10);
    g_assert_cmpfloat(r.ratio, ==, ratio);
    nerv_rate_init_size(&r, 1e5, 30000, 1e6, 0.);
    for (uint32_t i = n = 0; i < 100000; i++)
        if (nerv_rate_wants_measure(&r, i / 1e5)) {
            nerv_rate_measure(&r, i / 1e5, 1e5, 9e4);
            n++;
        }
    g_assert_cmpuint(n, >=, 20);
    g_assert_cmpuint(n, <=, 64);
    nerv_rate_init_size(&r, 1e5, 3000000, 1e6, 0.);
    for (uint32_t i = n = 0; i < 1000; i++)
        if (nerv_rate_wants_measure(&r, i / 1e3)) {
            nerv_rate_measure(&r, i / 1e3, 1e5, 9e4);
            n++;
        }
    g_assert_cmpuint(n, >=, 4);
    g_assert_cmpuint(n, <=, 10);
}

/* A fit whose quality rises with the falling learning rate, as forecast or by a dB more or less, and answers to the weight: what it
 * ends at. */
static double play_psnr(double target, double best, double surprise, NervRate *r)
{
    enum { STEPS = 2000 };
    double weight, psnr = 15.;
    nerv_rate_init_psnr(r, target, .002);
    weight = r->weight;
    for (uint32_t i = 0; i < STEPS; i++) {
        const double position = (i + 1.) / STEPS, gap = (5. + surprise) * pow(1. - position, 1.4);
        const double aim = best - 8. / (1. + .002 / weight) - gap;
        psnr += .01 * (aim - psnr);
        weight = nerv_rate_update_psnr(r, position, psnr);
        g_assert_true(isfinite(weight) && weight > 0.);
    }
    return psnr;
}

static void test_psnr(void)
{
    NervRate r;
    g_assert_cmpfloat(fabs(play_psnr(30., 34., 0., &r) - 30.1), <, .3);
    g_assert_cmpfloat(fabs(play_psnr(30., 36., 1., &r) - 30.1), <, .5);
    g_assert_cmpfloat(fabs(play_psnr(30., 33., -1., &r) - 30.1), <, .5);
    g_assert_false(nerv_rate_hopeless(&r));
    play_psnr(40., 33., 0., &r);
    g_assert_true(nerv_rate_hopeless(&r));
}

/* Fits one after the other, whose end falls by so many dB when the weight doubles: a few corrections get there, and a plant that does not
 * answer leaves the weight in its range. */
static void test_correction(void)
{
    static const double slopes[] = { 1.2, 2., 3., 4. };
    for (size_t i = 0; i < G_N_ELEMENTS(slopes); i++) {
        double off = 0.;
        NervRate r;
        nerv_rate_init_psnr(&r, 30., .002);
        for (int k = 0; k < 6; k++) {
            const double psnr = 32. - slopes[i] * log2(r.weight / .002);
            off = fabs(psnr - 30.);
            nerv_rate_correct(&r, psnr);
        }
        g_test_message("%g dB an octave: off by %g dB", slopes[i], off);
        g_assert_cmpfloat(off, <, .1);
    }
    NervRate r;
    nerv_rate_init_psnr(&r, 30., .002);
    for (int k = 0; k < 50; k++) {
        nerv_rate_correct(&r, 25.);
        g_assert_true(r.weight >= 1e-8 && r.weight <= 10.);
    }
    nerv_rate_correct(&r, 30.);
    nerv_rate_correct(&r, 30.);
    g_assert_true(isfinite(r.weight));
}

#define W 64
#define H 48
#define N 32

/* Bytes of the whole stream, two segments of it. */
static double encode(uint32_t bitrate, uint64_t segment_bytes, uint32_t epochs)
{
    const NervVideoInfo info = { .pixels = { .format = NERV_PIXELS_RGB, .width = W, .height = H },
                                 .fps_n = 25,
                                 .fps_d = 1,
                                 .par_n = 1,
                                 .par_d = 1 };
    g_autofree uint8_t *rgb = g_malloc((size_t)W * H * 3);
    NervFrame frame = { .data = { rgb }, .stride = { W * 3 } };
    NervEncoderSettings s;
    GError *error = NULL;
    NervPacket packet;
    double bytes = 0.;
    nerv_encoder_settings_init(&s);
    s.segment_frames = N / 2;
    s.epochs = epochs;
    s.tune = NERV_TUNE_PSNR;
    s.bitrate = bitrate;
    s.target_size_bytes = segment_bytes;
    g_free(s.device);
    s.device = g_strdup("cpu");
    NervEncoder *enc = nerv_encoder_new(&info, &s, &error);
    g_assert_no_error(error);
    for (int i = 0; i < N; i++) {
        for (int y = 0; y < H; y++)
            for (int x = 0; x < W; x++)
                for (int c = 0; c < 3; c++) {
                    const double u = .2 * (x + .7 * i) + 1.5 * sin(.23 * y + .1 * i),
                                 v = x * (c + 2) + y * 7.;
                    rgb[(y * W + x) * 3 + c] = (uint8_t)(128 + 60 * sin(u + c) + 40 * sin(v * v * .001));
                }
        g_assert_true(nerv_encoder_send(enc, &frame, (int64_t)i * 40000000, &error));
        if (nerv_encoder_is_full(enc))
            g_assert_true(nerv_encoder_fit(enc, &error));
        while (nerv_encoder_get(enc, &packet)) {
            bytes += (double)g_bytes_get_size(packet.data);
            g_bytes_unref(packet.data);
        }
    }
    nerv_encoder_free(enc);
    nerv_encoder_settings_clear(&s);
    return bytes;
}

/* Two segments of 16 frames, each with a network sized for it. */
static void test_bitrate(void)
{
    static const uint32_t rates[] = { 60, 30 },
                          epochs[] = { 20, 5 }; /* the second is too short to converge */
    for (size_t i = 0; i < G_N_ELEMENTS(rates); i++) {
        const double bytes = encode(rates[i], 0, epochs[i]), wanted = rates[i] * 125. * N / 25.;
        g_test_message("%u kbit/s: %g bytes wanted, %g", rates[i], wanted, bytes);
        g_assert_cmpfloat(fabs(bytes / wanted - 1.), <, .03);
    }
}

static void test_target_size(void)
{
    const double bytes = encode(1000, 4000, 10);
    g_test_message("%g bytes", bytes);
    g_assert_cmpfloat(fabs(bytes / 8000. - 1.), <, .03);
}

/* Beside keyframes the first weight is of all bits, and less than a network by itself with as many would have. */
static void test_first(void)
{
    NervRate alone, beside;
    nerv_rate_init_size(&alone, 6e4, 30000, 1e6, 0.);
    nerv_rate_init_size(&beside, 2e4, 30000, 1e6, 4e4);
    g_assert_cmpfloat(beside.weight, >, alone.weight / 10.);
    g_assert_cmpfloat(beside.weight, <, alone.weight / 2.);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rate/controller", test_controller);
    g_test_add_func("/rate/measures", test_measures);
    g_test_add_func("/rate/psnr", test_psnr);
    g_test_add_func("/rate/correction", test_correction);
    g_test_add_func("/rate/bitrate", test_bitrate);
    g_test_add_func("/rate/target-size", test_target_size);
    g_test_add_func("/rate/first", test_first);
    return g_test_run();
}
