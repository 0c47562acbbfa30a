/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tables and their JSON, see report.h. A share of a roof that is not known is null in JSON and left out of tables.
 */
#include <math.h>

#include "peak.h"
#include "report.h"
#include "stream.h"

#define PEAK_SECONDS 0.3 /* of which the best: other work on the machine must not lower a peak */

static void report_bandwidth(Json *j, NervPool *one, NervPool *all, BenchRoof *roof)
{
    const double b1 = bench_stream_gbytes(one, NULL), bn = bench_stream_gbytes(all, &roof->bytes_per_mac);
    json_open(j, "memory_gbytes_per_s", '{');
    json_number(j, "one_thread", b1 > 0 ? b1 : NAN);
    json_number(j, "all_threads", bn > 0 ? bn : NAN);
    json_close(j, '}');
    g_print("Memory in GB/s (a = b + s c), 1 thread and %u: %.1f %.1f\n", nerv_pool_threads(all), b1, bn);
    roof->gbytes = bn;
}

BenchRoof bench_report_machine(Json *j, guint threads)
{
    BenchRoof roof = { .gmacs = 0 };
    NervPool *one = nerv_pool_new(1), *all = nerv_pool_new(threads);
    json_open(j, "fma_peak_gmacs_per_s", '{');
    g_print("Multiply-add peak in GMAC/s, 1 thread and %u:", nerv_pool_threads(all));
    for (uint32_t level = NERV_CPU_BASELINE; level <= nerv_cpu_level_hardware(); level++) {
        const double p1 = bench_peak_gmacs(level, one, PEAK_SECONDS).best;
        const double pn = bench_peak_gmacs(level, all, PEAK_SECONDS).best;
        json_open(j, nerv_cpu_level_name(level), '{');
        json_number(j, "one_thread", p1);
        json_number(j, "all_threads", pn);
        json_close(j, '}');
        g_print("  %s %.1f %.1f", nerv_cpu_level_name(level), p1, pn);
        if (level == nerv_cpu_level())
            roof.gmacs = pn;
    }
    g_print("\n");
    json_integer(j, "threads", nerv_pool_threads(all));
    json_close(j, '}');
    report_bandwidth(j, one, all, &roof);
    nerv_pool_free(one);
    roof.pool = all;
    return roof;
}

static void add_rounds(Json *j, const char *key, const double *v, uint32_t n)
{
    json_open(j, key, '[');
    for (uint32_t i = 0; i < n; i++)
        json_number(j, NULL, v[i]);
    json_close(j, ']');
}

static double share(double rate, double roof)
{
    return roof > 0 ? rate / roof : NAN;
}

void bench_report_rounds(Json *j, const char *key, const char *rate, const Rounds *r, bool with_peer,
                         int64_t macs)
{
    const double s = rounds_median(r->ours, r->n), gmacs = (double)macs / s * 1e-9;
    const double of_peak = rounds_median_share(r, (double)macs);
    json_open(j, key, '{');
    json_number(j, "seconds", s);
    json_number(j, rate, 1 / s);
    json_number(j, "gmacs_per_s", gmacs);
    json_number(j, "share_of_peak", of_peak);
    add_rounds(j, "rounds_s", r->ours, r->n);
    g_print("  %-12s %9.3f ms  %9.2f %-12s  %8.2f GMAC/s", key, s * 1e3, 1 / s, rate, gmacs);
    if (isfinite(of_peak))
        g_print("  %5.1f %% of peak", 100 * of_peak);
    if (with_peer) {
        const double peer = rounds_median(r->peer, r->n);
        json_number(j, "peer_seconds", peer);
        json_number(j, "ratio", rounds_median_ratio(r));
        add_rounds(j, "peer_rounds_s", r->peer, r->n);
        g_print("  %.2fx PyTorch (%.3f ms)", rounds_median_ratio(r), peer * 1e3);
    }
    g_print("\n");
    json_close(j, '}');
}

static void report_op(Json *j, const BenchOp *op, double run_seconds, const BenchRoof *roof)
{
    const double part = op->count * op->seconds / run_seconds, seconds = MAX(op->seconds, 1e-9);
    const double gmacs = op->macs > 0 ? (double)op->macs / seconds * 1e-9 : NAN;
    const double gbytes = (double)op->bytes / seconds * 1e-9, best = bench_op_roof_seconds(op, roof);
    json_open(j, NULL, '{');
    json_string(j, "op", op->op);
    json_string(j, "operands", op->shapes);
    json_integer(j, "count", op->count);
    json_number(j, "seconds", op->seconds);
    json_number(j, "share_of_time", part);
    json_number(j, "gmacs_per_s", gmacs);
    json_number(j, "share_of_peak", share(gmacs, roof->gmacs));
    json_number(j, "gbytes_per_s", gbytes);
    json_number(j, "share_of_bandwidth", share(gbytes, roof->gbytes));
    json_string(j, "bound", bench_op_bound(op, roof));
    json_number(j, "share_of_roof", best > 0 ? best / seconds : NAN);
    json_close(j, '}');
    g_print("  %-14s %4u %9.4f %5.1f%%", op->op, op->count, op->seconds * 1e3, 100 * part);
    if (op->macs > 0)
        g_print(" %8.2f", gmacs);
    else
        g_print(" %8s", "");
    if (op->macs > 0 && roof->gmacs > 0)
        g_print(" %5.1f%%", 100 * share(gmacs, roof->gmacs));
    else
        g_print(" %6s", "");
    g_print(" %8.2f", gbytes);
    if (best > 0)
        g_print(" %5.0f%%  %-10s %5.0f%%", 100 * share(gbytes, roof->gbytes), bench_op_bound(op, roof),
                100 * best / seconds);
    g_print("  %s\n", op->shapes);
}

void bench_report_ops(Json *j, const char *key, const BenchProfile *profile)
{
    const BenchRoof *roof = &profile->roof;
    double sum = 0, best = 0;
    json_open(j, key, '[');
    g_print("  %-14s %4s %9s %6s %8s %6s %8s %6s  %-10s %6s  %s\n", key, "n", "ms each", "time%", "GMAC/s",
            "peak%", "GB/s", "mem%", "roof", "of it", "operands");
    for (guint i = 0; i < profile->ops->len; i++) {
        const BenchOp *op = &g_array_index(profile->ops, BenchOp, i);
        report_op(j, op, profile->run_seconds, roof);
        sum += op->count * op->seconds;
        best += op->count * bench_op_roof_seconds(op, roof);
    }
    json_close(j, ']');
    g_autofree char *seconds_key = g_strconcat(key, "_seconds", NULL);
    g_autofree char *roof_key = g_strconcat(key, "_roof_seconds", NULL);
    json_number(j, seconds_key, sum);
    json_number(j, roof_key, best > 0 ? best : NAN);
    g_print("  the ops take %.3f ms of the %.3f ms that a run took while they were timed", sum * 1e3,
            profile->run_seconds * 1e3);
    if (best > 0)
        g_print("; at their roofs they would take %.3f ms", best * 1e3);
    g_print("\n");
}
