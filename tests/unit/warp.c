/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * warp, upsample and their gradients on the device named as the argument, the CPU at every level: against numbers that PyTorch
 * computed in double precision (grid_sample and interpolate, differentiated by autograd) from made-up pictures that floats hold
 * exactly. And the scatter's sums: as exact for tiny and huge gradients as for others, whatever falls into one pixel. Skipped
 * (77) where there is no such device.
 */
#include <math.h>
#include <string.h>

#include "cpu/cpu.h"
#include "ops/ops.h"
#include "device.h"

enum { N = 2, C = 3, H = 19, W = 23, PLANE = H * W };

static NervBackend *backend; /* of the test that runs */

/* --- a tape and its results --- */

typedef struct {
    NervTape *tape;
    NervExec *exec;
    NervBuffer *buf[4];
    uint32_t n;
} Run;

static void run_init(Run *r)
{
    *r = (Run){ .tape = nerv_tape_new() };
}

static NervTensor *leaf(Run *r, int n, int c, int h, int w)
{
    return nerv_tape_leaf(r->tape, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(n, c, h, w), NULL);
}

static void plan(Run *r)
{
    GError *error = NULL;
    r->exec = nerv_exec_new(backend, r->tape, &error);
    g_assert_no_error(error);
}

static void set(Run *r, const NervTensor *t, const float *v)
{
    GError *error = NULL;
    NervBuffer *buf = nerv_buffer_new(backend, nerv_tensor_bytes(t), &error);
    g_assert_no_error(error);
    g_assert_true(nerv_buffer_upload(buf, 0, v, nerv_tensor_bytes(t), &error));
    g_assert_true(nerv_exec_bind(r->exec, t, buf, 0, &error));
    r->buf[r->n++] = buf;
}

static float *get(Run *r, const NervTensor *t)
{
    GError *error = NULL;
    float *v = g_malloc(nerv_tensor_bytes(t));
    g_assert_true(nerv_exec_run(r->exec, &error));
    g_assert_true(nerv_exec_read(r->exec, t, v, &error));
    return v;
}

static void run_clear(Run *r)
{
    nerv_exec_free(r->exec);
    for (uint32_t i = 0; i < r->n; i++)
        nerv_buffer_free(r->buf[i]);
    nerv_tape_free(r->tape);
}

/* --- against PyTorch --- */

static float *texture(int count, int salt)
{
    float *v = g_new(float, count);
    for (int i = 0; i < count; i++)
        v[i] = (float)((i * INT64_C(7919) + salt * 104729) % 1009 - 504) / 512.0f;
    return v;
}

/* Up to 8 pixels, never whole ones. */
static float *flow_values(void)
{
    float *v = g_new(float, N * 2 * PLANE);
    for (int i = 0; i < N * 2 * PLANE; i++)
        v[i] = (float)(((i * INT64_C(6007) + 31) % 1021 - 510) * 2 + 1) / 128.0f;
    return v;
}

static void near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) {
        g_test_message("%.9g, not %.9g", got, want);
        g_test_fail();
    }
}

static void check_squares(const float *v, int count, double want)
{
    double sum = 0;
    for (int i = 0; i < count; i++)
        sum += (double)v[i] * v[i];
    near(sum, want, 1e-6 * want);
}

typedef struct {
    int n, c, h, w;
    double value;
} Known;

static void check_known(const float *v, int channels, const Known known[4])
{
    for (int i = 0; i < 4; i++) {
        const Known *k = &known[i];
        near(v[((k->n * channels + k->c) * H + k->h) * W + k->w], k->value, 3e-6);
    }
}

static const struct {
    int pictures;
    double y2, dx2, dflow2; /* sums of squares */
    Known y[4], dx[4], dflow[4];
} warps[] = {
    { .pictures = 1,
      .y2 = 396.96767389239153,
      .dx2 = 307.2153899775367,
      .dflow2 = 917.2758877203227,
      .y = { { 0, 0, 0, 0, 0.58203125 },
             { 1, 1, 5, 7, -0.2119903564453125 },
             { 0, 2, 18, 22, 0.0918426513671875 },
             { 1, 0, 9, 11, 0.21449279785156306 } },
      .dx = { { 0, 0, 0, 0, -0.9426816701889046 },
              { 0, 1, 5, 7, -0.005034089088439941 },
              { 0, 2, 18, 22, -1.770538330078125 },
              { 0, 0, 9, 11, -0.7485084533691406 } },
      .dflow = { { 0, 0, 0, 0, 0.0 },
                 { 1, 1, 5, 7, 0.0 },
                 { 0, 0, 9, 11, 1.3047208189964294 },
                 { 1, 0, 18, 0, -0.32491302490234375 } } },
    { .pictures = 2,
      .y2 = 402.9140091282621,
      .dx2 = 347.63368076624465,
      .dflow2 = 936.0882568818029,
      .y = { { 0, 0, 0, 0, 0.58203125 },
             { 1, 1, 5, 7, 0.1942596435546875 },
             { 0, 2, 18, 22, 0.0918426513671875 },
             { 1, 0, 9, 11, 0.620742797851563 } },
      .dx = { { 0, 0, 0, 0, 0.5572420358657831 },
              { 0, 1, 5, 7, 0.3616979122161865 },
              { 1, 2, 18, 22, -0.6790618896484375 },
              { 1, 0, 9, 11, -0.5471782684326172 } },
      .dflow = { { 0, 0, 0, 0, 0.0 },
                 { 1, 1, 5, 7, 0.0 },
                 { 0, 0, 9, 11, 1.3047208189964294 },
                 { 1, 0, 18, 0, -1.3526039123535156 } } },
};

/* The loss is the sum of y times a texture. */
static void test_warp(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(warps); i++) {
        const int m = warps[i].pictures;
        g_autofree float *x = texture(m * C * PLANE, 1), *c = texture(N * C * PLANE, 5), *f = flow_values();
        Run r;
        NervTensor *in[2], *d[2];
        run_init(&r);
        in[0] = leaf(&r, m, C, H, W);
        in[1] = leaf(&r, N, 2, H, W);
        NervTensor *y = nerv_warp(r.tape, in[0], in[1]);
        NervTensor *product = nerv_mul(r.tape, y, nerv_tape_const(r.tape, y->shape, c));
        nerv_tape_grad(r.tape, nerv_reduce_sum(r.tape, product, NERV_AXIS_ALL, 1), in, 2, d);
        nerv_tape_output(r.tape, y, "y");
        nerv_tape_output(r.tape, d[0], "dx");
        nerv_tape_output(r.tape, d[1], "dflow");
        plan(&r);
        set(&r, in[0], x);
        set(&r, in[1], f);
        g_autofree float *vy = get(&r, y), *vx = get(&r, d[0]), *vf = get(&r, d[1]);
        check_squares(vy, N * C * PLANE, warps[i].y2);
        check_squares(vx, m * C * PLANE, warps[i].dx2);
        check_squares(vf, N * 2 * PLANE, warps[i].dflow2);
        check_known(vy, C, warps[i].y);
        check_known(vx, C, warps[i].dx);
        check_known(vf, 2, warps[i].dflow);
        run_clear(&r);
    }
}

static void test_upsample(void)
{
    /* y[1,1,3,4], y[0,0,5S-1,7S-2], dx[1,1,3,4], dx[0,1,0,6] */
    static const struct {
        int s;
        double y2, dx2, y[2], dx[2];
    } known[] = {
        { 2,
          118.88101661205292,
          173.49380338191986,
          { -0.74658203125, -0.45849609375 },
          { -0.8260498046875, 1.25634765625 } },
        { 3,
          293.25537952376,
          142.30551090946898,
          { -0.45182291666666663, -0.533203125 },
          { -1.0789930555555542, -0.5657552083333331 } },
        { 5,
          792.5934477233886,
          131.09613740234374,
          { -0.21601562500000002, -0.533203125 },
          { -1.11703125, -2.2011718749999996 } },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        const int s = known[i].s, h = 5 * s, w = 7 * s;
        g_autofree float *vx = texture(2 * 2 * 35, 3), *c = texture(2 * 2 * h * w, 9);
        Run r;
        run_init(&r);
        NervTensor *x = leaf(&r, 2, 2, 5, 7), *dx;
        NervTensor *y = nerv_upsample(r.tape, x, s);
        NervTensor *product = nerv_mul(r.tape, y, nerv_tape_const(r.tape, y->shape, c));
        nerv_tape_grad(r.tape, nerv_reduce_sum(r.tape, product, NERV_AXIS_ALL, 1), &x, 1, &dx);
        nerv_tape_output(r.tape, y, "y");
        nerv_tape_output(r.tape, dx, "dx");
        plan(&r);
        set(&r, x, vx);
        g_autofree float *vy = get(&r, y), *vdx = get(&r, dx);
        check_squares(vy, 4 * h * w, known[i].y2);
        check_squares(vdx, 4 * 35, known[i].dx2);
        near(vy[(3 * h + 3) * w + 4], known[i].y[0], 1e-6);
        near(vy[(h - 1) * w + w - 2], known[i].y[1], 1e-6);
        near(vdx[(3 * 5 + 3) * 7 + 4], known[i].dx[0], 5e-6);
        near(vdx[35 + 6], known[i].dx[1], 5e-6);
        run_clear(&r);
    }
}

/* --- the scatter --- */

/* warp_dx, or warp_slope_dx along v. */
static float *scatter_along(const float *dy, const float *flow, const float *v)
{
    Run r;
    run_init(&r);
    NervTensor *tdy = leaf(&r, N, C, H, W), *tflow = leaf(&r, N, 2, H, W), *tv = leaf(&r, N, 2, H, W);
    NervTensor *dx = v ? nerv_warp_slope_dx(r.tape, tdy, tflow, tv, 1) : nerv_warp_dx(r.tape, tdy, tflow, 1);
    nerv_tape_output(r.tape, dx, "dx");
    plan(&r);
    set(&r, tdy, dy);
    set(&r, tflow, flow);
    if (v)
        set(&r, tv, v);
    float *sums = get(&r, dx);
    run_clear(&r);
    return sums;
}

static float *scatter(const float *dy, const float *flow)
{
    return scatter_along(dy, flow, NULL);
}

static float *scaled(const float *v, int n, int power)
{
    float *w = g_new(float, n);
    for (int i = 0; i < n; i++)
        w[i] = ldexpf(v[i], power);
    return w;
}

/* Gradients times a power of two give the same digits: losses may be means over millions of pixels, or sums. */
static void test_scale(void)
{
    static const int powers[] = { -80, -24, 30, 100 };
    g_autofree float *dy = texture(N * C * PLANE, 5), *flow = flow_values(), *want = scatter(dy, flow);
    for (size_t p = 0; p < G_N_ELEMENTS(powers); p++) {
        g_autofree float *much = scaled(dy, N * C * PLANE, powers[p]), *got = scatter(much, flow);
        for (int i = 0; i < C * PLANE; i++)
            g_assert_cmpfloat(got[i], ==, ldexpf(want[i], powers[p]));
    }
}

/* The same along a direction, which has a scale of its own. */
static void test_slope_scale(void)
{
    static const int powers[][2] = { { -80, 0 },   { 0, -80 }, { 100, -60 },
                                     { -60, 100 }, { 50, 50 }, { -20, -5 } };
    g_autofree float *dy = texture(N * C * PLANE, 5), *v = texture(N * 2 * PLANE, 4), *flow = flow_values();
    g_autofree float *want = scatter_along(dy, flow, v);
    for (size_t p = 0; p < G_N_ELEMENTS(powers); p++) {
        const int sum = powers[p][0] + powers[p][1];
        g_autofree float *much = scaled(dy, N * C * PLANE, powers[p][0]);
        g_autofree float *far = scaled(v, N * 2 * PLANE, powers[p][1]), *got = scatter_along(much, flow, far);
        for (int i = 0; i < C * PLANE; i++)
            g_assert_cmpfloat(got[i], ==, ldexpf(want[i], sum));
    }
}

/* All that there is falls into one pixel, with either sign: no sum is too large. Every other element stays 0. */
static void test_pile(void)
{
    g_autofree float *dy = g_new(float, N *C *PLANE), *flow = g_new(float, N * 2 * PLANE);
    for (int i = 0; i < N * 2 * PLANE; i++)
        flow[i] = i / PLANE % 2 ? -1e9f : INFINITY;
    for (int sign = -1; sign <= 1; sign += 2) {
        for (int i = 0; i < N * C * PLANE; i++)
            dy[i] = (float)sign * 1.99999988f;
        g_autofree float *dx = scatter(dy, flow);
        for (int i = 0; i < C * PLANE; i++) {
            const bool is_corner = i % PLANE == W - 1;
            near(dx[i], is_corner ? sign * 1.99999988 * N * PLANE : 0, is_corner ? 0.02 : 0);
        }
    }
}

/* What is no number stays visible, and zero is zero. */
static void test_special(void)
{
    g_autofree float *dy = g_new0(float, N *C *PLANE), *flow = flow_values(), *zero = scatter(dy, flow);
    for (int i = 0; i < C * PLANE; i++)
        g_assert_cmpfloat(zero[i], ==, 0);
    for (int i = 0; i < 2; i++) {
        bool is_finite = true;
        dy[PLANE + 100] = i ? NAN : INFINITY;
        g_autofree float *dx = scatter(dy, flow);
        for (int k = 0; k < C * PLANE; k++)
            is_finite &= isfinite(dx[k]) != 0;
        g_assert_false(is_finite);
    }
}

/* --- what is refused --- */

static void refused(Run *r, const NervTensor *result, const char *op)
{
    GError *error = NULL;
    g_assert_null(result);
    g_assert_false(nerv_tape_check(r->tape, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    g_assert_nonnull(strstr(error->message, op));
    g_clear_error(&error);
    run_clear(r);
    run_init(r);
}

static void test_refused(void)
{
    Run r;
    run_init(&r);
    refused(&r, nerv_warp(r.tape, leaf(&r, 1, 3, 8, 9), leaf(&r, 1, 3, 8, 9)), "op warp");
    refused(&r, nerv_warp(r.tape, leaf(&r, 1, 3, 8, 9), leaf(&r, 1, 2, 9, 8)), "op warp");
    refused(&r, nerv_warp(r.tape, leaf(&r, 2, 3, 8, 9), leaf(&r, 3, 2, 8, 9)), "op warp");
    refused(&r, nerv_warp(r.tape, leaf(&r, 1, 1, 1, (1 << 24) + 1), leaf(&r, 1, 2, 1, (1 << 24) + 1)),
            "op warp");
    refused(&r, nerv_warp_dx(r.tape, leaf(&r, 4, 3, 8, 9), leaf(&r, 4, 2, 8, 9), 3), "op warp_dx");
    refused(&r, nerv_warp_dx(r.tape, leaf(&r, 4, 3, 8, 9), leaf(&r, 4, 2, 8, 9), 0), "op warp_dx");
    refused(&r, nerv_warp_dx(r.tape, leaf(&r, 4, 3, 8, 9), leaf(&r, 1, 2, 8, 9), 1), "op warp_dx");
    refused(&r, nerv_upsample(r.tape, leaf(&r, 1, 1, 8, 9), 0), "op upsample");
    refused(&r, nerv_upsample(r.tape, leaf(&r, 1, 1, 8, 9), 65), "op upsample");
    refused(&r, nerv_upsample(r.tape, leaf(&r, 1, 1, 1 << 14, 1 << 14), 3), "op upsample");
    refused(&r, nerv_upsample_dx(r.tape, leaf(&r, 1, 1, 8, 9), 2), "op upsample_dx");
    refused(&r, nerv_warp_slope(r.tape, leaf(&r, 2, 3, 8, 9), leaf(&r, 3, 2, 8, 9), leaf(&r, 3, 2, 8, 9)),
            "op warp_slope:");
    refused(&r, nerv_warp_slope(r.tape, leaf(&r, 1, 3, 8, 9), leaf(&r, 1, 2, 8, 9), leaf(&r, 1, 2, 9, 8)),
            "op warp_slope:");
    refused(&r,
            nerv_warp_slope_dx(r.tape, leaf(&r, 4, 3, 8, 9), leaf(&r, 4, 2, 8, 9), leaf(&r, 4, 2, 8, 9), 3),
            "op warp_slope_dx:");
    refused(&r,
            nerv_warp_slope_dx(r.tape, leaf(&r, 4, 3, 8, 9), leaf(&r, 4, 2, 8, 9), leaf(&r, 2, 2, 8, 9), 2),
            "op warp_slope_dx:");
    refused(&r,
            nerv_warp_slope_dflow(r.tape, leaf(&r, 2, 3, 8, 9), leaf(&r, 2, 4, 8, 9), leaf(&r, 2, 2, 8, 9),
                                  leaf(&r, 2, 2, 8, 9)),
            "op warp_slope_dflow:");
    refused(&r,
            nerv_warp_slope_dflow(r.tape, leaf(&r, 2, 3, 8, 9), leaf(&r, 2, 3, 8, 9), leaf(&r, 2, 2, 8, 9),
                                  leaf(&r, 1, 2, 8, 9)),
            "op warp_slope_dflow:");
    /* Third derivatives. */
    NervTensor *x = leaf(&r, 1, 3, 8, 9), *d = leaf(&r, 1, 2, 8, 9), *flow = d;
    d = nerv_warp(r.tape, x, flow);
    for (int i = 0; i < 3; i++)
        nerv_tape_grad(r.tape, nerv_reduce_sum(r.tape, nerv_mul(r.tape, d, d), NERV_AXIS_ALL, 1), &flow, 1,
                       &d);
    refused(&r, d, "warp_slope_d");
    run_clear(&r);
}

static const char *device;

typedef struct {
    void (*func)(void);
    NervCpuLevel level;
} Case;

static NervBackend *open_device(NervCpuLevel level, GError **error)
{
    return g_str_equal(device, "cpu") ? nerv_cpu_backend_new_level(2, level, error)
                                      : nerv_backend_open(device, 1, error);
}

static void test_case(gconstpointer data)
{
    const Case *c = data;
    GError *error = NULL;
    backend = open_device(c->level, &error);
    g_assert_no_error(error);
    c->func();
    nerv_backend_free(backend);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*func)(void);
    } tests[] = { { "warp", test_warp },      { "upsample", test_upsample },
                  { "scale", test_scale },    { "slope-scale", test_slope_scale },
                  { "pile", test_pile },      { "special", test_special },
                  { "refused", test_refused } };
    g_test_init(&argc, &argv, NULL);
    device = test_device_name(argc, argv);
    backend = open_device(NERV_CPU_C, NULL);
    if (!backend)
        return 77;
    nerv_backend_free(backend);
    const NervCpuLevel last = g_str_equal(device, "cpu") ? nerv_cpu_level_hardware() : NERV_CPU_C;
    for (NervCpuLevel level = NERV_CPU_C; level <= last; level++) {
        for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
            const char *where = last == NERV_CPU_C ? "device" : nerv_cpu_level_name(level);
            g_autofree char *path = g_strdup_printf("/warp/%s/%s", where, tests[i].name);
            Case *c = g_new(Case, 1);
            *c = (Case){ tests[i].func, level };
            g_test_add_data_func_full(path, c, test_case, g_free);
        }
    }
    return g_test_run();
}
