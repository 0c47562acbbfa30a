/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The networks of a stream, see nerv_pack.h. Segments are read one after another, each with the keyframes of all its access units. What is damaged is
 * skipped and told, as a decoder does it; no frame is evaluated.
 */
#include "nerv_pack.h"

#include <string.h>

#include "backend/backend.h"
#include "codec/decoder_internal.h"
#include "codec/delta.h"
#include "codec/residual.h"
#include "codec/weights.h"

struct NervUnpack {
    const uint8_t *data; /* the caller's */
    size_t bytes, at;
    NervInit *init; /* beside the built-in ones; NULL: none */
    /* The segment */
    NervSequence sequence;
    NervVideoInfo info;
    NervModel *model;
    float *weights; /* as they are evaluated: sums of what they are differences from */
    NervStoredTensor
        *stored;  /* by parameter: what they, or the residual or the differences, were stored as */
    float *coded; /* the residual or the differences; NULL where the network stands alone */
    uint32_t crc, sequence_crc; /* of the network's unit, and the sequence's */
    bool complete;              /* its last frame has come by */
    int64_t *pts_ns;            /* by frame */
    bool *present;
    uint32_t n_present;
    uint8_t init_hash[NERV_PACK_HASH_BYTES];
    NervUnpackWay way;
    GVariant *options;
    char *options_text, *description;
    const char *name;
    NervKeyframeHeader *keys; /* by keyframe; bytes 0: not here */
};

static void clear_stored(NervUnpack *u)
{
    for (uint32_t i = 0; u->stored && i < u->model->n_params; i++)
        nerv_stored_clear(&u->stored[i]);
    g_clear_pointer(&u->stored, g_free);
}

static void clear_network(NervUnpack *u)
{
    clear_stored(u);
    g_clear_pointer(&u->weights, g_free);
    g_clear_pointer(&u->coded, g_free);
    g_clear_pointer(&u->model, nerv_model_free);
}

NervUnpack *nerv_unpack_new(const uint8_t *data, size_t bytes, const char *init_location, GError **error)
{
    NervUnpack *u = g_new0(NervUnpack, 1);
    u->data = data;
    u->bytes = bytes;
    if (init_location && !(u->init = nerv_init_load(init_location, error)))
        g_clear_pointer(&u, g_free);
    return u;
}

void nerv_unpack_free(NervUnpack *u)
{
    if (!u)
        return;
    clear_network(u);
    g_clear_pointer(&u->init, nerv_init_free);
    g_clear_pointer(&u->options, g_variant_unref);
    g_free(u->options_text);
    g_free(u->description);
    g_free(u->keys);
    g_free(u->pts_ns);
    g_free(u->present);
    g_free(u);
}

/* --- networks --- */

static bool read_whole(NervUnpack *u, const NervClip *clip, const NervUnit *unit, GError **error)
{
    clear_network(u);
    u->way = NERV_UNPACK_WHOLE;
    u->model = nerv_network_read_stored(unit->payload, unit->payload_bytes, clip, NERV_MODEL_MAX_WEIGHTS,
                                        &u->weights, &u->stored, error);
    return u->model != NULL;
}

/* What is to become a sum: false for no memory. */
static bool keep_coded(NervUnpack *u, GError **error)
{
    const gsize bytes = (gsize)u->model->n_weights * sizeof(*u->coded);
    u->coded = g_try_malloc(bytes);
    if (u->coded)
        memcpy(u->coded, u->weights, bytes);
    else
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for two networks");
    return u->coded != NULL;
}

static bool read_delta(NervUnpack *u, const NervClip *clip, const NervUnit *unit, GError **error)
{
    const uint8_t *hash, *network;
    size_t bytes;
    clear_network(u);
    u->way = NERV_UNPACK_DELTA;
    if (!nerv_delta_read(unit->payload, unit->payload_bytes, &hash, &network, &bytes, error))
        return false;
    const NervInit *base = nerv_delta_find(u->init, hash, error);
    if (!base)
        return false;
    u->model = nerv_network_read_stored(network, bytes, clip, NERV_MODEL_MAX_WEIGHTS, &u->weights, &u->stored,
                                        error);
    if (!u->model || !nerv_delta_suits(base, u->model, error) || !keep_coded(u, error))
        return false;
    nerv_delta_add(base, u->model, u->weights);
    memcpy(u->init_hash, hash, sizeof(u->init_hash));
    return true;
}

static bool read_residual(NervUnpack *u, const NervClip *clip, const NervUnit *unit, GError **error)
{
    const uint8_t *network;
    size_t bytes;
    uint32_t base_crc;
    NervUnpack before = *u; /* the last network: u gets the new one */
    if (!nerv_residual_read(unit->payload, unit->payload_bytes, &base_crc, &network, &bytes, error))
        return false;
    if (!u->model || base_crc != u->crc) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_NEED_SYNC,
                    "the network that this segment's goes on from is not here");
        return false;
    }
    u->stored = NULL;
    u->weights = u->coded = NULL;
    u->way = NERV_UNPACK_RESIDUAL;
    u->model = nerv_network_read_stored(network, bytes, clip, before.model->n_weights, &u->weights,
                                        &u->stored, error);
    bool ok = u->model != NULL;
    if (ok && !nerv_model_alike(u->model, before.model)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA,
                    "a residual network of another configuration than the one before");
        ok = false;
    }
    ok = ok && keep_coded(u, error);
    if (ok)
        nerv_residual_add(u->model, before.weights, u->weights);
    clear_network(&before);
    return ok;
}

static bool read_network(NervUnpack *u, const NervUnit *unit, GError **error)
{
    const NervClip clip = { (int32_t)u->sequence.width, (int32_t)u->sequence.height,
                            (int32_t)u->sequence.n_frames };
    bool ok;
    if (unit->type == NERV_UNIT_RESIDUAL)
        ok = read_residual(u, &clip, unit, error);
    else if (unit->type == NERV_UNIT_DELTA)
        ok = read_delta(u, &clip, unit, error);
    else
        ok = read_whole(u, &clip, unit, error);
    if (!ok) {
        clear_network(u);
        return false;
    }
    u->crc = unit->crc;
    return true;
}

static void describe(NervUnpack *u)
{
    g_clear_pointer(&u->options, g_variant_unref);
    g_clear_pointer(&u->options_text, g_free);
    g_clear_pointer(&u->description, g_free);
    u->options = nerv_model_options(u->model, &u->name);
    u->options_text = u->options ? g_variant_print(u->options, FALSE) : NULL;
    u->description = nerv_model_describe(u->model);
}

/* --- segments --- */

static bool damaged(NervUnpack *u, const char *what, GError **error)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "%s at byte %zu", what, u->at);
    u->at += MAX(nerv_unit_find_sync(u->data + u->at, u->bytes - u->at, 1), 1);
    return false;
}

/* Whether what is left is no more than what a file has behind its last frame. */
static bool is_end(const NervUnpack *u)
{
    NervUnit unit;
    size_t need, at = u->at;
    while (at < u->bytes && nerv_unit_scan(u->data + at, u->bytes - at, &unit, &need) == NERV_SCAN_OK &&
           unit.type >= NERV_UNIT_SKIPPABLE)
        at += unit.unit_bytes;
    return at >= u->bytes;
}

/* The index of a file that another one stands behind is in no access unit. */
static void skip_index(NervUnpack *u)
{
    NervUnit unit;
    size_t need;
    while (nerv_unit_scan(u->data + u->at, u->bytes - u->at, &unit, &need) == NERV_SCAN_OK &&
           unit.type == NERV_UNIT_INDEX)
        u->at += unit.unit_bytes;
}

static void take_access_unit(NervUnpack *u, const NervAccessUnit *au)
{
    NervFrameHeader frame;
    if (nerv_frame_read(au->frame.payload, au->frame.payload_bytes, &frame, NULL) &&
        frame.index < u->sequence.n_frames) {
        u->complete = u->complete || frame.index + 1 == u->sequence.n_frames;
        u->n_present += !u->present[frame.index];
        u->present[frame.index] = true;
        u->pts_ns[frame.index] = nerv_sequence_pts(&u->sequence, frame.index) + frame.pts_delta_ns;
    }
    for (uint32_t i = 0; i < au->n_keyframes; i++) {
        NervKeyframeHeader k;
        if (!nerv_keyframe_header_read(au->keyframes[i].payload, au->keyframes[i].payload_bytes, &k, NULL) ||
            k.segment_id != (u->sequence.segment_id & 255))
            continue;
        for (int32_t j = 0; j < u->model->n_keys; j++)
            if ((uint32_t)u->model->keys[j] == k.index)
                u->keys[j] = k;
    }
}

/* A segment's beginning that comes again before its last frame is no other segment. */
static bool is_repeated(const NervUnpack *u, const NervAccessUnit *au)
{
    return !u->complete && au->network.crc == u->crc && au->sequence.crc == u->sequence_crc;
}

/* The keyframes of the segment's other access units; stops in front of the next segment, or of damage. */
static void gather(NervUnpack *u)
{
    NervAccessUnit au;
    size_t need;
    for (;;) {
        skip_index(u);
        if (u->at >= u->bytes ||
            nerv_access_unit_scan(u->data + u->at, u->bytes - u->at, &au, &need) != NERV_SCAN_OK ||
            (au.begins && !is_repeated(u, &au)))
            return;
        take_access_unit(u, &au);
        u->at += au.bytes;
    }
}

static void expect_frames(NervUnpack *u)
{
    const uint32_t n = u->sequence.n_frames; /* 65536 at most */
    g_free(u->pts_ns);
    g_free(u->present);
    u->pts_ns = g_new(int64_t, n);
    u->present = g_new0(bool, n);
    u->n_present = 0;
    for (uint32_t i = 0; i < n; i++)
        u->pts_ns[i] = nerv_sequence_pts(&u->sequence, i);
}

static bool begin(NervUnpack *u, const NervAccessUnit *au, NervUnpackSegment *out, GError **error)
{
    if (!nerv_sequence_read(au->sequence.payload, au->sequence.payload_bytes, &u->sequence, error) ||
        !read_network(u, &au->network, error))
        return false;
    const NervSequence *s = &u->sequence;
    nerv_decoder_sequence_info(s, &u->info);
    g_free(u->keys);
    u->keys = g_new0(NervKeyframeHeader, MAX(u->model->n_keys, 1));
    expect_frames(u);
    describe(u);
    u->sequence_crc = au->sequence.crc;
    u->complete = false;
    take_access_unit(u, au);
    u->at += au->bytes;
    gather(u);
    *out = (NervUnpackSegment){ .info = u->info,
                                .segment_id = s->segment_id,
                                .n_frames = s->n_frames,
                                .first_frame = s->first_frame,
                                .pts_ns = s->pts_ns,
                                .way = u->way,
                                .n_tensors = u->model->n_params,
                                .n_keyframes = (uint32_t)u->model->n_keys,
                                .network_bytes = au->network.payload_bytes,
                                .n_weights = u->model->n_weights,
                                .model = u->name,
                                .options = u->options_text,
                                .description = u->description,
                                .n_videos = nerv_model_videos(u->model) ? u->model->n_videos : 0,
                                .videos = nerv_model_videos(u->model),
                                .n_present = u->n_present,
                                .frame_pts_ns = u->pts_ns,
                                .init_hash = u->way == NERV_UNPACK_DELTA ? u->init_hash : NULL };
    for (int32_t i = 0; i < u->model->n_keys; i++)
        out->keyframe_bytes += u->keys[i].bytes;
    return true;
}

bool nerv_unpack_next(NervUnpack *u, NervUnpackSegment *out, GError **error)
{
    NervAccessUnit au;
    size_t need;
    while (!is_end(u)) {
        skip_index(u);
        if (nerv_access_unit_scan(u->data + u->at, u->bytes - u->at, &au, &need) != NERV_SCAN_OK)
            return damaged(u, "no access unit", error);
        if (!au.begins) { /* of a segment whose beginning was damaged */
            u->at += au.bytes;
            continue;
        }
        if (begin(u, &au, out, error))
            return true;
        u->at += au.bytes;
        return false;
    }
    return false;
}

/* --- what it has --- */

static void describe_tensor(const NervUnpack *u, uint32_t i, const float *values, bool stored,
                            NervPackTensor *out)
{
    const NervParam *p = &u->model->params[i];
    for (uint32_t j = 0; j < i; j++)
        values += nerv_shape_count(u->model->params[j].shape);
    *out = (NervPackTensor){ .name = p->name,
                             .shape = { p->shape.n, p->shape.c, p->shape.h, p->shape.w },
                             .role = (uint32_t)p->role,
                             .values = values };
    if (!stored)
        return;
    const NervStoredTensor *t = &u->stored[i];
    out->bits = t->bits;
    out->mask = t->mask;
    out->half = t->half;
    out->codes = t->codes;
    out->minimum = t->minimum;
    out->scale = t->scale;
}

void nerv_unpack_tensor(const NervUnpack *u, uint32_t i, NervPackTensor *out)
{
    describe_tensor(u, i, u->weights, u->way == NERV_UNPACK_WHOLE, out);
}

void nerv_unpack_coded(const NervUnpack *u, uint32_t i, NervPackTensor *out)
{
    describe_tensor(u, i, u->coded ? u->coded : u->weights, true, out);
}

void nerv_unpack_keyframe(const NervUnpack *u, uint32_t i, uint32_t *frame, const uint8_t **data,
                          size_t *bytes)
{
    *frame = (uint32_t)u->model->keys[i];
    *data = u->keys[i].data;
    *bytes = u->keys[i].bytes;
}

/* One stored picture to planes of R'G'B'. */
static bool to_rgb(const NervPixels *pixels, const uint8_t *picture, size_t bytes, float *rgb, GError **error)
{
    static const int32_t first = 0;
    NervBackend *be = nerv_backend_open("cpu", 1, error);
    if (!be)
        return false;
    NervTape *t = nerv_tape_new();
    NervTensor *store =
        nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_U8, nerv_shape(1, 1, 1, (int32_t)bytes), "picture");
    NervTensor *index = nerv_tape_leaf(t, NERV_TENSOR_INPUT, NERV_I32, nerv_shape(1, 1, 1, 1), "index");
    NervTensor *planes = nerv_from_pixels(t, store, index, pixels);
    nerv_tape_output(t, planes, "rgb");
    NervExec *exec = nerv_exec_new(be, t, error);
    const bool ok = exec && nerv_exec_write(exec, store, picture, error) &&
                    nerv_exec_write(exec, index, &first, error) && nerv_exec_run(exec, error) &&
                    nerv_exec_read(exec, planes, rgb, error);
    nerv_exec_free(exec);
    nerv_tape_free(t);
    nerv_backend_free(be);
    return ok;
}

bool nerv_unpack_picture(const NervUnpack *u, uint32_t i, float *rgb, GError **error)
{
    NervPixels pixels = { 0 };
    nerv_keyframe_pixels(&u->info.pixels, &pixels);
    const size_t bytes = (nerv_pixels_bytes(&pixels) + 3) / 4 * 4;
    if (u->keys[i].bytes == 0) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "the keyframe of frame %d is missing",
                    u->model->keys[i]);
        return false;
    }
    g_autofree uint8_t *picture = g_try_malloc0(bytes);
    if (!picture) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for a keyframe");
        return false;
    }
    return nerv_keyframe_decode(u->keys[i].data, u->keys[i].bytes, &pixels, picture, error) &&
           to_rgb(&pixels, picture, bytes, rgb, error);
}
