/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Weights as the stream will hold them, while they are trained, and how long their indices' code will be. The step is the one
 * nearest 2^s that a stream can hold (tensor/steps.h), so that a trained network is stored as it was. s has one value per row
 * [N,1,1,1], per channel [1,C,1,1] or one for all [1,1,1,1]; a group, of L weights, is a row, a plane or all of w:
 *
 *   y    = step * index,  index = w/step rounded and clipped to +-max_index
 *   bits = sum over groups of L H(m),  m = max(mean |w|/step, 1/1000),  theta = (sqrt(1+m^2) - 1)/m
 *   H(m) = -log2((1-theta)/(1+theta)) - m log2(theta)
 *
 * H is the entropy of the two-sided geometric distribution p(k) = (1-theta)/(1+theta) theta^|k|, whose mean magnitude is m.
 * quantise_dx passes dy straight through the rounding where the index is not clipped (Bengio, Leonard & Courville 2013), and where it is but a
 * descent along dy leads back: else what was clipped once would stay so. It learns s as LSQ does (Esser et al. 2020), and
 * differentiates bits exactly but for the step's codes, with dH/dm = -log2(theta):
 *
 *   dw = (dy where not clipped or of the sign of w) + dbits sign(w)/step dH/dm
 *   ds = ln 2 (sum of dy (y - w, or y where clipped) - dbits sum over the step's groups of L m dH/dm)
 *
 * While mode[0] is 0: y = w, bits = 0, dw = dy, ds = 0.
 */
#include <math.h>
#include <string.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"
#include "tensor/steps.h"

#define LN2          0.69314718055994530942
#define MIN_MEAN     1e-3
#define MODE_SHAPE   nerv_shape(1, 4, 1, 1)
#define STEP_SHAPES  "has one step per row, per channel or for all"
#define MAX_INDEX(n) (NERV_NODE_ATTR(n, QuantiseAttr)->max_index)

typedef struct {
    int32_t max_index;
} QuantiseAttr;

/* Groups lie one after another. Group g has step g mod n_steps. */
typedef struct {
    size_t length;
    uint32_t n_groups, n_steps;
} Groups;

static Groups groups_of(const NervTensor *w, const NervTensor *s)
{
    const NervShape shape = w->shape, steps = s->shape;
    Groups g = { 1, 1, 1 };
    if (steps.n > 1)
        g.n_groups = g.n_steps = (uint32_t)steps.n;
    else if (steps.c > 1) {
        g.n_steps = (uint32_t)steps.c;
        g.n_groups = (uint32_t)shape.n * g.n_steps;
    }
    g.length = (size_t)nerv_shape_count(shape) / g.n_groups;
    return g;
}

/* Operands w, s, mode from `first` on. */
static bool check_quantise(const NervNode *node, uint32_t first, GError **error)
{
    const NervShape w = node->in[first]->shape, s = node->in[first + 1]->shape;
    const int32_t max_index = MAX_INDEX(node);
    if (max_index < 1 || max_index > NERV_INDEX_MAX) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "op %s: an index of at most %d is not in 1..%d",
                    node->op->name, max_index, NERV_INDEX_MAX);
        return false;
    }
    const NervShape want = s.n > 1 ? nerv_shape(w.n, 1, 1, 1) : nerv_shape(1, s.c > 1 ? w.c : 1, 1, 1);
    return nerv_check_float(node, error) && nerv_check_shape(node, first + 1, want, STEP_SHAPES, error) &&
           nerv_check_shape(node, first + 2, MODE_SHAPE, "a mode is", error);
}

static float step_of(const float *s, const Groups *groups, uint32_t group)
{
    return nerv_quant_step(nerv_quant_log2_code(s[group % groups->n_steps]));
}

/* --- references --- */

static double mean_index(const float *w, size_t n, double step)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += fabs(w[i]);
    return fmax(sum / (double)n / step, MIN_MEAN);
}

/* p(0) = (1-theta)/(1+theta), and -log2(theta), where 1/theta = 1 + (1 + p(0))/m: forms that lose nothing for small or large m. */
static double zero_of(double m)
{
    return 1 / (m + sqrt(1 + m * m));
}

static double dentropy_of(double m)
{
    return log1p((1 + zero_of(m)) / m) / LN2;
}

static void quantise_ref(const NervNode *node, const NervArgs *args)
{
    const Groups groups = groups_of(node->in[0], node->in[1]);
    const float *w = args->in[0], *mode = args->in[2];
    float *y = args->out[0], *bits = args->out[1];
    double total = 0;
    for (uint32_t g = 0; g < groups.n_groups; g++, w += groups.length) {
        const float step = step_of(args->in[1], &groups, g), max_index = (float)MAX_INDEX(node);
        for (size_t i = 0; y && i < groups.length; i++)
            *y++ = mode[0] != 0 ? nerv_quant_index(w[i], step, 1 / step, max_index) * step : w[i];
        const double m = mean_index(w, groups.length, step);
        total += (double)groups.length * (m * dentropy_of(m) - log2(zero_of(m)));
    }
    if (bits)
        *bits = mode[0] != 0 ? (float)total : 0;
}

static void quantise_dx_ref(const NervNode *node, const NervArgs *args)
{
    const Groups groups = groups_of(node->in[2], node->in[3]);
    const float *dy = args->in[0], *w = args->in[2], *mode = args->in[4];
    const double dbits = *(const float *)args->in[1];
    const size_t n = groups.length;
    float *dw = args->out[0], *ds = args->out[1];
    for (uint32_t j = 0; j < groups.n_steps; j++) {
        double sum = 0;
        for (uint32_t g = j; g < groups.n_groups; g += groups.n_steps) {
            const float step = step_of(args->in[3], &groups, g), max_index = (float)MAX_INDEX(node);
            const double m = mean_index(w + g * n, n, step), slope = dentropy_of(m);
            for (size_t i = g * n; i < g * n + n; i++) {
                const bool clipped = fabsf(w[i]) > max_index * step;
                const double y = nerv_quant_index(w[i], step, 1 / step, max_index) * step;
                const double sign = (w[i] > 0) - (w[i] < 0);
                sum += dy[i] * (clipped ? y : y - w[i]);
                const bool passes = !clipped || signbit(dy[i]) == signbit(w[i]);
                if (dw)
                    dw[i] =
                        mode[0] == 0 ? dy[i] : (float)((passes ? dy[i] : 0) + dbits * sign / step * slope);
            }
            sum -= dbits * (double)n * m * slope;
        }
        if (ds)
            ds[j] = mode[0] == 0 ? 0 : (float)(LN2 * sum);
    }
}

/* --- CPU: pieces are groups, or ranges of a long one; a task is a piece, or several short groups --- */

typedef struct {
    const float *w, *s, *dy;
    float *y, *dw;
    double *part; /* quantise: a sum per piece; quantise_dx: two */
    const NervMathDsp *dsp;
    Groups groups;
    float max_index, dbits;
    bool on, again; /* quantise_dx: the second pass over groups of several pieces */
    uint32_t n_parts, n_pieces, per_task;
} QuantiseJob;

static void cut(QuantiseJob *job)
{
    job->n_parts = nerv_n_ranges(job->groups.length);
    job->n_pieces = job->groups.n_groups * job->n_parts;
    job->per_task = (uint32_t)MAX(1, NERV_RANGE / job->groups.length);
}

static void run(const QuantiseJob *job, const NervCpu *cpu, NervTaskFunc func)
{
    nerv_pool_run(cpu->pool, (job->n_pieces + job->per_task - 1) / job->per_task, func, (void *)job);
}

/* Where a piece lies; returns its length. */
static size_t piece_at(const QuantiseJob *job, uint32_t piece, size_t *at)
{
    const uint32_t part = piece % job->n_parts;
    *at = piece / job->n_parts * job->groups.length + (size_t)part * NERV_RANGE;
    return nerv_range_length(job->groups.length, part);
}

static NervQuantStep step_at(const QuantiseJob *job, uint32_t group)
{
    const float step = step_of(job->s, &job->groups, group);
    return (NervQuantStep){ step, 1 / step, job->max_index, job->max_index * step };
}

/* m from the sum of |w|; dH/dm = asinh(1/m)/ln 2, and H(m) = (asinh(m) + m asinh(1/m))/ln 2. */
static double mean_of(const QuantiseJob *job, double sum, uint32_t group)
{
    return fmax(sum / (double)job->groups.length / step_of(job->s, &job->groups, group), MIN_MEAN);
}

static double slope_of(double m)
{
    return asinh(1 / m) / LN2;
}

static double group_bits(const QuantiseJob *job, double sum, uint32_t group)
{
    const double m = mean_of(job, sum, group);
    return (double)job->groups.length * (asinh(m) / LN2 + m * slope_of(m));
}

static void quantise_task(void *arg, uint32_t task, uint32_t thread)
{
    const QuantiseJob *job = arg;
    const uint32_t first = task * job->per_task, last = MIN(first + job->per_task, job->n_pieces);
    for (uint32_t piece = first; piece < last; piece++) {
        size_t at;
        const size_t n = piece_at(job, piece, &at);
        const NervQuantStep step = step_at(job, piece / job->n_parts);
        if (!job->on) {
            memcpy(job->y + at, job->w + at, n * sizeof *job->y);
            continue;
        }
        const double sum = job->dsp->quantise(job->y ? job->y + at : NULL, job->w + at, n, &step);
        job->part[piece] = job->n_parts > 1 ? sum : group_bits(job, sum, piece);
    }
}

static size_t quantise_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    const Groups groups = groups_of(node->in[0], node->in[1]);
    return (size_t)groups.n_groups * nerv_n_ranges(groups.length) * sizeof(double);
}

static void quantise_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    QuantiseJob job = { .w = args->in[0], .s = args->in[1], .y = args->out[0], .part = args->scratch };
    float *bits = args->out[1];
    double total = 0;
    job.dsp = &cpu->dsp->math;
    job.groups = groups_of(node->in[0], node->in[1]);
    job.max_index = (float)MAX_INDEX(node);
    job.on = *(const float *)args->in[2] != 0;
    cut(&job);
    if (job.on || job.y)
        run(&job, cpu, quantise_task);
    for (uint32_t g = 0; bits && job.on && g < job.groups.n_groups; g++) {
        double sum = 0;
        for (uint32_t i = 0; i < job.n_parts; i++)
            sum += job.part[g * job.n_parts + i];
        total += job.n_parts > 1 ? group_bits(&job, sum, g) : sum;
    }
    if (bits)
        *bits = (float)total;
}

/* Turns the sums of a group, in its first piece's place, into what follows from them: the part of dw that all its weights share
 * but for their signs, and the group's share of ds. */
static void finish_group(const QuantiseJob *job, uint32_t group)
{
    double *part = job->part + 2 * (size_t)group * job->n_parts;
    const double m = mean_of(job, part[0], group), slope = slope_of(m);
    part[0] = job->dbits * slope / step_of(job->s, &job->groups, group);
    part[1] = LN2 * (part[1] - job->dbits * (double)job->groups.length * m * slope);
}

static void quantise_dx_task(void *arg, uint32_t task, uint32_t thread)
{
    const QuantiseJob *job = arg;
    const uint32_t first = task * job->per_task, last = MIN(first + job->per_task, job->n_pieces);
    for (uint32_t piece = first; piece < last; piece++) {
        size_t at;
        const size_t n = piece_at(job, piece, &at);
        const uint32_t group = piece / job->n_parts;
        const NervQuantStep step = step_at(job, group);
        double *part = job->part + 2 * (size_t)group * job->n_parts;
        if (!job->on) {
            memcpy(job->dw + at, job->dy + at, n * sizeof *job->dw);
            continue;
        }
        if (!job->again)
            job->dsp->quantise_sums(job->dy + at, job->w + at, n, &step, job->part + 2 * (size_t)piece);
        if (job->n_parts == 1)
            finish_group(job, group);
        if (job->dw && (job->n_parts == 1 || job->again))
            job->dsp->quantise_dx(job->dw + at, job->dy + at, job->w + at, n, &step, (float)part[0]);
    }
}

static size_t quantise_dx_cpu_scratch(const NervNode *node, const NervCpu *cpu)
{
    const Groups groups = groups_of(node->in[2], node->in[3]);
    return 2 * (size_t)groups.n_groups * nerv_n_ranges(groups.length) * sizeof(double);
}

/* Groups of several pieces: adds their sums, then goes over them again. */
static void finish_long_groups(QuantiseJob *job, const NervCpu *cpu)
{
    for (uint32_t g = 0; g < job->groups.n_groups; g++) {
        double *part = job->part + 2 * (size_t)g * job->n_parts;
        for (uint32_t i = 1; i < job->n_parts; i++) {
            part[0] += part[2 * i];
            part[1] += part[2 * i + 1];
        }
        finish_group(job, g);
    }
    job->again = true;
    if (job->dw)
        run(job, cpu, quantise_dx_task);
}

static void quantise_dx_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    QuantiseJob job = { .dy = args->in[0], .w = args->in[2], .s = args->in[3], .dw = args->out[0] };
    float *ds = args->out[1];
    job.part = args->scratch;
    job.dsp = &cpu->dsp->math;
    job.groups = groups_of(node->in[2], node->in[3]);
    job.max_index = (float)MAX_INDEX(node);
    job.dbits = *(const float *)args->in[1];
    job.on = *(const float *)args->in[4] != 0;
    cut(&job);
    if (job.on || job.dw)
        run(&job, cpu, quantise_dx_task);
    if (job.on && job.n_parts > 1)
        finish_long_groups(&job, cpu);
    for (uint32_t j = 0; ds && j < job.groups.n_steps; j++) {
        double sum = 0;
        for (uint32_t g = j; job.on && g < job.groups.n_groups; g += job.groups.n_steps)
            sum += job.part[2 * (size_t)g * job.n_parts + 1];
        ds[j] = (float)sum;
    }
}

/* --- Vulkan: the passes are the shaders' --- */

static uint32_t n_parts_vk(const Groups *groups)
{
    return (uint32_t)((groups->length + NERV_SUM_RANGE - 1) / NERV_SUM_RANGE);
}

static void begin_pass(NervDispatch *d, const NervNode *node, const Groups *groups, uint32_t pass)
{
    nerv_dispatch_init(d, node->op->name);
    for (uint32_t i = 0; i < node->n_in; i++)
        nerv_dispatch_bind(d, NERV_BIND_IN, i);
    nerv_dispatch_bind(d, NERV_BIND_OUT, 0);
    nerv_dispatch_bind(d, NERV_BIND_OUT, 1);
    nerv_dispatch_bind(d, NERV_BIND_SCRATCH, 0);
    nerv_dispatch_push(d, (uint32_t)groups->length);
    nerv_dispatch_push(d, groups->n_groups);
    nerv_dispatch_push(d, groups->n_steps);
    nerv_dispatch_push(d, n_parts_vk(groups));
    nerv_dispatch_push(d, pass);
    nerv_dispatch_push_float(d, (float)MAX_INDEX(node));
    d->barrier_before = pass > 0;
}

static size_t quantise_vk_scratch(const NervNode *node, const NervVkCaps *caps)
{
    const Groups groups = groups_of(node->in[0], node->in[1]);
    return (size_t)groups.n_groups * n_parts_vk(&groups) * sizeof(float);
}

static uint32_t quantise_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const Groups groups = groups_of(node->in[0], node->in[1]);
    const uint64_t n_pieces = (uint64_t)groups.n_groups * n_parts_vk(&groups);
    const uint32_t n = caps->out_live[1] ? 2 : 1;
    bool fits = true;
    for (uint32_t pass = 0; pass < n; pass++) {
        begin_pass(&out[pass], node, &groups, pass);
        nerv_dispatch_push(&out[pass], caps->out_live[0]);
        fits &= nerv_dispatch_groups(&out[pass], caps, pass == 0 ? n_pieces : 1);
    }
    return fits ? n : 0;
}

static size_t quantise_dx_vk_scratch(const NervNode *node, const NervVkCaps *caps)
{
    const Groups groups = groups_of(node->in[2], node->in[3]);
    return 2 * (size_t)groups.n_groups * n_parts_vk(&groups) * sizeof(float);
}

static uint32_t quantise_dx_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    const Groups groups = groups_of(node->in[2], node->in[3]);
    const uint64_t n_pieces = (uint64_t)groups.n_groups * n_parts_vk(&groups);
    const bool one_part = n_parts_vk(&groups) == 1, all_known = one_part && groups.n_groups == groups.n_steps;
    uint32_t n = 0;
    bool fits = true;
    for (uint32_t pass = 0; pass < 3; pass++) {
        const bool has_dw = caps->out_live[0] && pass == (one_part ? 0 : 1);
        const bool has_ds = caps->out_live[1] && pass == (all_known ? 0 : 2);
        if (pass > 0 && !has_dw && !has_ds)
            continue;
        NervDispatch *d = &out[n++];
        begin_pass(d, node, &groups, pass);
        nerv_dispatch_push(d, has_dw);
        nerv_dispatch_push(d, has_ds);
        fits &= pass == 2 ? nerv_dispatch_elements(d, caps, groups.n_steps, NERV_VK_LOCAL)
                          : nerv_dispatch_groups(d, caps, n_pieces);
    }
    return fits ? n : 0;
}

/* --- quantise --- */

static bool quantise_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    return check_quantise(node, 0, error) && nerv_infer_float(&out[1], nerv_shape(1, 1, 1, 1)) &&
           nerv_infer_float(out, node->in[0]->shape);
}

static void quantise_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                          NervTensor **din)
{
    NervTensor *w = node->in[0], *dy = dout[0], *dbits = dout[1];
    if (!dy)
        dy = nerv_expand(tape, nerv_tape_scalar(tape, 0.0f), w->shape, 1.0f);
    if (!dbits)
        dbits = nerv_tape_scalar(tape, 0.0f);
    if (need[2])
        nerv_tape_fail(tape, NERV_ERROR_INVALID, "op quantise is not differentiable in its mode");
    din[0] = nerv_fake_quantise_dx(tape, dy, dbits, w, node->in[1], node->in[2], MAX_INDEX(node));
    din[1] = din[0] ? din[0]->node->out[1] : NULL;
}

const NervOp nerv_op_quantise = {
    .name = "quantise",
    .min_in = 3,
    .max_in = 3,
    .n_out = 2,
    .infer = quantise_infer,
    .ref = quantise_ref,
    .cpu = quantise_cpu,
    .cpu_scratch = quantise_cpu_scratch,
    .dispatch = quantise_dispatch,
    .vk_scratch = quantise_vk_scratch,
    .grad = quantise_grad,
    .rtol = 1e-5f,
};

NervTensor *nerv_fake_quantise(NervTape *t, NervTensor *w, NervTensor *s, NervTensor *mode, int max_index)
{
    const QuantiseAttr attr = { max_index };
    return nerv_tape_add(t, &nerv_op_quantise, (NervTensor *[]){ w, s, mode }, 3, &attr, sizeof attr);
}

/* --- quantise_dx --- */

static bool quantise_dx_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape w = node->in[2]->shape, s = node->in[3]->shape;
    return check_quantise(node, 2, error) && nerv_check_shape(node, 0, w, "the weights are", error) &&
           nerv_check_scalar(node, 1, error) && nerv_infer_float(&out[1], s) && nerv_infer_float(out, w);
}

const NervOp nerv_op_quantise_dx = {
    .name = "quantise_dx",
    .min_in = 5,
    .max_in = 5,
    .n_out = 2,
    .infer = quantise_dx_infer,
    .ref = quantise_dx_ref,
    .cpu = quantise_dx_cpu,
    .cpu_scratch = quantise_dx_cpu_scratch,
    .dispatch = quantise_dx_dispatch,
    .vk_scratch = quantise_dx_vk_scratch,
    .rtol = 1e-5f,
    .atol = 1e-5f,
};

NervTensor *nerv_fake_quantise_dx(NervTape *t, NervTensor *dy, NervTensor *dbits, NervTensor *w,
                                  NervTensor *s, NervTensor *mode, int max_index)
{
    const QuantiseAttr attr = { max_index };
    return nerv_tape_add(t, &nerv_op_quantise_dx, (NervTensor *[]){ dy, dbits, w, s, mode }, 5, &attr,
                         sizeof attr);
}
