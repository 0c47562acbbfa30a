/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Decoder of one stream: takes access units, keeps the present segment's network on the device, hands out
 * frames in any order. Parsing is units.c's and weights.c's, evaluating renderer.c's; this file decides what belongs
 * together, what is refused and what of one network serves the next: plan, memory and threads where only the weights differ,
 * everything where the network is the same once more.
 */
#include <math.h>
#include <string.h>

#include "codec/decoder.h"
#include "codec/renderer.h"
#include "codec/delta.h"
#include "codec/residual.h"
#include "codec/weights.h"

#define DEFAULT_MAX_MEMORY_BYTES ((uint64_t)2 << 30)
#define DEFAULT_MAX_MACS         UINT64_C(1000000000000)
#define PIECE                    16384 /* weights that a base comes off the device in */

struct NervDecoder {
    NervDecoderSettings settings;
    NervInit *init; /* settings.init_location's, or NULL */
    NervBackend *be;

    /* The present segment. */
    NervSequence sequence;
    bool have_info;        /* `sequence` describes the last segment seen, even if its network is gone */
    bool is_synced;        /* the network is that segment's; false while waiting for a sync point */
    NervFrameHeader frame; /* of the last send */
    bool frame_valid;

    /* The last network, kept through a reset; NULL: none. */
    NervModel *model;
    NervParams *params;
    NervKeyring *keyring; /* the present segment's keyframes */
    uint8_t *unit; /* a copy of the unit's payload, to know it again; NULL: there is no memory for that */
    size_t unit_bytes;
    uint32_t unit_crc;
    uint8_t *
        image; /* room for the next one's weights as they lie in `params`: fresh memory would cost a tenth of a parse */
    NervRenderer *renderer; /* in the layout `rendered`; NULL until the first render */
    NervPixels rendered;
    bool exports; /* the renderer's frames stay on the device */

    NervPixels output;
    bool output_chosen;

    GMutex lock; /* stats */
    NervDecoderStats stats;
};

void nerv_decoder_settings_init(NervDecoderSettings *s)
{
    *s = (NervDecoderSettings){ .device = g_strdup("auto"),
                                .max_memory_bytes = DEFAULT_MAX_MEMORY_BYTES,
                                .max_macs_per_frame = DEFAULT_MAX_MACS };
}

void nerv_decoder_settings_clear(NervDecoderSettings *s)
{
    g_clear_pointer(&s->device, g_free);
    g_clear_pointer(&s->init_location, g_free);
}

NervDecoder *nerv_decoder_new_on(const NervDecoderSettings *settings, NervBackend *be, GError **error)
{
    g_autoptr(NervInit) init = NULL;
    if (!be)
        return NULL;
    if (settings->init_location && !(init = nerv_init_load(settings->init_location, error))) {
        nerv_backend_free(be);
        return NULL;
    }
    NervDecoder *dec = g_new0(NervDecoder, 1);
    dec->be = be;
    dec->settings = *settings;
    dec->settings.device = g_strdup(settings->device);
    dec->settings.init_location = g_strdup(settings->init_location);
    dec->init = g_steal_pointer(&init);
    if (!dec->settings.max_memory_bytes)
        dec->settings.max_memory_bytes = DEFAULT_MAX_MEMORY_BYTES;
    if (!dec->settings.max_macs_per_frame)
        dec->settings.max_macs_per_frame = DEFAULT_MAX_MACS;
    be->limit_bytes = (size_t)MIN(dec->settings.max_memory_bytes, SIZE_MAX);
    dec->keyring = nerv_keyring_new(be);
    g_mutex_init(&dec->lock);
    g_strlcpy(dec->stats.device, be->description, sizeof(dec->stats.device));
    return dec;
}

NervDecoder *nerv_decoder_new(const NervDecoderSettings *settings, GError **error)
{
    return nerv_decoder_new_on(settings, nerv_backend_open(settings->device, settings->threads, error),
                               error);
}

static void forget_unit(NervDecoder *dec)
{
    if (dec->unit)
        nerv_backend_release(dec->be, dec->unit_bytes);
    g_clear_pointer(&dec->unit, g_free);
}

/* What only saves time. */
static void drop_spare(NervDecoder *dec)
{
    if (dec->image)
        nerv_backend_release(dec->be, dec->params->bytes);
    g_clear_pointer(&dec->image, g_free);
    forget_unit(dec);
}

static void drop_network(NervDecoder *dec)
{
    drop_spare(dec);
    g_clear_pointer(&dec->renderer, nerv_renderer_free); /* its threads read the parameters */
    g_clear_pointer(&dec->params, nerv_params_free);
    g_clear_pointer(&dec->model, nerv_model_free);
    dec->frame_valid = dec->is_synced = false;
}

void nerv_decoder_free(NervDecoder *dec)
{
    if (!dec)
        return;
    drop_network(dec);
    nerv_keyring_free(dec->keyring);
    nerv_init_free(dec->init);
    nerv_backend_free(dec->be);
    nerv_decoder_settings_clear(&dec->settings);
    g_mutex_clear(&dec->lock);
    g_free(dec);
}

void nerv_decoder_reset(NervDecoder *dec)
{
    dec->frame_valid = dec->is_synced = false;
    if (dec->renderer)
        nerv_renderer_restart(dec->renderer);
}

/* After a segment's network could not be taken over. What only lacks its base leaves the last one as it is: that may come again. */
static void lose_network(NervDecoder *dec, GError **error)
{
    dec->frame_valid = dec->is_synced = false;
    if (!error || !g_error_matches(*error, NERV_ERROR, NERV_ERROR_NEED_SYNC))
        drop_network(dec);
}

/* --- access units in --- */

static void sequence_info(const NervSequence *s, NervVideoInfo *info)
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

static bool same_info(const NervSequence *a, const NervSequence *b)
{
    NervVideoInfo x, y;
    memset(&x, 0, sizeof(x));
    memset(&y, 0, sizeof(y));
    sequence_info(a, &x);
    sequence_info(b, &y);
    return !memcmp(&x, &y, sizeof(x));
}

/* --- networks --- */

static void remember_unit(NervDecoder *dec, const NervUnit *unit)
{
    forget_unit(dec);
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

/* A network unit's payload, and what its layers are differences from, or NULL. */
typedef struct {
    const uint8_t *network;
    size_t bytes;
    const NervInit *base;
} Coded;

static bool open_network(const NervDecoder *dec, const NervUnit *unit, Coded *c, GError **error)
{
    const uint8_t *hash;
    *c = (Coded){ unit->payload, unit->payload_bytes, NULL };
    if (unit->type != NERV_UNIT_DELTA)
        return true;
    return nerv_delta_read(unit->payload, unit->payload_bytes, &hash, &c->network, &c->bytes, error) &&
           (c->base = nerv_delta_find(dec->init, hash, error));
}

/* Puts the network's weights where the old ones are, once nobody reads those any more. */
static bool replace_network(NervDecoder *dec, const NervClip *clip, const Coded *c, GError **error)
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
static bool add_residual(NervDecoder *dec, const NervClip *clip, const NervUnit *unit, GError **error)
{
    const uint8_t *network;
    size_t bytes;
    uint32_t base_crc;
    if (!nerv_residual_read(unit->payload, unit->payload_bytes, &base_crc, &network, &bytes, error))
        return false;
    if (!dec->model || base_crc != dec->unit_crc) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC,
                    "the network that this segment's goes on from is not here");
        return false;
    }
    if (!plan_serves(dec, clip, network, bytes)) {
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
        nerv_network_read_to(network, bytes, clip, dec->model, dec->image, dec->params->offset, error);
    if (model && add_base(dec, model, error))
        return use_image(dec, model, error);
    nerv_model_free(model);
    return false;
}

/* Whether a frame takes no more multiplications than are allowed. Networks that can't be read, or are too large for the memory, are left to who says so. */
static bool is_affordable(const NervDecoder *dec, const NervClip *clip, const Coded *c, int64_t max_weights,
                          GError **error)
{
    const double most = (double)dec->settings.max_macs_per_frame;
    NervBitReader r;
    nerv_reader_init(&r, c->network, c->bytes);
    NervModel *model = nerv_model_read(&r, clip, NULL);
    const double macs = model && model->n_weights <= max_weights
                            ? nerv_model_macs_per_pixel(model) * clip->width * clip->height
                            : 0.;
    nerv_model_free(model);
    if (isinf(macs) || macs <= most) /* infinite: too large a picture for any plan, which says so */
        return true;
    g_set_error(
        error, NERV_ERROR, NERV_ERROR_LIMIT,
        "a frame of the network takes %.3g multiplications, the limit allows %.3g: raise max-macs-per-frame",
        macs, most);
    return false;
}

/* The old network goes first: two need not fit into memory at once. */
static bool new_network(NervDecoder *dec, const NervClip *clip, const Coded *c, GError **error)
{
    const int64_t max_weights =
        (int64_t)MIN(dec->settings.max_memory_bytes / (3 * sizeof(float)), (uint64_t)NERV_MODEL_MAX_WEIGHTS);
    float *weights = NULL;
    drop_network(dec);
    if (!is_affordable(dec, clip, c, max_weights, error))
        return false;
    dec->model = nerv_network_read(c->network, c->bytes, clip, max_weights, &weights, error);
    const bool has_base = dec->model && c->base && nerv_delta_suits(c->base, dec->model, error);
    if (has_base)
        nerv_delta_add(c->base, dec->model, weights);
    if (dec->model && (has_base || !c->base))
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
    Coded c;
    bool ok;
    if (!open_network(dec, unit, &c, error))
        return false;
    if (unit->type == NERV_UNIT_RESIDUAL)
        ok = add_residual(dec, clip, unit, error);
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

/* Takes over a sync point's network. */
static bool take_network(NervDecoder *dec, const NervSequence *s, const NervUnit *unit, GError **error)
{
    const NervClip clip = { (int32_t)s->width, (int32_t)s->height, (int32_t)s->n_frames };
    NervVideoInfo info;
    NervPixels keys;
    sequence_info(s, &info);
    memset(&keys, 0, sizeof(keys));
    nerv_keyframe_pixels(&info.pixels, &keys);
    const bool is_new = !same_keys(dec, &keys) || !is_last_unit(dec, &clip, unit);
    if (is_new && !read_network(dec, &clip, &keys, unit, error))
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

static bool scan(const uint8_t *data, size_t bytes, NervAccessUnit *au, GError **error)
{
    size_t need;
    if (nerv_access_unit_scan(data, bytes, au, &need) == NERV_SCAN_OK)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "%zu bytes are not a whole access unit", bytes);
    return false;
}

static bool units_known(const NervAccessUnit *au, GError **error)
{
    if (au->unknown_type == 0)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
                "the stream has units of type %u, which this version does not know", au->unknown_type);
    return false;
}

/* Those of the present segment; others, and damaged ones, are as good as lost. */
static bool take_keyframes(NervDecoder *dec, const NervAccessUnit *au, GError **error)
{
    for (uint32_t i = 0; i < au->n_keyframes; i++) {
        NervKeyframeHeader k;
        GError *why = NULL;
        if (!nerv_keyframe_header_read(au->keyframes[i].payload, au->keyframes[i].payload_bytes, &k, &why)) {
            g_debug("keyframe: %s", why->message);
            g_error_free(why);
        } else if (k.segment_id == (dec->sequence.segment_id & 0xff) &&
                   !nerv_keyring_put(dec->keyring, (int32_t)k.index, k.data, k.bytes, error)) {
            return false;
        }
    }
    return true;
}

bool nerv_decoder_send(NervDecoder *dec, const uint8_t *data, size_t bytes, NervDecodedInfo *out,
                       GError **error)
{
    NervAccessUnit au;
    NervSequence s;
    NervFrameHeader frame;

    memset(out, 0, sizeof(*out));
    dec->frame_valid = false;
    if (!scan(data, bytes, &au, error) || !units_known(&au, error) ||
        !nerv_frame_read(au.frame.payload, au.frame.payload_bytes, &frame, error))
        return false;
    if (au.begins) {
        if (!nerv_sequence_read(au.sequence.payload, au.sequence.payload_bytes, &s, error) ||
            !take_network(dec, &s, &au.network, error)) {
            lose_network(dec, error);
            return false;
        }
        out->info_changed = !dec->have_info || !same_info(&s, &dec->sequence);
        if (out->info_changed)
            dec->output_chosen = false;
        dec->sequence = s;
        dec->have_info = true;
        out->is_sync = au.is_sync;
    }
    if (!dec->is_synced || frame.segment_id != (dec->sequence.segment_id & 0xff)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC,
                    "the network of this frame's segment is not here");
        return false;
    }
    if (frame.index >= dec->sequence.n_frames) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "frame %u of a segment of %u", frame.index,
                    dec->sequence.n_frames);
        return false;
    }
    if (!take_keyframes(dec, &au, error))
        return false;
    dec->frame = frame;
    dec->frame_valid = true;
    out->index = frame.index;
    out->frame = dec->sequence.first_frame + frame.index;
    out->pts_ns = nerv_sequence_pts(&dec->sequence, frame.index) + frame.pts_delta_ns;
    out->duration_ns = nerv_sequence_duration(&dec->sequence, frame.index);
    return true;
}

void nerv_decoder_get_info(const NervDecoder *dec, NervVideoInfo *info)
{
    sequence_info(&dec->sequence, info);
}

/* --- frames out --- */

bool nerv_decoder_set_output(NervDecoder *dec, const NervPixels *pixels, GError **error)
{
    double kr, kb;
    const bool yuv = pixels->format == NERV_PIXELS_I420 || pixels->format == NERV_PIXELS_NV12;
    if (!dec->have_info || pixels->width != (int32_t)dec->sequence.width ||
        pixels->height != (int32_t)dec->sequence.height || !nerv_pixels_bytes(pixels) ||
        (yuv && !nerv_matrix_coefficients(pixels->matrix, &kr, &kb))) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "the output's format, size or colour matrix does not fit the stream");
        return false;
    }
    dec->output = *pixels;
    dec->output_chosen = true;
    return true;
}

/* Without a choice: the source's own layout, or RGB if its matrix is none that can be computed. */
static void default_output(NervDecoder *dec)
{
    NervVideoInfo info;
    double kr, kb;
    sequence_info(&dec->sequence, &info);
    dec->output = info.pixels;
    if (info.pixels.format >= NERV_PIXELS_I420 && !nerv_matrix_coefficients(info.pixels.matrix, &kr, &kb))
        dec->output.format = NERV_PIXELS_RGB;
}

/* In the present layout. */
static bool make_renderer(NervDecoder *dec, bool exports, GError **error)
{
    NervRenderer *(*make)(NervBackend *, NervParams *, NervKeyring *, const NervPixels *, GError **) =
        exports ? nerv_renderer_new_exporting : nerv_renderer_new;
    if (dec->renderer && dec->exports == exports &&
        !memcmp(&dec->rendered, &dec->output, sizeof(dec->output)))
        return true;
    g_clear_pointer(&dec->renderer, nerv_renderer_free);
    dec->rendered = dec->output;
    dec->exports = exports;
    const bool is_spare = dec->unit || dec->image;
    dec->renderer = make(dec->be, dec->params, dec->keyring, &dec->output, is_spare ? NULL : error);
    if (!dec->renderer && is_spare) {
        drop_spare(dec); /* its memory may be what is missing */
        dec->renderer = make(dec->be, dec->params, dec->keyring, &dec->output, error);
    }
    if (!dec->renderer)
        return false;
    g_mutex_lock(&dec->lock);
    dec->stats.plans++;
    g_mutex_unlock(&dec->lock);
    return true;
}

const NervPixels *nerv_decoder_output(NervDecoder *dec)
{
    if (!dec->output_chosen)
        default_output(dec);
    return &dec->output;
}

/* To the planes of `frame`, or to `target`. */
static bool render(NervDecoder *dec, const NervFrame *frame, const void *target, GError **error)
{
    const gint64 start_us = g_get_monotonic_time();
    if (!dec->is_synced || !dec->frame_valid) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC, "there is no frame to render");
        return false;
    }
    if (!dec->output_chosen)
        default_output(dec);
    const int32_t index = (int32_t)dec->frame.index;
    if (!make_renderer(dec, target != NULL, error) ||
        !(target ? nerv_renderer_export(dec->renderer, index, target, error)
                 : nerv_renderer_get(dec->renderer, index, frame, error)))
        return false;
    g_mutex_lock(&dec->lock);
    dec->stats.frames++;
    dec->stats.render_seconds += (double)(g_get_monotonic_time() - start_us) * 1e-6;
    dec->stats.peak_bytes = dec->be->peak_bytes;
    dec->stats.readbacks = dec->be->stats.readbacks;
    dec->stats.concealed = nerv_keyring_concealed(dec->keyring, &dec->stats.network_concealed);
    g_mutex_unlock(&dec->lock);
    return true;
}

bool nerv_decoder_render(NervDecoder *dec, const NervFrame *frame, GError **error)
{
    return render(dec, frame, NULL, error);
}

bool nerv_decoder_export(NervDecoder *dec, const void *target, GError **error)
{
    return render(dec, NULL, target, error);
}

void nerv_decoder_get_stats(NervDecoder *dec, NervDecoderStats *stats)
{
    g_mutex_lock(&dec->lock);
    *stats = dec->stats;
    g_mutex_unlock(&dec->lock);
}
