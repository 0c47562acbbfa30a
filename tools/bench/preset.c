/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Networks to measure, see preset.h.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arguments.h"
#include "models/nerv.h"
#include "preset.h"

static const struct {
    const char *name, *options;
} presets[] = {
    { "small", "stem=64,base-channels=8,widths=<24,16,12>,strides=<5,2,2>" },
    { "wide", "stem=512,base-channels=26,widths=<26,96,96>,strides=<5,2,2>" },
};

/* "<1,2>" -> [1, 2]; "<flow,mix>" -> "flow,mix"; digits -> an integer; with a point -> a number; anything else a string. */
static GVariant *parse_value(const char *text)
{
    char *end = NULL;
    if (text[0] == '<') {
        GVariantBuilder list;
        g_autofree char *inner = g_strndup(text + 1, strcspn(text + 1, ">"));
        g_auto(GStrv) words = g_strsplit(inner, ",", -1);
        if (g_ascii_isalpha(*inner))
            return g_variant_new_string(inner);
        g_variant_builder_init(&list, G_VARIANT_TYPE("ai"));
        for (char **w = words; *w; w++)
            g_variant_builder_add(&list, "i", atoi(*w));
        return g_variant_builder_end(&list);
    }
    const gint64 i = g_ascii_strtoll(text, &end, 10);
    if (*text && !*end)
        return g_variant_new_int32((gint32)CLAMP(i, G_MININT32, G_MAXINT32));
    const double d = g_ascii_strtod(text, &end);
    return *text && !*end ? g_variant_new_double(d) : g_variant_new_string(text);
}

/* Splits at the commas outside <...>. */
GVariant *bench_preset_options(const BenchPreset *p)
{
    const char *text = p->options;
    GVariantDict dict;
    g_variant_dict_init(&dict, NULL);
    while (*text) {
        size_t n = 0;
        for (int depth = 0; text[n] && (depth || text[n] != ','); n++)
            depth += (text[n] == '<') - (text[n] == '>');
        g_autofree char *field = g_strndup(text, n);
        char *equals = strchr(field, '=');
        if (equals)
            *equals = '\0';
        g_variant_dict_insert_value(&dict, g_strstrip(field), parse_value(equals ? equals + 1 : ""));
        text += n + (text[n] == ',');
    }
    return g_variant_ref_sink(g_variant_dict_end(&dict));
}

bool bench_preset_init(BenchPreset *p, const char *net, const char *model, const char *options,
                       const char *size, GError **error)
{
    *p = (BenchPreset){ NULL, NULL, 320, 180 };
    for (size_t i = 0; !options && !model && i < G_N_ELEMENTS(presets); i++)
        if (strcmp(net, presets[i].name) == 0)
            options = presets[i].options;
    if (!options && !model) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "no preset \"%s\"; there are small and wide", net);
        return false;
    }
    if (size && !bench_parse_size(size, &p->width, &p->height, error))
        return false;
    p->model = g_strdup(model ? model : "nerv-mlp");
    p->options = g_strdup(options ? options : "");
    return true;
}

void bench_preset_clear(BenchPreset *p)
{
    g_free(p->model);
    g_free(p->options);
    p->model = p->options = NULL;
}

NervModel *bench_preset_model(const BenchPreset *p, GError **error)
{
    const NervClip clip = { p->width, p->height, BENCH_FRAMES };
    g_autoptr(GVariant) options = bench_preset_options(p);
    return nerv_model_new(p->model, options, &clip, error);
}

static int scaled(int32_t n, double factor)
{
    return MAX(1, (int)lround(n * factor));
}

static void append_list(GString *s, const char *key, const int32_t *v, int32_t n, double factor)
{
    g_string_append_printf(s, ",%s=<", key);
    for (int32_t i = 0; i < n; i++)
        g_string_append_printf(s, "%s%d", i ? "," : "", scaled(v[i], factor));
    g_string_append_c(s, '>');
}

NervModel *bench_model_scaled(const NervModel *like, double factor, double scale, GError **error)
{
    if (like->klass != &nerv_model_class_nerv) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "model %s cannot be widened",
                    like->klass->name);
        return NULL;
    }
    const NervNervConfig *c = &((const NervNerv *)like)->config;
    GString *s = g_string_new(NULL);
    g_string_printf(s, "stem=%d,base-channels=%d,activation=%s,out-activation=%s,pe-base=%.17g,pe-levels=%d",
                    scaled(c->stem, factor), scaled(c->base_channels, factor), nerv_act_name(c->act),
                    nerv_act_name(c->out_act), c->pe_base, c->pe_levels);
    append_list(s, "widths", c->width, c->n_blocks, factor);
    append_list(s, "strides", c->stride, c->n_blocks, 1);
    append_list(s, "kernels", c->kernel, c->n_blocks, 1);
    g_autofree char *options = g_string_free(s, FALSE);
    const BenchPreset p = { (char *)"nerv-mlp", options, scaled(like->clip.width, scale),
                            scaled(like->clip.height, scale) };
    return bench_preset_model(&p, error);
}
