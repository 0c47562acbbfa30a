/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Ops of networks over clips of frames against PyTorch, results and gradients (make_golden_ops.py), on every CPU level and on
 * Vulkan. checkop compares them with their references, which this holds to somebody else's.
 */
#include <math.h>
#include <stdlib.h>

#include "cpu/cpu.h"
#include "golden_file.h"
#include "ops/ops.h"

#define TOLERANCE  2e-6 /* relative to the tensor's largest */
#define MAX_LEAVES 4

typedef struct {
    const char *name;
    const char *operands[MAX_LEAVES]; /* in the file */
    NervTensor *(*build)(NervTape *t, NervTensor *const *x, int frames);
} Op;

typedef struct {
    const char *name;
    NervCpuLevel level; /* NERV_CPU_N_LEVELS: Vulkan */
    NervBackend *be;
    char *missing; /* why there is no backend */
} Device;

typedef struct {
    const Op *op;
    const Device *device;
} Case;

static GoldenFile *file;

static NervTensor *weigh(NervTape *t, NervTensor *const *x, int frames)
{
    return nerv_weigh(t, x[0], x[1], x[2], x[3]);
}

static NervTensor *modulate(NervTape *t, NervTensor *const *x, int frames)
{
    return nerv_modulate(t, x[0], x[1]);
}

static NervTensor *norm(NervTape *t, NervTensor *const *x, int frames)
{
    return nerv_norm(t, x[0], frames);
}

static NervTensor *temporal_mix(NervTape *t, NervTensor *const *x, int frames)
{
    return nerv_temporal_mix(t, x[0], x[1], x[2]);
}

static NervTensor *warp(NervTape *t, NervTensor *const *x, int frames)
{
    return nerv_warp(t, x[0], x[1]);
}

static const Op ops[] = {
    { "weigh", { "a", "ka", "b", "kb" }, weigh },
    { "modulate", { "x", "sh" }, modulate },
    { "norm", { "x" }, norm },
    { "temporal_mix", { "x", "w", "b" }, temporal_mix },
    { "warp", { "x", "flow" }, warp },
};

static Device devices[] = {
    { .name = "cpu-c", .level = NERV_CPU_C },         { .name = "cpu-baseline", .level = NERV_CPU_BASELINE },
    { .name = "cpu-avx2", .level = NERV_CPU_AVX2 },   { .name = "cpu-avx512", .level = NERV_CPU_AVX512 },
    { .name = "vulkan", .level = NERV_CPU_N_LEVELS },
};

static void open_device(Device *d)
{
    g_autoptr(GError) error = NULL;
    const char *named = g_getenv("NERV_CHECKOP_DEVICE");
    if (d->level == NERV_CPU_N_LEVELS)
        d->be = nerv_backend_open(named ? named : "vulkan:0", 0, &error);
    else if (d->level <= nerv_cpu_level_hardware())
        d->be = nerv_cpu_backend_new_level(2, d->level, &error);
    else
        d->missing = g_strdup("this machine has no such CPU level");
    if (error && g_error_matches(error, NERV_ERROR, NERV_ERROR_DEVICE))
        d->missing = g_strdup(error->message);
    else
        g_assert_no_error(error);
}

/* The array "CASE.name" and, with `part`, "CASE.part.name"; NULL if there is none. */
static const GoldenArray *array_of(const Op *op, const char *part, const char *name)
{
    g_autofree char *key = g_strconcat(op->name, ".", part, name, NULL);
    return g_hash_table_lookup(file->arrays, key);
}

/* A leaf of an array's shape. */
static NervTensor *leaf(NervTape *tape, const GoldenArray *a)
{
    g_assert_nonnull(a);
    return nerv_tape_leaf(tape, NERV_TENSOR_PARAM, NERV_F32, a->shape, NULL);
}

static NervBuffer *bind(NervExec *exec, NervBackend *be, const NervTensor *t, const GoldenArray *a)
{
    g_autoptr(GError) error = NULL;
    NervBuffer *buf = nerv_buffer_new(be, nerv_tensor_bytes(t), &error);
    g_assert_no_error(error);
    g_assert_true(nerv_buffer_upload(buf, 0, a->data, nerv_tensor_bytes(t), &error));
    g_assert_true(nerv_exec_bind(exec, t, buf, 0, &error));
    return buf;
}

static void compare(NervExec *exec, const NervTensor *t, const GoldenArray *want, const char *what)
{
    g_autoptr(GError) error = NULL;
    const int64_t n = nerv_shape_count(t->shape);
    const float *v = want->data;
    g_autofree float *got = g_new(float, n);
    double worst = 0, largest = 0;
    g_assert_true(nerv_shape_equal(t->shape, want->shape));
    nerv_exec_read(exec, t, got, &error);
    g_assert_no_error(error);
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)got[i] - v[i]);
        worst = isfinite(d) ? fmax(worst, d) : INFINITY;
        largest = fmax(largest, fabs((double)v[i]));
    }
    if (!(worst <= TOLERANCE * largest)) {
        g_test_message("%s: off by %g, of %g", what, worst, largest);
        g_test_fail();
    }
}

static void test_op(gconstpointer data)
{
    const Case *c = data;
    const Op *op = c->op;
    g_autoptr(GError) error = NULL;
    NervTensor *x[MAX_LEAVES], *wanted[MAX_LEAVES], *grads[MAX_LEAVES];
    const char *names[MAX_LEAVES];
    NervBuffer *buf[MAX_LEAVES + 1];
    uint32_t n = 0, n_wanted = 0;
    if (c->device->missing) {
        g_test_skip(c->device->missing);
        return;
    }
    NervTape *tape = nerv_tape_new();
    for (; n < MAX_LEAVES && op->operands[n]; n++) {
        x[n] = leaf(tape, array_of(op, "", op->operands[n]));
        if (array_of(op, "grad.", op->operands[n])) {
            names[n_wanted] = op->operands[n];
            wanted[n_wanted++] = x[n];
        }
    }
    NervTensor *dy = leaf(tape, array_of(op, "", "dy"));
    NervTensor *y = op->build(tape, x, atoi(golden_option(file, "frames")));
    NervTensor *loss = nerv_reduce_sum(tape, nerv_mul(tape, y, dy), NERV_AXIS_ALL, 1.0f);
    g_assert_cmpuint(n_wanted, >, 0);
    nerv_tape_grad(tape, loss, wanted, n_wanted, grads);
    nerv_tape_output(tape, y, "y");
    for (uint32_t i = 0; i < n_wanted; i++)
        nerv_tape_output(tape, grads[i], NULL);
    nerv_tape_check(tape, &error);
    g_assert_no_error(error);
    NervExec *exec = nerv_exec_new(c->device->be, tape, &error);
    g_assert_no_error(error);
    for (uint32_t i = 0; i < n; i++)
        buf[i] = bind(exec, c->device->be, x[i], array_of(op, "", op->operands[i]));
    buf[n] = bind(exec, c->device->be, dy, array_of(op, "", "dy"));
    g_assert_true(nerv_exec_run(exec, &error));
    compare(exec, y, array_of(op, "", "y"), "y");
    for (uint32_t i = 0; i < n_wanted; i++)
        compare(exec, grads[i], array_of(op, "grad.", names[i]), names[i]);
    nerv_exec_free(exec);
    for (uint32_t i = 0; i <= n; i++)
        nerv_buffer_free(buf[i]);
    nerv_tape_free(tape);
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_test_init(&argc, &argv, NULL);
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, "ops.golden", NULL);
    file = golden_file_read(path, &error);
    g_assert_no_error(error);
    for (size_t d = 0; d < G_N_ELEMENTS(devices); d++) {
        open_device(&devices[d]);
        for (size_t i = 0; i < G_N_ELEMENTS(ops); i++) {
            g_autofree char *name = g_strdup_printf("/golden/ops/%s/%s", ops[i].name, devices[d].name);
            Case *c = g_new(Case, 1);
            *c = (Case){ &ops[i], &devices[d] };
            g_test_add_data_func_full(name, c, test_op, g_free);
        }
    }
    const int status = g_test_run();
    for (size_t d = 0; d < G_N_ELEMENTS(devices); d++) {
        nerv_backend_free(devices[d].be);
        g_free(devices[d].missing);
    }
    golden_file_free(file);
    return status;
}
