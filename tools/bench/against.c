/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Ratios to an older result, see against.h. Both texts are walked together; elements of arrays find each other by what names
 * them (device, shape and way, what and value) and not by their position, so that a result with more rows than the
 * older one is still compared in the rows that both have.
 */
#include <math.h>
#include <string.h>

#include "against.h"
#include "base/error.h"
#include "json_read.h"

/* What is compared: the lower the better, all of them. */
static const char *const measures[] = { "seconds",        "training_bytes", "decoding_bytes",
                                        "resident_bytes", "planned_bytes",  "startup_seconds",
                                        "seek_seconds",   "frame_seconds" };
static const char *const names[] = { "device", "shape", "way", "what", "value", "codec" };
static const char *const skipped[] = { "ops", "decode_ops", "rounds_s", "peer_rounds_s" };

typedef struct {
    double tolerance;
    uint32_t n, n_worse;
    double log_sum;
} Tally;

static bool in_list(const char *s, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(s, list[i]) == 0)
            return true;
    return false;
}

/* What names an element of an array, "180x320 dx"; empty if nothing does. */
static char *element_name(const JsonValue *v)
{
    GString *s = g_string_new(NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        const char *part = json_get_string(v, names[i]);
        if (part)
            g_string_append_printf(s, "%s%s", s->len ? " " : "", part);
    }
    return g_string_free(s, FALSE);
}

static const JsonValue *find_element(const JsonValue *array, const char *name)
{
    for (guint i = 0; i < array->values->len; i++) {
        const JsonValue *v = g_ptr_array_index(array->values, i);
        g_autofree char *other = element_name(v);
        if (strcmp(other, name) == 0)
            return v;
    }
    return NULL;
}

static void compare_number(Tally *t, const char *path, double now, double before)
{
    if (!(now > 0 && before > 0))
        return;
    const double ratio = now / before;
    const bool worse = ratio > 1 + t->tolerance;
    t->n++;
    t->n_worse += worse;
    t->log_sum += log(ratio);
    g_print("  %6.3f %s %s\n", ratio, worse ? "WORSE" : "     ", path);
}

static void compare(Tally *t, const char *path, const JsonValue *now, const JsonValue *before)
{
    if (now->kind != before->kind)
        return;
    for (guint i = 0; now->kind == JSON_OBJECT && i < now->values->len; i++) {
        const char *key = g_ptr_array_index(now->keys, i);
        const JsonValue *a = g_ptr_array_index(now->values, i), *b = json_get(before, key);
        g_autofree char *longer = g_strdup_printf("%s%s%s", path, *path ? " " : "", key);
        if (!b || in_list(key, skipped, G_N_ELEMENTS(skipped)))
            continue;
        if (a->kind == JSON_NUMBER && b->kind == JSON_NUMBER) {
            if (in_list(key, measures, G_N_ELEMENTS(measures)))
                compare_number(t, longer, a->number, b->number);
        } else {
            compare(t, longer, a, b);
        }
    }
    for (guint i = 0; now->kind == JSON_ARRAY && i < now->values->len; i++) {
        const JsonValue *a = g_ptr_array_index(now->values, i);
        g_autofree char *name = element_name(a);
        const JsonValue *b = *name ? find_element(before, name) : NULL;
        g_autofree char *longer = g_strdup_printf("%s [%s]", path, name);
        if (b)
            compare(t, longer, a, b);
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

static bool alike(const JsonValue *now, const JsonValue *before, GError **error)
{
    const JsonValue *a = json_get(now, "machine"), *b = json_get(before, "machine");
    return same_string(a, b, "cpu", "not the same machine", error) &&
           same_number(a, b, "cores", "not the same number of cores", error) &&
           same_string(now, before, "network", "not the same network", error) &&
           same_number(now, before, "threads", "not as many threads", error) &&
           same_number(now, before, "batch", "not the same batch", error);
}

BenchAgainst bench_against(const char *now, const char *before, double tolerance, GError **error)
{
    Tally t = { tolerance, 0, 0, 0 };
    JsonValue *a = json_parse(now, error), *b = a ? json_parse(before, error) : NULL;
    BenchAgainst result = BENCH_AGAINST_NOT_ALIKE;
    if (b && alike(a, b, error)) {
        g_print("New / old, worse when over %.2f:\n", 1 + tolerance);
        compare(&t, "", a, b);
        if (t.n)
            g_print("  %6.3f       geometric mean of %u, %u worse\n", exp(t.log_sum / t.n), t.n, t.n_worse);
        else
            g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "the two results have no measurement in common");
        result = !t.n ? BENCH_AGAINST_NOT_ALIKE : t.n_worse ? BENCH_AGAINST_WORSE : BENCH_AGAINST_OK;
    }
    json_value_free(a);
    json_value_free(b);
    return result;
}
