/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the ops of networks over clips refuse: operands that do not fit, clips that do not come out even, gradients that would be
 * wrong. Their values are checked by checkop and, against PyTorch, by golden-ops.
 */
#include <string.h>

#include "ops/ops.h"

extern const NervOp nerv_op_weigh;

static NervTensor *leaf(NervTape *t, int n, int c, int h, int w)
{
    return nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(n, c, h, w), NULL);
}

/* The tape carries an error that says this; it is replaced by a new one. */
static void refused(NervTape **t, const char *what)
{
    g_autoptr(GError) error = NULL;
    g_assert_false(nerv_tape_check(*t, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_INVALID);
    if (!strstr(error->message, what)) {
        g_test_message("\"%s\" says nothing of \"%s\"", error->message, what);
        g_test_fail();
    }
    nerv_tape_free(*t);
    *t = nerv_tape_new();
}

static void test_operands(void)
{
    NervTape *t = nerv_tape_new();
    nerv_weigh(t, leaf(t, 2, 3, 4, 5), leaf(t, 3, 1, 1, 1), NULL, NULL);
    refused(&t, "a weight for each picture");
    nerv_weigh(t, leaf(t, 2, 3, 4, 5), leaf(t, 2, 1, 1, 1), leaf(t, 2, 3, 4, 6), leaf(t, 2, 1, 1, 1));
    refused(&t, "op weigh: operand 2");
    nerv_tape_add(t, &nerv_op_weigh,
                  (NervTensor *[]){ leaf(t, 1, 1, 1, 1), leaf(t, 1, 1, 1, 1), leaf(t, 1, 1, 1, 1) }, 3, NULL,
                  0);
    refused(&t, "comes with its weights");
    nerv_modulate(t, leaf(t, 2, 3, 4, 5), leaf(t, 2, 3, 4, 5));
    refused(&t, "scales and shifts");
    nerv_modulate_dx(t, leaf(t, 2, 3, 4, 4), leaf(t, 2, 3, 4, 5), leaf(t, 2, 6, 4, 5));
    refused(&t, "op modulate_dx: operand 0");
    nerv_norm_dx(t, leaf(t, 4, 3, 4, 5), leaf(t, 4, 3, 4, 5), leaf(t, 2, 4, 1, 1));
    refused(&t, "deviations of such clips");
    nerv_temporal_mix(t, leaf(t, 4, 3, 4, 5), leaf(t, 3, 2, 4, 1), NULL);
    refused(&t, "a matrix for each channel");
    nerv_temporal_mix(t, leaf(t, 4, 3, 4, 5), leaf(t, 3, 2, 2, 1), leaf(t, 1, 3, 4, 1));
    refused(&t, "a bias for each frame");
    nerv_temporal_mix_dw(t, leaf(t, 4, 3, 4, 5), leaf(t, 4, 3, 5, 4), 2);
    refused(&t, "op temporal_mix_dw: operand 1");
    nerv_tape_free(t);
}

static void test_clips(void)
{
    static const int frames[] = { -1, 0, 3, 5, 8 }; /* not of 4 pictures */
    NervTape *t = nerv_tape_new();
    for (size_t i = 0; i < G_N_ELEMENTS(frames); i++) {
        nerv_norm(t, leaf(t, 4, 3, 4, 5), frames[i]);
        refused(&t, "op norm: 4 pictures are no clips");
        nerv_temporal_mix_dw(t, leaf(t, 4, 3, 4, 5), leaf(t, 4, 3, 4, 5), frames[i]);
        refused(&t, "4 pictures are no clips");
    }
    nerv_norm_dx(t, leaf(t, 4, 3, 4, 5), leaf(t, 4, 3, 4, 5), leaf(t, 3, 3, 1, 1));
    refused(&t, "one row of deviations");
    const int n = NERV_MIX_MAX + 1;
    nerv_temporal_mix(t, leaf(t, n, 3, 4, 5), leaf(t, 3, n, n, 1), NULL);
    refused(&t, "at most 64");
    nerv_tape_free(t);
}

/* The gradient of the sum of y in x. */
static void differentiate(NervTape *t, NervTensor *y, NervTensor *x)
{
    NervTensor *dx;
    nerv_tape_grad(t, nerv_reduce_sum(t, y, NERV_AXIS_ALL, 1.0f), &x, 1, &dx);
}

static void test_gradients(void)
{
    NervTape *t = nerv_tape_new();
    NervTensor *x = leaf(t, 2, 3, 4, 5), *k = leaf(t, 2, 1, 1, 1);
    differentiate(t, nerv_weigh(t, x, k, NULL, NULL), k);
    refused(&t, "not differentiable in the weights");
    nerv_tape_free(t);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/clips/operands", test_operands);
    g_test_add_func("/clips/clips", test_clips);
    g_test_add_func("/clips/gradients", test_gradients);
    return g_test_run();
}
