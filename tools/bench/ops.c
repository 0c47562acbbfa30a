/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The ops of a plan as they were timed in it, see ops.h.
 */
#include <string.h>

#include "ops.h"

static char *describe_shapes(const NervNode *node)
{
    GString *s = g_string_new(NULL);
    for (uint32_t j = 0; j < node->n_in; j++) {
        const NervShape d = node->in[j]->shape;
        g_string_append_printf(s, "%s%dx%dx%dx%d", j ? " " : "", d.n, d.c, d.h, d.w);
    }
    return g_string_free(s, FALSE);
}

/* Every operand once, an operand given twice once, outputs that nobody reads not at all. Of a store of frames only as many
 * are read as come out. */
static int64_t traffic_bytes(const NervStep *step)
{
    const NervNode *node = step->node;
    int64_t bytes = 0;
    for (uint32_t j = 0; j < node->n_in; j++) {
        bool again = false;
        for (uint32_t k = 0; k < j; k++)
            again |= node->in[k] == node->in[j];
        const int64_t whole = (int64_t)nerv_tensor_bytes(node->in[j]);
        const int32_t n = node->in[j]->shape.n, n_read = node->out[0]->shape.n;
        const bool is_store = node->in[j]->dtype == NERV_U8 && n > n_read;
        bytes += again ? 0 : is_store ? whole / n * n_read : whole;
    }
    for (uint32_t j = 0; j < node->op->n_out; j++)
        bytes += step->out[j].kind == NERV_PLACE_NONE ? 0 : (int64_t)nerv_tensor_bytes(node->out[j]);
    return bytes;
}

static int by_cost(gconstpointer a, gconstpointer b)
{
    const BenchOp *x = a, *y = b;
    const double cx = x->seconds * x->count, cy = y->seconds * y->count;
    return cx > cy ? -1 : cx < cy;
}

static void op_clear(gpointer data)
{
    g_free(((BenchOp *)data)->shapes);
}

static BenchOp *find(GArray *ops, const BenchOp *like)
{
    for (guint i = 0; i < ops->len; i++) {
        BenchOp *op = &g_array_index(ops, BenchOp, i);
        if (op->op == like->op && op->bytes == like->bytes && strcmp(op->shapes, like->shapes) == 0)
            return op;
    }
    return NULL;
}

static GArray *gather(const NervPlan *plan)
{
    GArray *ops = g_array_new(FALSE, FALSE, sizeof(BenchOp));
    g_array_set_clear_func(ops, op_clear);
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        const NervNode *node = plan->steps[i].node;
        BenchOp op = { .op = node->op->name,
                       .shapes = describe_shapes(node),
                       .count = 1,
                       .seconds = nerv_plan_profile(plan, i) * 1e-9,
                       .macs = node->op->macs ? node->op->macs(node) : 0,
                       .bytes = traffic_bytes(&plan->steps[i]) };
        BenchOp *same = find(ops, &op);
        if (same) {
            same->seconds = (same->seconds * same->count + op.seconds) / (same->count + 1);
            same->count++;
            g_free(op.shapes);
        } else {
            g_array_append_val(ops, op);
        }
    }
    g_array_sort(ops, by_cost);
    return ops;
}

bool bench_profile(BenchNet *net, BenchPart part, double seconds, BenchProfile *out, GError **error)
{
    NervExec *exec = bench_net_exec(net, part);
    *out = (BenchProfile){ NULL, 0 };
    if (bench_net_run(net, part, 0, error) < 0 || !nerv_exec_profile(exec, true, error))
        return false;
    const gint64 start = g_get_monotonic_time();
    if (bench_net_run(net, part, seconds, error) < 0 || !nerv_exec_wait(exec, error))
        return false;
    const double spent = (double)(g_get_monotonic_time() - start) * 1e-6;
    if (!nerv_exec_profile(exec, false, error))
        return false;
    out->run_seconds = spent / (double)MAX(exec->plan->profile.n_runs, 1);
    out->ops = gather(exec->plan);
    return true;
}

void bench_profile_clear(BenchProfile *p)
{
    if (p->ops)
        g_array_unref(p->ops);
    p->ops = NULL;
}

static double at_best(double work, double per_second)
{
    return per_second > 0 ? work / (per_second * 1e9) : 0;
}

double bench_op_roof_seconds(const BenchOp *op, const BenchRoof *roof)
{
    return MAX(at_best((double)op->macs, roof->gmacs), at_best((double)op->bytes, roof->gbytes));
}

const char *bench_op_bound(const BenchOp *op, const BenchRoof *roof)
{
    if (roof->gmacs <= 0 || roof->gbytes <= 0)
        return "unknown";
    return at_best((double)op->macs, roof->gmacs) > at_best((double)op->bytes, roof->gbytes) ? "arithmetic"
                                                                                             : "memory";
}
