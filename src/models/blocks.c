/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What models made of upsampling blocks share: see blocks.h.
 */
#include "models/blocks.h"

#include <math.h>
#include <string.h>

#include "models/options.h"

/* Upsampling factors to choose from, the paper's form (5 first, then 3, then 2s) and its neighbours. */
static const int32_t stride_table[][NERV_MAX_BLOCKS] = {
    { 2 },
    { 3 },
    { 2, 2 },
    { 5 },
    { 3, 2 },
    { 4, 2 },
    { 5, 2 },
    { 3, 2, 2 },
    { 5, 3 },
    { 4, 2, 2 },
    { 5, 2, 2 },
    { 3, 2, 2, 2 },
    { 5, 3, 2 },
    { 4, 2, 2, 2 },
    { 5, 2, 2, 2 },
    { 4, 3, 2, 2 },
    { 5, 3, 2, 2 },
    { 4, 2, 2, 2, 2 },
    { 5, 2, 2, 2, 2 },
    { 4, 3, 2, 2, 2 },
    { 5, 3, 2, 2, 2 },
    { 5, 2, 2, 2, 2, 2 },
    { 4, 3, 2, 2, 2, 2 },
    { 5, 3, 2, 2, 2, 2 },
    { 5, 2, 2, 2, 2, 2, 2 },
    { 5, 3, 2, 2, 2, 2, 2 },
};

int32_t nerv_strides_product(const int32_t *stride, int32_t n)
{
    int64_t p = 1;
    for (int32_t i = 0; i < n; i++)
        p = MIN(p * stride[i], (int64_t)INT32_MAX);
    return (int32_t)p;
}

static int32_t count_strides(const int32_t *stride)
{
    int32_t n = 0;
    while (n < NERV_MAX_BLOCKS && stride[n])
        n++;
    return n;
}

int32_t nerv_blocks_cells(int32_t samples, int32_t scale)
{
    return (samples + scale - 1) / scale;
}

int32_t nerv_strides_choose(const NervClip *clip, int32_t *stride)
{
    int32_t n_blocks = 0;
    const double area = (double)clip->width * clip->height;
    double best = INFINITY;
    for (size_t i = 0; i < G_N_ELEMENTS(stride_table); i++) {
        const int32_t n = count_strides(stride_table[i]), p = nerv_strides_product(stride_table[i], n);
        const double padded =
            (double)nerv_blocks_cells(clip->width, p) * p * nerv_blocks_cells(clip->height, p) * p;
        const double cost = fabs(log((double)p * p * 144. / area)) / 2. + 2. * (padded / area - 1.);
        if (cost < best) {
            best = cost;
            n_blocks = n;
            memcpy(stride, stride_table[i], sizeof(stride_table[i]));
        }
    }
    return n_blocks;
}

bool nerv_options_act(GVariant *options, const char *key, NervAct *act, GError **error)
{
    const char *name = NULL;
    if (!nerv_options_string(options, key, &name, error))
        return false;
    if (!name || nerv_act_parse(name, act))
        return true;
    GString *names = g_string_new(nerv_act_name(0));
    for (int i = 1; i < NERV_ACT_N; i++)
        g_string_append_printf(names, ", %s", nerv_act_name((NervAct)i));
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "model option \"%s\" is \"%s\", not one of %s", key,
                name, names->str);
    g_string_free(names, TRUE);
    return false;
}

void nerv_model_add_layer(NervModel *m, const char *name, int32_t out, int32_t in, int32_t k)
{
    const float bound = (float)(1. / sqrt((double)in * k * k));
    NervParam *w = &m->params[m->n_params++], *b = &m->params[m->n_params++];
    *w = (NervParam){ .shape = { out, in, k, k },
                      .role = NERV_PARAM_WEIGHT,
                      .init_bound = bound,
                      .prunable = !g_str_equal(name, "head") };
    *b = (NervParam){ .shape = { 1, out, 1, 1 }, .role = NERV_PARAM_BIAS, .init_bound = bound };
    g_snprintf(w->name, sizeof(w->name), "%s.weight", name);
    g_snprintf(b->name, sizeof(b->name), "%s.bias", name);
    m->n_weights += (int64_t)out * in * k * k + out;
}

void nerv_describe_list(GString *s, const char *what, const int32_t *values, int32_t n)
{
    g_string_append_printf(s, ", %s ", what);
    for (int32_t i = 0; i < n; i++)
        g_string_append_printf(s, i ? ",%d" : "%d", values[i]);
}
