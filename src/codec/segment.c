/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A segment's units, see segment.h.
 */
#include "codec/segment.h"

void nerv_segment_sequence(const NervVideoInfo *info, uint32_t segment_id, uint64_t first_frame,
                           uint32_t n_frames, int64_t pts_ns, NervSequence *s)
{
    const NervPixels *p = &info->pixels;
    *s = (NervSequence){
        .version = NERV_STREAM_VERSION,
        .segment_id = segment_id,
        .first_frame = first_frame,
        .n_frames = n_frames,
        .width = (uint32_t)p->width,
        .height = (uint32_t)p->height,
        .fps_n = info->fps_n,
        .fps_d = info->fps_d,
        .par_n = info->par_n,
        .par_d = info->par_d,
        .matrix = (uint32_t)p->matrix,
        .primaries = info->primaries,
        .transfer = info->transfer,
        .full_range = (uint32_t)p->full_range,
        .format = (uint32_t)p->format,
        .h_cosited = (uint32_t)p->h_cosited,
        .v_cosited = (uint32_t)p->v_cosited,
        .pts_ns = pts_ns,
    };
}

static void append_unit(GByteArray *out, NervUnitType type, NervBitWriter *w)
{
    nerv_unit_write(out, type, w->bytes->data, w->bytes->len);
    nerv_writer_clear(w);
}

static void append_sequence(const NervSegment *s, GByteArray *out)
{
    NervBitWriter w;
    nerv_writer_init(&w);
    nerv_sequence_write(s->sequence, &w);
    append_unit(out, NERV_UNIT_SEQUENCE, &w);
}

static void append_frame(const NervSegment *s, uint32_t i, GByteArray *out)
{
    const NervFrameHeader header = { s->sequence->segment_id & 0xff, i,
                                     s->pts_ns[i] - nerv_sequence_pts(s->sequence, i) };
    NervBitWriter w;
    nerv_writer_init(&w);
    nerv_frame_write(&header, &w);
    append_unit(out, NERV_UNIT_FRAME, &w);
}

static void append_key(const NervSegment *s, int32_t key, GByteArray *out)
{
    const NervKeyframeHeader header = { .segment_id = s->sequence->segment_id & 0xff,
                                        .index = (uint32_t)s->keys->frames[key],
                                        .codec = NERV_KEYFRAME_AV1,
                                        .data = s->keys->coded[key]->data,
                                        .bytes = s->keys->coded[key]->len };
    NervBitWriter w;
    nerv_writer_init(&w);
    nerv_keyframe_header_write(&header, &w);
    append_unit(out, NERV_UNIT_KEYFRAME, &w);
}

/* Keyframes that are there once run `run` begins: its own and those of the one behind it. */
static int32_t keys_until(const NervModel *model, int32_t run)
{
    return nerv_model_run(model, MIN(run + 1, model->n_runs - 1)).keys[1] + 1;
}

static void append_keys(const NervSegment *s, int32_t frame, GByteArray *out)
{
    const int32_t run = nerv_model_run_of(s->model, frame);
    if (s->keys->n == 0 || nerv_model_run(s->model, run).first != frame)
        return;
    for (int32_t i = run ? keys_until(s->model, run - 1) : 0; i < keys_until(s->model, run); i++)
        append_key(s, i, out);
}

void nerv_segment_append(const NervSegment *s, uint32_t i, const NervBitWriter *network, GByteArray *out)
{
    if (i == 0) {
        append_sequence(s, out);
        nerv_unit_write(out, s->way, network->bytes->data, network->bytes->len);
    }
    append_keys(s, (int32_t)i, out);
    append_frame(s, i, out);
}

void nerv_segment_queue(const NervSegment *s, const NervBitWriter *network, GQueue *packets)
{
    for (uint32_t i = 0; i < s->sequence->n_frames; i++) {
        GByteArray *out = g_byte_array_new();
        NervPacket *packet = g_new0(NervPacket, 1);
        nerv_segment_append(s, i, network, out);
        packet->data = g_byte_array_free_to_bytes(out);
        packet->pts_ns = s->pts_ns[i];
        packet->duration_ns = nerv_sequence_duration(s->sequence, i);
        packet->is_sync = i == 0 && s->way != NERV_UNIT_RESIDUAL;
        g_queue_push_tail(packets, packet);
    }
}

uint64_t nerv_segment_bytes(const NervSegment *s, uint32_t network_bytes)
{
    GByteArray *out = g_byte_array_new();
    append_sequence(s, out);
    for (uint32_t i = 0; i < s->sequence->n_frames; i++)
        append_frame(s, i, out);
    for (int32_t i = 0; i < s->keys->n; i++)
        append_key(s, i, out);
    const uint64_t bytes = out->len + nerv_unit_bytes(network_bytes);
    g_byte_array_unref(out);
    return bytes;
}
