/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Comparison with an older result, see against.h.
 */
#include <math.h>
#include <string.h>

#include "against.h"
#include "base/error.h"
#include "figures.h"

typedef struct {
    double tolerance;
    uint32_t n, n_worse, n_lone; /* compared, worse, in one result only */
    double log_sum;
} Tally;

static void compare_figure(Tally *t, const BenchFigure *now, const BenchFigure *before)
{
    const double change = now->less_is_better ? before->value / now->value : now->value / before->value;
    const bool worse = change<1 - t->tolerance, better = change * (1 - t->tolerance)> 1;
    t->n++;
    t->n_worse += worse;
    t->log_sum += log(change);
    g_print("  %11.5g %11.5g %7.3f  %-6s  %s\n", before->value, now->value, change,
            worse    ? "WORSE"
            : better ? "better"
                     : "same",
            now->name);
}

static void compare(Tally *t, const GArray *now, const GArray *before)
{
    g_print("  %11s %11s %7s  %-6s\n", "old", "new", "change", "");
    for (guint i = 0; i < now->len; i++) {
        const BenchFigure *a = &g_array_index(now, BenchFigure, i), *b = bench_figures_find(before, a->name);
        if (!b)
            t->n_lone++;
        else if (MAX(a->weight, b->weight) >= BENCH_FIGURE_MIN_WEIGHT)
            compare_figure(t, a, b);
    }
    for (guint i = 0; i < before->len; i++)
        t->n_lone += !bench_figures_find(now, g_array_index(before, BenchFigure, i).name);
}

static bool same_string(const JsonValue *now, const JsonValue *before, const char *key, const char *what,
                        GError **error)
{
    const char *a = json_get_string(now, key), *b = json_get_string(before, key);
    if (g_strcmp0(a, b) == 0)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "%s: \"%s\" now, \"%s\" in the older result", what,
                a ? a : "(not said)", b ? b : "(not said)");
    return false;
}

static bool same_number(const JsonValue *now, const JsonValue *before, const char *key, const char *what,
                        GError **error)
{
    const double a = json_get_number(now, key), b = json_get_number(before, key);
    if (a == b || isnan(a) || isnan(b)) /* older results do not say everything */
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "%s: %g now, %g in the older result", what, a, b);
    return false;
}

static bool alike(const JsonValue *now, const JsonValue *before, GError **error)
{
    return same_string(now, before, "network", "not the same network", error) &&
           same_string(now, before, "size", "not the same size", error) &&
           same_number(now, before, "threads", "not as many threads", error) &&
           same_number(now, before, "batch", "not the same batch", error);
}

/* What does not forbid to compare, but should be known. */
static void note(const JsonValue *now, const JsonValue *before)
{
    const JsonValue *a = json_get(now, "machine"), *b = json_get(before, "machine");
    g_autoptr(GError) machine = NULL, cores = NULL;
    if (!same_string(a, b, "cpu", "another machine", &machine))
        g_print("%s\n", machine->message);
    if (!same_number(a, b, "cores", "another number of cores", &cores))
        g_print("%s\n", cores->message);
}

static bool same_peer(const JsonValue *now, const JsonValue *before)
{
    const char *a = json_get_string(now, "peer"), *b = json_get_string(before, "peer");
    g_autoptr(GError) error = NULL;
    if (!a || !b)
        return false;
    if (same_string(now, before, "peer", "ratios to another peer are not compared", &error))
        return true;
    g_print("%s\n", error->message);
    return false;
}

static BenchAgainst judge(const JsonValue *now, const JsonValue *before, double tolerance, GError **error)
{
    Tally t = { .tolerance = tolerance };
    note(now, before);
    const bool with_peer = same_peer(now, before);
    g_autoptr(GArray) a = bench_figures(now, with_peer), b = bench_figures(before, with_peer);
    g_print("Shares and ratios, worse under %.2f of the older ones; bytes, worse over 1 / %.2f:\n",
            1 - tolerance, 1 - tolerance);
    compare(&t, a, b);
    if (t.n == 0) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "the two results have no figure in common");
        return BENCH_AGAINST_NOT_ALIKE;
    }
    g_print("  %31.3f          geometric mean of %u, %u worse; %u are in one result only\n",
            exp(t.log_sum / t.n), t.n, t.n_worse, t.n_lone);
    return t.n_worse ? BENCH_AGAINST_WORSE : BENCH_AGAINST_OK;
}

BenchAgainst bench_against(const char *now, const char *before, double tolerance, GError **error)
{
    JsonValue *a = json_parse(now, error), *b = a ? json_parse(before, error) : NULL;
    const BenchAgainst result =
        b && alike(a, b, error) ? judge(a, b, tolerance, error) : BENCH_AGAINST_NOT_ALIKE;
    json_value_free(a);
    json_value_free(b);
    return result;
}
