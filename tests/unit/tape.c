/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Unit test of graph/tape and graph/grad: validation, the sticky error, names, ownership; and gradients of
 * small expressions known in closed form: sums of paths, unrelated variables, second order.
 */
#include <math.h>
#include <string.h>

#include "cpu/cpu.h"
#include "ops/ops.h"

static void expect_error(NervTape *t, NervErrorCode code, const char *fragment)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(nerv_tape_check(t, &error));
    g_assert_error(error, NERV_ERROR, (int)code);
    if (!strstr(error->message, fragment)) {
        g_test_message("\"%s\" does not mention \"%s\"", error->message, fragment);
        g_test_fail();
    }
    nerv_tape_free(t);
}

static NervTensor *param(NervTape *t, const char *name, int32_t n)
{
    return nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(1, n, 1, 1), name);
}

/* --- building --- */

static void test_leaves(void)
{
    float values[3] = { 1, 2, 3 };
    NervTape *t = nerv_tape_new();
    char name[] = "weights";
    NervTensor *w = param(t, name, 3);
    NervTensor *x = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(2, 3, 4, 5), NULL);
    NervTensor *i = nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_U8, nerv_shape(1, 1, 1, 7), "bytes");
    NervTensor *c = nerv_tape_const(t, nerv_shape(1, 3, 1, 1), values);
    name[0] = 'W';
    values[0] = 9;
    g_assert_cmpstr(w->name, ==, "weights");
    g_assert_null(x->name);
    g_assert_cmpfloat(((float *)c->const_data)[0], ==, 1.f);
    g_assert_cmpfloat(((float *)nerv_tape_scalar(t, 4.f)->const_data)[0], ==, 4.f);
    g_assert_false(w->no_grad);
    g_assert_true(x->no_grad && i->no_grad && c->no_grad);
    g_assert_cmpuint(nerv_tensor_bytes(x), ==, 480);
    g_assert_cmpuint(nerv_tensor_bytes(i), ==, 7);
    for (guint k = 0; k < t->tensors->len; k++)
        g_assert_cmpuint(((NervTensor *)g_ptr_array_index(t->tensors, k))->id, ==, k);
    g_assert_true(nerv_tape_find(t, "bytes") == i);
    g_assert_null(nerv_tape_find(t, "nothing"));
    g_assert_true(nerv_tape_check(t, NULL));
    nerv_tape_free(t);
    nerv_tape_free(NULL);
}

static void test_shapes(void)
{
    static const NervShape bad[] = {
        { 0, 1, 1, 1 },
        { 1, -1, 1, 1 },
        { 1, 1, 0, 1 },
        { 32768, 32768, 2, 1 },
        { INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX },
    };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        NervTape *t = nerv_tape_new();
        g_assert_null(nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, bad[i], "huge"));
        expect_error(t, NERV_ERROR_INVALID, "huge");
    }
    g_assert_cmpint(nerv_shape_count(nerv_shape(32768, 32768, 1, 1)), ==, NERV_MAX_ELEMENTS);
    g_assert_true(nerv_shape_equal(nerv_shape(1, 2, 3, 4), nerv_shape(1, 2, 3, 4)));
    g_assert_false(nerv_shape_equal(nerv_shape(1, 2, 3, 4), nerv_shape(1, 2, 4, 3)));
}

/* A made-up op whose shape rule does what its attribute says. */
enum { FAIL_SILENTLY = 1, OUTPUT_EMPTY, OUTPUT_HUGE, FINE };

static bool infer_wilful(const NervNode *node, NervOutInfo *out, GError **error)
{
    const int32_t what = *NERV_NODE_ATTR(node, int32_t);
    const NervShape s = what == OUTPUT_EMPTY  ? nerv_shape(1, 1, 0, 1)
                        : what == OUTPUT_HUGE ? nerv_shape(1 << 20, 1 << 20, 1, 1)
                                              : nerv_shape(1, 1, 1, 1);
    out[0] = out[1] = (NervOutInfo){ NERV_F32, s };
    return what != FAIL_SILENTLY;
}

static const NervOp op_wilful = {
    .name = "wilful", .min_in = 1, .max_in = 2, .n_out = 2, .infer = infer_wilful
};

static NervTensor *wilful(NervTape *t, uint32_t n_in, int32_t what, size_t attr_bytes)
{
    uint8_t attr[NERV_MAX_ATTR_BYTES + 1] = { 0 };
    NervTensor *x = param(t, NULL, 2), *in[] = { x, x, x };
    memcpy(attr, &what, sizeof(what));
    return nerv_tape_add(t, &op_wilful, in, n_in, attr, attr_bytes);
}

static void test_nodes(void)
{
    NervTape *t = nerv_tape_new();
    NervTensor *y = wilful(t, 2, FINE, sizeof(int32_t));
    g_assert_nonnull(y);
    g_assert_cmpuint(y->slot, ==, 0);
    g_assert_cmpuint(y->node->out[1]->slot, ==, 1);
    g_assert_true(y->node->out[1]->node == y->node && y->node->n_in == 2);
    nerv_tape_output(t, y, "first");
    nerv_tape_output(t, y, "y");
    nerv_tape_output(t, NULL, "nothing");
    g_assert_true(y->is_output && nerv_tape_find(t, "y") == y);
    g_assert_null(nerv_tape_find(t, "first"));
    nerv_tape_free(t);

    static const struct {
        uint32_t n_in;
        int32_t what;
        size_t bytes;
    } bad[] = { { 0, FINE, 4 },          { 3, FINE, 4 },         { 1, FINE, NERV_MAX_ATTR_BYTES + 1 },
                { 1, FAIL_SILENTLY, 4 }, { 1, OUTPUT_EMPTY, 4 }, { 1, OUTPUT_HUGE, 4 } };
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        t = nerv_tape_new();
        g_assert_null(wilful(t, bad[i].n_in, bad[i].what, bad[i].bytes));
        g_assert_cmpuint(t->nodes->len, ==, 0);
        expect_error(t, NERV_ERROR_INVALID, "wilful");
    }
}

/* The first error stays; what is built on the ruins yields NULL and changes nothing. */
static void test_sticky(void)
{
    NervTape *t = nerv_tape_new();
    NervTensor *a = param(t, "a", 3), *b = param(t, "b", 4), *d = NULL;
    g_assert_null(nerv_add(t, a, b));
    const guint n_tensors = t->tensors->len, n_nodes = t->nodes->len;
    g_assert_null(nerv_mul(t, a, a));
    g_assert_null(nerv_act(t, NULL, NERV_ACT_GELU));
    g_assert_null(param(t, "c", 0));
    g_assert_null(nerv_tape_scalar(t, 1.f));
    nerv_tape_fail(t, NERV_ERROR_MEMORY, "too late");
    nerv_tape_output(t, a, "kept");
    nerv_tape_grad(t, a, &b, 1, &d);
    g_assert_null(d);
    g_assert_cmpuint(t->tensors->len, ==, n_tensors);
    g_assert_cmpuint(t->nodes->len, ==, n_nodes);
    g_assert_cmpstr(a->name, ==, "a");
    expect_error(t, NERV_ERROR_INVALID, "add");

    t = nerv_tape_new();
    g_assert_null(nerv_mul(t, param(t, "a", 3), NULL));
    expect_error(t, NERV_ERROR_INVALID, "mul");
}

/* --- gradients --- */

static NervTensor *sum(NervTape *t, NervTensor *x)
{
    return nerv_reduce_sum(t, x, NERV_AXIS_ALL, 1.f);
}

/* Runs the tape on the references with x = `values` and expects `out` to be `want`; n of each. */
static void expect_values(NervTape *t, NervTensor *x, NervTensor *out, const float *values, const float *want,
                          int n)
{
    g_autoptr(GError) error = NULL;
    float got[16];
    nerv_tape_output(t, out, NULL);
    nerv_tape_check(t, &error);
    g_assert_no_error(error);
    NervBackend *be = nerv_cpu_backend_new_level(1, NERV_CPU_C, &error);
    NervBuffer *buf = nerv_buffer_new(be, sizeof(got), &error);
    NervExec *exec = nerv_exec_new(be, t, &error);
    g_assert_no_error(error);
    g_assert_true(nerv_buffer_upload(buf, 0, values, n * sizeof(float), &error));
    g_assert_true(nerv_exec_bind(exec, x, buf, 0, &error));
    g_assert_true(nerv_exec_run(exec, &error));
    g_assert_true(nerv_exec_read(exec, out, got, &error));
    for (int i = 0; i < n; i++)
        g_assert_cmpfloat_with_epsilon(got[i], want[i], 1e-5 * (1 + fabsf(want[i])));
    nerv_exec_free(exec);
    nerv_buffer_free(buf);
    nerv_backend_free(be);
}

static const float xs[4] = { 0.5f, -2.f, 3.f, 0.25f };

/* L = sum(x*x*x + 2x + 5): several paths meet in x; dL/dx = 3x^2 + 2. */
static void test_paths(void)
{
    float want[4];
    NervTape *t = nerv_tape_new();
    NervTensor *x = param(t, "x", 4), *dx = NULL;
    NervTensor *cube = nerv_mul(t, nerv_mul(t, x, x), x);
    nerv_tape_grad(t, sum(t, nerv_add(t, cube, nerv_affine(t, x, 2.f, 5.f))), &x, 1, &dx);
    for (int i = 0; i < 4; i++)
        want[i] = 3 * xs[i] * xs[i] + 2;
    expect_values(t, x, dx, xs, want, 4);
    nerv_tape_free(t);
}

/* The gradient is on the tape and has gradients: d^2/dx^2 sum(x^3) = 6x, third 6. */
static void test_higher(void)
{
    float want[4], six[4];
    NervTape *t = nerv_tape_new();
    NervTensor *x = param(t, "x", 4), *d1 = NULL, *d2 = NULL, *d3 = NULL;
    nerv_tape_grad(t, sum(t, nerv_mul(t, nerv_mul(t, x, x), x)), &x, 1, &d1);
    nerv_tape_grad(t, sum(t, d1), &x, 1, &d2);
    for (int i = 0; i < 4; i++)
        want[i] = 6 * xs[i];
    expect_values(t, x, d2, xs, want, 4);
    nerv_tape_grad(t, sum(t, d2), &x, 1, &d3);
    for (int i = 0; i < 4; i++)
        six[i] = 6;
    expect_values(t, x, d3, xs, six, 4);
    nerv_tape_free(t);
}

/* A variable that the loss does not depend on has a zero gradient of its shape; so has one behind a constant.
 */
static void test_unrelated(void)
{
    const float zeros[4] = { 0 };
    NervTape *t = nerv_tape_new();
    NervTensor *x = param(t, "x", 4), *y = param(t, "y", 4), *wrt[2] = { x, y }, *d[2] = { NULL };
    nerv_tape_grad(t, sum(t, nerv_mul(t, x, x)), wrt, 2, d);
    g_assert_nonnull(d[1]);
    g_assert_true(nerv_shape_equal(d[1]->shape, y->shape));
    expect_values(t, x, d[1], xs, zeros, 4);
    nerv_tape_free(t);
}

/* A constant gets no gradient: no node is spent on one, and its neighbour still gets its own. */
static void test_no_grad(void)
{
    const float one[4] = { 2, 2, 2, 2 }, c[4] = { 2, 2, 2, 2 };
    NervTape *t = nerv_tape_new();
    NervTensor *x = param(t, "x", 4), *k = nerv_tape_const(t, nerv_shape(1, 4, 1, 1), c), *d = NULL;
    nerv_tape_grad(t, sum(t, nerv_mul(t, k, x)), &x, 1, &d);
    const guint n = t->nodes->len;
    /* Product, sum; and back: at most one node for each and one to expand. */
    g_assert_cmpuint(n, <=, 5);
    expect_values(t, x, d, xs, one, 4);
    nerv_tape_free(t);
}

static void test_refused(void)
{
    NervTape *t = nerv_tape_new();
    NervTensor *x = param(t, "x", 4), *d = NULL;
    nerv_tape_grad(t, nerv_mul(t, x, x), &x, 1, &d);
    g_assert_null(d);
    expect_error(t, NERV_ERROR_INVALID, "scalar");

    t = nerv_tape_new();
    x = param(t, "x", 2);
    const int32_t fine = FINE;
    nerv_tape_grad(t, nerv_tape_add(t, &op_wilful, &x, 1, &fine, sizeof(fine)), &x, 1, &d);
    g_assert_null(d);
    expect_error(t, NERV_ERROR_INVALID, "wilful");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/tape/leaves", test_leaves);
    g_test_add_func("/tape/shapes", test_shapes);
    g_test_add_func("/tape/nodes", test_nodes);
    g_test_add_func("/tape/sticky", test_sticky);
    g_test_add_func("/grad/paths", test_paths);
    g_test_add_func("/grad/higher", test_higher);
    g_test_add_func("/grad/unrelated", test_unrelated);
    g_test_add_func("/grad/no-grad", test_no_grad);
    g_test_add_func("/grad/refused", test_refused);
    return g_test_run();
}
