/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A plan lets a head take in the block before it, and only where nobody reads what is between: the number of steps, the
 * arena without the image between, and equal results either way, at every CPU level.
 */
#include <math.h>

#include "cpu/cpu.h"
#include "ops/ops.h"

enum { CIN = 10, C = 9, S = 2, H = 30, W = 37, PIXELS = H * S * W * S };

/* What else reads the block's image. */
typedef enum { NOBODY, OUTPUT, ANOTHER, GRADIENT, N_CASES } Reader;

typedef struct {
    NervTape *tape;
    NervTensor *leaf[5], *y;
} Net;

static void build(Net *net, Reader reader)
{
    const NervShape shape[5] = { nerv_shape(1, CIN, H, W), nerv_shape(C * S * S, CIN, 3, 3),
                                 nerv_shape(1, C * S * S, 1, 1), nerv_shape(3, C, 1, 1),
                                 nerv_shape(1, 3, 1, 1) };
    NervTape *t = net->tape = nerv_tape_new();
    for (int i = 0; i < 5; i++)
        net->leaf[i] = nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, shape[i], NULL);
    NervTensor **l = net->leaf;
    NervTensor *between = nerv_upconv2d(t, l[0], l[1], l[2], S, NERV_ACT_GELU);
    net->y = nerv_upconv2d(t, between, l[3], l[4], 1, NERV_ACT_TANH01);
    nerv_tape_output(t, net->y, "y");
    if (reader == OUTPUT)
        nerv_tape_output(t, between, "between");
    else if (reader == ANOTHER)
        nerv_tape_output(t, nerv_affine(t, between, 2.f, 0.f), "another");
    else if (reader == GRADIENT) {
        NervTensor *d;
        nerv_tape_grad(t, nerv_mse(t, net->y, nerv_affine(t, net->y, 0.5f, 0.f)), &l[3], 1, &d);
        nerv_tape_output(t, d, "d");
    }
}

static uint32_t count_steps(Net *net, const char *op, size_t *arena)
{
    GError *error = NULL;
    uint32_t n = 0;
    NervPlan *plan = nerv_plan_new(net->tape, NULL, NULL, &error);
    g_assert_no_error(error);
    for (uint32_t i = 0; i < plan->n_steps; i++)
        n += !g_strcmp0(plan->steps[i].node->op->name, op);
    *arena = plan->arena_bytes;
    nerv_plan_free(plan);
    return n;
}

static void test_when(void)
{
    size_t arena[N_CASES];
    for (int reader = 0; reader < N_CASES; reader++) {
        Net net;
        build(&net, (Reader)reader);
        g_assert_cmpuint(count_steps(&net, "upconv2d_head", &arena[reader]), ==, reader == NOBODY);
        g_assert_cmpuint(count_steps(&net, "upconv2d", &arena[reader]), ==, reader == NOBODY ? 0 : 2);
        nerv_tape_free(net.tape);
    }
    g_assert_cmpuint(arena[NOBODY], <, 3 * PIXELS * sizeof(float) + 4 * NERV_PLAN_ALIGN);
    g_assert_cmpuint(arena[OUTPUT], >=, (size_t)C * PIXELS * sizeof(float));
}

static void evaluate(NervCpuLevel level, Reader reader, float *y)
{
    GError *error = NULL;
    Net net;
    NervBuffer *buf[5];
    build(&net, reader);
    NervBackend *be = nerv_cpu_backend_new_level(2, level, &error);
    g_assert_no_error(error);
    NervExec *exec = nerv_exec_new(be, net.tape, &error);
    g_assert_no_error(error);
    for (int i = 0; i < 5; i++) {
        const size_t n = (size_t)nerv_shape_count(net.leaf[i]->shape);
        g_autofree float *v = g_new(float, n);
        for (size_t j = 0; j < n; j++)
            v[j] = 0.5f * sinf((float)(j * (size_t)(7 + i) % 1009));
        buf[i] = nerv_buffer_new(be, n * sizeof(float), &error);
        g_assert_true(nerv_buffer_upload(buf[i], 0, v, n * sizeof(float), &error));
        g_assert_true(nerv_exec_bind(exec, net.leaf[i], buf[i], 0, &error));
    }
    g_assert_true(nerv_exec_run(exec, &error));
    g_assert_true(nerv_exec_read(exec, net.y, y, &error));
    nerv_exec_free(exec);
    for (int i = 0; i < 5; i++)
        nerv_buffer_free(buf[i]);
    nerv_backend_free(be);
    nerv_tape_free(net.tape);
}

static void test_equal(void)
{
    g_autofree float *fused = g_new(float, 3 * PIXELS), *apart = g_new(float, 3 * PIXELS);
    for (int level = NERV_CPU_C; level <= (int)nerv_cpu_level_hardware(); level++) {
        float worst = 0;
        evaluate((NervCpuLevel)level, NOBODY, fused);
        evaluate((NervCpuLevel)level, OUTPUT, apart);
        for (int i = 0; i < 3 * PIXELS; i++)
            worst = fmaxf(worst, fabsf(fused[i] - apart[i]));
        g_test_message("level %d: %g apart", level, worst);
        /* the reference adds in the same order */
        g_assert_cmpfloat(worst, <=, level == NERV_CPU_C ? 0.f : 2e-6f);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/fuse/when", test_when);
    g_test_add_func("/fuse/equal", test_equal);
    return g_test_run();
}
