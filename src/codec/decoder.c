/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Decoder of one stream: takes access units, keeps the present segment's network on the device, hands out
 * frames in any order. Parsing is units.c's and weights.c's, evaluating renderer.c's; this file decides what belongs
 * together and what is refused.
 */
#include <string.h>

#include "codec/renderer.h"
#include "codec/weights.h"

#define DEFAULT_MAX_MEMORY_BYTES ((uint64_t)2 << 30)

struct NervDecoder {
    NervDecoderSettings settings;
    NervBackend *be;

    /* The present segment; model is NULL while waiting for a sync point. */
    NervSequence sequence;
    bool have_info; /* `sequence` describes the last segment seen, even if its network is gone */
    NervModel *model;
    NervParams *params;
    NervFrameHeader frame; /* of the last send */
    bool frame_valid;

    NervPixels output;
    bool output_chosen;
    NervRenderer *renderer; /* of the present network and output layout; NULL until the first render */

    GMutex lock; /* stats */
    NervDecoderStats stats;
};

void nerv_decoder_settings_init(NervDecoderSettings *s)
{
    *s = (NervDecoderSettings){ .device = g_strdup("auto"), .max_memory_bytes = DEFAULT_MAX_MEMORY_BYTES };
}

void nerv_decoder_settings_clear(NervDecoderSettings *s)
{
    g_clear_pointer(&s->device, g_free);
}

NervDecoder *nerv_decoder_new(const NervDecoderSettings *settings, GError **error)
{
    NervBackend *be = nerv_backend_open(settings->device, settings->threads, error);
    if (!be)
        return NULL;
    NervDecoder *dec = g_new0(NervDecoder, 1);
    dec->be = be;
    dec->settings = *settings;
    dec->settings.device = g_strdup(settings->device);
    if (!dec->settings.max_memory_bytes)
        dec->settings.max_memory_bytes = DEFAULT_MAX_MEMORY_BYTES;
    be->limit_bytes = (size_t)MIN(dec->settings.max_memory_bytes, SIZE_MAX);
    g_mutex_init(&dec->lock);
    g_strlcpy(dec->stats.device, be->description, sizeof(dec->stats.device));
    return dec;
}

static void drop_network(NervDecoder *dec)
{
    g_clear_pointer(&dec->renderer, nerv_renderer_free); /* its threads read the parameters */
    g_clear_pointer(&dec->params, nerv_params_free);
    g_clear_pointer(&dec->model, nerv_model_free);
    dec->frame_valid = false;
}

void nerv_decoder_free(NervDecoder *dec)
{
    if (!dec)
        return;
    drop_network(dec);
    nerv_backend_free(dec->be);
    nerv_decoder_settings_clear(&dec->settings);
    g_mutex_clear(&dec->lock);
    g_free(dec);
}

void nerv_decoder_reset(NervDecoder *dec)
{
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

/* Takes over a sync point's network. The old one goes first: two need not fit into memory at once. */
static bool take_network(NervDecoder *dec, const NervSequence *s, const NervUnit *unit, GError **error)
{
    const NervClip clip = { (int32_t)s->width, (int32_t)s->height, (int32_t)s->n_frames };
    const int64_t max_weights =
        (int64_t)MIN(dec->settings.max_memory_bytes / (3 * sizeof(float)), (uint64_t)NERV_MODEL_MAX_WEIGHTS);
    float *weights = NULL;

    drop_network(dec);
    dec->model = nerv_network_read(unit->payload, unit->payload_bytes, &clip, max_weights, &weights, error);
    if (!dec->model)
        return false;
    dec->params = nerv_params_new(dec->be, dec->model, error);
    if (!dec->params || !nerv_params_upload(dec->params, weights, error)) {
        g_free(weights);
        drop_network(dec);
        return false;
    }
    g_free(weights);

    g_autofree char *text = nerv_model_describe(dec->model);
    g_mutex_lock(&dec->lock);
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
    if (au.is_sync) {
        if (!nerv_sequence_read(au.sequence.payload, au.sequence.payload_bytes, &s, error) ||
            !take_network(dec, &s, &au.network, error)) {
            drop_network(dec);
            return false;
        }
        out->info_changed = !dec->have_info || !same_info(&s, &dec->sequence);
        if (out->info_changed)
            dec->output_chosen = false;
        dec->sequence = s;
        dec->have_info = true;
        out->is_sync = true;
    }
    if (!dec->model || frame.segment_id != (dec->sequence.segment_id & 0xff)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC,
                    "the network of this frame's segment is not here");
        return false;
    }
    if (frame.index >= dec->sequence.n_frames) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "frame %u of a segment of %u", frame.index,
                    dec->sequence.n_frames);
        return false;
    }
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
    if (dec->output_chosen && !memcmp(&dec->output, pixels, sizeof(*pixels)))
        return true;
    g_clear_pointer(&dec->renderer, nerv_renderer_free);
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

bool nerv_decoder_render(NervDecoder *dec, const NervFrame *frame, GError **error)
{
    const gint64 start_us = g_get_monotonic_time();
    if (!dec->model || !dec->frame_valid) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC, "there is no frame to render");
        return false;
    }
    if (!dec->output_chosen && !dec->renderer)
        default_output(dec);
    if (!dec->renderer)
        dec->renderer = nerv_renderer_new(dec->be, dec->params, &dec->output, error);
    if (!dec->renderer || !nerv_renderer_get(dec->renderer, (int32_t)dec->frame.index, frame, error))
        return false;
    g_mutex_lock(&dec->lock);
    dec->stats.frames++;
    dec->stats.render_seconds += (double)(g_get_monotonic_time() - start_us) * 1e-6;
    dec->stats.peak_bytes = dec->be->peak_bytes;
    g_mutex_unlock(&dec->lock);
    return true;
}

void nerv_decoder_get_stats(NervDecoder *dec, NervDecoderStats *stats)
{
    g_mutex_lock(&dec->lock);
    *stats = dec->stats;
    g_mutex_unlock(&dec->lock);
}
