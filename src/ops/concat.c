/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The channels of two to eight tensors one after another, picture by picture. Gradient: each input takes its channels of
 * dy (slice.c). A copy: values pass bit by bit.
 */
#include <string.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

static bool concat_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape s = node->in[0]->shape;
    int64_t channels = 0;
    for (uint32_t i = 0; i < node->n_in; i++) {
        const NervShape si = node->in[i]->shape;
        if (!nerv_check_shape(node, i, nerv_shape(s.n, si.c, s.h, s.w), "operand 0 but for its channels",
                              error))
            return false;
        channels += si.c;
    }
    if (channels > NERV_MAX_ELEMENTS)
        return nerv_invalid(node, error, "too many channels");
    return nerv_check_float(node, error) &&
           nerv_infer_float(out, nerv_shape(s.n, (int32_t)channels, s.h, s.w));
}

/* Elements that input i gives to each picture. */
static size_t share(const NervNode *node, uint32_t i)
{
    const NervShape s = node->in[i]->shape;
    return (size_t)s.c * s.h * s.w;
}

static void concat_ref(const NervNode *node, const NervArgs *args)
{
    float *y = args->out[0];
    for (int32_t n = 0; n < node->out[0]->shape.n; n++) {
        for (uint32_t i = 0; i < node->n_in; i++) {
            const size_t length = share(node, i);
            memcpy(y, (const float *)args->in[i] + n * length, length * sizeof *y);
            y += length;
        }
    }
}

typedef struct {
    const NervNode *node;
    const NervArgs *args;
    size_t n, picture; /* elements of y, and of one of its pictures */
} ConcatJob;

/* A range of y, which several inputs may feed. */
static void concat_task(void *arg, uint32_t task, uint32_t thread)
{
    const ConcatJob *job = arg;
    size_t at = (size_t)task * NERV_RANGE;
    const size_t end = at + nerv_range_length(job->n, task);
    while (at < end) {
        const size_t picture = at / job->picture;
        size_t skip =
            at % job->picture; /* into the input's own picture, once the inputs before it are passed */
        uint32_t i = 0;
        for (; skip >= share(job->node, i); i++)
            skip -= share(job->node, i);
        const size_t length = share(job->node, i), run = MIN(length - skip, end - at);
        memcpy((float *)job->args->out[0] + at, (const float *)job->args->in[i] + picture * length + skip,
               run * sizeof(float));
        at += run;
    }
}

static void concat_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervShape s = node->out[0]->shape;
    ConcatJob job = { node, args, (size_t)nerv_shape_count(s), (size_t)s.c * s.h * s.w };
    nerv_pool_run(cpu->pool, nerv_n_ranges(job.n), concat_task, &job);
}

/* One dispatch whatever the number of inputs, so that nothing waits between them; those that are absent have no share. */
static uint32_t concat_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervShape s = node->out[0]->shape;
    const uint64_t n = (uint64_t)nerv_shape_count(s);
    size_t end = 0;
    nerv_dispatch_init(out, "concat");
    for (uint32_t i = 0; i < NERV_MAX_IN; i++)
        nerv_dispatch_bind(out, NERV_BIND_IN, i);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    nerv_dispatch_push(out, (uint32_t)n);
    nerv_dispatch_push(out, (uint32_t)((size_t)s.c * s.h * s.w));
    for (uint32_t i = 0; i < NERV_MAX_IN; i++) {
        end += i < node->n_in ? share(node, i) : 0;
        nerv_dispatch_push(out, (uint32_t)end);
    }
    return nerv_dispatch_elements(out, caps, n, NERV_VK_LOCAL);
}

static void concat_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                        NervTensor **din)
{
    int32_t first = 0;
    for (uint32_t i = 0; i < node->n_in; i++) {
        const int32_t count = node->in[i]->shape.c;
        if (need[i])
            din[i] = nerv_slice(tape, dout[0], first, count);
        first += count;
    }
}

const NervOp nerv_op_concat = {
    .name = "concat",
    .min_in = 2,
    .max_in = NERV_MAX_IN,
    .n_out = 1,
    .infer = concat_infer,
    .ref = concat_ref,
    .cpu = concat_cpu,
    .dispatch = concat_dispatch,
    .grad = concat_grad,
};

NervTensor *nerv_concat(NervTape *t, NervTensor *const *x, uint32_t n)
{
    return n == 1 ? x[0] : nerv_tape_add(t, &nerv_op_concat, x, n, NULL, 0);
}
