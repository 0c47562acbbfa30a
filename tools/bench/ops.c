/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The ops of a plan as they were timed in it, see ops.h.
 */
#include <string.h>

#include "ops.h"
#include "rounds.h"

#define MIN_RUNS 3

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

/* The machine's pace while the ops were timed is what makes of the run the share that it is of the peak without that. */
static BenchRoof roof_meanwhile(const BenchRoof *roof, double gmacs, double share)
{
    const double peak = gmacs / share;
    return roof->pool && share > 0 ? (BenchRoof){ .gmacs = peak, .gbytes = peak * roof->bytes_per_mac }
                                   : (BenchRoof){ .gmacs = roof->gmacs, .gbytes = roof->gbytes };
}

/* Runs in which each step was timed: by step and, last, what a run took beside its steps; seconds. */
typedef struct {
    uint32_t n_steps;
    GArray **of; /* of double */
} Samples;

static void samples_init(Samples *s, uint32_t n_steps)
{
    s->n_steps = n_steps;
    s->of = g_new(GArray *, n_steps + 1);
    for (uint32_t i = 0; i <= n_steps; i++)
        s->of[i] = g_array_new(FALSE, FALSE, sizeof(double));
}

static void samples_clear(Samples *s)
{
    for (uint32_t i = 0; i <= s->n_steps; i++)
        g_array_unref(s->of[i]);
    g_free(s->of);
}

/* A step that other work has interrupted took milliseconds; the median does not know them, as the mean would. */
static double samples_median(const Samples *s, uint32_t i)
{
    return rounds_median((const double *)(void *)s->of[i]->data, s->of[i]->len);
}

/* `total_ns`: the profile's sums, before and after. */
static void samples_add(Samples *s, const NervPlan *plan, uint64_t *total_ns, double run_seconds)
{
    for (uint32_t i = 0; i < s->n_steps; i++) {
        const double seconds = (double)(plan->profile.step_ns[i] - total_ns[i]) * 1e-9;
        total_ns[i] = plan->profile.step_ns[i];
        run_seconds -= seconds;
        g_array_append_val(s->of[i], seconds);
    }
    run_seconds = MAX(run_seconds, 0);
    g_array_append_val(s->of[s->n_steps], run_seconds);
}

static bool sample(Samples *s, BenchNet *net, BenchPart part, double seconds, GError **error)
{
    const NervPlan *plan = bench_net_exec(net, part)->plan;
    g_autofree uint64_t *total_ns = g_memdup2(plan->profile.step_ns, plan->n_steps * sizeof(uint64_t));
    double spent = 0;
    for (uint32_t n = 0; n < MIN_RUNS || spent < seconds; n++) {
        const gint64 start = g_get_monotonic_time();
        if (!bench_net_once(net, part, error))
            return false;
        const double run = (double)(g_get_monotonic_time() - start) * 1e-6;
        samples_add(s, plan, total_ns, run);
        spent += run;
    }
    return true;
}

static GArray *gather(const NervPlan *plan, const Samples *s)
{
    GArray *ops = g_array_new(FALSE, FALSE, sizeof(BenchOp));
    g_array_set_clear_func(ops, op_clear);
    for (uint32_t i = 0; i < plan->n_steps; i++) {
        const NervNode *node = plan->steps[i].node;
        BenchOp op = { .op = node->op->name,
                       .shapes = describe_shapes(node),
                       .count = 1,
                       .seconds = samples_median(s, i),
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

bool bench_profile(BenchNet *net, BenchPart part, double seconds, const BenchRoof *roof, double share,
                   BenchProfile *out, GError **error)
{
    NervExec *exec = bench_net_exec(net, part);
    Samples s;
    *out = (BenchProfile){ .ops = NULL };
    samples_init(&s, exec->plan->n_steps);
    /* The first run after the change may record commands. */
    const bool ok = nerv_exec_profile(exec, true, error) && bench_net_once(net, part, error) &&
                    sample(&s, net, part, seconds, error) && nerv_exec_profile(exec, false, error);
    if (ok) {
        out->ops = gather(exec->plan, &s);
        for (uint32_t i = 0; i <= s.n_steps; i++)
            out->run_seconds += samples_median(&s, i);
        out->roof = roof_meanwhile(roof, (double)bench_net_macs(net, part) / out->run_seconds * 1e-9, share);
    }
    samples_clear(&s);
    return ok;
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
