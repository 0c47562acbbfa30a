/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Figures out of a result's JSON, see figures.h. They are named after what names them there (device, shape and way, op and
 * operands), not by position, so that results with other rows are compared in the rows that both have.
 */
#include <string.h>

#include "figures.h"

typedef struct {
    GArray *figures;
    bool with_peer;
} Reader;

static void figure_clear(gpointer data)
{
    g_free(((BenchFigure *)data)->name);
}

/* Takes the name. */
static void add(Reader *r, char *name, double value, double weight, bool less_is_better)
{
    const BenchFigure figure = { name, value, weight, less_is_better };
    if (value > 0)
        g_array_append_val(r->figures, figure);
    else
        g_free(name);
}

static guint count(const JsonValue *array)
{
    return array && array->kind == JSON_ARRAY ? array->values->len : 0;
}

static const JsonValue *element(const JsonValue *array, guint i)
{
    return g_ptr_array_index(array->values, i);
}

static const char *text(const JsonValue *v, const char *key)
{
    const char *s = json_get_string(v, key);
    return s ? s : "?";
}

static void add_speed(Reader *r, const JsonValue *v, const char *device, const char *what)
{
    add(r, g_strdup_printf("%s %s: share of peak", device, what), json_get_number(v, "share_of_peak"), 1,
        false);
    if (r->with_peer)
        add(r, g_strdup_printf("%s %s: times PyTorch's speed", device, what), json_get_number(v, "ratio"), 1,
            false);
}

static void add_ops(Reader *r, const JsonValue *ops, const char *device, const char *part)
{
    for (guint i = 0; i < count(ops); i++) {
        const JsonValue *op = element(ops, i);
        add(r,
            g_strdup_printf("%s %s, %s %s: share of its roof", device, part, text(op, "op"),
                            text(op, "operands")),
            json_get_number(op, "share_of_roof"), json_get_number(op, "share_of_time"), false);
    }
}

static void add_convs(Reader *r, const JsonValue *convs, const char *device)
{
    for (guint i = 0; i < count(convs); i++) {
        const JsonValue *c = element(convs, i);
        g_autofree char *what = g_strdup_printf("conv2d %s %s", text(c, "shape"), text(c, "way"));
        add_speed(r, c, device, what);
    }
}

static void add_scaling(Reader *r, const JsonValue *rows, const char *device)
{
    static const char *const parts[] = { "train", "decode" };
    for (guint i = 0; i < count(rows); i++) {
        const JsonValue *row = element(rows, i);
        for (guint k = 0; k < G_N_ELEMENTS(parts); k++)
            add(r,
                g_strdup_printf("%s %s, %s %s: times the star's seconds", device, parts[k], text(row, "what"),
                                text(row, "value")),
                json_get_number(json_get(row, parts[k]), "times_seconds"), 1, true);
    }
}

static void add_bytes(Reader *r, const JsonValue *v, const char *device)
{
    static const char *const sizes[] = { "training_bytes", "decoding_bytes" }, *const parts[] = { "train",
                                                                                                  "decode" };
    const JsonValue *memory = json_get(v, "memory");
    for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
        const JsonValue *m = json_get(memory, parts[i]);
        add(r, g_strdup_printf("%s %s: planned bytes", device, parts[i]), json_get_number(v, sizes[i]), 1,
            true);
        add(r, g_strdup_printf("%s %s, by itself: planned bytes", device, parts[i]),
            json_get_number(m, "planned_bytes"), 1, true);
        add(r, g_strdup_printf("%s %s, by itself: resident bytes", device, parts[i]),
            json_get_number(m, "resident_bytes"), 1, true);
    }
}

static void add_device(Reader *r, const JsonValue *v)
{
    const char *device = text(v, "device");
    add_speed(r, json_get(v, "train"), device, "train");
    add_speed(r, json_get(v, "decode"), device, "decode");
    add_speed(r, json_get(v, "decode_ahead"), device, "decode ahead");
    add_ops(r, json_get(v, "ops"), device, "train");
    add_ops(r, json_get(v, "decode_ops"), device, "decode");
    add_convs(r, json_get(v, "conv2d"), device);
    add_scaling(r, json_get(v, "scaling"), device);
    add_bytes(r, v, device);
}

/* The first codec is nerv; the others were played in turns with it. */
static void add_codecs(Reader *r, const JsonValue *codecs)
{
    for (guint i = 0; i < count(codecs); i++) {
        const JsonValue *nerv = element(codecs, 0), *c = element(codecs, i);
        if (i == 0)
            add(r, g_strdup_printf("%s seek: times a frame's seconds", text(c, "codec")),
                json_get_number(c, "seek_frame_times"), 1, true);
        else
            add(r, g_strdup_printf("%s: times the rate of %s", text(nerv, "codec"), text(c, "codec")),
                json_get_number(nerv, "frames_per_s") / json_get_number(c, "frames_per_s"), 1, false);
    }
}

GArray *bench_figures(const JsonValue *result, bool with_peer)
{
    Reader r = { g_array_new(FALSE, FALSE, sizeof(BenchFigure)), with_peer };
    const JsonValue *devices = json_get(result, "devices");
    g_array_set_clear_func(r.figures, figure_clear);
    for (guint i = 0; i < count(devices); i++)
        add_device(&r, element(devices, i));
    add_codecs(&r, json_get(result, "codecs"));
    return r.figures;
}

const BenchFigure *bench_figures_find(const GArray *figures, const char *name)
{
    for (guint i = 0; i < figures->len; i++) {
        const BenchFigure *f = &g_array_index(figures, BenchFigure, i);
        if (strcmp(f->name, name) == 0)
            return f;
    }
    return NULL;
}
