/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Inverse of PixelShuffle: x[N,C,H*S,W*S] -> y[N,C*S*S,H,W], y[n,(c*S+i)*S+j,h,w] = x[n,c,h*S+i,w*S+j].
 * Its gradient is its inverse, pixel_shuffle.
 */
#include "cpu/cpu.h"
#include "ops/dispatch.h"
#include "ops/ops.h"

#define MAX_SCALE 16

typedef struct {
    int32_t s;
} ShuffleAttr;

static bool invalid(GError **error, const char *what)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "op pixel_unshuffle: %s", what);
    return false;
}

static bool infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[0]->shape;
    const int32_t s = NERV_NODE_ATTR(node, ShuffleAttr)->s;

    if (node->in[0]->dtype != NERV_F32)
        return invalid(error, "the operand must be float");
    if (s < 1 || s > MAX_SCALE)
        return invalid(error, "the scale must be 1 to 16");
    if (x.h % s != 0 || x.w % s != 0)
        return invalid(error, "height and width must be multiples of the scale");
    if (x.c > INT32_MAX / (s * s))
        return invalid(error, "there are too many channels");
    out[0] = (NervOutInfo){ NERV_F32, nerv_shape(x.n, x.c * s * s, x.h / s, x.w / s) };
    return true;
}

static void ref(const NervNode *node, const NervArgs *args)
{
    const NervShape xs = node->in[0]->shape, ys = node->out[0]->shape;
    const int S = NERV_NODE_ATTR(node, ShuffleAttr)->s;
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

typedef struct {
    const NervConvDsp *dsp;
    const float *x;
    float *y;
    NervShape small; /* the shape with the more channels */
    int32_t s;
} Job;

/* One channel of the large image. */
static void task(void *arg, uint32_t channel, uint32_t thread)
{
    const Job *job = arg;
    const int32_t S = job->s, h = job->small.h, w = job->small.w;
    const size_t plane = (size_t)h * w;

    for (int32_t r = 0; r < h * S; r++) {
        const size_t big = ((size_t)channel * h * S + r) * w * S;
        const size_t small = ((size_t)channel * S + r % S) * S * plane + (size_t)(r / S) * w;
        job->dsp->deinterleave(job->y + small, plane, job->x + big, w, S);
    }
}

static void cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const int32_t s = NERV_NODE_ATTR(node, ShuffleAttr)->s;
    const NervShape small = node->out[0]->shape;
    Job job = { &cpu->dsp->conv, args->in[0], args->out[0], small, s };
    nerv_pool_run(cpu->pool, (uint32_t)(small.n * (small.c / (s * s))), task, &job);
}

static uint32_t dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervShape y = node->out[0]->shape;
    const uint64_t count = (uint64_t)nerv_shape_count(y);

    nerv_dispatch_init(out, "pixel_unshuffle");
    nerv_dispatch_push(out, (uint32_t)count);
    nerv_dispatch_push(out, (uint32_t)y.h);
    nerv_dispatch_push(out, (uint32_t)y.w);
    nerv_dispatch_push(out, (uint32_t)NERV_NODE_ATTR(node, ShuffleAttr)->s);
    nerv_dispatch_bind(out, NERV_BIND_IN, 0);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    return nerv_dispatch_elements(out, caps, count, NERV_VK_LOCAL) ? 1 : 0;
}

static void grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                 NervTensor **din)
{
    if (need[0])
        din[0] = nerv_pixel_shuffle(tape, dout[0], NERV_NODE_ATTR(node, ShuffleAttr)->s);
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
    const ShuffleAttr attr = { .s = s };
    return nerv_tape_add(t, &nerv_op_pixel_unshuffle, (NervTensor *[]){ x }, 1, &attr, sizeof attr);
}
