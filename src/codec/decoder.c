/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Decoder of one stream: takes access units, keeps the present segment's network on the device, hands out
 * frames in any order. Parsing is units.c's and weights.c's, evaluating renderer.c's, networks are decoder_network.c's; this file decides
 * what belongs together and what is refused.
 */
#include <string.h>

#include "codec/decoder_internal.h"

#define DEFAULT_MAX_MEMORY_BYTES ((uint64_t)2 << 30)
#define DEFAULT_MAX_MACS         UINT64_C(1000000000000)

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

void nerv_decoder_free(NervDecoder *dec)
{
    if (!dec)
        return;
    nerv_decoder_drop_network(dec);
    nerv_keyring_free(dec->keyring);
    nerv_init_free(dec->init);
    nerv_backend_free(dec->be);
    nerv_decoder_settings_clear(&dec->settings);
    g_free(dec->warning);
    g_mutex_clear(&dec->lock);
    g_free(dec);
}

void nerv_decoder_reset(NervDecoder *dec)
{
    dec->frame_valid = dec->is_synced = false;
    if (dec->renderer)
        nerv_renderer_restart(dec->renderer);
}

/* --- access units in --- */

static bool same_info(const NervSequence *a, const NervSequence *b)
{
    NervVideoInfo x, y;
    memset(&x, 0, sizeof(x));
    memset(&y, 0, sizeof(y));
    nerv_decoder_sequence_info(a, &x);
    nerv_decoder_sequence_info(b, &y);
    return !memcmp(&x, &y, sizeof(x));
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

const char *nerv_decoder_warning(const NervDecoder *dec)
{
    return dec->warning;
}

/* --- access units --- */

static bool take_unit(NervDecoder *dec, const uint8_t *data, size_t bytes, NervDecodedInfo *out,
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
            !nerv_decoder_take_network(dec, &s, &au.network, error)) {
            nerv_decoder_lose_network(dec, error);
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

bool nerv_decoder_send(NervDecoder *dec, const uint8_t *data, size_t bytes, NervDecodedInfo *out,
                       GError **error)
{
    GError *why = NULL;
    g_clear_pointer(&dec->warning, g_free);
    if (take_unit(dec, data, bytes, out, &why) ||
        (nerv_decoder_may_change_device(dec, why) && nerv_decoder_change_device(dec, &why) &&
         take_unit(dec, data, bytes, out, &why)))
        return true;
    g_propagate_error(error, why);
    return false;
}

void nerv_decoder_get_info(const NervDecoder *dec, NervVideoInfo *info)
{
    nerv_decoder_sequence_info(&dec->sequence, info);
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
    nerv_decoder_sequence_info(&dec->sequence, &info);
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
    GError *why = NULL;
    dec->renderer = make(dec->be, dec->params, dec->keyring, &dec->output, &why);
    if (!dec->renderer && (dec->unit || dec->image) && g_error_matches(why, NERV_ERROR, NERV_ERROR_MEMORY) &&
        !nerv_decoder_may_change_device(dec, why)) {
        nerv_decoder_drop_spare(dec); /* its memory may be what is missing */
        g_clear_error(&why);
        dec->renderer = make(dec->be, dec->params, dec->keyring, &dec->output, &why);
    }
    if (!dec->renderer) {
        g_propagate_error(error, why);
        return false;
    }
    g_mutex_lock(&dec->lock);
    dec->stats.plans++;
    g_mutex_unlock(&dec->lock);
    return true;
}

/* A picture that is asked for: to planes or to a target, so much after the frame of the last send. */
typedef struct {
    const NervFrame *frame; /* NULL: to the target */
    const void *target;
    double later;
} Wish;

static bool evaluate(NervDecoder *dec, const Wish *wish, GError **error)
{
    if (!dec->is_synced || !dec->frame_valid) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC, "there is no frame to render");
        return false;
    }
    if (!dec->output_chosen)
        default_output(dec);
    const int32_t index = (int32_t)dec->frame.index;
    if (wish->later > 0. && !nerv_decoder_has_between(dec)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
                    "the network knows nothing of times between its frames");
        return false;
    }
    if (!make_renderer(dec, wish->target != NULL, error))
        return false;
    if (wish->target)
        return nerv_renderer_export(dec->renderer, index, wish->target, error);
    return wish->later > 0. ? nerv_renderer_get_at(dec->renderer, index, wish->later, wish->frame, error)
                            : nerv_renderer_get(dec->renderer, index, wish->frame, error);
}

static bool render(NervDecoder *dec, const Wish *wish, GError **error)
{
    const gint64 start_us = g_get_monotonic_time();
    GError *why = NULL;
    g_clear_pointer(&dec->warning, g_free);
    if (!evaluate(dec, wish, &why) && !(nerv_decoder_may_change_device(dec, why) &&
                                        nerv_decoder_change_device(dec, &why) && evaluate(dec, wish, &why))) {
        g_propagate_error(error, why);
        return false;
    }
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
    return render(dec, &(Wish){ .frame = frame }, error);
}

bool nerv_decoder_has_between(const NervDecoder *dec)
{
    return dec->params && dec->params->model->between;
}

bool nerv_decoder_render_at(NervDecoder *dec, double later, const NervFrame *frame, GError **error)
{
    if (!(later >= 0. && later < 1.)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "%g frames after a frame: 0 to less than 1 are possible", later);
        return false;
    }
    return render(dec, &(Wish){ .frame = frame, .later = later }, error);
}

bool nerv_decoder_export(NervDecoder *dec, const void *target, GError **error)
{
    return render(dec, &(Wish){ .target = target }, error);
}

const NervPixels *nerv_decoder_output(NervDecoder *dec)
{
    if (!dec->output_chosen)
        default_output(dec);
    return &dec->output;
}

void nerv_decoder_get_stats(NervDecoder *dec, NervDecoderStats *stats)
{
    g_mutex_lock(&dec->lock);
    *stats = dec->stats;
    g_mutex_unlock(&dec->lock);
}
