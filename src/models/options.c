/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Options of models, see options.h.
 */
#include "models/options.h"

static bool known_key(const char *key, const char *const *known)
{
    for (; *known; known++)
        if (g_str_equal(key, *known))
            return true;
    return false;
}

bool nerv_options_none(GVariant *options)
{
    return !options ||
           (g_variant_is_of_type(options, G_VARIANT_TYPE_VARDICT) && g_variant_n_children(options) == 0);
}

bool nerv_options_check(GVariant *options, const char *const *known, GError **error)
{
    GVariantIter iter;
    const char *key;
    GVariant *value;
    bool ok = true;

    if (!options)
        return true;
    if (!g_variant_is_of_type(options, G_VARIANT_TYPE_VARDICT)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "model options are no dictionary of names and values");
        return false;
    }
    g_variant_iter_init(&iter, options);
    while (ok && g_variant_iter_next(&iter, "{&sv}", &key, &value)) {
        ok = known_key(key, known);
        if (!ok) {
            char *list = g_strjoinv(", ", (char **)known);
            g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "unknown model option \"%s\"; known are %s",
                        key, list);
            g_free(list);
        }
        g_variant_unref(value);
    }
    return ok;
}

bool nerv_options_refuse(GVariant *options, const char *model, const char *advice, GError **error)
{
    g_autoptr(GVariant) first = NULL;
    const char *key;

    if (!options)
        return true;
    if (!g_variant_is_of_type(options, G_VARIANT_TYPE_VARDICT)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "model options are no dictionary of names and values");
        return false;
    }
    if (g_variant_n_children(options) == 0)
        return true;
    first = g_variant_get_child_value(options, 0);
    g_variant_get_child(first, 0, "&s", &key);
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "model %s is fixed and takes no option \"%s\"; %s",
                model, key, advice);
    return false;
}

static GVariant *lookup(GVariant *options, const char *key)
{
    return options ? g_variant_lookup_value(options, key, NULL) : NULL;
}

static bool has_key(GVariant *options, const char *key)
{
    g_autoptr(GVariant) v = lookup(options, key);
    return v != NULL;
}

bool nerv_options_weights_count(GVariant *options, const char *const *others, GError **error)
{
    bool all = has_key(options, "weights");
    for (const char *const *other = others; all && *other; other++)
        all = has_key(options, *other);
    if (!all)
        return true;
    g_autofree char *list = g_strjoinv("\", \"", (char **)others);
    g_set_error(
        error, NERV_ERROR, NERV_ERROR_INVALID,
        "model option \"weights\" has nothing to choose beside \"%s\": both say how large the network is",
        list);
    return false;
}

static bool to_int(GVariant *v, int64_t *out)
{
    switch (g_variant_classify(v)) {
    case G_VARIANT_CLASS_BYTE:
        *out = g_variant_get_byte(v);
        return true;
    case G_VARIANT_CLASS_INT16:
        *out = g_variant_get_int16(v);
        return true;
    case G_VARIANT_CLASS_UINT16:
        *out = g_variant_get_uint16(v);
        return true;
    case G_VARIANT_CLASS_INT32:
        *out = g_variant_get_int32(v);
        return true;
    case G_VARIANT_CLASS_UINT32:
        *out = g_variant_get_uint32(v);
        return true;
    case G_VARIANT_CLASS_INT64:
        *out = g_variant_get_int64(v);
        return true;
    case G_VARIANT_CLASS_UINT64:
        *out = (int64_t)MIN(g_variant_get_uint64(v), (uint64_t)INT64_MAX);
        return true;
    default:
        return false;
    }
}

static bool in_range(const char *key, int64_t x, int64_t lo, int64_t hi, GError **error)
{
    if (x >= lo && x <= hi)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "model option \"%s\" is %" G_GINT64_FORMAT "; it goes from %" G_GINT64_FORMAT
                " to %" G_GINT64_FORMAT,
                key, x, lo, hi);
    return false;
}

/* Says what came instead as well: 2.5 for an integer is seen at once, two letters swapped in a list are not. */
static bool wrong_type(const char *key, const char *wanted, GVariant *got, GError **error)
{
    g_autofree char *text = g_variant_print(got, FALSE);
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "model option \"%s\" must be %s, and %s is not", key,
                wanted, text);
    return false;
}

bool nerv_options_int(GVariant *options, const char *key, int64_t lo, int64_t hi, int32_t *value,
                      GError **error)
{
    g_autoptr(GVariant) v = lookup(options, key);
    int64_t x;
    if (!v)
        return true;
    if (!to_int(v, &x))
        return wrong_type(key, "an integer", v, error);
    if (!in_range(key, x, lo, hi, error))
        return false;
    *value = (int32_t)x;
    return true;
}

bool nerv_options_double(GVariant *options, const char *key, double lo, double hi, double *value,
                         GError **error)
{
    g_autoptr(GVariant) v = lookup(options, key);
    int64_t i;
    double x;
    if (!v)
        return true;
    if (g_variant_is_of_type(v, G_VARIANT_TYPE_DOUBLE))
        x = g_variant_get_double(v);
    else if (to_int(v, &i))
        x = (double)i;
    else
        return wrong_type(key, "a number", v, error);
    if (!(x >= lo && x <= hi)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "model option \"%s\" is %g; it goes from %g to %g",
                    key, x, lo, hi);
        return false;
    }
    *value = x;
    return true;
}

bool nerv_options_string(GVariant *options, const char *key, const char **value, GError **error)
{
    g_autoptr(GVariant) v = lookup(options, key);
    if (!v)
        return true;
    if (!g_variant_is_of_type(v, G_VARIANT_TYPE_STRING))
        return wrong_type(key, "a string", v, error);
    *value = g_variant_get_string(v, NULL);
    return true;
}

bool nerv_options_ints(GVariant *options, const char *key, int64_t lo, int64_t hi, int32_t *values,
                       uint32_t *n, GError **error)
{
    g_autoptr(GVariant) v = lookup(options, key);
    const uint32_t capacity = *n;
    int64_t x;
    if (!v)
        return true;
    const bool array = g_variant_is_container(v) && !g_variant_is_of_type(v, G_VARIANT_TYPE_VARIANT);
    const gsize count = array ? g_variant_n_children(v) : 1;
    if (count < 1 || count > capacity) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "model option \"%s\" has %zu values; it takes 1 to %u", key, count, capacity);
        return false;
    }
    for (gsize i = 0; i < count; i++) {
        g_autoptr(GVariant) child = array ? g_variant_get_child_value(v, i) : g_variant_ref(v);
        g_autoptr(GVariant) inner = g_variant_is_of_type(child, G_VARIANT_TYPE_VARIANT)
                                        ? g_variant_get_variant(child)
                                        : g_variant_ref(child);
        if (!to_int(inner, &x))
            return wrong_type(key, "integers, one for each block", inner, error);
        if (!in_range(key, x, lo, hi, error))
            return false;
        values[i] = (int32_t)x;
    }
    *n = (uint32_t)count;
    return true;
}
