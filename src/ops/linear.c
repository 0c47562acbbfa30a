/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The fully connected layer and its two gradients: y = x w^T + b, dx = dy w, dw = dy^T x, db = sum over N of dy, with
 * x[N,K], w[M,K], b[M], y[N,M]. Each is linear in both of its operands, and each one's gradients are the other two.
 */
#include "cpu/cpu.h"
#include "ops/check.h"
#include "ops/dispatch.h"
#include "ops/ops.h"

#include <string.h>

#define TASK_FLOATS 16384 /* of weights in one CPU task */
#define MAX_SPLITS  16    /* of linear_dx's sum */

/* Operands are float and, but for the bias, matrices N C 1 1. */
static bool valid_operands(const NervNode *node, GError **error)
{
    for (uint32_t i = 0; i < node->n_in; i++)
        if (node->in[i]->shape.h != 1 || node->in[i]->shape.w != 1)
            return nerv_invalid(node, error, "operands must have H = W = 1");
    return nerv_check_float(node, error);
}

/* x[N,K,1,1], w[M,K,1,1], b[1,M,1,1] -> y[N,M,1,1] */
static bool infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape x = node->in[0]->shape, w = node->in[1]->shape;

    if (!valid_operands(node, error))
        return false;
    if (x.c != w.c)
        return nerv_invalid(node, error, "the weights' columns differ from the input's features");
    if (node->n_in > 2 && !nerv_shape_equal(node->in[2]->shape, nerv_shape(1, w.n, 1, 1)))
        return nerv_invalid(node, error, "the bias must be 1 x M x 1 x 1");
    out[0] = (NervOutInfo){ NERV_F32, nerv_shape(x.n, w.n, 1, 1) };
    return true;
}

static void ref(const NervNode *node, const NervArgs *args)
{
    const int N = node->in[0]->shape.n, K = node->in[0]->shape.c, M = node->in[1]->shape.n;
    const float *x = args->in[0], *w = args->in[1], *b = node->n_in > 2 ? args->in[2] : NULL;
    float *y = args->out[0];

    for (int n = 0; n < N; n++) {
        for (int m = 0; m < M; m++) {
            double sum = b ? b[m] : 0.0;
            for (int k = 0; k < K; k++)
                sum += (double)x[(size_t)n * K + k] * w[(size_t)m * K + k];
            y[(size_t)n * M + m] = (float)sum;
        }
    }
}

/* The CPU's share of w's rows in one task; the same for the three. */
typedef struct {
    const NervConvDsp *dsp;
    const float *x, *w, *b, *dy;
    float *y, *dx, *dw, *db;
    size_t n, m, k;
    size_t rows; /* in a task */
} Job;

static uint32_t cut_rows(Job *job)
{
    job->rows = (MAX(TASK_FLOATS / job->k, 1) + 3) / 4 * 4;
    return (uint32_t)((job->m + job->rows - 1) / job->rows);
}

static void task(void *arg, uint32_t index, uint32_t thread)
{
    const Job *job = arg;
    const size_t j = index * job->rows;
    job->dsp->linear(job->y + j, job->m, job->x, job->w + j * job->k, job->b ? job->b + j : NULL, job->n,
                     MIN(job->rows, job->m - j), job->k);
}

static void cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    Job job = { .dsp = &cpu->dsp->conv,
                .x = args->in[0],
                .w = args->in[1],
                .b = node->n_in > 2 ? args->in[2] : NULL,
                .y = args->out[0],
                .n = node->in[0]->shape.n,
                .m = node->in[1]->shape.n,
                .k = node->in[1]->shape.c };
    nerv_pool_run(cpu->pool, cut_rows(&job), task, &job);
}

static uint32_t dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervShape x = node->in[0]->shape, w = node->in[1]->shape;
    const bool has_bias = node->n_in > 2;

    nerv_dispatch_init(out, "linear");
    nerv_dispatch_push(out, (uint32_t)x.n);
    nerv_dispatch_push(out, (uint32_t)x.c);
    nerv_dispatch_push(out, (uint32_t)w.n);
    nerv_dispatch_push(out, has_bias);
    nerv_dispatch_bind(out, NERV_BIND_IN, 0);
    nerv_dispatch_bind(out, NERV_BIND_IN, 1);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    nerv_dispatch_bind(out, NERV_BIND_IN, has_bias ? 2 : 1); /* without bias: bound, not read */
    return nerv_dispatch_groups(out, caps, ((uint64_t)w.n + 3) / 4) ? 1 : 0;
}

static void grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                 NervTensor **din)
{
    NervTensor *x = node->in[0], *w = node->in[1], *dy = dout[0];

    if (need[0])
        din[0] = nerv_linear_dx(tape, dy, w);
    if (need[1] || (node->n_in > 2 && need[2])) {
        NervTensor *dw = nerv_linear_dw(tape, dy, x);
        if (need[1])
            din[1] = dw;
        if (node->n_in > 2 && need[2])
            din[2] = dw ? dw->node->out[1] : NULL;
    }
}

/* dy[N,M,1,1], w[M,K,1,1] -> dx[N,K,1,1] */
static bool infer_dx(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape dy = node->in[0]->shape, w = node->in[1]->shape;

    if (!valid_operands(node, error))
        return false;
    if (dy.c != w.n)
        return nerv_invalid(node, error, "the weights' rows differ from the gradient's features");
    out[0] = (NervOutInfo){ NERV_F32, nerv_shape(dy.n, w.c, 1, 1) };
    return true;
}

static void ref_dx(const NervNode *node, const NervArgs *args)
{
    const int N = node->in[0]->shape.n, M = node->in[0]->shape.c, K = node->in[1]->shape.c;
    const float *dy = args->in[0], *w = args->in[1];
    float *dx = args->out[0];

    for (int n = 0; n < N; n++) {
        for (int k = 0; k < K; k++) {
            double sum = 0.0;
            for (int m = 0; m < M; m++)
                sum += (double)dy[(size_t)n * M + m] * w[(size_t)m * K + k];
            dx[(size_t)n * K + k] = (float)sum;
        }
    }
}

/* dx sums over w's rows: ranges of rows, as many as the shapes alone say, have sums of their own, added in order. */
static uint32_t n_splits(const NervNode *node)
{
    const NervShape w = node->in[1]->shape;
    return (uint32_t)CLAMP((int64_t)w.n * w.c / TASK_FLOATS, 1, MIN(MAX_SPLITS, w.n));
}

static void task_dx(void *arg, uint32_t index, uint32_t thread)
{
    const Job *job = arg;
    const size_t first = index * job->rows, end = MIN(first + job->rows, job->m);
    float *dx = job->dx + index * job->n * job->k;
    job->dsp->linear_dx(dx, job->dy + first, job->m, job->w + first * job->k, job->n,
                        end > first ? end - first : 0, job->k);
}

static void cpu_dx(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const uint32_t splits = n_splits(node);
    Job job = { .dsp = &cpu->dsp->conv,
                .dy = args->in[0],
                .w = args->in[1],
                .dx = splits > 1 ? args->scratch : args->out[0],
                .n = node->in[0]->shape.n,
                .m = node->in[0]->shape.c,
                .k = node->in[1]->shape.c };
    job.rows = (job.m + splits - 1) / splits;
    nerv_pool_run(cpu->pool, splits, task_dx, &job);
    if (splits > 1) {
        memcpy(args->out[0], job.dx, job.n * job.k * sizeof(float));
        for (uint32_t i = 1; i < splits; i++)
            job.dsp->add(args->out[0], job.dx + i * job.n * job.k, job.n * job.k);
    }
}

static size_t cpu_scratch_dx(const NervNode *node, const NervCpu *cpu)
{
    const uint32_t splits = n_splits(node);
    return splits > 1 ? splits * nerv_tensor_bytes(node->out[0]) : 0;
}

/* linear_dx sums over M in ranges of at least 32 rows, side by side as far as the device has use for them and 64 MiB of
 * partial sums allow. */
static uint32_t split_dx(const NervNode *node, const NervVkCaps *caps)
{
    const uint64_t most = ((uint64_t)1 << 24) / (uint64_t)nerv_shape_count(node->out[0]->shape);
    const uint32_t splits = MIN((uint32_t)node->in[1]->shape.n / 32, caps->is_software ? 4 : 64);
    return (uint32_t)CLAMP(most, 1, MAX(splits, 1));
}

static size_t vk_scratch_dx(const NervNode *node, const NervVkCaps *caps)
{
    return (size_t)split_dx(node, caps) * (size_t)nerv_shape_count(node->out[0]->shape) * sizeof(float);
}

static uint32_t dispatch_dx(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervShape w = node->in[1]->shape, dx = node->out[0]->shape;
    const uint32_t splits = split_dx(node, caps);
    const uint64_t blocks = ((uint64_t)dx.c + NERV_VK_LOCAL - 1) / NERV_VK_LOCAL;

    nerv_dispatch_init(out, "linear_dx");
    nerv_dispatch_spec(out, 0);
    nerv_dispatch_push(out, (uint32_t)dx.n);
    nerv_dispatch_push(out, (uint32_t)dx.c);
    nerv_dispatch_push(out, (uint32_t)w.n);
    nerv_dispatch_push(out, splits);
    nerv_dispatch_push(out, ((uint32_t)w.n + splits - 1) / splits);
    nerv_dispatch_bind(out, NERV_BIND_IN, 0);
    nerv_dispatch_bind(out, NERV_BIND_IN, 1);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    nerv_dispatch_bind(out, NERV_BIND_SCRATCH, 0);

    out[1] = out[0];
    out[1].spec[0] = 1;
    out[1].barrier_before = true;
    if (!nerv_dispatch_groups(&out[0], caps, blocks * splits) ||
        !nerv_dispatch_elements(&out[1], caps, (uint64_t)nerv_shape_count(dx), NERV_VK_LOCAL))
        return 0;
    return 2;
}

/* With g = dL/d(dx): dL/d(dy) = g w^T, dL/dw = dy^T g. */
static void grad_dx(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                    NervTensor **din)
{
    NervTensor *dy = node->in[0], *w = node->in[1], *g = dout[0];

    if (need[0])
        din[0] = nerv_linear(tape, g, w, NULL);
    if (need[1])
        din[1] = nerv_linear_dw(tape, dy, g);
}

/* dy[N,M,1,1], x[N,K,1,1] -> dw[M,K,1,1], db[1,M,1,1] */
static bool infer_dw(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape dy = node->in[0]->shape, x = node->in[1]->shape;

    if (!valid_operands(node, error))
        return false;
    if (dy.n != x.n)
        return nerv_invalid(node, error, "the gradient and the input differ in batch size");
    out[0] = (NervOutInfo){ NERV_F32, nerv_shape(dy.c, x.c, 1, 1) };
    out[1] = (NervOutInfo){ NERV_F32, nerv_shape(1, dy.c, 1, 1) };
    return true;
}

static void ref_dw(const NervNode *node, const NervArgs *args)
{
    const int N = node->in[0]->shape.n, M = node->in[0]->shape.c, K = node->in[1]->shape.c;
    const float *dy = args->in[0], *x = args->in[1];
    float *dw = args->out[0], *db = args->out[1];

    for (int m = 0; m < M; m++) {
        for (int k = 0; dw && k < K; k++) {
            double sum = 0.0;
            for (int n = 0; n < N; n++)
                sum += (double)dy[(size_t)n * M + m] * x[(size_t)n * K + k];
            dw[(size_t)m * K + k] = (float)sum;
        }
        if (db) {
            double sum = 0.0;
            for (int n = 0; n < N; n++)
                sum += dy[(size_t)n * M + m];
            db[m] = (float)sum;
        }
    }
}

static void task_dw(void *arg, uint32_t index, uint32_t thread)
{
    const Job *job = arg;
    const size_t first = index * job->rows, end = MIN(first + job->rows, job->m);

    if (job->dw)
        job->dsp->linear_dw(job->dw + first * job->k, job->dy + first, job->m, job->x, job->n, end - first,
                            job->k);
    for (size_t j = first; job->db && j < end; j++) {
        float sum = 0;
        for (size_t i = 0; i < job->n; i++)
            sum += job->dy[i * job->m + j];
        job->db[j] = sum;
    }
}

static void cpu_dw(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    Job job = { .dsp = &cpu->dsp->conv,
                .dy = args->in[0],
                .x = args->in[1],
                .dw = args->out[0],
                .db = args->out[1],
                .n = node->in[0]->shape.n,
                .m = node->in[0]->shape.c,
                .k = node->in[1]->shape.c };
    nerv_pool_run(cpu->pool, cut_rows(&job), task_dw, &job);
}

static uint32_t dispatch_dw(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const NervShape dy = node->in[0]->shape, x = node->in[1]->shape;

    nerv_dispatch_init(out, "linear_dw");
    nerv_dispatch_push(out, (uint32_t)dy.n);
    nerv_dispatch_push(out, (uint32_t)x.c);
    nerv_dispatch_push(out, (uint32_t)dy.c);
    nerv_dispatch_push(out, caps->out_live[0]);
    nerv_dispatch_push(out, caps->out_live[1]);
    nerv_dispatch_bind(out, NERV_BIND_IN, 0);
    nerv_dispatch_bind(out, NERV_BIND_IN, 1);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 0);
    nerv_dispatch_bind(out, NERV_BIND_OUT, 1);
    return nerv_dispatch_elements(out, caps, (uint64_t)dy.c * ((uint64_t)x.c + 1), NERV_VK_LOCAL) ? 1 : 0;
}

/* With gw, gb = dL/d(dw), dL/d(db): dL/d(dy) = x gw^T + gb, dL/dx = dy gw. */
static void grad_dw(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                    NervTensor **din)
{
    NervTensor *dy = node->in[0], *x = node->in[1], *gw = dout[0], *gb = dout[1];

    if (need[0] && gw)
        din[0] = nerv_linear(tape, x, gw, gb);
    else if (need[0])
        din[0] = nerv_expand(tape, gb, dy->shape, 1.0f);
    if (need[1] && gw)
        din[1] = nerv_linear_dx(tape, dy, gw);
}

/* N K M, whichever of the three it is. */
static int64_t macs(const NervNode *node)
{
    const NervTensor *x = node->in[0];
    return x->shape.n * nerv_shape_count(node->in[1]->shape);
}

static int64_t macs_dw(const NervNode *node)
{
    return node->in[0]->shape.n * nerv_shape_count(node->out[0]->shape);
}

const NervOp nerv_op_linear = {
    .name = "linear",
    .min_in = 2,
    .max_in = 3,
    .n_out = 1,
    .infer = infer,
    .ref = ref,
    .cpu = cpu,
    .dispatch = dispatch,
    .grad = grad,
    .macs = macs,
    .rtol = 1e-4f,
    .atol = 2e-4f,
};

const NervOp nerv_op_linear_dx = {
    .name = "linear_dx",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = infer_dx,
    .ref = ref_dx,
    .cpu = cpu_dx,
    .cpu_scratch = cpu_scratch_dx,
    .dispatch = dispatch_dx,
    .vk_scratch = vk_scratch_dx,
    .grad = grad_dx,
    .macs = macs,
    .rtol = 1e-4f,
    .atol = 2e-4f,
};

const NervOp nerv_op_linear_dw = {
    .name = "linear_dw",
    .min_in = 2,
    .max_in = 2,
    .n_out = 2,
    .infer = infer_dw,
    .ref = ref_dw,
    .cpu = cpu_dw,
    .dispatch = dispatch_dw,
    .grad = grad_dw,
    .macs = macs_dw,
    .rtol = 1e-4f,
    .atol = 1e-5f,
};

NervTensor *nerv_linear(NervTape *t, NervTensor *x, NervTensor *w, NervTensor *b)
{
    return nerv_tape_add(t, &nerv_op_linear, (NervTensor *[]){ x, w, b }, b ? 3 : 2, NULL, 0);
}

NervTensor *nerv_linear_dx(NervTape *t, NervTensor *dy, NervTensor *w)
{
    return nerv_tape_add(t, &nerv_op_linear_dx, (NervTensor *[]){ dy, w }, 2, NULL, 0);
}

NervTensor *nerv_linear_dw(NervTape *t, NervTensor *dy, NervTensor *x)
{
    return nerv_tape_add(t, &nerv_op_linear_dw, (NervTensor *[]){ dy, x }, 2, NULL, 0);
}
