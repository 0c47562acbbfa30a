/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A stream of a network that was made elsewhere, see nerv_pack.h. The segment is segment.c's, its keyframes stills.c's, its weights stored.c's.
 */
#include "nerv_pack.h"

#include <string.h>

#include "codec/delta.h"
#include "codec/keyframe.h"
#include "codec/residual.h"
#include "codec/segment.h"
#include "codec/settings.h"
#include "codec/stills.h"
#include "codec/weights.h"

struct NervPack {
    NervVideoInfo info;
    NervSequence sequence;
    NervModel *model;
    int64_t *pts_ns;        /* by frame */
    NervUnitType way;       /* how the network is coded */
    uint32_t base_crc, crc; /* of the unit that a residual is on, and of the own one once it is finished */
    uint8_t init_hash[NERV_PACK_HASH_BYTES];
    NervStoredTensor *tensors; /* by parameter */
    bool *given;
    uint8_t **pictures; /* by keyframe, in the info's layout; NULL where there is a coded one */
    NervKeys keys;      /* `coded` NULL where there is none */
    GQueue packets;     /* of NervPacket * */
    bool finished;
};

static bool invalid(GError **error, const char *why)
{
    g_set_error_literal(error, NERV_ERROR, NERV_ERROR_INVALID, why);
    return false;
}

static bool no_memory(GError **error, const char *what)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for %s", what);
    return false;
}

/* What a sequence header can say: written and read. */
static bool sequence_valid(const NervSequence *s, GError **error)
{
    NervSequence back;
    NervBitWriter w;
    g_autoptr(GError) inner = NULL;
    nerv_writer_init(&w);
    nerv_sequence_write(s, &w);
    const bool ok = nerv_sequence_read(w.bytes->data, w.bytes->len, &back, &inner);
    nerv_writer_clear(&w);
    if (!ok)
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "no stream can be of such a video: %s",
                    inner->message);
    return ok;
}

static bool info_valid(const NervVideoInfo *info, uint32_t n_frames, GError **error)
{
    const uint32_t most = G_MAXINT32;
    NervEncoderSettings s;
    nerv_encoder_settings_init(&s);
    const bool ok = nerv_settings_valid(info, &s, error);
    nerv_encoder_settings_clear(&s);
    if (!ok)
        return false;
    if (n_frames < 1 || n_frames > NERV_MAX_SEGMENT_FRAMES)
        return invalid(error, "a segment has 1 to 65536 frames");
    if (info->fps_n > most || info->fps_d < 1 || info->fps_d > most || info->par_n < 1 ||
        info->par_n > most || info->par_d < 1 || info->par_d > most)
        return invalid(error, "a frame rate or pixel aspect ratio is out of range");
    return true;
}

static NervModel *make_model(const NervPack *pack, const char *name, const char *options,
                             const int32_t *videos, uint32_t n_videos, GError **error)
{
    const NervClip clip = { pack->info.pixels.width, pack->info.pixels.height,
                            (int32_t)pack->sequence.n_frames };
    const NervModelSize size = { .videos = videos, .n_videos = n_videos };
    g_autoptr(GError) inner = NULL;
    g_autoptr(GVariant) v =
        options ? g_variant_parse(G_VARIANT_TYPE_VARDICT, options, NULL, NULL, &inner) : NULL;
    if (!inner)
        return nerv_model_new_sized(name, v, &clip, &size, error);
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "model options are no dictionary in GVariant's text format: %s", inner->message);
    return NULL;
}

static void make_tables(NervPack *pack)
{
    const NervModel *m = pack->model; /* a hundred or two parameters at most, and one keyframe a frame */
    pack->tensors = g_new0(NervStoredTensor, m->n_params);
    pack->given = g_new0(bool, m->n_params);
    pack->pictures = g_new0(uint8_t *, MAX(m->n_keys, 1));
    pack->keys.n = m->n_keys;
    pack->keys.frames = g_memdup2(m->keys, (gsize)m->n_keys * sizeof(*m->keys));
    pack->keys.coded = g_new0(GByteArray *, MAX(m->n_keys, 1));
    nerv_keyframe_pixels(&pack->info.pixels, &pack->keys.pixels);
    pack->pts_ns = g_new(int64_t, pack->sequence.n_frames);
    for (uint32_t i = 0; i < pack->sequence.n_frames; i++)
        pack->pts_ns[i] = nerv_sequence_pts(&pack->sequence, i);
}

NervPack *nerv_pack_new(const NervVideoInfo *info, uint32_t n_frames, const char *model, const char *options,
                        const int32_t *videos, uint32_t n_videos, GError **error)
{
    if (!info_valid(info, n_frames, error))
        return NULL;
    NervPack *pack = g_new0(NervPack, 1);
    pack->info = *info;
    pack->way = NERV_UNIT_NETWORK;
    g_queue_init(&pack->packets);
    nerv_segment_sequence(info, 0, 0, n_frames, 0, &pack->sequence);
    pack->model = make_model(pack, model, options, videos, n_videos, error);
    if (pack->model)
        make_tables(pack);
    if (pack->model && sequence_valid(&pack->sequence, error))
        return pack;
    nerv_pack_free(pack);
    return NULL;
}

static void free_packet(gpointer data)
{
    NervPacket *packet = data;
    g_bytes_unref(packet->data);
    g_free(packet);
}

void nerv_pack_free(NervPack *pack)
{
    if (!pack)
        return;
    for (uint32_t i = 0; pack->model && i < pack->model->n_params; i++)
        nerv_stored_clear(&pack->tensors[i]);
    for (int32_t i = 0; i < pack->keys.n; i++)
        g_free(pack->pictures[i]);
    g_free(pack->tensors);
    g_free(pack->given);
    g_free(pack->pictures);
    g_free(pack->pts_ns);
    nerv_keys_clear(&pack->keys);
    g_queue_clear_full(&pack->packets, free_packet);
    nerv_model_free(pack->model);
    g_free(pack);
}

/* --- beside other segments --- */

/* Whether frame headers can say them. */
static bool times_valid(const NervSequence *s, const int64_t *pts_ns, GError **error)
{
    const int64_t most = INT64_C(1) << 60;
    for (uint32_t i = 0; i < s->n_frames; i++) {
        const int64_t nominal = nerv_sequence_pts(s, i); /* within +-2^63 / 2 */
        if (ABS(pts_ns[i] / 2 - nominal / 2) >= most / 2)
            return invalid(error, "frames' times are too far from the segment's");
    }
    return true;
}

bool nerv_pack_set_place(NervPack *pack, uint32_t segment_id, uint64_t first_frame, int64_t pts_ns,
                         const int64_t *frame_pts_ns, GError **error)
{
    NervSequence s = pack->sequence;
    s.segment_id = segment_id;
    s.first_frame = first_frame;
    s.pts_ns = pts_ns;
    if (!sequence_valid(&s, error) || (frame_pts_ns && !times_valid(&s, frame_pts_ns, error)))
        return false;
    pack->sequence = s;
    for (uint32_t i = 0; i < s.n_frames; i++)
        pack->pts_ns[i] = frame_pts_ns ? frame_pts_ns[i] : nerv_sequence_pts(&s, i);
    return true;
}

bool nerv_pack_set_residual(NervPack *pack, const NervPack *base, GError **error)
{
    if (!base->finished)
        return invalid(error, "a residual is on a segment that is finished");
    if (!nerv_model_alike(pack->model, base->model))
        return invalid(error, "a residual is on a network of the same configuration");
    pack->way = NERV_UNIT_RESIDUAL;
    pack->base_crc = base->crc;
    return true;
}

void nerv_pack_set_delta(NervPack *pack, const uint8_t *hash)
{
    pack->way = NERV_UNIT_DELTA;
    memcpy(pack->init_hash, hash, sizeof(pack->init_hash));
}

/* --- tensors --- */

uint32_t nerv_pack_n_tensors(const NervPack *pack)
{
    return pack->model->n_params;
}

void nerv_pack_describe(const NervPack *pack, uint32_t i, NervPackTensor *out)
{
    const NervParam *p = &pack->model->params[i];
    *out = (NervPackTensor){ .name = p->name,
                             .shape = { p->shape.n, p->shape.c, p->shape.h, p->shape.w },
                             .role = (uint32_t)p->role };
}

/* The place of a tensor's name among the network's, or -1. */
static int32_t find_tensor(const NervPack *pack, const char *name, GError **error)
{
    const NervModel *m = pack->model;
    for (uint32_t i = 0; i < m->n_params; i++)
        if (g_str_equal(m->params[i].name, name))
            return (int32_t)i;
    GString *known = g_string_new(NULL);
    for (uint32_t i = 0; i < m->n_params; i++)
        g_string_append_printf(known, "%s%s", i ? ", " : "", m->params[i].name);
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "the network has no tensor \"%s\"; it has %s", name,
                known->str);
    g_string_free(known, TRUE);
    return -1;
}

static bool shape_fits(const NervParam *p, const NervPackTensor *t, GError **error)
{
    const NervShape want = p->shape;
    if (nerv_shape_equal(want, nerv_shape(t->shape[0], t->shape[1], t->shape[2], t->shape[3])))
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "tensor %s is %d x %d x %d x %d, the network's is %d x %d x %d x %d", p->name, t->shape[0],
                t->shape[1], t->shape[2], t->shape[3], want.n, want.c, want.h, want.w);
    return false;
}

static void *copy(const void *src, int64_t n, size_t size)
{
    void *dst = g_try_malloc((gsize)n * size);
    if (dst)
        memcpy(dst, src, (gsize)n * size);
    return dst;
}

static bool copy_tensor(NervShape shape, const NervStoredTensor *t, NervStoredTensor *own)
{
    const int64_t n = nerv_shape_count(shape), n_numbers = nerv_stored_numbers(shape, t->mask);
    *own = (NervStoredTensor){ .bits = t->bits, .mask = t->mask, .half = t->half };
    if (t->bits)
        own->codes = copy(t->codes, n, 1);
    else
        own->values = copy(t->values, n, sizeof(float));
    if (t->scale)
        own->scale = copy(t->scale, n_numbers, sizeof(float));
    if (t->minimum)
        own->minimum = copy(t->minimum, n_numbers, sizeof(float));
    return (own->codes || own->values) && !own->scale == !t->scale && !own->minimum == !t->minimum;
}

bool nerv_pack_set_tensor(NervPack *pack, const NervPackTensor *t, GError **error)
{
    const int32_t i = find_tensor(pack, t->name, error);
    if (i < 0 || !shape_fits(&pack->model->params[i], t, error))
        return false;
    const NervParam *param = &pack->model->params[i];
    /* what is checked does not change: pointers to const become a structure that owns its arrays */
    const NervStoredTensor given = { .bits = t->bits,
                                     .mask = t->bits || t->scale ? t->mask : 0,
                                     .half = t->half != 0,
                                     .codes = (uint8_t *)t->codes,
                                     .minimum = t->bits || t->scale ? (float *)t->minimum : NULL,
                                     .scale = (float *)t->scale,
                                     .values = (float *)t->values };
    if (t->bits ? !t->codes || !t->minimum || !t->scale : !t->values) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "tensor %s has no %s", param->name,
                    t->bits ? "codes, minimum or scale" : "values");
        return false;
    }
    if (!nerv_stored_check(param, &given, error))
        return false;
    NervStoredTensor own;
    if (!copy_tensor(param->shape, &given, &own)) {
        nerv_stored_clear(&own);
        return no_memory(error, param->name);
    }
    nerv_stored_clear(&pack->tensors[i]);
    pack->tensors[i] = own;
    pack->given[i] = true;
    return true;
}

/* --- keyframes --- */

uint32_t nerv_pack_n_keyframes(const NervPack *pack)
{
    return (uint32_t)pack->keys.n;
}

uint32_t nerv_pack_keyframe(const NervPack *pack, uint32_t i)
{
    return (uint32_t)pack->keys.frames[i];
}

static bool key_valid(const NervPack *pack, uint32_t i, GError **error)
{
    return i < (uint32_t)pack->keys.n || invalid(error, "the network has no such keyframe");
}

static void take_picture(NervPack *pack, uint32_t i, uint8_t *picture, GByteArray *coded)
{
    g_free(pack->pictures[i]);
    g_clear_pointer(&pack->keys.coded[i], g_byte_array_unref);
    pack->pictures[i] = picture;
    pack->keys.coded[i] = coded;
}

bool nerv_pack_set_picture(NervPack *pack, uint32_t i, const NervFrame *frame, GError **error)
{
    NervPlane planes[3];
    if (!key_valid(pack, i, error))
        return false;
    uint8_t *picture = g_try_malloc(nerv_pixels_bytes(&pack->info.pixels));
    if (!picture)
        return no_memory(error, "a keyframe");
    const int n = nerv_pixels_planes(&pack->info.pixels, planes);
    for (int p = 0; p < n; p++)
        for (int32_t row = 0; row < planes[p].rows; row++)
            memcpy(picture + planes[p].offset + (size_t)row * (size_t)planes[p].stride,
                   frame->data[p] + (ptrdiff_t)row * frame->stride[p], (size_t)planes[p].row_bytes);
    take_picture(pack, i, picture, NULL);
    return true;
}

bool nerv_pack_set_coded(NervPack *pack, uint32_t i, const uint8_t *data, size_t bytes, GError **error)
{
    if (!key_valid(pack, i, error))
        return false;
    g_autofree uint8_t *decoded = g_try_malloc(nerv_pixels_bytes(&pack->keys.pixels));
    if (!decoded)
        return no_memory(error, "a keyframe");
    if (!nerv_keyframe_decode(data, bytes, &pack->keys.pixels, decoded, error))
        return false;
    take_picture(pack, i, NULL, g_byte_array_append(g_byte_array_new(), data, (guint)bytes));
    return true;
}

/* Keyframes that are pictures yet: places in the list. */
typedef struct {
    NervPack *pack;
    int32_t *places;
} Pictures;

static const uint8_t *picture_at(void *user, uint32_t place)
{
    return ((const Pictures *)user)->pack->pictures[place];
}

static bool keep(void *user, uint32_t i, const NervStill *still, GError **error)
{
    const Pictures *p = user;
    GByteArray **coded = &p->pack->keys.coded[p->places[i]];
    g_clear_pointer(coded, g_byte_array_unref); /* of a call that failed */
    *coded = g_byte_array_ref(still->coded);
    return true;
}

static bool code_pictures(NervPack *pack, uint32_t quant, uint32_t speed, GError **error)
{
    g_autofree int32_t *places = g_new(int32_t, MAX(pack->keys.n, 1));
    Pictures p = { pack, places };
    uint32_t n = 0;
    for (int32_t i = 0; i < pack->keys.n; i++) {
        if (!pack->pictures[i] && !pack->keys.coded[i]) {
            g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                        "frame %d is a keyframe of the network, and its picture is missing",
                        pack->keys.frames[i]);
            return false;
        }
        if (pack->pictures[i])
            places[n++] = i;
    }
    const NervStillsJob job = {
        .pixels = &pack->info.pixels, .frame_at = picture_at, .user = &p, .quant = quant, .speed = speed
    };
    return n == 0 || nerv_stills_code(&job, places, n, keep, &p, error);
}

/* --- the segment --- */

static bool all_given(const NervPack *pack, GError **error)
{
    for (uint32_t i = 0; i < pack->model->n_params; i++) {
        const NervParam *p = &pack->model->params[i];
        if (pack->given[i])
            continue;
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "tensor %s, %d x %d x %d x %d, is missing",
                    p->name, p->shape.n, p->shape.c, p->shape.h, p->shape.w);
        return false;
    }
    return true;
}

/* The unit's payload of a network. False with NERV_ERROR_UNSUPPORTED if it does not fit. */
static bool wrap(const NervPack *pack, const NervBitWriter *network, NervBitWriter *w, GError **error)
{
    if (pack->way == NERV_UNIT_RESIDUAL)
        nerv_residual_write(pack->base_crc, network, w);
    else if (pack->way == NERV_UNIT_DELTA)
        nerv_delta_write(pack->init_hash, network, w);
    else
        nerv_write_bytes(w, network->bytes->data, network->bytes->len);
    if (w->bytes->len <= NERV_UNIT_MAX_PAYLOAD)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
                "the network takes %u bytes, a stream's unit holds %u", w->bytes->len, NERV_UNIT_MAX_PAYLOAD);
    return false;
}

static bool queue_segment(NervPack *pack, const NervBitWriter *network, GError **error)
{
    NervBitWriter unit;
    nerv_writer_init(&unit);
    const bool ok = wrap(pack, network, &unit, error);
    if (ok) {
        const NervSegment segment = { .sequence = &pack->sequence,
                                      .pts_ns = pack->pts_ns,
                                      .model = pack->model,
                                      .keys = &pack->keys,
                                      .way = pack->way };
        pack->crc = nerv_unit_crc(pack->way, unit.bytes->data, unit.bytes->len);
        nerv_segment_queue(&segment, &unit, &pack->packets);
    }
    nerv_writer_clear(&unit);
    return ok;
}

bool nerv_pack_finish(NervPack *pack, uint32_t quant, uint32_t speed, GError **error)
{
    NervBitWriter network;
    if (pack->finished)
        return invalid(error, "the segment is written already");
    if (quant > NERV_KEYFRAME_QUANT_MAX || speed > NERV_KEYFRAME_SPEED_MAX)
        return invalid(error, "keyframes' quantiser goes from 0 to 63, their speed from 0 to 9");
    if (!all_given(pack, error) || !code_pictures(pack, quant, speed, error))
        return false;
    nerv_writer_init(&network);
    pack->finished = nerv_network_write_stored(pack->model, pack->tensors, &network, error) &&
                     queue_segment(pack, &network, error);
    nerv_writer_clear(&network);
    return pack->finished;
}

bool nerv_pack_get(NervPack *pack, NervPacket *packet)
{
    NervPacket *oldest = g_queue_pop_head(&pack->packets);
    if (!oldest)
        return false;
    *packet = *oldest;
    g_free(oldest);
    return true;
}
