/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * PixelShuffle (Shi et al. 2016): x[N,C*S*S,H,W] -> y[N,C,H*S,W*S], y[n,c,h*S+i,w*S+j] = x[n,(c*S+i)*S+j,h,w].
 * Its gradient is its inverse, pixel_unshuffle.
 */
#include "ops/shuffle_common.h"

static bool infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[0]->shape;
    const int32_t s = nerv_shuffle_scale(node);

    if (!nerv_shuffle_check(node, error))
        return false;
    if (x.c % (s * s) != 0)
        return nerv_invalid(node, error, "the channels must be a multiple of the scale squared");
    if (x.h > INT32_MAX / s || x.w > INT32_MAX / s)
        return nerv_invalid(node, error, "the image is too large");
    out[0] = (NervOutInfo){ NERV_F32, nerv_shape(x.n, x.c / (s * s), x.h * s, x.w * s) };
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
            for (int u = 0; u < ys.h; u++) {
                for (int v = 0; v < ys.w; v++) {
                    const size_t from = (size_t)n * xs.c + (c * S + u % S) * S + v % S;
                    *y++ = x[(from * xs.h + u / S) * xs.w + v / S];
                }
            }
        }
    }
}

static void cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    nerv_shuffle_cpu(node, args, cpu, false);
}

static uint32_t dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    return nerv_shuffle_dispatch(node, caps, out, node->in[0]->shape);
}

static void grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                 NervTensor **din)
{
    if (need[0])
        din[0] = nerv_pixel_unshuffle(tape, dout[0], nerv_shuffle_scale(node));
}

const NervOp nerv_op_pixel_shuffle = {
    .name = "pixel_shuffle",
    .min_in = 1,
    .max_in = 1,
    .n_out = 1,
    .infer = infer,
    .ref = ref,
    .cpu = cpu,
    .dispatch = dispatch,
    .grad = grad,
};

NervTensor *nerv_pixel_shuffle(NervTape *t, NervTensor *x, int s)
{
    const NervShuffleAttr attr = { .s = s };
    return nerv_tape_add(t, &nerv_op_pixel_shuffle, (NervTensor *[]){ x }, 1, &attr, sizeof attr);
}
