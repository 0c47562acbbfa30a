/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Second order, as meta-learning needs it: the gradient, in the weights that a step of gradient descent began with, of a loss after
 * that step. Steps and their gradients are on the tape like anything else. On the device named as the argument, the CPU at every
 * level, it is held to central differences of the whole on the references; and it must be far from what it would be without
 * second derivatives, the gradient in the weights after the step. Skipped (77) where there is no such device.
 */
#include <math.h>

#include "base/rng.h"
#include "cpu/cpu.h"
#include "ops/ops.h"
#include "device.h"

#define MAX_WEIGHTS 16
#define TOLERANCE   4e-3 /* of the largest gradient of a weight tensor */
#define DISTANCE    0.1  /* of the same: what the second order must make at least */
#define EPSILON     0x1p-8f

static NervBackend *backend; /* of the test that runs */

/* --- networks: each has a loss on one of two tasks --- */

typedef struct {
    NervShape shape;
    float spread; /* uniform in -spread..spread */
} Weight;

typedef struct {
    const char *name;
    NervTensor *(*loss)(NervTape *t, NervTensor *const *w, int task);
    int n_steps;
    float rate;
    Weight weight[MAX_WEIGHTS];
} Network;

static NervTensor *noise(NervTape *t, NervShape shape, int salt, float least, float most)
{
    const int64_t n = nerv_shape_count(shape);
    g_autofree float *v = g_new(float, n);
    NervRng rng;
    nerv_rng_init(&rng, (uint64_t)salt);
    for (int64_t i = 0; i < n; i++)
        v[i] = nerv_rng_uniform(&rng, least, most);
    return nerv_tape_const(t, shape, v);
}

/* Rows of a grid that are different for each task, never at whole positions. */
static NervTensor *positions(NervTape *t, int n, int task)
{
    float v[8];
    for (int i = 0; i < n; i++)
        v[i] = 0.2f + 0.4f * (float)i + 0.27f * (float)task;
    return nerv_tape_const(t, nerv_shape(n, 1, 1, 1), v);
}

/* w: grid, weights and biases of a block and of a head. */
static NervTensor *picture(NervTape *t, NervTensor *const *w, int n, int task)
{
    NervTensor *x =
        nerv_upconv2d(t, nerv_lookup(t, w[0], positions(t, n, task)), w[1], w[2], 2, NERV_ACT_GELU);
    return nerv_upconv2d(t, x, w[3], w[4], 1, NERV_ACT_TANH01);
}

static NervTensor *grid_loss(NervTape *t, NervTensor *const *w, int task)
{
    return nerv_mse(t, picture(t, w, 2, task), noise(t, nerv_shape(2, 3, 8, 10), 5 + task, 0, 1));
}

static NervTensor *ssim_loss(NervTape *t, NervTensor *const *w, int task)
{
    NervTensor *y = picture(t, w, 1, task), *target = noise(t, nerv_shape(1, 2, 14, 12), 7 + task, 0, 0.3f);
    NervTensor *unlike = nerv_affine(t, nerv_ssim(t, y, target), -0.3f, 0.3f);
    return nerv_add(t, nerv_affine(t, nerv_mse(t, y, target), 0.7f, 0), unlike);
}

/* Two clips of two frames each, with the ops of D-NeRV. Flows are half a pixel and a little, so that no step takes a sample across
 * a whole coordinate, where slopes jump. w: 0 grid, 1-2 flow, 3-4 content, 5-6 modulation, 7-8 block, 9-10 mixing, 11-12 head. */
static NervTensor *clip_loss(NervTape *t, NervTensor *const *w, int task)
{
    enum { N = 4, T = 2, H = 8, W = 10 };
    static const float weights[2][N] = { { 1, 0.7f, 0.4f, 0.2f }, { 0, 0.3f, 0.6f, 0.8f } };
    NervTensor *k[2], *found[2];
    NervTensor *x = nerv_norm(t, nerv_lookup(t, w[0], positions(t, N, task)), T);
    NervTensor *flow = nerv_upconv2d(t, x, w[1], w[2], 1, NERV_ACT_NONE);
    flow = nerv_affine(t, nerv_upsample(t, flow, 2), 1, 0.5f);
    nerv_tape_output(t, flow, task ? "flow after" : "flow");
    NervTensor *content =
        nerv_upconv2d(t, noise(t, nerv_shape(1, 3, H, W), 11 + task, -1, 1), w[3], w[4], 1, NERV_ACT_SILU);
    for (int i = 0; i < 2; i++) {
        k[i] = nerv_tape_const(t, nerv_shape(N, 1, 1, 1), weights[i]);
        found[i] = nerv_warp(t, nerv_slice(t, content, 2 * i, 2), nerv_slice(t, flow, 2 * i, 2));
    }
    NervTensor *both = nerv_weigh(t, found[0], k[0], found[1], k[1]);
    x = nerv_upconv2d(t, x, w[7], w[8], 2, NERV_ACT_GELU);
    x = nerv_concat(t, (NervTensor *[]){ x, both }, 2);
    x = nerv_modulate(t, x, nerv_upconv2d(t, both, w[5], w[6], 1, NERV_ACT_NONE));
    x = nerv_upconv2d(t, nerv_temporal_mix(t, x, w[9], w[10]), w[11], w[12], 1, NERV_ACT_SIGMOID);
    return nerv_mse(t, x, noise(t, nerv_shape(N, 3, H, W), 13 + task, 0, 1));
}

static const Network networks[] = {
    { .name = "grid",
      .loss = grid_loss,
      .n_steps = 2,
      .rate = 8.f,
      .weight = { { { 3, 4, 4, 5 }, 1 },
                  { { 12, 4, 3, 3 }, 0.4f },
                  { { 1, 12, 1, 1 }, 0.2f },
                  { { 3, 3, 1, 1 }, 1 },
                  { { 1, 3, 1, 1 }, 0.2f } } },
    { .name = "ssim",
      .loss = ssim_loss,
      .n_steps = 1,
      .rate = 3.f,
      .weight = { { { 2, 3, 7, 6 }, 1 },
                  { { 8, 3, 3, 3 }, 0.4f },
                  { { 1, 8, 1, 1 }, 0.2f },
                  { { 2, 2, 1, 1 }, 0.7f },
                  { { 1, 2, 1, 1 }, 0.2f } } },
    { .name = "clip",
      .loss = clip_loss,
      .n_steps = 1,
      .rate = 5.f,
      .weight = { { { 3, 3, 4, 5 }, 0.4f },
                  { { 4, 3, 3, 3 }, 0.03f },
                  { { 1, 4, 1, 1 }, 0.05f },
                  { { 4, 3, 3, 3 }, 0.8f },
                  { { 1, 4, 1, 1 }, 0.3f },
                  { { 10, 2, 1, 1 }, 0.7f },
                  { { 1, 10, 1, 1 }, 0.3f },
                  { { 12, 3, 3, 3 }, 0.4f },
                  { { 1, 12, 1, 1 }, 0.2f },
                  { { 5, 2, 2, 1 }, 0.5f },
                  { { 1, 5, 2, 1 }, 0.3f },
                  { { 3, 5, 3, 3 }, 0.4f },
                  { { 1, 3, 1, 1 }, 0.3f } } },
};

/* --- a tape of steps and a last loss --- */

typedef struct {
    const Network *network;
    NervTape *tape;
    NervExec *exec;
    uint32_t n;
    NervTensor *w[MAX_WEIGHTS], *whole[MAX_WEIGHTS], *first[MAX_WEIGHTS];
    NervTensor *loss;
    NervBuffer *buf[MAX_WEIGHTS];
} Run;

/* with_gradients: those in the weights, `whole`, and in the weights after the steps, `first`. */
static void run_init(Run *r, const Network *network, NervBackend *be, bool with_gradients)
{
    GError *error = NULL;
    NervTensor *moved[MAX_WEIGHTS], *d[MAX_WEIGHTS];
    NervTape *t = nerv_tape_new();
    *r = (Run){ .network = network, .tape = t };
    for (; r->n < MAX_WEIGHTS && network->weight[r->n].spread > 0; r->n++) {
        r->w[r->n] = moved[r->n] =
            nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, network->weight[r->n].shape, NULL);
    }
    for (int step = 0; step < network->n_steps; step++) {
        nerv_tape_grad(t, network->loss(t, moved, 0), moved, r->n, d);
        for (uint32_t i = 0; i < r->n; i++)
            moved[i] = nerv_add(t, moved[i], nerv_affine(t, d[i], -network->rate, 0));
    }
    r->loss = network->loss(t, moved, 1);
    nerv_tape_output(t, r->loss, "loss");
    if (with_gradients) {
        nerv_tape_grad(t, r->loss, r->w, r->n, r->whole);
        nerv_tape_grad(t, r->loss, moved, r->n, r->first);
    }
    for (uint32_t i = 0; with_gradients && i < r->n; i++) {
        nerv_tape_output(t, r->whole[i], NULL);
        nerv_tape_output(t, r->first[i], NULL);
    }
    nerv_tape_check(t, &error);
    g_assert_no_error(error);
    r->exec = nerv_exec_new(be, t, &error);
    g_assert_no_error(error);
    for (uint32_t i = 0; i < r->n; i++) {
        r->buf[i] = nerv_buffer_new(be, nerv_tensor_bytes(r->w[i]), &error);
        g_assert_no_error(error);
        g_assert_true(nerv_exec_bind(r->exec, r->w[i], r->buf[i], 0, &error));
    }
}

static void run_clear(Run *r)
{
    nerv_exec_free(r->exec);
    for (uint32_t i = 0; i < r->n; i++)
        nerv_buffer_free(r->buf[i]);
    nerv_tape_free(r->tape);
}

static void set(Run *r, uint32_t i, const float *v)
{
    GError *error = NULL;
    g_assert_true(nerv_buffer_upload(r->buf[i], 0, v, nerv_tensor_bytes(r->w[i]), &error));
}

static float *get(Run *r, const NervTensor *t)
{
    GError *error = NULL;
    float *v = g_malloc(nerv_tensor_bytes(t));
    g_assert_true(nerv_exec_read(r->exec, t, v, &error));
    return v;
}

static void run(Run *r)
{
    GError *error = NULL;
    g_assert_true(nerv_exec_run(r->exec, &error));
}

/* The weights that all runs of a network have. */
static float *values_of(const Network *network, uint32_t i)
{
    const int64_t n = nerv_shape_count(network->weight[i].shape);
    const float spread = network->weight[i].spread;
    float *v = g_new(float, n);
    NervRng rng;
    nerv_rng_init(&rng, 3 + i);
    for (int64_t k = 0; k < n; k++)
        v[k] = nerv_rng_uniform(&rng, -spread, spread);
    return v;
}

static void set_values(Run *r)
{
    for (uint32_t i = 0; i < r->n; i++) {
        g_autofree float *v = values_of(r->network, i);
        set(r, i, v);
    }
}

/* --- central differences on the references, for all levels the same --- */

static double *differences[G_N_ELEMENTS(networks)][MAX_WEIGHTS];

static double loss_with(Run *r, uint32_t i, const float *v)
{
    set(r, i, v);
    run(r);
    g_autofree float *loss = get(r, r->loss);
    return *loss;
}

static double *differentiate(Run *r, uint32_t i)
{
    const int64_t n = nerv_shape_count(r->w[i]->shape);
    g_autofree float *v = values_of(r->network, i);
    double *d = g_new(double, n);
    for (int64_t k = 0; k < n; k++) {
        const float was = v[k], above = was + EPSILON, below = was - EPSILON;
        v[k] = above;
        const double high = loss_with(r, i, v);
        v[k] = below;
        const double low = loss_with(r, i, v);
        v[k] = was;
        d[k] = (high - low) / ((double)above - below);
    }
    set(r, i, v);
    return d;
}

static void find_differences(size_t which)
{
    GError *error = NULL;
    Run r;
    if (differences[which][0])
        return;
    NervBackend *be = nerv_cpu_backend_new_level(1, NERV_CPU_C, &error);
    g_assert_no_error(error);
    run_init(&r, &networks[which], be, false);
    set_values(&r);
    for (uint32_t i = 0; i < r.n; i++)
        differences[which][i] = differentiate(&r, i);
    run_clear(&r);
    nerv_backend_free(be);
}

/* --- the comparison --- */

/* Fractions are within 0.35 of one half. */
static void check_flow(Run *r, const char *name)
{
    const NervTensor *flow = nerv_tape_find(r->tape, name);
    if (!flow)
        return;
    g_autofree float *v = get(r, flow);
    for (int64_t i = 0; i < nerv_shape_count(flow->shape); i++)
        g_assert_cmpfloat(fabsf(v[i] - 0.5f), <, 0.35f);
}

static void check_weight(Run *r, uint32_t i, const double *want)
{
    const int64_t n = nerv_shape_count(r->w[i]->shape);
    g_autofree float *whole = get(r, r->whole[i]), *first = get(r, r->first[i]);
    double largest = 0, off = 0, apart = 0;
    for (int64_t k = 0; k < n; k++) {
        largest = fmax(largest, fabs(want[k]));
        off = fmax(off, isnan(whole[k]) ? INFINITY : fabs(whole[k] - want[k]));
        apart = fmax(apart, fabs((double)first[k] - want[k]));
    }
    g_test_message("%s, weight %u: largest %.4g, off by %.2g of it, first order by %.2g", r->network->name, i,
                   largest, off / largest, apart / largest);
    if (!(off <= TOLERANCE * largest) || !(apart >= DISTANCE * largest))
        g_test_fail();
}

static void test_network(size_t which)
{
    Run r;
    find_differences(which);
    run_init(&r, &networks[which], backend, true);
    set_values(&r);
    run(&r);
    check_flow(&r, "flow");
    check_flow(&r, "flow after");
    for (uint32_t i = 0; i < r.n; i++)
        check_weight(&r, i, differences[which][i]);
    run_clear(&r);
}

/* --- devices --- */

static const char *device;

typedef struct {
    size_t network;
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
    test_network(c->network);
    nerv_backend_free(backend);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    device = test_device_name(argc, argv);
    backend = open_device(NERV_CPU_C, NULL);
    if (!backend)
        return 77;
    nerv_backend_free(backend);
    const NervCpuLevel last = g_str_equal(device, "cpu") ? nerv_cpu_level_hardware() : NERV_CPU_C;
    for (NervCpuLevel level = NERV_CPU_C; level <= last; level++) {
        for (size_t i = 0; i < G_N_ELEMENTS(networks); i++) {
            const char *where = last == NERV_CPU_C ? "device" : nerv_cpu_level_name(level);
            g_autofree char *path = g_strdup_printf("/second/%s/%s", where, networks[i].name);
            Case *c = g_new(Case, 1);
            *c = (Case){ i, level };
            g_test_add_data_func_full(path, c, test_case, g_free);
        }
    }
    const int status = g_test_run();
    for (size_t i = 0; i < G_N_ELEMENTS(networks); i++)
        for (int k = 0; k < MAX_WEIGHTS; k++)
            g_free(differences[i][k]);
    return status;
}
