/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Streams taken apart, see nerv_file.h.
 */
#include "nerv_file.h"

static void segment_clear(NervFileSegment *s)
{
    nerv_model_free(s->model);
    g_free(s->weights);
    g_array_unref(s->keyframes);
}

void nerv_file_clear(NervFile *file)
{
    g_clear_pointer(&file->segments, g_array_unref);
    g_clear_pointer(&file->frames, g_array_unref);
    g_clear_pointer(&file->data, g_free);
}

static bool damaged(GError **error, const char *what, size_t at)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "%s at byte %zu", what, at);
    return false;
}

static bool add_segment(NervFile *file, const NervAccessUnit *au, size_t at, GError **error)
{
    NervFileSegment s = { .sequence_unit = au->sequence, .network = au->network, .at = at };
    if (au->network.type != NERV_UNIT_NETWORK) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
                    "the network at byte %zu does not stand alone: it takes %s", at,
                    au->network.type == NERV_UNIT_DELTA ? "an init" : "the one before");
        return false;
    }
    if (!nerv_sequence_read(au->sequence.payload, au->sequence.payload_bytes, &s.sequence, error))
        return false;
    const NervClip clip = { (int32_t)s.sequence.width, (int32_t)s.sequence.height,
                            (int32_t)s.sequence.n_frames };
    s.model = nerv_network_read(au->network.payload, au->network.payload_bytes, &clip, NERV_MODEL_MAX_WEIGHTS,
                                &s.weights, error);
    if (!s.model)
        return false;
    s.keyframes = g_array_new(FALSE, FALSE, sizeof(NervUnit));
    g_array_append_val(file->segments, s);
    return true;
}

static bool add_access_unit(NervFile *file, const NervAccessUnit *au, size_t at, GError **error)
{
    NervFileFrame f = { .unit = au->frame, .end = at + au->bytes };
    if (au->sequence.type && !add_segment(file, au, at, error))
        return false;
    if (file->segments->len == 0)
        return damaged(error, "a frame without a network", at);
    f.segment = file->segments->len - 1;
    const NervFileSegment *s = &g_array_index(file->segments, NervFileSegment, f.segment);
    if (!nerv_frame_read(au->frame.payload, au->frame.payload_bytes, &f.header, error))
        return false;
    if (f.header.index >= s->sequence.n_frames)
        return damaged(error, "a frame that its segment has not", at);
    g_array_append_vals(s->keyframes, au->keyframes, au->n_keyframes);
    g_array_append_val(file->frames, f);
    return true;
}

/* Of the index unit of a file's end, 0 where there is none: nothing that a frame needs. */
static size_t index_bytes(const NervFile *file, size_t at)
{
    NervUnit unit;
    size_t need;
    return nerv_unit_scan(file->data + at, file->bytes - at, &unit, &need) == NERV_SCAN_OK &&
                   unit.type == NERV_UNIT_INDEX
               ? unit.unit_bytes
               : 0;
}

bool nerv_file_read(NervFile *file, const char *path, GError **error)
{
    *file = (NervFile){ .data = NULL };
    if (!g_file_get_contents(path, (char **)&file->data, &file->bytes, error))
        return false;
    file->segments = g_array_new(FALSE, FALSE, sizeof(NervFileSegment));
    file->frames = g_array_new(FALSE, FALSE, sizeof(NervFileFrame));
    g_array_set_clear_func(file->segments, (GDestroyNotify)segment_clear);
    bool ok = file->bytes > 0 || damaged(error, "no stream", 0);
    for (size_t at = 0; ok && at < file->bytes;) {
        NervAccessUnit au;
        size_t need;
        if (index_bytes(file, at) > 0) {
            at += index_bytes(file, at);
            continue;
        }
        ok = nerv_access_unit_scan(file->data + at, file->bytes - at, &au, &need) == NERV_SCAN_OK
                 ? add_access_unit(file, &au, at, error)
                 : damaged(error, "no access unit", at);
        at += ok ? au.bytes : 0;
    }
    if (!ok)
        nerv_file_clear(file);
    return ok;
}

const NervUnit *nerv_file_keyframe(const NervFileSegment *segment, int32_t frame)
{
    for (guint i = 0; i < segment->keyframes->len; i++) {
        const NervUnit *u = &g_array_index(segment->keyframes, NervUnit, i);
        NervKeyframeHeader k;
        if (nerv_keyframe_header_read(u->payload, u->payload_bytes, &k, NULL) && (int32_t)k.index == frame)
            return u;
    }
    return NULL;
}

static void append(GByteArray *out, const NervUnit *u)
{
    nerv_unit_write(out, (NervUnitType)u->type, u->payload, u->payload_bytes);
}

GByteArray *nerv_file_alone(const NervFile *file, guint frame, size_t *keyframe_bytes)
{
    const NervFileFrame *f = &g_array_index(file->frames, NervFileFrame, frame);
    const NervFileSegment *s = &g_array_index(file->segments, NervFileSegment, f->segment);
    const NervModel *m = s->model;
    const NervRun run = nerv_model_run(m, nerv_model_run_of(m, (int32_t)f->header.index));
    GByteArray *out = g_byte_array_new();
    append(out, &s->sequence_unit);
    append(out, &s->network);
    const guint before = out->len;
    for (int i = 0; i < 2; i++) {
        const bool is_one = run.keys[i] >= 0 && (i == 0 || run.keys[1] != run.keys[0]);
        const NervUnit *u = is_one ? nerv_file_keyframe(s, m->keys[run.keys[i]]) : NULL;
        if (u)
            append(out, u);
    }
    if (keyframe_bytes)
        *keyframe_bytes = out->len - before;
    append(out, &f->unit);
    return out;
}
