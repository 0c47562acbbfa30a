/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pixel formats: layouts, the matrices of H.273 against published codes, chroma siting, round trips through
 * from_pixels and to_pixels, and attributes that the ops must refuse. Runs on the CPU; checkop compares the devices.
 */
#include <math.h>
#include <string.h>

#include "backend/backend.h"
#include "base/rng.h"
#include "ops/ops.h"
#include "tensor/convert.h"

static const char *const format_names[] = { "RGB", "RGBx", "BGRx", "I420", "NV12" };

static NervPixels video(int format, int w, int h)
{
    return (
        NervPixels){ .format = format, .width = w, .height = h, .matrix = NERV_MATRIX_BT709, .h_cosited = 1 };
}

static int stride_of(const NervPixels *p)
{
    return (int)((nerv_pixels_bytes(p) + 3) / 4 * 4);
}

static bool is_yuv(int format)
{
    return format == NERV_PIXELS_I420 || format == NERV_PIXELS_NV12;
}

/* --- layout and matrices --- */

static void test_layout(void)
{
    static const size_t want[] = { 3 * 7 * 5, 4 * 7 * 5, 4 * 7 * 5, 35 + 2 * 12, 35 + 24 };
    static const int n_planes[] = { 1, 1, 1, 3, 2 };
    for (int f = 0; f < NERV_PIXELS_N; f++) {
        const NervPixels p = video(f, 7, 5);
        NervPlane planes[3];
        size_t end = 0;
        g_assert_cmpuint(nerv_pixels_bytes(&p), ==, want[f]);
        g_assert_cmpint(nerv_pixels_planes(&p, planes), ==, n_planes[f]);
        for (int i = 0; i < n_planes[f]; i++) {
            g_assert_cmpuint(planes[i].offset, ==, end);
            g_assert_cmpint(planes[i].stride, ==, planes[i].row_bytes);
            end += (size_t)planes[i].stride * planes[i].rows;
        }
        g_assert_cmpuint(end, ==, want[f]);
    }
}

static void test_invalid(void)
{
    static const int sides[][2] = { { 0, 5 },     { 5, 0 },          { -1, 5 },
                                    { 65537, 1 }, { 1, G_MAXINT32 }, { G_MININT32, 1 } };
    for (guint i = 0; i < G_N_ELEMENTS(sides); i++) {
        const NervPixels p = video(NERV_PIXELS_I420, sides[i][0], sides[i][1]);
        g_assert_cmpuint(nerv_pixels_bytes(&p), ==, 0);
        g_assert_false(nerv_pixels_valid(&p));
    }
    NervPixels p = video(NERV_PIXELS_N, 4, 4);
    g_assert_cmpuint(nerv_pixels_bytes(&p), ==, 0);
    p = video(-1, 4, 4);
    g_assert_cmpuint(nerv_pixels_bytes(&p), ==, 0);
    p = video(NERV_PIXELS_I420, 4, 4);
    g_assert_true(nerv_pixels_valid(&p));
    p.matrix = 2; /* unspecified */
    g_assert_false(nerv_pixels_valid(&p));
    p.matrix = NERV_MATRIX_RGB;
    g_assert_false(nerv_pixels_valid(&p));
    p.format = NERV_PIXELS_RGB; /* which has no matrix */
    g_assert_true(nerv_pixels_valid(&p));
    p = video(NERV_PIXELS_RGBX, 65536, 65536);
    g_assert_cmpuint(nerv_pixels_bytes(&p), ==, (size_t)4 << 32);
}

static void test_inverse(void)
{
    static const int matrices[] = { 1, 4, 5, 6, 7, 9 };
    for (guint i = 0; i < 2 * G_N_ELEMENTS(matrices); i++) {
        NervPixels p = video(NERV_PIXELS_I420, 2, 2);
        NervColorMatrix m;
        p.matrix = matrices[i / 2];
        p.full_range = i & 1;
        nerv_pixels_matrix(&p, &m);
        for (int r = 0; r < 3; r++) {
            for (int c = 0; c < 3; c++) {
                double sum = 0;
                for (int k = 0; k < 3; k++)
                    sum += (double)m.from[r][k] * m.to[k][c];
                g_assert_cmpfloat(fabs(sum - (r == c)), <, 1e-6);
            }
        }
    }
}

/* The codes of pure colours, as tables of the standards and test charts give them. */
static void test_known_codes(void)
{
    static const struct {
        int matrix, full_range;
        float rgb[3];
        int code[3];
    } known[] = {
        { NERV_MATRIX_BT601, 0, { 1, 1, 1 }, { 235, 128, 128 } },
        { NERV_MATRIX_BT601, 0, { 0, 0, 0 }, { 16, 128, 128 } },
        { NERV_MATRIX_BT601, 0, { 1, 0, 0 }, { 81, 90, 240 } },
        { NERV_MATRIX_BT601, 0, { 0, 1, 0 }, { 145, 54, 34 } },
        { NERV_MATRIX_BT601, 0, { 0, 0, 1 }, { 41, 240, 110 } },
        { NERV_MATRIX_BT709, 0, { 1, 0, 0 }, { 63, 102, 240 } },
        { NERV_MATRIX_BT709, 0, { 0, 1, 0 }, { 173, 42, 26 } },
        { NERV_MATRIX_BT709, 0, { 0, 0, 1 }, { 32, 240, 118 } },
        { NERV_MATRIX_BT601, 1, { 1, 1, 1 }, { 255, 128, 128 } },
        { NERV_MATRIX_BT601, 1, { 1, 0, 0 }, { 76, 85, 256 } },
    };
    for (guint i = 0; i < G_N_ELEMENTS(known); i++) {
        NervPixels p = video(NERV_PIXELS_I420, 2, 2);
        NervColorMatrix m;
        p.matrix = known[i].matrix;
        p.full_range = known[i].full_range;
        nerv_pixels_matrix(&p, &m);
        for (int k = 0; k < 3; k++) {
            double code = m.to_off[k];
            for (int j = 0; j < 3; j++)
                code += (double)m.to[k][j] * known[i].rgb[j];
            g_assert_cmpint((int)floor(code + 0.5), ==, known[i].code[k]);
        }
    }
}

/* --- through the ops --- */

/* Runs one frame of format `from` through R'G'B' into format `to`; either end may be left out. */
typedef struct {
    const NervPixels *from, *to;
    const uint8_t *frame;
    const float *planes; /* instead of frame */
    uint8_t *out;
    float *rgb;
} Trip;

static void run(const Trip *trip)
{
    const NervPixels *size = trip->from ? trip->from : trip->to;
    GError *error = NULL;
    NervBackend *be = nerv_backend_open("cpu", 2, &error);
    g_assert_no_error(error);
    NervTape *tape = nerv_tape_new();
    NervTensor *leaf, *index = NULL, *rgb, *out = NULL;
    if (trip->from) {
        leaf = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_U8, nerv_shape(1, 1, 1, stride_of(trip->from)),
                              "store");
        index = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_I32, nerv_shape(1, 1, 1, 1), "index");
        rgb = nerv_from_pixels(tape, leaf, index, trip->from);
    } else {
        leaf = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 3, size->height, size->width),
                              "rgb");
        rgb = leaf;
    }
    if (trip->to)
        nerv_tape_output(tape, out = nerv_to_pixels(tape, rgb, trip->to), "out");
    if (trip->rgb)
        nerv_tape_output(tape, rgb, "rgb");
    NervExec *exec = nerv_exec_new(be, tape, &error);
    g_assert_no_error(error);
    const int32_t zero = 0;
    nerv_exec_write(exec, leaf, trip->from ? (const void *)trip->frame : trip->planes, &error);
    g_assert_no_error(error);
    if (index)
        nerv_exec_write(exec, index, &zero, &error);
    g_assert_true(nerv_exec_run(exec, &error));
    if (out)
        g_assert_true(nerv_exec_read(exec, out, trip->out, &error));
    if (trip->rgb)
        g_assert_true(nerv_exec_read(exec, rgb, trip->rgb, &error));
    g_assert_no_error(error);
    nerv_exec_free(exec);
    nerv_tape_free(tape);
    nerv_backend_free(be);
}

/* Every code of every channel survives the way through R'G'B' and into the other interleaved layouts. */
static void test_rgb_exact(void)
{
    for (int a = NERV_PIXELS_RGB; a <= NERV_PIXELS_BGRX; a++) {
        const NervPixels from = video(a, 97, 61);
        const size_t bytes = nerv_pixels_bytes(&from);
        uint8_t *frame = g_malloc0(stride_of(&from)), *out = g_malloc0(stride_of(&from));
        for (size_t i = 0; i < bytes; i++)
            frame[i] = a != NERV_PIXELS_RGB && i % 4 == 3 ? 255 : (uint8_t)(i * 7 + i / 256);
        run(&(Trip){ .from = &from, .to = &from, .frame = frame, .out = out });
        g_assert_cmpmem(frame, bytes, out, bytes);
        g_free(frame);
        g_free(out);
    }
}

static void test_rgb_order(void)
{
    static const float planes[3] = { 1.0f, 0.5f, 0.0f };
    static const uint8_t want[3][4] = { { 255, 128, 0, 0 }, { 255, 128, 0, 255 }, { 0, 128, 255, 255 } };
    for (int f = NERV_PIXELS_RGB; f <= NERV_PIXELS_BGRX; f++) {
        const NervPixels p = video(f, 1, 1);
        uint8_t out[4];
        run(&(Trip){ .to = &p, .planes = planes, .out = out });
        g_assert_cmpmem(out, 4, want[f], 4);
    }
}

/* A smooth picture well inside the colours that R'G'B' can show. */
static void smooth(const NervPixels *p, uint8_t *frame)
{
    NervPlane planes[3];
    const int n = nerv_pixels_planes(p, planes);
    for (int i = 0; i < n; i++) {
        const int step = p->format == NERV_PIXELS_NV12 && i == 1 ? 2 : 1;
        for (int y = 0; y < planes[i].rows; y++) {
            for (int x = 0; x < planes[i].row_bytes; x++) {
                const double u = (double)(x / step) * step / planes[i].row_bytes,
                             v = (double)y / planes[i].rows;
                const double a = i == 0 ? 40 : 25, phase = 2.0 * i + x % step;
                frame[planes[i].offset + (size_t)y * planes[i].stride + x] =
                    (uint8_t)(128 + a * sin(4 * u + phase) * cos(3 * v - phase));
            }
        }
    }
}

static void test_yuv_round_trip(void)
{
    for (int trial = 0; trial < 16; trial++) {
        NervPixels p = video(trial & 1 ? NERV_PIXELS_NV12 : NERV_PIXELS_I420, 161, 91);
        p.h_cosited = trial >> 1 & 1;
        p.v_cosited = trial >> 2 & 1;
        p.full_range = trial >> 3 & 1;
        const size_t bytes = nerv_pixels_bytes(&p), luma = (size_t)p.width * p.height;
        uint8_t *frame = g_malloc0(stride_of(&p)), *out = g_malloc0(stride_of(&p));
        int worst[2] = { 0, 0 };
        smooth(&p, frame);
        run(&(Trip){ .from = &p, .to = &p, .frame = frame, .out = out });
        for (size_t i = 0; i < bytes; i++)
            worst[i >= luma] = MAX(worst[i >= luma], ABS(frame[i] - out[i]));
        g_test_message("%s, siting %d %d: luma off by %d, chroma by %d", format_names[p.format], p.h_cosited,
                       p.v_cosited, worst[0], worst[1]);
        g_assert_cmpint(worst[0], <=, 1);
        g_assert_cmpint(worst[1], <=, 2);
        g_free(frame);
        g_free(out);
    }
}

/* Chroma that rises linearly over the picture must come out linear at the luma samples, at the places that the
 * siting says: co-sited sample i lies on luma 2i, a centred one between 2i and 2i+1. */
static void test_siting(void)
{
    for (int trial = 0; trial < 8; trial++) {
        const bool vertical = trial & 1;
        NervPixels p = video(trial & 4 ? NERV_PIXELS_NV12 : NERV_PIXELS_I420, 32, 32);
        p.h_cosited = p.v_cosited = trial >> 1 & 1;
        p.full_range = 1;
        uint8_t *frame = g_malloc0(stride_of(&p));
        float *rgb = g_new0(float, 3 * 32 * 32);
        NervPlane planes[3];
        NervColorMatrix m;
        nerv_pixels_planes(&p, planes);
        nerv_pixels_matrix(&p, &m);
        memset(frame, 128, nerv_pixels_bytes(&p));
        for (int y = 0; y < 16; y++)
            for (int x = 0; x < 16; x++)
                frame[planes[1].offset + y * planes[1].stride + x * (trial & 4 ? 2 : 1)] =
                    (uint8_t)(96 + 4 * (vertical ? y : x));
        run(&(Trip){ .from = &p, .frame = frame, .rgb = rgb });
        for (int i = 0; i < 32 * 32; i++) {
            const int at = vertical ? i / 32 : i % 32;
            if (at < 2 || at > 29)
                continue;
            const double place = p.h_cosited ? at / 2.0 : (at - 0.5) / 2;
            const double cb = m.to_off[1] + (double)m.to[1][0] * rgb[i] + (double)m.to[1][1] * rgb[i + 1024] +
                              (double)m.to[1][2] * rgb[i + 2048];
            g_assert_cmpfloat(fabs(cb - (96 + 4 * place)), <, 1e-3);
        }
        g_free(frame);
        g_free(rgb);
    }
}

/* What is not a colour still becomes a code. */
static void test_not_finite(void)
{
    const float planes[12] = { NAN, INFINITY, -INFINITY, 2, -1, 0.5f, 0, 1, NAN, NAN, NAN, NAN };
    for (int f = 0; f < NERV_PIXELS_N; f++) {
        const NervPixels p = video(f, 2, 2);
        uint8_t out[16];
        memset(out, 77, sizeof(out));
        run(&(Trip){ .to = &p, .planes = planes, .out = out });
        if (f == NERV_PIXELS_RGB) {
            static const uint8_t want[12] = { 0, 0, 0, 255, 128, 0, 0, 0, 0, 255, 255, 0 };
            g_assert_cmpmem(out, 12, want, 12);
        } else if (is_yuv(f)) {
            g_assert_cmpint(out[0], ==, 16);
            g_assert_cmpint(out[6], ==, 0); /* padding */
        }
    }
}

static void test_refused(void)
{
    for (int trial = 0; trial < 7; trial++) {
        NervTape *tape = nerv_tape_new();
        NervPixels p = video(NERV_PIXELS_I420, 16, 16);
        const int bytes = stride_of(&p);
        NervTensor *store = nerv_tape_leaf(tape, NERV_TENSOR_PARAM, trial == 0 ? NERV_F32 : NERV_U8,
                                           nerv_shape(2, 1, 1, trial == 1 ? bytes + 4 : bytes), "store");
        NervTensor *index = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, trial == 2 ? NERV_F32 : NERV_I32,
                                           nerv_shape(1, trial == 3 ? 2 : 1, 1, 1), "index");
        GError *error = NULL;
        if (trial == 4)
            p.matrix = 3;
        if (trial == 5)
            p.format = 17;
        if (trial == 6) { /* more bytes than a tensor may have */
            p.width = p.height = 65536;
        }
        g_assert_null(nerv_from_pixels(tape, store, index, &p));
        g_assert_false(nerv_tape_check(tape, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, "from_pixels"));
        g_clear_error(&error);
        nerv_tape_free(tape);
    }
    NervTape *tape = nerv_tape_new();
    const NervPixels p = video(NERV_PIXELS_RGB, 16, 16);
    g_assert_null(nerv_to_pixels(
        tape, nerv_tape_leaf(tape, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(1, 3, 16, 17), "x"), &p));
    g_assert_error(tape->error, NERV_ERROR, NERV_ERROR_INVALID);
    nerv_tape_free(tape);
}

/* --- to I420 without ops --- */

/* Waves of colour, finer than chroma's samples along one axis, in the layout p. */
static uint8_t *colours(const NervPixels *p)
{
    const size_t pixel_bytes = p->format == NERV_PIXELS_RGB ? 3 : 4;
    uint8_t *frame = g_malloc0(stride_of(p));
    for (int y = 0; y < p->height; y++) {
        for (int x = 0; x < p->width; x++) {
            uint8_t *at = frame + ((size_t)y * p->width + x) * pixel_bytes;
            for (int k = 0; k < 3; k++)
                at[p->format == NERV_PIXELS_BGRX ? 2 - k : k] =
                    (uint8_t)(128 + 100 * sin((.3 + .2 * k) * x) * cos((.2 - .05 * k) * y + k));
        }
    }
    return frame;
}

/* Mean squared error in R'G'B' of an I420 frame as from_pixels sees it. */
static double rgb_error(const NervPixels *yuv, const uint8_t *frame, const NervPixels *rgb,
                        const uint8_t *want)
{
    const size_t area = (size_t)yuv->width * yuv->height;
    g_autofree uint8_t *padded = g_malloc0(stride_of(yuv));
    g_autofree float *planes = g_new(float, 3 * area);
    double sum = 0;
    memcpy(padded, frame, nerv_pixels_bytes(yuv));
    run(&(Trip){ .from = yuv, .frame = padded, .rgb = planes });
    for (size_t i = 0; i < 3 * area; i++) {
        const double d = 255 * planes[i % 3 * area + i / 3] - want[i];
        sum += d * d / (double)(3 * area);
    }
    return sum;
}

/* Nearer than the filters come, in every siting; the three layouts are one picture. */
static void test_i420_of_rgb(void)
{
    for (int i = 0; i < 8; i++) {
        const NervPixels rgb = video(NERV_PIXELS_RGB, 97 - (i & 1), 60 + (i & 1));
        NervPixels to = video(NERV_PIXELS_I420, rgb.width, rgb.height), other = rgb;
        to.h_cosited = i & 1;
        to.v_cosited = i >> 1 & 1;
        to.full_range = i >> 2;
        g_autofree uint8_t *frame = colours(&rgb), *filtered = g_malloc(stride_of(&to));
        g_autofree uint8_t *got = g_malloc(nerv_pixels_bytes(&to)), *again = g_malloc(nerv_pixels_bytes(&to));
        run(&(Trip){ .from = &rgb, .to = &to, .frame = frame, .out = filtered });
        g_assert_true(nerv_pixels_to_i420(&rgb, frame, &to, got));
        for (int y = 0; y < rgb.width * rgb.height; y++)
            g_assert_cmpint(abs(got[y] - filtered[y]), <=, 1); /* a sum's order may decide the rounding */
        const double a = rgb_error(&to, filtered, &rgb, frame), b = rgb_error(&to, got, &rgb, frame);
        g_test_message("siting %d%d: %.3f filtered, %.3f fitted", to.h_cosited, to.v_cosited, a, b);
        g_assert_cmpfloat(b, <, .7 * a);
        for (other.format = NERV_PIXELS_RGBX; other.format <= NERV_PIXELS_BGRX; other.format++) {
            g_autofree uint8_t *same = colours(&other);
            g_assert_true(nerv_pixels_to_i420(&other, same, &to, again));
            g_assert_cmpmem(got, nerv_pixels_bytes(&to), again, nerv_pixels_bytes(&to));
        }
    }
}

/* Equal samples are copied; of another matrix they are the same colours. */
static void test_i420_of_yuv(void)
{
    NervRng rng;
    nerv_rng_init(&rng, 1);
    for (int format = NERV_PIXELS_I420; format <= NERV_PIXELS_NV12; format++) {
        const NervPixels from = video(format, 33, 35);
        NervPixels to = video(NERV_PIXELS_I420, 33, 35);
        const size_t bytes = nerv_pixels_bytes(&from), luma = 33 * 35, chroma = (bytes - luma) / 2;
        g_autofree uint8_t *frame = g_malloc0(stride_of(&from)), *got = g_malloc(bytes),
                           *back = g_malloc(bytes);
        for (size_t i = 0; i < bytes; i++)
            frame[i] = (uint8_t)(i < luma ? 100 + nerv_rng_below(&rng, 8) : 120 + 30 * i / bytes);
        g_assert_true(nerv_pixels_to_i420(&from, frame, &to, got));
        g_assert_cmpmem(frame, luma, got, luma);
        for (size_t i = 0; i < 2 * chroma; i++)
            g_assert_cmpint(got[luma + i], ==,
                            frame[luma + (format == NERV_PIXELS_NV12 ? i % chroma * 2 + i / chroma : i)]);
        NervPixels full = to;
        full.full_range = 1; /* more codes: the way back is exact */
        memcpy(back, got, bytes);
        g_assert_true(nerv_pixels_to_i420(&from, frame, &full, got));
        g_autofree uint8_t *again = g_malloc(bytes);
        g_assert_true(nerv_pixels_to_i420(&full, got, &to, again));
        for (size_t i = 0; i < bytes; i++)
            g_assert_cmpint(abs(again[i] - back[i]), <=, i < luma ? 0 : 1);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/pixels/layout", test_layout);
    g_test_add_func("/pixels/invalid", test_invalid);
    g_test_add_func("/pixels/inverse", test_inverse);
    g_test_add_func("/pixels/known-codes", test_known_codes);
    g_test_add_func("/pixels/rgb-exact", test_rgb_exact);
    g_test_add_func("/pixels/rgb-order", test_rgb_order);
    g_test_add_func("/pixels/yuv-round-trip", test_yuv_round_trip);
    g_test_add_func("/pixels/siting", test_siting);
    g_test_add_func("/pixels/not-finite", test_not_finite);
    g_test_add_func("/pixels/refused", test_refused);
    g_test_add_func("/pixels/i420/of-rgb", test_i420_of_rgb);
    g_test_add_func("/pixels/i420/of-yuv", test_i420_of_yuv);
    return g_test_run();
}
