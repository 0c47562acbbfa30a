/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The decoder's network: what of the last one serves the next (plan, memory and threads where only the weights differ,
 * everything where the network is the same once more), what it is a difference from, and how it moves to the CPU when the device that
 * "auto" chose fails.
 */
#include <string.h>

#include "codec/coded.h"
#include "codec/decoder_internal.h"
#include "codec/residual.h"
#include "codec/weights.h"

#define PIECE 16384 /* weights that a base comes off the device in */

static void forget_unit(NervDecoder *dec)
{
    if (dec->unit)
        nerv_backend_release(dec->be, dec->unit_bytes);
    g_clear_pointer(&dec->unit, g_free);
}

void nerv_decoder_drop_spare(NervDecoder *dec)
{
    if (dec->image)
        nerv_backend_release(dec->be, dec->params->bytes);
    g_clear_pointer(&dec->image, g_free);
    forget_unit(dec);
}

void nerv_decoder_drop_network(NervDecoder *dec)
{
    nerv_decoder_drop_spare(dec);
    g_clear_pointer(&dec->renderer, nerv_renderer_free); /* its threads read the parameters */
    g_clear_pointer(&dec->params, nerv_params_free);
    g_clear_pointer(&dec->model, nerv_model_free);
    dec->frame_valid = dec->is_synced = false;
}

void nerv_decoder_lose_network(NervDecoder *dec, GError **error)
{
    dec->frame_valid = dec->is_synced = false;
    if (!error || !g_error_matches(*error, NERV_ERROR, NERV_ERROR_NEED_SYNC))
        nerv_decoder_drop_network(dec);
}

void nerv_decoder_sequence_info(const NervSequence *s, NervVideoInfo *info)
{
    *info = (NervVideoInfo){
        .pixels = { .format = (int32_t)s->format,
                    .width = (int32_t)s->width,
                    .height = (int32_t)s->height,
                    .matrix = (int32_t)s->matrix,
                    .full_range = (int32_t)s->full_range,
                    .h_cosited = (int32_t)s->h_cosited,
                    .v_cosited = (int32_t)s->v_cosited },
        .primaries = s->primaries,
        .transfer = s->transfer,
        .fps_n = s->fps_n,
        .fps_d = s->fps_d,
        .par_n = s->par_n,
        .par_d = s->par_d,
    };
}

/* --- networks --- */

static void remember_unit(NervDecoder *dec, const NervUnit *unit)
{
    forget_unit(dec);
    dec->unit_type = unit->type;
    dec->unit_bytes = unit->payload_bytes;
    if (!nerv_backend_reserve(dec->be, dec->unit_bytes, NULL))
        return;
    dec->unit = g_try_malloc(MAX(dec->unit_bytes, 1));
    if (dec->unit)
        memcpy(dec->unit, unit->payload, dec->unit_bytes);
    else
        nerv_backend_release(dec->be, dec->unit_bytes);
}

static bool is_last_unit(const NervDecoder *dec, const NervClip *clip, const NervUnit *unit)
{
    return dec->unit && dec->unit_crc == unit->crc && !memcmp(&dec->model->clip, clip, sizeof(*clip)) &&
           dec->unit_bytes == unit->payload_bytes && !memcmp(dec->unit, unit->payload, dec->unit_bytes);
}

static bool have_image(NervDecoder *dec)
{
    if (!dec->image && nerv_backend_reserve(dec->be, dec->params->bytes, NULL)) {
        dec->image = g_try_malloc0(dec->params->bytes);
        if (!dec->image)
            nerv_backend_release(dec->be, dec->params->bytes);
    }
    return dec->image != NULL;
}

/* Whether the plan serves the network of this payload. */
static bool plan_serves(const NervDecoder *dec, const NervClip *clip, const uint8_t *payload, size_t bytes)
{
    NervBitReader r;
    if (!dec->model)
        return false;
    nerv_reader_init(&r, payload, bytes);
    NervModel *model = nerv_model_read(&r, clip, NULL);
    const bool alike = model && nerv_model_alike(model, dec->model);
    nerv_model_free(model);
    return alike;
}

/* Makes the weights in the image the model's, and that the present one. */
static bool use_image(NervDecoder *dec, NervModel *model, GError **error)
{
    if (!nerv_params_replace(dec->params, model, dec->image, error)) {
        nerv_model_free(model);
        return false;
    }
    nerv_model_free(dec->model);
    dec->model = model;
    return true;
}

/* Puts the network's weights where the old ones are, once nobody reads those any more. */
static bool replace_network(NervDecoder *dec, const NervClip *clip, const NervCoded *c, GError **error)
{
    NervModel *model =
        nerv_network_read_to(c->network, c->bytes, clip, dec->model, dec->image, dec->params->offset, error);
    if (model && (!c->base || nerv_delta_suits(c->base, model, error)) &&
        (!dec->renderer || nerv_renderer_idle(dec->renderer, error))) {
        for (uint32_t i = 0; c->base && i < model->n_params; i++)
            nerv_delta_add_param(c->base, model, i, (float *)(void *)(dec->image + dec->params->offset[i]));
        return use_image(dec, model, error);
    }
    nerv_model_free(model);
    return false;
}

/* Half of the present network to the image of the next, a piece at a time. */
static bool add_base(NervDecoder *dec, const NervModel *model, GError **error)
{
    float piece[PIECE];
    if (dec->renderer && !nerv_renderer_idle(dec->renderer, error))
        return false;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t n = nerv_shape_count(model->params[i].shape);
        for (int64_t at = 0; at < n && !nerv_param_is_of_its_time(&model->params[i]); at += PIECE) {
            const size_t offset = dec->params->offset[i] + (size_t)at * sizeof(float);
            const int64_t count = MIN(n - at, PIECE);
            if (!nerv_buffer_download(dec->params->buffer, offset, piece, (size_t)count * sizeof(float),
                                      error))
                return false;
            nerv_residual_sum(piece, (float *)(void *)(dec->image + offset), count);
        }
    }
    return true;
}

/* Puts the sum of what the network and half of the old one are where that is. The base is the network whose unit had this CRC: another, or none, is
 * what a lost segment and a seek leave. */
static bool add_residual(NervDecoder *dec, const NervClip *clip, const NervCoded *c, GError **error)
{
    if (!dec->model || c->base_crc != dec->unit_crc) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC,
                    "the network that this segment's goes on from is not here");
        return false;
    }
    if (!plan_serves(dec, clip, c->network, c->bytes)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA,
                    "a residual network of another configuration than the one before");
        return false;
    }
    forget_unit(dec);
    if (!have_image(dec)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                    "there is no memory for two networks' weights: raise max-memory");
        return false;
    }
    NervModel *model =
        nerv_network_read_to(c->network, c->bytes, clip, dec->model, dec->image, dec->params->offset, error);
    if (model && add_base(dec, model, error))
        return use_image(dec, model, error);
    nerv_model_free(model);
    return false;
}

static int64_t most_weights(const NervDecoder *dec)
{
    return (int64_t)MIN(dec->settings.max_memory_bytes / (3 * sizeof(float)),
                        (uint64_t)NERV_MODEL_MAX_WEIGHTS);
}

/* The old network goes first: two need not fit into memory at once. */
static bool new_network(NervDecoder *dec, const NervClip *clip, const NervCoded *c, GError **error)
{
    float *weights = NULL;
    nerv_decoder_drop_network(dec);
    if (!nerv_coded_is_affordable(c, clip, most_weights(dec), dec->settings.max_macs_per_frame, error))
        return false;
    dec->model = nerv_coded_read(c, clip, most_weights(dec), &weights, error);
    if (dec->model)
        dec->params = nerv_params_new(dec->be, dec->model, error);
    const bool ok = dec->params && nerv_params_upload(dec->params, weights, error);
    g_free(weights);
    return ok;
}

/* Whether keyframes are laid out as those of the last network. */
static bool same_keys(const NervDecoder *dec, const NervPixels *keys)
{
    return !memcmp(nerv_keyring_pixels(dec->keyring), keys, sizeof(*keys));
}

/* Another network than the last, and an empty keyring for it. On failure the caller drops what is there. */
static bool read_network(NervDecoder *dec, const NervClip *clip, const NervPixels *keys, const NervUnit *unit,
                         GError **error)
{
    NervCoded c;
    bool ok;
    if (!nerv_coded_open(&c, dec->init, unit, error))
        return false;
    if (c.is_residual)
        ok = add_residual(dec, clip, &c, error);
    else if (same_keys(dec, keys) && plan_serves(dec, clip, c.network, c.bytes) && have_image(dec))
        ok = replace_network(dec, clip, &c, error);
    else
        ok = new_network(dec, clip, &c, error);
    if (!ok || !nerv_keyring_reset(dec->keyring, dec->model, keys, error))
        return false;
    remember_unit(dec, unit);
    dec->unit_crc = unit->crc;
    return true;
}

/* Another segment has the same network once more, but not the same keyframes. */
static bool forget_keyframes(NervDecoder *dec, const NervPixels *keys, GError **error)
{
    return dec->model->n_keys == 0 || ((!dec->renderer || nerv_renderer_idle(dec->renderer, error)) &&
                                       nerv_keyring_reset(dec->keyring, dec->model, keys, error));
}

bool nerv_decoder_take_network(NervDecoder *dec, const NervSequence *s, const NervUnit *unit, GError **error)
{
    const NervClip clip = { (int32_t)s->width, (int32_t)s->height, (int32_t)s->n_frames };
    NervVideoInfo info;
    NervPixels keys;
    nerv_decoder_sequence_info(s, &info);
    memset(&keys, 0, sizeof(keys));
    nerv_keyframe_pixels(&info.pixels, &keys);
    const bool is_new = !same_keys(dec, &keys) || !is_last_unit(dec, &clip, unit);
    if (is_new ? !read_network(dec, &clip, &keys, unit, error)
               : !nerv_sequence_same_segment(&dec->sequence, s) && !forget_keyframes(dec, &keys, error))
        return false;
    dec->is_synced = true;

    g_autofree char *text = nerv_model_describe(dec->model);
    g_mutex_lock(&dec->lock);
    dec->stats.networks += is_new;
    dec->stats.segment_id = s->segment_id;
    dec->stats.parameters = dec->model->n_weights;
    dec->stats.network_bytes = unit->payload_bytes;
    g_strlcpy(dec->stats.model, text, sizeof(dec->stats.model));
    g_mutex_unlock(&dec->lock);
    return true;
}

/* --- another device --- */

bool nerv_decoder_may_change_device(const NervDecoder *dec, const GError *why)
{
    return dec->be->has_failed && (!dec->settings.device || !strcmp(dec->settings.device, "auto")) &&
           (g_error_matches(why, NERV_ERROR, NERV_ERROR_DEVICE) ||
            g_error_matches(why, NERV_ERROR, NERV_ERROR_MEMORY));
}

/* The present network's weights on another device. They are in the image if there is one (a residual's always are), else they are read once more. NULL without
 * an error: there is no network, or it is nowhere but on the old device. */
static NervParams *copy_params(const NervDecoder *dec, NervBackend *be, GError **error)
{
    const NervUnit unit = { .type = dec->unit_type, .payload = dec->unit, .payload_bytes = dec->unit_bytes };
    g_autofree float *weights = NULL;
    NervModel *again = NULL;
    NervCoded c;
    if (!dec->is_synced || (!dec->image && !dec->unit))
        return NULL;
    if (!dec->image &&
        (!nerv_coded_open(&c, dec->init, &unit, error) ||
         !(again = nerv_coded_read(&c, &dec->model->clip, most_weights(dec), &weights, error))))
        return NULL;
    nerv_model_free(again);
    NervParams *params = nerv_params_new(be, dec->model, error);
    if (params && (dec->image ? nerv_params_replace(params, dec->model, dec->image, error)
                              : nerv_params_upload(params, weights, error)))
        return params;
    nerv_params_free(params);
    return NULL;
}

bool nerv_decoder_change_device(NervDecoder *dec, GError **why)
{
    GError *failure = NULL;
    NervBackend *cpu = nerv_backend_open("cpu", dec->settings.threads, &failure);
    if (cpu)
        cpu->limit_bytes = dec->be->limit_bytes;
    NervParams *params = cpu ? copy_params(dec, cpu, &failure) : NULL;
    if (failure || !nerv_keyring_move(dec->keyring, cpu, &failure)) {
        g_clear_error(why);
        g_propagate_error(why, failure);
        nerv_params_free(params);
        nerv_backend_free(cpu);
        return false;
    }
    const bool keep_unit = params && dec->unit && nerv_backend_reserve(cpu, dec->unit_bytes, NULL);
    uint8_t *unit = keep_unit ? g_steal_pointer(&dec->unit) : NULL;
    g_clear_pointer(&dec->renderer, nerv_renderer_free);
    nerv_decoder_drop_spare(dec);
    g_clear_pointer(&dec->params, nerv_params_free);
    nerv_backend_free(dec->be);
    dec->be = cpu;
    dec->params = params;
    dec->unit = unit;
    if (!params)
        nerv_decoder_drop_network(dec);

    g_free(dec->warning);
    dec->warning = g_strdup_printf("%s; the rest is decoded on the CPU", (*why)->message);
    g_debug("%s", dec->warning);
    g_clear_error(why);
    g_mutex_lock(&dec->lock);
    g_strlcpy(dec->stats.device, cpu->description, sizeof(dec->stats.device));
    g_mutex_unlock(&dec->lock);
    return true;
}
