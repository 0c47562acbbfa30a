/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * checkop --bench: throughput of one op at the sizes that its case names. Arithmetic ops in GMAC/s, all
 * others in GB/s of operands read and results written.
 */
#include <math.h>

#include "harness.h"

#define BENCH_SECONDS 0.2

static double traffic_bytes(const NervTape *tape)
{
    double bytes = 0;
    for (uint32_t i = 0; i < tape->nodes->len; i++) {
        const NervNode *node = g_ptr_array_index(tape->nodes, i);
        if (node->op->is_view)
            continue;
        for (uint32_t j = 0; j < node->n_in; j++)
            bytes += (double)nerv_tensor_bytes(node->in[j]);
        for (uint32_t j = 0; j < node->op->n_out; j++)
            if (node->out[j]->is_output || node->op->alias[j])
                bytes += (double)nerv_tensor_bytes(node->out[j]);
    }
    return bytes;
}

static void operand_shapes(const CheckTrial *t, GString *out)
{
    for (uint32_t i = 0; i < t->tape->nodes->len; i++) {
        const NervNode *node = g_ptr_array_index(t->tape->nodes, i);
        if (node->op != t->op)
            continue;
        for (uint32_t j = 0; j < node->n_in; j++) {
            const NervShape s = node->in[j]->shape;
            g_string_append_printf(out, "%s%dx%dx%dx%d", j ? " " : "", s.n, s.c, s.h, s.w);
        }
        return;
    }
}

/* Seconds of one run, from the fastest of several batches. */
static double time_trial(CheckExec *x, GString *why)
{
    double best = INFINITY, spent = 0;
    uint32_t times = 1;
    if (!check_exec_repeat(x, 1, why))
        return -1;
    for (uint32_t rounds = 0; spent < BENCH_SECONDS || rounds < 3; rounds++) {
        const gint64 start = g_get_monotonic_time();
        if (!check_exec_repeat(x, times, why))
            return -1;
        const double s = (double)(g_get_monotonic_time() - start) * 1e-6;
        spent += s;
        best = fmin(best, s / times);
        if (s < BENCH_SECONDS / 10)
            times *= 2;
    }
    return best;
}

bool check_bench(const CheckCase *kase, const NervOp *op, NervBackend *be, const char *label)
{
    if (!kase->bench)
        return true;
    for (uint32_t which = 0; which < 64; which++) {
        g_autoptr(GString) why = g_string_new(NULL);
        g_autoptr(GString) shapes = g_string_new(NULL);
        double macs = 0;
        CheckTrial *t = check_trial_new_bench(kase, op, which, &macs, why);
        if (!t) {
            if (why->len)
                g_print("%-16s %-9s %s\n", op->name, label, why->str);
            return why->len == 0;
        }
        operand_shapes(t, shapes);
        const double bytes = traffic_bytes(t->tape);
        CheckResult warm = { 0 };
        CheckExec *x = check_exec_new(be, t, why);
        const double s = x && check_exec_run(x, &warm, why) ? time_trial(x, why) : -1;
        check_exec_free(x);
        check_result_clear(&warm);
        check_trial_free(t);
        if (s <= 0) {
            g_print("%-16s %-9s %s\n", op->name, label, why->str);
            return false;
        }
        if (macs > 0)
            g_print("%-16s %-9s %10.3f ms %8.2f GMAC/s  %s\n", op->name, label, s * 1e3, macs / s * 1e-9,
                    shapes->str);
        else
            g_print("%-16s %-9s %10.3f ms %8.2f GB/s    %s\n", op->name, label, s * 1e3, bytes / s * 1e-9,
                    shapes->str);
    }
    return true;
}
