/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Figures out of a result's JSON, see figures.h. They are named after what names them there (device, shape and way, op and
 * operands), not by position, so that results with other rows are compared in the rows that both have.
 */
#include <math.h>
#include <string.h>

#include "figures.h"

/* Start-up varies from run to run; under this nobody notices it. */
#define HARMLESS_STARTUP_SECONDS 0.1

typedef struct {
    GArray *figures;
    const JsonValue *result, *other;
    bool with_peer, same_machine;
} Reader;

static void figure_clear(gpointer data)
{
    g_free(((BenchFigure *)data)->name);
}

/* Takes the name. */
static void add_figure(Reader *r, const BenchFigure *figure)
{
    const bool valid =
        isfinite(figure->value) && (figure->sense == BENCH_NO_MORE ? figure->value >= 0 : figure->value > 0);
    if (valid)
        g_array_append_val(r->figures, *figure);
    else
        g_free(figure->name);
}

/* As add_figure(), of any weight and never harmless. */
static void add(Reader *r, char *name, double value, double weight, BenchSense sense)
{
    const BenchFigure figure = { name, value, weight, sense, 0 };
    add_figure(r, &figure);
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

/* Whether the other result has the group as well, or should have: one that does not say what it was asked for should have all. */
static bool is_shared(const Reader *r, const char *group)
{
    const JsonValue *asked = json_get(json_get(r->other, "measured"), group);
    const char *name = asked && asked->kind == JSON_STRING ? asked->string : NULL;
    if (!asked || (asked->kind == JSON_BOOLEAN && asked->number != 0))
        return true;
    /* A name of what was measured: comparable unless this result has another. */
    const char *own = json_get_string(json_get(r->result, "measured"), group);
    return name && (!own || strcmp(own, name) == 0);
}

static bool has_text(const JsonValue *array, const char *wanted)
{
    for (guint i = 0; i < count(array); i++) {
        const JsonValue *v = element(array, i);
        if (v->kind == JSON_STRING && strcmp(v->string, wanted) == 0)
            return true;
    }
    return false;
}

static void add_speed(Reader *r, const JsonValue *v, const char *device, const char *what)
{
    add(r, g_strdup_printf("%s %s: share of peak", device, what), json_get_number(v, "share_of_peak"), 1,
        BENCH_MORE_IS_BETTER);
    if (r->with_peer)
        add(r, g_strdup_printf("%s %s: times PyTorch's speed", device, what), json_get_number(v, "ratio"), 1,
            BENCH_MORE_IS_BETTER);
}

static void add_ops(Reader *r, const JsonValue *ops, const char *device, const char *part)
{
    for (guint i = 0; i < count(ops); i++) {
        const JsonValue *op = element(ops, i);
        add(r,
            g_strdup_printf("%s %s, %s %s: share of its roof", device, part, text(op, "op"),
                            text(op, "operands")),
            json_get_number(op, "share_of_roof"), json_get_number(op, "share_of_time"), BENCH_MORE_IS_BETTER);
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
                json_get_number(json_get(row, parts[k]), "times_seconds"), 1, BENCH_LESS_IS_BETTER);
    }
}

static void add_planned(Reader *r, const JsonValue *v, const char *device)
{
    add(r, g_strdup_printf("%s train: planned bytes", device), json_get_number(v, "training_bytes"), 1,
        BENCH_LESS_IS_BETTER);
    add(r, g_strdup_printf("%s decode: planned bytes", device), json_get_number(v, "decoding_bytes"), 1,
        BENCH_LESS_IS_BETTER);
}

static void add_memory(Reader *r, const JsonValue *memory, const char *device)
{
    static const struct {
        const char *key, *name;
    } parts[] = { { "train", "train" }, { "decode", "decode" }, { "decode_ahead", "decode ahead" } };
    for (guint i = 0; i < G_N_ELEMENTS(parts); i++) {
        const JsonValue *m = json_get(memory, parts[i].key);
        add(r, g_strdup_printf("%s %s, by itself: planned bytes", device, parts[i].name),
            json_get_number(m, "planned_bytes"), 1, BENCH_LESS_IS_BETTER);
        add(r, g_strdup_printf("%s %s, by itself: resident bytes", device, parts[i].name),
            json_get_number(m, "resident_bytes"), 1, BENCH_LESS_IS_BETTER);
    }
}

static void add_device(Reader *r, const JsonValue *v)
{
    const char *device = text(v, "device");
    const JsonValue *asked = json_get(json_get(r->other, "measured"), "devices");
    if (asked && !has_text(asked, device))
        return;
    if (is_shared(r, "net")) {
        add_speed(r, json_get(v, "train"), device, "train");
        add_speed(r, json_get(v, "decode"), device, "decode");
        add_speed(r, json_get(v, "decode_ahead"), device, "decode ahead");
        add_planned(r, v, device);
    }
    if (is_shared(r, "ops")) {
        add_ops(r, json_get(v, "ops"), device, "train");
        add_ops(r, json_get(v, "decode_ops"), device, "decode");
    }
    if (is_shared(r, "convs"))
        add_convs(r, json_get(v, "conv2d"), device);
    if (is_shared(r, "scaling"))
        add_scaling(r, json_get(v, "scaling"), device);
    if (is_shared(r, "memory"))
        add_memory(r, json_get(v, "memory"), device);
}

/* --- pipelines: the first codec is nerv, the others were played in turns with it --- */

static bool has_codec(const JsonValue *codecs, const char *name)
{
    for (guint i = 0; i < count(codecs); i++)
        if (strcmp(text(element(codecs, i), "codec"), name) == 0)
            return true;
    return false;
}

/* Its rate: beside each codec that both results have, else by itself. */
static void add_rates(Reader *r, const JsonValue *codecs)
{
    const JsonValue *nerv = element(codecs, 0), *others = json_get(r->other, "codecs");
    const double rate = json_get_number(nerv, "frames_per_s");
    bool alone = true;
    for (guint i = 1; i < count(codecs); i++) {
        const JsonValue *c = element(codecs, i);
        if (!has_codec(others, text(c, "codec")))
            continue;
        alone = false;
        add(r, g_strdup_printf("%s: times the rate of %s", text(nerv, "codec"), text(c, "codec")),
            rate / json_get_number(c, "frames_per_s"), 1, BENCH_MORE_IS_BETTER);
    }
    if (alone && r->same_machine)
        add(r, g_strdup_printf("%s: frames per second", text(nerv, "codec")), rate, 1, BENCH_MORE_IS_BETTER);
}

static void add_codecs(Reader *r, const JsonValue *codecs)
{
    static const struct {
        const char *key, *name;
        BenchSense sense;
        double harmless;
    } figures[] = {
        { "seek_frame_times", "seek: times a frame's seconds", BENCH_LESS_IS_BETTER, 0 },
        { "seek_frame_times_without_parse", "seek without the network: times a frame's seconds",
          BENCH_LESS_IS_BETTER, 0 },
        { "seeks_to_the_wrong_picture", "seek: wrong pictures", BENCH_NO_MORE, 0 },
        { "startup_seconds", "start-up: seconds", BENCH_LESS_IS_BETTER, HARMLESS_STARTUP_SECONDS },
        { "file_bytes", "file: bytes", BENCH_LESS_IS_BETTER, 0 },
    };
    if (count(codecs) == 0)
        return;
    const JsonValue *nerv = element(codecs, 0);
    add_rates(r, codecs);
    for (guint i = 0; i < G_N_ELEMENTS(figures); i++) {
        const BenchFigure figure = { g_strdup_printf("%s %s", text(nerv, "codec"), figures[i].name),
                                     json_get_number(nerv, figures[i].key), 1, figures[i].sense,
                                     figures[i].harmless };
        add_figure(r, &figure);
    }
}

GArray *bench_figures(const JsonValue *result, const JsonValue *other, bool with_peer, bool same_machine)
{
    Reader r = { g_array_new(FALSE, FALSE, sizeof(BenchFigure)), result, other, with_peer, same_machine };
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
