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
    uint32_t n, n_worse, n_missing, n_new; /* compared, worse, in the older result only, in the newer only */
    uint32_t n_ratios;                     /* of those compared; counts have none */
    double log_sum;
} Tally;

static bool is_worse(const BenchFigure *now, double change, double tolerance)
{
    return change < 1 - tolerance && !(now->sense == BENCH_LESS_IS_BETTER && now->value <= now->harmless);
}

static void compare_figure(Tally *t, const BenchFigure *now, const BenchFigure *before)
{
    bool worse = now->value > before->value, better = now->value < before->value;
    t->n++;
    g_print("  %11.5g %11.5g ", before->value, now->value);
    if (now->sense == BENCH_NO_MORE) {
        g_print("%7s", "");
    } else {
        const double change =
            now->sense == BENCH_LESS_IS_BETTER ? before->value / now->value : now->value / before->value;
        worse = is_worse(now, change, t->tolerance);
        better = change * (1 - t->tolerance) > 1;
        t->n_ratios++;
        t->log_sum += log(change);
        g_print("%7.3f", change);
    }
    t->n_worse += worse;
    g_print("  %-7s %s\n", worse ? "WORSE" : better ? "better" : "same", now->name);
}

/* A figure that is gone, or no number any more, is no better than a bad one. */
static void miss_figure(Tally *t, const BenchFigure *before)
{
    t->n_missing++;
    g_print("  %11.5g %11s %7s  %-7s %s\n", before->value, "", "", "MISSING", before->name);
}

static void compare(Tally *t, const GArray *now, const GArray *before)
{
    g_print("  %11s %11s %7s  %-7s\n", "old", "new", "change", "");
    for (guint i = 0; i < now->len; i++) {
        const BenchFigure *a = &g_array_index(now, BenchFigure, i), *b = bench_figures_find(before, a->name);
        if (!b)
            t->n_new++;
        else if (MAX(a->weight, b->weight) >= BENCH_FIGURE_MIN_WEIGHT)
            compare_figure(t, a, b);
    }
    for (guint i = 0; i < before->len; i++) {
        const BenchFigure *b = &g_array_index(before, BenchFigure, i);
        if (b->weight >= BENCH_FIGURE_MIN_WEIGHT && !bench_figures_find(now, b->name))
            miss_figure(t, b);
    }
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

/* Of a pipeline's result; NULL if it has none. */
static const JsonValue *first_codec(const JsonValue *result)
{
    const JsonValue *codecs = json_get(result, "codecs");
    return codecs && codecs->kind == JSON_ARRAY && codecs->values->len > 0
               ? g_ptr_array_index(codecs->values, 0)
               : NULL;
}

static bool alike(const JsonValue *now, const JsonValue *before, GError **error)
{
    return same_string(now, before, "network", "not the same network", error) &&
           same_string(now, before, "size", "not the same size", error) &&
           same_number(now, before, "threads", "not as many threads", error) &&
           same_number(now, before, "batch", "not the same batch", error) &&
           same_number(first_codec(now), first_codec(before), "frames", "not as many frames", error);
}

/* What does not forbid to compare, but should be known. False: the machines differ. */
static bool note_machine(const JsonValue *now, const JsonValue *before)
{
    const JsonValue *a = json_get(now, "machine"), *b = json_get(before, "machine");
    g_autoptr(GError) machine = NULL, cores = NULL;
    if (!same_string(a, b, "cpu", "another machine", &machine))
        g_print("%s\n", machine->message);
    if (!same_number(a, b, "cores", "another number of cores", &cores))
        g_print("%s\n", cores->message);
    if ((machine || cores) && first_codec(now))
        g_print("frames per second are compared beside other codecs' alone\n");
    return !machine && !cores;
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
    const bool same_machine = note_machine(now, before), with_peer = same_peer(now, before);
    g_autoptr(GArray) a = bench_figures(now, before, with_peer, same_machine);
    g_autoptr(GArray) b = bench_figures(before, now, with_peer, same_machine);
    g_print("Shares and ratios, worse under %.2f of the older ones; bytes, worse over 1 / %.2f:\n",
            1 - tolerance, 1 - tolerance);
    compare(&t, a, b);
    if (t.n == 0) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "the two results have no figure in common");
        return BENCH_AGAINST_NOT_ALIKE;
    }
    g_print("  %31.3f          geometric mean of %u, %u worse, %u missing; %u are new\n",
            exp(t.log_sum / MAX(1, t.n_ratios)), t.n_ratios, t.n_worse, t.n_missing, t.n_new);
    return t.n_worse || t.n_missing ? BENCH_AGAINST_WORSE : BENCH_AGAINST_OK;
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
