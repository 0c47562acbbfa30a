/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Inverse of PixelShuffle: x[N,C,H*S,W*S] -> y[N,C*S*S,H,W], y[n,(c*S+i)*S+j,h,w] = x[n,c,h*S+i,w*S+j].
 * Its gradient is its inverse, pixel_shuffle.
 */
#include "ops/shuffle_common.h"

static bool infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[0]->shape;
    const int32_t s = nerv_shuffle_scale(node);

    if (!nerv_shuffle_check(node, error))
        return false;
    if (x.h % s != 0 || x.w % s != 0)
        return nerv_invalid(node, error, "height and width must be multiples of the scale");
    if (x.c > INT32_MAX / (s * s))
        return nerv_invalid(node, error, "there are too many channels");
    out[0] = (NervOutInfo){ NERV_F32, nerv_shape(x.n, x.c * s * s, x.h / s, x.w / s) };
    return true;
}

static void ref(const NervNode *node, const NervArgs *args)
{
    const NervShape xs = node->in[0]->shape, ys = node->out[0]->shape;
    const int S = nerv_shuffle_scale(node);
    const float *x = args->in[0];
    float *y = args->out[0];

    for (int n = 0; n < ys.n; n++) {
        for (int c = 0; c < ys.c; c++) {
            const float *plane = x + ((size_t)n * xs.c + c / (S * S)) * xs.h * xs.w;
            const int i = c / S % S, j = c % S;
            for (int h = 0; h < ys.h; h++) {
                for (int w = 0; w < ys.w; w++)
                    *y++ = plane[(size_t)(h * S + i) * xs.w + w * S + j];
            }
        }
    }
}

static void cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    nerv_shuffle_cpu(node, args, cpu, true);
}

static uint32_t dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    return nerv_shuffle_dispatch(node, caps, out, node->out[0]->shape);
}

static void grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                 NervTensor **din)
{
    if (need[0])
        din[0] = nerv_pixel_shuffle(tape, dout[0], nerv_shuffle_scale(node));
}

const NervOp nerv_op_pixel_unshuffle = {
    .name = "pixel_unshuffle",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = infer,
    .ref = ref,
    .cpu = cpu,
    .dispatch = dispatch,
    .grad = grad,
};

NervTensor *nerv_pixel_unshuffle(NervTape *t, NervTensor *x, int s)
{
    const NervShuffleAttr attr = { .s = s };
    return nerv_tape_add(t, &nerv_op_pixel_unshuffle, (NervTensor *[]){ x }, 1, &attr, sizeof attr);
}
