/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Logs of meta-learning, see meta_log.h. The file is a serialised GVariant.
 */
#include "meta_log.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "plot.h"

#define MAGIC   "nerv-meta state 1"
#define TYPE    "(ssuda(udddd)ay)"
#define ENTRY   "(udddd)"
#define ENTRIES "a" ENTRY

void meta_log_init(MetaLog *log)
{
    *log = (MetaLog){ .entries = g_array_new(FALSE, TRUE, sizeof(MetaEntry)) };
}

void meta_log_clear(MetaLog *log)
{
    g_clear_pointer(&log->entries, g_array_unref);
    g_clear_pointer(&log->state, g_free);
}

/* --- the file --- */

static bool refuse(const char *path, const char *why, GError **error)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "%s: %s", path, why);
    return false;
}

static bool take(MetaLog *log, GVariant *v, const char *path, const char *task, GError **error)
{
    const char *magic, *its_task;
    g_autoptr(GVariantIter) entries = NULL;
    g_autoptr(GVariant) state = NULL;
    MetaEntry e;
    g_variant_get(v, "(&s&sud" ENTRIES "@ay)", &magic, &its_task, &log->update, &log->seconds, &entries,
                  &state);
    if (!g_str_equal(magic, MAGIC))
        return refuse(path, "this is no state of nerv-meta", error);
    if (!g_str_equal(its_task, task)) {
        g_set_error(
            error, NERV_ERROR, NERV_ERROR_INVALID,
            "%s is the state of another task. Its own: %s. This one: %s. (To learn on from an init file "
            "that is done there is --from.)",
            path, its_task, task);
        return false;
    }
    while (g_variant_iter_next(entries, ENTRY, &e.update, &e.seconds, &e.loss_before, &e.loss_after, &e.psnr))
        g_array_append_val(log->entries, e);
    gsize bytes;
    const void *data = g_variant_get_fixed_array(state, &bytes, 1);
    log->n_state = bytes / sizeof(float);
    log->state = g_memdup2(data, log->n_state * sizeof(float));
    return true;
}

bool meta_log_load(MetaLog *log, const char *path, const char *task, GError **error)
{
    g_autofree char *data = NULL;
    gsize bytes;
    if (!g_file_test(path, G_FILE_TEST_EXISTS))
        return true;
    if (!g_file_get_contents(path, &data, &bytes, error))
        return false;
    g_autoptr(GBytes) owned = g_bytes_new_take(g_steal_pointer(&data), bytes);
    g_autoptr(GVariant) v = g_variant_ref_sink(g_variant_new_from_bytes(G_VARIANT_TYPE(TYPE), owned, FALSE));
    if (!g_variant_is_normal_form(v))
        return refuse(path, "this is no state of nerv-meta", error);
    return take(log, v, path, task, error);
}

bool meta_log_save(const MetaLog *log, const char *path, const char *task, GError **error)
{
    GVariantBuilder entries;
    g_variant_builder_init(&entries, G_VARIANT_TYPE(ENTRIES));
    for (guint i = 0; i < log->entries->len; i++) {
        const MetaEntry *e = &g_array_index(log->entries, MetaEntry, i);
        g_variant_builder_add(&entries, ENTRY, e->update, e->seconds, e->loss_before, e->loss_after, e->psnr);
    }
    GVariant *state =
        g_variant_new_fixed_array(G_VARIANT_TYPE_BYTE, log->state, log->n_state * sizeof(float), 1);
    g_autoptr(GVariant) v = g_variant_ref_sink(
        g_variant_new("(ssud" ENTRIES "@ay)", MAGIC, task, log->update, log->seconds, &entries, state));
    return g_file_set_contents(path, g_variant_get_data(v), (gssize)g_variant_get_size(v), error);
}

/* --- what it shows --- */

void meta_log_json(const MetaLog *log, Json *j)
{
    json_open(j, "log", '[');
    for (guint i = 0; i < log->entries->len; i++) {
        const MetaEntry *e = &g_array_index(log->entries, MetaEntry, i);
        json_open(j, NULL, '{');
        json_integer(j, "update", e->update);
        json_number(j, "seconds", e->seconds);
        json_number(j, "loss_before", e->loss_before);
        json_number(j, "loss_after", e->loss_after);
        json_number(j, "psnr", e->psnr);
        json_close(j, '}');
    }
    json_close(j, ']');
}

bool meta_log_plot(const MetaLog *log, const char *path, const char *title, double drawn, GError **error)
{
    const guint n = log->entries->len;
    g_autofree double *x = g_new(double, n), *learned = g_new(double, n), *flat = g_new(double, n);
    for (guint i = 0; i < n; i++) {
        const MetaEntry *e = &g_array_index(log->entries, MetaEntry, i);
        x[i] = e->update;
        learned[i] = e->psnr;
        flat[i] = drawn;
    }
    const PlotCurve curves[] = { { "learned start", x, learned, n }, { "drawn start", x, flat, n } };
    const PlotPanel panel = {
        .title = title, .curves = curves, .n_curves = G_N_ELEMENTS(curves), .x_title = "updates"
    };
    return plot_write(path, &panel, 1, error);
}
