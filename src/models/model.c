/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The list of model classes and what all models share. See model.h.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "models/dnerv.h"
#include "models/grid.h"
#include "models/nerv.h"
#include "models/params.h"
#include "models/pixelwise.h"

static const NervModelClass *const classes[] = {
    &nerv_model_class_nerv,
    &nerv_model_class_grid,
    &nerv_model_class_dnerv,
    &nerv_model_class_pixelwise,
};

static bool clip_valid(const NervClip *clip, NervErrorCode code, GError **error)
{
    if (clip->width >= 16 && clip->width <= 8192 && clip->height >= 16 && clip->height <= 8192 &&
        clip->n_frames >= 1)
        return true;
    g_set_error(error, NERV_ERROR, code,
                "frames of %d x %d are not supported: each side goes from 16 to 8192", clip->width,
                clip->height);
    return false;
}

NervModel *nerv_model_new(const char *name, GVariant *options, const NervClip *clip, GError **error)
{
    const NervModelSize own = { 0 };
    return nerv_model_new_sized(name, options, clip, &own, error);
}

NervModel *nerv_model_new_sized(const char *name, GVariant *options, const NervClip *clip,
                                const NervModelSize *size, GError **error)
{
    if (!clip_valid(clip, NERV_ERROR_INVALID, error))
        return NULL;
    for (guint i = 0; i < G_N_ELEMENTS(classes); i++)
        if (classes[i]->accepts(name))
            return classes[i]->configure(name, options, clip, size, error);
    g_set_error(
        error, NERV_ERROR, NERV_ERROR_INVALID,
        "unknown model \"%s\"; known are nerv (also nerv-grid), nerv-mlp, nerv-s, nerv-m, nerv-l, "
        "dnerv, dnerv-net, "
        "dnerv-xs, dnerv-s, dnerv-m, dnerv-l, dnerv-xl, dnerv-ucf-s, dnerv-ucf-m, dnerv-ucf-l, siren, nerf",
        name);
    return NULL;
}

void nerv_model_free(NervModel *model)
{
    if (model)
        model->klass->free(model);
}

void nerv_model_no_memory(GError **error)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for a network's tables");
}

bool nerv_param_is_of_its_time(const NervParam *param)
{
    return param->role == NERV_PARAM_GRID && param->shape.n > 1;
}

int64_t nerv_param_steps(const NervParam *param)
{
    switch (param->role) {
    case NERV_PARAM_BIAS:
        return 1;
    case NERV_PARAM_GRID:
        return param->shape.c;
    default:
        return param->shape.n;
    }
}

int64_t nerv_model_steps(const NervModel *model)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < model->n_params; i++)
        n += nerv_param_steps(&model->params[i]);
    return n;
}

void nerv_model_write(const NervModel *model, NervBitWriter *w)
{
    nerv_write_u8(w, (uint8_t)model->klass->id);
    model->klass->write(model, w);
}

NervModel *nerv_model_read(NervBitReader *r, const NervClip *clip, GError **error)
{
    const uint8_t id = nerv_read_u8(r);
    if (!clip_valid(clip, NERV_ERROR_DATA, error))
        return NULL;
    if (r->failed) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "the network unit ends before its model");
        return NULL;
    }
    for (guint i = 0; i < G_N_ELEMENTS(classes); i++)
        if (classes[i]->id == id)
            return classes[i]->read(r, clip, error);
    g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
                "the stream uses a model (number %u) that this version does not know", id);
    return NULL;
}

/* The configuration and the frame's size are all that a model is made of. */
bool nerv_model_alike(const NervModel *a, const NervModel *b)
{
    NervBitWriter x, y;
    if (a->clip.width != b->clip.width || a->clip.height != b->clip.height)
        return false;
    nerv_writer_init(&x);
    nerv_writer_init(&y);
    nerv_model_write(a, &x);
    nerv_model_write(b, &y);
    const bool alike = x.bytes->len == y.bytes->len && !memcmp(x.bytes->data, y.bytes->data, x.bytes->len);
    nerv_writer_clear(&x);
    nerv_writer_clear(&y);
    return alike;
}

NervTensor *nerv_model_build(const NervModel *model, NervTape *tape, NervTensor *const *params,
                             NervTensor *input, NervTensor *keys)
{
    NervTensor *stages[NERV_MODEL_MAX_STAGES];
    return nerv_model_build_stages(model, tape, params, input, keys, stages);
}

NervTensor *nerv_model_build_stages(const NervModel *model, NervTape *tape, NervTensor *const *params,
                                    NervTensor *input, NervTensor *keys, NervTensor **stages)
{
    memset(stages, 0, NERV_MODEL_MAX_STAGES * sizeof(*stages));
    return tape->error ? NULL : model->klass->build(model, tape, params, input, keys, stages);
}

bool nerv_model_flows(const NervModel *model, NervFlows *flows)
{
    return model->klass->flows && model->klass->flows(model, flows);
}

NervRun nerv_model_run(const NervModel *model, int32_t run)
{
    if (model->klass->run)
        return model->klass->run(model, run);
    return (NervRun){ .first = run, .n = 1, .keys = { -1, -1 } };
}

int32_t nerv_model_run_of(const NervModel *model, int32_t frame)
{
    int32_t low = 0, high = model->n_runs; /* the run is one of low..high-1 */
    while (high - low > 1) {
        const int32_t middle = low + (high - low) / 2;
        *(nerv_model_run(model, middle).first > frame ? &high : &low) = middle;
    }
    return low;
}

void nerv_model_input(const NervModel *model, int32_t run, float *dst)
{
    model->klass->input(model, run, 0., dst);
}

void nerv_model_input_at(const NervModel *model, int32_t run, double later, float *dst)
{
    model->klass->input(model, run, later, dst);
}

void nerv_model_init_params(const NervModel *model, uint64_t seed, float *dst)
{
    NervRng rng;
    nerv_rng_init(&rng, seed);
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t count = nerv_shape_count(model->params[i].shape);
        const float bound = model->params[i].init_bound;
        for (int64_t j = 0; j < count; j++)
            *dst++ = nerv_rng_uniform(&rng, -bound, bound);
    }
}

char *nerv_model_describe(const NervModel *model)
{
    return model->klass->describe(model);
}

int64_t nerv_tape_macs(const NervTape *tape)
{
    int64_t macs = 0;
    for (guint i = 0; i < tape->nodes->len; i++) {
        const NervNode *node = g_ptr_array_index(tape->nodes, i);
        macs += node->op->macs ? node->op->macs(node) : 0;
    }
    return macs;
}

double nerv_model_macs_per_pixel(const NervModel *model)
{
    const NervClip *clip = &model->clip;
    if ((int64_t)model->run_frames * clip->width * clip->height > INT32_MAX / 4) /* bytes of pixels */
        return INFINITY;
    NervTape *t = nerv_tape_new();
    g_autofree NervTensor **leaves = g_new0(NervTensor *, model->n_params); /* a hundred or two at most */
    nerv_params_leaves(model, t, "", leaves);
    NervTensor *input = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32,
                                       nerv_shape(model->run_frames, model->input_floats, 1, 1), "input");
    NervTensor *keys =
        nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(2, 3, clip->height, clip->width), "keys");
    nerv_model_build(model, t, leaves, input, keys);
    const double macs = nerv_tape_check(t, NULL) ? (double)nerv_tape_macs(t) : INFINITY;
    nerv_tape_free(t);
    return macs / model->run_frames / ((double)clip->width * clip->height);
}
