/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From a configuration back to the options that ask for it, for who takes a stream's network apart and wants to make one like it. What options can't say is
 * noticed by making the model again: nerv_model_options() returns what comes out the same, or nothing.
 */
#include "models/dnerv.h"
#include "models/grid.h"
#include "models/nerv.h"
#include "models/pixelwise.h"

static void add(GVariantBuilder *b, const char *key, GVariant *value)
{
    g_variant_builder_add(b, "{sv}", key, value);
}

static void add_int(GVariantBuilder *b, const char *key, int32_t value)
{
    add(b, key, g_variant_new_int32(value));
}

static void add_ints(GVariantBuilder *b, const char *key, const int32_t *values, int32_t n)
{
    add(b, key, g_variant_new_fixed_array(G_VARIANT_TYPE_INT32, values, (gsize)n, sizeof(*values)));
}

static void add_act(GVariantBuilder *b, const char *key, NervAct act)
{
    add(b, key, g_variant_new_string(nerv_act_name(act)));
}

GVariant *nerv_mlp_options(const NervModel *model, const char **name)
{
    const NervNervConfig *c = &((const NervNerv *)model)->config;
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    *name = "nerv-mlp";
    add(&b, "pe-base", g_variant_new_double(c->pe_base));
    add_int(&b, "pe-levels", c->pe_levels);
    add_int(&b, "stem", c->stem);
    add_int(&b, "base-channels", c->base_channels);
    add_ints(&b, "widths", c->width, c->n_blocks);
    add_ints(&b, "strides", c->stride, c->n_blocks);
    add_ints(&b, "kernels", c->kernel, c->n_blocks);
    add_act(&b, "activation", c->act);
    add_act(&b, "out-activation", c->out_act);
    return g_variant_builder_end(&b);
}

/* "66x4+33x8/17x1" */
static GVariant *grids_text(const NervGridConfig *c)
{
    GString *s = g_string_new(NULL);
    int32_t level = 0;
    for (int32_t i = 0; i < c->n_grids; i++) {
        const bool same = i && c->grid[i].level == level;
        for (; level < c->grid[i].level; level++)
            g_string_append_c(s, '/');
        g_string_append_printf(s, same ? "+%dx%d" : "%dx%d", c->grid[i].rows, c->grid[i].channels);
    }
    return g_variant_new_take_string(g_string_free(s, FALSE));
}

GVariant *nerv_grid_options(const NervModel *model, const char **name)
{
    const NervGridConfig *c = &((const NervGrid *)model)->config;
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    *name = "nerv-grid";
    add(&b, "grids", grids_text(c));
    add_int(&b, "flow-rows", c->flow_rows);
    add_ints(&b, "widths", c->width, c->n_blocks);
    add_ints(&b, "strides", c->stride, c->n_blocks);
    add_ints(&b, "kernels", c->kernel, c->n_blocks);
    add_int(&b, "head-kernel", c->head_kernel);
    add_act(&b, "activation", c->act);
    add_act(&b, "out-activation", c->out_act);
    return g_variant_builder_end(&b);
}

/* Parts that a model of the name has by itself and this one has not. */
static void add_without(GVariantBuilder *b, const NervDnervConfig *c)
{
    const uint32_t usual = nerv_dnerv_has(c, NERV_DNERV_GRIDS) ? NERV_DNERV_MOVED : NERV_DNERV_NET;
    GString *s = g_string_new(NULL);
    for (int i = 0; i < NERV_DNERV_N_PARTS; i++)
        if (usual & ~c->parts & 1u << i)
            g_string_append_printf(s, "%s%s", s->len ? "," : "", nerv_dnerv_part_names[i]);
    if (s->len)
        add(b, "without", g_variant_new_string(s->str));
    g_string_free(s, TRUE);
}

GVariant *nerv_dnerv_options(const NervModel *model, const char **name)
{
    const NervDnervConfig *c = &((const NervDnerv *)model)->config;
    const bool grids = nerv_dnerv_has(c, NERV_DNERV_GRIDS);
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    *name = grids ? "dnerv" : "dnerv-net";
    add_int(&b, "clip-frames", c->clip);
    add_int(&b, "keyframe-interval", c->interval);
    if (c->stem) {
        add_int(&b, "stem", c->stem);
        add(&b, "pe-base", g_variant_new_double(c->pe_base));
        add_int(&b, "pe-levels", c->pe_levels);
    } else {
        add_int(&b, "row-frames", c->row_frames);
    }
    add_int(&b, "base-channels", c->base_channels);
    if (grids) {
        add_int(&b, "flow-frames", c->flow_frames);
        add_int(&b, "middle-frames", c->middle_frames);
        add_int(&b, "middle-channels", c->middle_channels);
    } else {
        add_int(&b, "content", c->content);
    }
    add_ints(&b, "widths", c->width, c->n_blocks);
    add_ints(&b, "strides", c->stride, c->n_blocks);
    add_without(&b, c);
    return g_variant_builder_end(&b);
}

GVariant *nerv_pixelwise_options(const NervModel *model, const char **name)
{
    const NervPixelwiseConfig *c = &((const NervPixelwise *)model)->config;
    const bool siren = c->kind == NERV_PIXELWISE_SIREN;
    GVariantBuilder b;
    g_variant_builder_init(&b, G_VARIANT_TYPE_VARDICT);
    *name = siren ? "siren" : "nerf";
    add_int(&b, "width", c->width);
    add_int(&b, "layers", c->layers);
    if (siren)
        add(&b, "omega", g_variant_new_double(c->omega));
    else
        add_int(&b, "levels", c->levels);
    return g_variant_builder_end(&b);
}

const int32_t *nerv_model_videos(const NervModel *model)
{
    return model->klass == &nerv_model_class_dnerv ? ((const NervDnerv *)model)->videos : NULL;
}

GVariant *nerv_model_options(const NervModel *model, const char **name)
{
    const NervModelSize size = { .videos = nerv_model_videos(model), .n_videos = model->n_videos };
    GVariant *options = g_variant_ref_sink(model->klass->options(model, name));
    NervModel *again = nerv_model_new_sized(*name, options, &model->clip, &size, NULL);
    const bool same = again && nerv_model_alike(model, again);
    nerv_model_free(again);
    if (same)
        return options;
    g_variant_unref(options);
    return NULL;
}
