/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * SSIM and its gradients in both images against numbers that PyTorch computed in double precision (a direct
 * transcription of the paper's equation 13 with conv2d, differentiated by autograd), at every CPU level. The images have texture,
 * noise and a corner where both are constant and equal. Also its simplest properties, and what it refuses.
 */
#include <math.h>
#include <string.h>

#include "cpu/cpu.h"
#include "ops/ops.h"

enum { N = 2, C = 3, H = 40, W = 37, COUNT = N * C * H * W };

static void picture(float *v, double phase)
{
    for (int i = 0; i < COUNT; i++) {
        const int x = i % W, y = i / W % H, c = i / (W * H) % C, n = i / (W * H * C);
        const long noise = ((long)i * 7919 + (long)(phase * 1000) * 104729) % 1009;
        double value = 0.5 + 0.25 * sin(0.31 * x + 0.17 * y + phase * (0.3 + 0.05 * x) + c);
        value += 0.2 * (noise / 1009.0 - 0.5) + 0.05 * n;
        v[i] = (float)(y >= 25 && x >= 20 ? 0.9 : value);
    }
}

typedef struct {
    float mean, *da, *db;
} Result;

/* Mean SSIM of a and b, and its gradients, by a plan on one level. */
static void compute(NervCpuLevel level, const float *a, const float *b, Result *r)
{
    GError *error = NULL;
    NervTape *t = nerv_tape_new();
    NervTensor *leaf[2], *d[2];
    NervBuffer *buf[2];
    leaf[0] = nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(N, C, H, W), "a");
    leaf[1] = nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(N, C, H, W), "b");
    NervTensor *mean = nerv_ssim(t, leaf[0], leaf[1]);
    nerv_tape_output(t, mean, "mean");
    nerv_tape_grad(t, mean, leaf, 2, d);
    nerv_tape_output(t, d[0], "da");
    nerv_tape_output(t, d[1], "db");
    NervBackend *be = nerv_cpu_backend_new_level(2, level, &error);
    g_assert_no_error(error);
    NervExec *exec = nerv_exec_new(be, t, &error);
    g_assert_no_error(error);
    for (int i = 0; i < 2; i++) {
        buf[i] = nerv_buffer_new(be, COUNT * sizeof(float), &error);
        g_assert_true(nerv_buffer_upload(buf[i], 0, i ? b : a, COUNT * sizeof(float), &error));
        g_assert_true(nerv_exec_bind(exec, leaf[i], buf[i], 0, &error));
    }
    g_assert_true(nerv_exec_run(exec, &error));
    g_assert_true(nerv_exec_read(exec, mean, &r->mean, &error));
    g_assert_true(nerv_exec_read(exec, d[0], r->da, &error));
    g_assert_true(nerv_exec_read(exec, d[1], r->db, &error));
    nerv_exec_free(exec);
    nerv_buffer_free(buf[0]);
    nerv_buffer_free(buf[1]);
    nerv_backend_free(be);
    nerv_tape_free(t);
}

static void near(double got, double want, double tolerance)
{
    if (!(fabs(got - want) <= tolerance)) {
        g_test_message("%.9g, not %.9g", got, want);
        g_test_fail();
    }
}

static void test_known(gconstpointer data)
{
    static const struct {
        int n, c, h, w;
        double da, db;
    } known[] = {
        { 0, 0, 0, 0, 1.2678730332530823e-09, -3.0033040488098002e-09 },
        { 0, 1, 5, 7, 0.0006794407065839041, -0.00026758511195823075 },
        { 1, 2, 20, 19, -0.0013200736695004557, 0.0009261414410519069 },
        { 1, 0, 39, 36, 0.0, 0.0 },
        { 0, 2, 24, 18, -0.0002890485312108315, 0.0007115474917134038 },
        { 1, 1, 30, 3, 0.0004680660840639351, -0.00020896199347019383 },
        { 0, 0, 12, 36, 2.503012879050259e-06, 1.8024380987476872e-06 },
    };
    float *a = g_new(float, COUNT), *b = g_new(float, COUNT);
    Result r = { 0, g_new(float, COUNT), g_new(float, COUNT) };
    double norm_a = 0, norm_b = 0;
    picture(a, 0.0);
    picture(b, 0.5);
    compute(GPOINTER_TO_INT(data), a, b, &r);
    near(r.mean, 0.503762413637411, 1e-6);
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        const int at = ((known[i].n * C + known[i].c) * H + known[i].h) * W + known[i].w;
        near(r.da[at], known[i].da, 1e-6);
        near(r.db[at], known[i].db, 1e-6);
    }
    for (int i = 0; i < COUNT; i++) {
        norm_a += (double)r.da[i] * r.da[i];
        norm_b += (double)r.db[i] * r.db[i];
    }
    near(norm_a, 0.007449704334684546, 2e-6);
    near(norm_b, 0.007164981489251714, 2e-6);
    g_free(a);
    g_free(b);
    g_free(r.da);
    g_free(r.db);
}

/* Of an image with itself: 1, which is the maximum, so the gradient vanishes. */
static void test_equal(gconstpointer data)
{
    float *a = g_new(float, COUNT);
    Result r = { 0, g_new(float, COUNT), g_new(float, COUNT) };
    picture(a, 0.25);
    compute(GPOINTER_TO_INT(data), a, a, &r);
    near(r.mean, 1.0, 1e-6);
    for (int i = 0; i < COUNT; i++) {
        near(r.da[i], 0.0, 2e-5);
        near(r.db[i], 0.0, 2e-5);
    }
    g_free(a);
    g_free(r.da);
    g_free(r.db);
}

static void test_refused(void)
{
    static const int shapes[][8] = { { 1, 3, 10, 40, 1, 3, 10, 40 },
                                     { 1, 3, 40, 10, 1, 3, 40, 10 },
                                     { 1, 3, 20, 20, 1, 1, 20, 20 },
                                     { 1, 3, 20, 20, 2, 3, 20, 20 } };
    for (size_t i = 0; i < G_N_ELEMENTS(shapes); i++) {
        GError *error = NULL;
        const int *s = shapes[i];
        NervTape *t = nerv_tape_new();
        NervTensor *a =
            nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(s[0], s[1], s[2], s[3]), "a");
        NervTensor *b =
            nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(s[4], s[5], s[6], s[7]), "b");
        g_assert_null(nerv_ssim(t, a, b));
        g_assert_false(nerv_tape_check(t, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, "ssim"));
        g_clear_error(&error);
        nerv_tape_free(t);
    }
}

/* Maps of other images; and a gradient of the maps in b, which would be wrong. */
static void test_maps_refused(void)
{
    for (int i = 0; i < 2; i++) {
        GError *error = NULL;
        NervTape *t = nerv_tape_new();
        NervTensor *a = nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(1, 2, 12, 13), "a");
        NervTensor *b = nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(1, 2, 12, 13), "b"), *db;
        if (i == 0)
            nerv_ssim_dmaps(t, a, b,
                            nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(1, 6, 3, 3), "u"));
        else
            nerv_tape_grad(t, nerv_reduce_sum(t, nerv_ssim(t, a, b)->node->out[1], NERV_AXIS_ALL, 1), &b, 1,
                           &db);
        g_assert_false(nerv_tape_check(t, &error));
        g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
        g_assert_nonnull(strstr(error->message, i == 0 ? "op ssim_dmaps" : "not differentiable in b"));
        g_clear_error(&error);
        nerv_tape_free(t);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/ssim/refused", test_refused);
    g_test_add_func("/ssim/maps-refused", test_maps_refused);
    for (NervCpuLevel level = NERV_CPU_C; level <= nerv_cpu_level_hardware(); level++) {
        char *known = g_strdup_printf("/ssim/%s/known", nerv_cpu_level_name(level));
        char *equal = g_strdup_printf("/ssim/%s/equal", nerv_cpu_level_name(level));
        g_test_add_data_func(known, GINT_TO_POINTER(level), test_known);
        g_test_add_data_func(equal, GINT_TO_POINTER(level), test_equal);
        g_free(known);
        g_free(equal);
    }
    return g_test_run();
}
