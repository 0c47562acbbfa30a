/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Rows of a grid by a position in time, linear between neighbours: the temporal grids of FFNeRV (Lee et al. 2023). With p =
 * pos[n] clamped to 0..T-1, i = floor(p) and f = p - i:
 *
 *   lookup:    y[n] = (1-f) grid[i] + f grid[i+1]
 *   lookup_dx: dgrid[t] = sum over n of dy[n] times the weight that y[n] gives to row t
 *
 * Each is the other's gradient; in pos there is none. A position that is no number reads row 0.
 */
#include <string.h>

#include "ops/check.h"
#include "ops/ops.h"
#include "ops/ranges.h"

typedef struct {
    int32_t rows;
} LookupAttr;

/* The two rows around a position, and the second one's weight. At the last row both are that row. */
typedef struct {
    int32_t i, j;
    float f;
} Between;

static Between between(const float *pos, int32_t n, int32_t rows)
{
    const float last = (float)(rows - 1), p = pos[n] > 0 ? MIN(pos[n], last) : 0;
    const int32_t i = MIN((int32_t)p, rows - 1);
    return (Between){ i, MIN(i + 1, rows - 1), p - (float)i };
}

/* What y[n] takes of row t. */
static float weight_of(const float *pos, int32_t n, int32_t t, int32_t rows)
{
    const Between b = between(pos, n, rows);
    return (t == b.i ? 1 - b.f : 0) + (t == b.j ? b.f : 0);
}

static bool check_positions(const NervNode *node, int32_t *n, GError **error)
{
    *n = node->in[1]->shape.n;
    return nerv_check_float(node, error) &&
           nerv_check_shape(node, 1, nerv_shape(*n, 1, 1, 1), "a list of positions is", error);
}

static size_t row_length(const NervTensor *t)
{
    return (size_t)t->shape.c * t->shape.h * t->shape.w;
}

typedef struct {
    const float *x, *pos; /* the grid, or dy */
    float *y;             /* y, or dgrid */
    const NervMathDsp *dsp;
    size_t length; /* of a row */
    int32_t rows, n;
    uint32_t per_task; /* lookup_dx: rows of a task where they are short */
} LookupJob;

/* Zero would be wrong, so a gradient in pos is an error. */
static bool refuse_positions(NervTape *tape, const NervNode *node, const bool *need)
{
    if (need[1])
        nerv_tape_fail(tape, NERV_ERROR_INVALID, "op %s is not differentiable in the positions",
                       node->op->name);
    return need[1];
}

/* --- lookup --- */

static bool lookup_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const NervShape g = node->in[0]->shape;
    int32_t n;
    return check_positions(node, &n, error) && nerv_infer_float(out, nerv_shape(n, g.c, g.h, g.w));
}

static void lookup_ref(const NervNode *node, const NervArgs *args)
{
    const size_t length = row_length(node->in[0]);
    float *y = args->out[0];
    for (int32_t n = 0; n < node->out[0]->shape.n; n++) {
        const Between b = between(args->in[1], n, node->in[0]->shape.n);
        const float *first = (const float *)args->in[0] + b.i * length;
        const float *second = (const float *)args->in[0] + b.j * length;
        for (size_t k = 0; k < length; k++)
            *y++ = (float)((1 - (double)b.f) * first[k] + (double)b.f * second[k]);
    }
}

static void lookup_task(void *arg, uint32_t task, uint32_t thread)
{
    const LookupJob *job = arg;
    const uint32_t n_ranges = nerv_n_ranges(job->length), n = task / n_ranges, range = task % n_ranges;
    const size_t at = (size_t)range * NERV_RANGE;
    const Between b = between(job->pos, (int32_t)n, job->rows);
    job->dsp->mix(job->y + n * job->length + at, job->x + b.i * job->length + at,
                  job->x + b.j * job->length + at, nerv_range_length(job->length, range), b.f);
}

static void lookup_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const int32_t n = node->out[0]->shape.n;
    const NervTensor *grid = node->in[0];
    LookupJob job = { .x = args->in[0], .pos = args->in[1], .y = args->out[0], .dsp = &cpu->dsp->math };
    job.length = row_length(grid);
    job.rows = grid->shape.n;
    nerv_pool_run(cpu->pool, (uint32_t)n * nerv_n_ranges(job.length), lookup_task, &job);
}

/* Both shaders are pushed the same: the elements of the result and of a row, rows and positions. */
static uint32_t dispatch_lookup(const NervNode *node, const NervVkCaps *caps, NervDispatch *out, int32_t rows)
{
    const bool fits = nerv_dispatch_pointwise(out, node, caps);
    nerv_dispatch_push(out, (uint32_t)row_length(node->out[0]));
    nerv_dispatch_push(out, (uint32_t)rows);
    nerv_dispatch_push(out, (uint32_t)node->in[1]->shape.n);
    return fits;
}

static uint32_t lookup_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    return dispatch_lookup(node, caps, out, node->in[0]->shape.n);
}

static void lookup_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                        NervTensor **din)
{
    if (!refuse_positions(tape, node, need) && need[0])
        din[0] = nerv_lookup_dx(tape, dout[0], node->in[1], node->in[0]->shape.n);
}

const NervOp nerv_op_lookup = {
    .name = "lookup",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = lookup_infer,
    .ref = lookup_ref,
    .cpu = lookup_cpu,
    .dispatch = lookup_dispatch,
    .grad = lookup_grad,
    .rtol = 1e-6f,
    .atol = 1e-6f,
};

NervTensor *nerv_lookup(NervTape *t, NervTensor *grid, NervTensor *pos)
{
    return nerv_tape_add(t, &nerv_op_lookup, (NervTensor *[]){ grid, pos }, 2, NULL, 0);
}

/* --- lookup_dx --- */

static bool lookup_dx_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    const LookupAttr *attr = NERV_NODE_ATTR(node, LookupAttr);
    const NervShape dy = node->in[0]->shape;
    int32_t n;
    if (attr->rows < 1)
        return nerv_invalid(node, error, "a grid has at least one row");
    return check_positions(node, &n, error) &&
           nerv_check_shape(node, 0, nerv_shape(n, dy.c, dy.h, dy.w), "there are positions", error) &&
           nerv_infer_float(out, nerv_shape(attr->rows, dy.c, dy.h, dy.w));
}

static void lookup_dx_ref(const NervNode *node, const NervArgs *args)
{
    const size_t length = row_length(node->out[0]);
    const int32_t rows = node->out[0]->shape.n;
    float *dgrid = args->out[0];
    for (int32_t t = 0; t < rows; t++) {
        for (size_t k = 0; k < length; k++) {
            double sum = 0;
            for (int32_t n = 0; n < node->in[0]->shape.n; n++)
                sum +=
                    (double)weight_of(args->in[1], n, t, rows) * ((const float *)args->in[0])[n * length + k];
            *dgrid++ = (float)sum;
        }
    }
}

/* One range of one row, over the pictures in their order. */
static void gather(const LookupJob *job, int32_t t, uint32_t range)
{
    const size_t at = (size_t)range * NERV_RANGE, length = nerv_range_length(job->length, range);
    float *y = job->y + t * job->length + at;
    memset(y, 0, length * sizeof *y);
    for (int32_t n = 0; n < job->n; n++) {
        const float weight = weight_of(job->pos, n, t, job->rows);
        if (weight != 0)
            job->dsp->add_scaled(y, job->x + n * job->length + at, length, weight);
    }
}

static void lookup_dx_task(void *arg, uint32_t task, uint32_t thread)
{
    const LookupJob *job = arg;
    const uint32_t n_ranges = nerv_n_ranges(job->length);
    if (n_ranges > 1) {
        gather(job, (int32_t)(task / n_ranges), task % n_ranges);
        return;
    }
    const uint32_t first = task * job->per_task;
    for (uint32_t t = first; t < MIN(first + job->per_task, (uint32_t)job->rows); t++)
        gather(job, (int32_t)t, 0);
}

static void lookup_dx_cpu(const NervNode *node, const NervArgs *args, const NervCpu *cpu)
{
    const NervTensor *dgrid = node->out[0];
    LookupJob job = { .x = args->in[0], .pos = args->in[1], .y = args->out[0], .dsp = &cpu->dsp->math };
    job.length = row_length(dgrid);
    const uint32_t n_ranges = nerv_n_ranges(job.length);
    job.rows = dgrid->shape.n;
    job.n = node->in[0]->shape.n;
    job.per_task = (uint32_t)MAX(1, NERV_RANGE / job.length);
    nerv_pool_run(cpu->pool,
                  n_ranges > 1 ? (uint32_t)job.rows * n_ranges
                               : ((uint32_t)job.rows + job.per_task - 1) / job.per_task,
                  lookup_dx_task, &job);
}

static uint32_t lookup_dx_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    return dispatch_lookup(node, caps, out, node->out[0]->shape.n);
}

static void lookup_dx_grad(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                           NervTensor **din)
{
    if (!refuse_positions(tape, node, need) && need[0])
        din[0] = nerv_lookup(tape, dout[0], node->in[1]);
}

const NervOp nerv_op_lookup_dx = {
    .name = "lookup_dx",
    .min_in = 2,
    .max_in = 2,
    .n_out = 1,
    .infer = lookup_dx_infer,
    .ref = lookup_dx_ref,
    .cpu = lookup_dx_cpu,
    .dispatch = lookup_dx_dispatch,
    .grad = lookup_dx_grad,
    .rtol = 1e-6f,
    .atol = 2e-6f,
};

NervTensor *nerv_lookup_dx(NervTape *t, NervTensor *dy, NervTensor *pos, int rows)
{
    const LookupAttr attr = { rows };
    return nerv_tape_add(t, &nerv_op_lookup_dx, (NervTensor *[]){ dy, pos }, 2, &attr, sizeof attr);
}
