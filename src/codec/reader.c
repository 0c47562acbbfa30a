/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The door of nerv_reader.h: what is asked for is compared with what is there, and becomes items, which reader_work.c computes.
 */
#include <string.h>

#include "codec/decoder_internal.h"
#include "codec/reader_internal.h"

#define DEFAULT_MAX_MEMORY_BYTES ((uint64_t)2 << 30)
#define DEFAULT_MAX_MACS         UINT64_C(1000000000000)
#define MAX_THREADS              256
#define MAX_FRAMES               ((size_t)1 << 24) /* of one call */

struct NervReader {
    GMutex lock;
    NervReaderFile file;
    NervReaderCache cache;
    NervReaderWorkers *workers;
    NervInit *init;
    NervReaderInfo info;
    uint64_t n_read;
};

void nerv_reader_settings_init(NervReaderSettings *s)
{
    *s = (NervReaderSettings){ .device = g_strdup("auto"),
                               .max_memory_bytes = DEFAULT_MAX_MEMORY_BYTES,
                               .max_macs_per_frame = DEFAULT_MAX_MACS };
}

void nerv_reader_settings_clear(NervReaderSettings *s)
{
    g_clear_pointer(&s->device, g_free);
    g_clear_pointer(&s->init_location, g_free);
}

/* --- opening --- */

static void describe(NervReader *r)
{
    const NervReaderEntry *first = &g_array_index(r->file.entries, NervReaderEntry, 0);
    r->info = (NervReaderInfo){ .n_frames = r->file.n_frames,
                                .n_segments = r->file.entries->len,
                                .same_size = true,
                                .has_index = r->file.has_index };
    nerv_decoder_sequence_info(&first->sequence, &r->info.video);
    for (guint i = 1; i < r->file.entries->len; i++)
        r->info.same_size = r->info.same_size && first[i].sequence.width == first->sequence.width &&
                            first[i].sequence.height == first->sequence.height;
    g_strlcpy(r->info.device, nerv_reader_workers_device(r->workers), sizeof(r->info.device));
}

static bool start(NervReader *r, const char *path, GBytes *bytes, const NervReaderSettings *settings,
                  GError **error)
{
    NervReaderSettings s = *settings;
    if (!s.max_memory_bytes)
        s.max_memory_bytes = DEFAULT_MAX_MEMORY_BYTES;
    if (!s.max_macs_per_frame)
        s.max_macs_per_frame = DEFAULT_MAX_MACS;
    s.max_memory_bytes = MIN(s.max_memory_bytes, SIZE_MAX);
    if (!s.device || s.threads > MAX_THREADS) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    !s.device ? "there is no name of a device" : "there are at most 256 threads");
        return false;
    }
    nerv_reader_cache_init(&r->cache, s.max_memory_bytes / 4);
    if (s.init_location && !(r->init = nerv_init_load(s.init_location, error)))
        return false;
    if (!nerv_reader_file_open(&r->file, path, bytes, error) ||
        !(r->workers = nerv_reader_workers_new(&s, MAX(s.max_memory_bytes / 2, 1), error)))
        return false;
    describe(r);
    return true;
}

static NervReader *reader_new(const char *path, GBytes *bytes, const NervReaderSettings *settings,
                              GError **error)
{
    NervReader *r = g_new0(NervReader, 1);
    NervReaderSettings defaults;
    nerv_reader_settings_init(&defaults);
    g_mutex_init(&r->lock);
    if (!start(r, path, bytes, settings ? settings : &defaults, error))
        g_clear_pointer(&r, nerv_reader_free);
    nerv_reader_settings_clear(&defaults);
    return r;
}

NervReader *nerv_reader_open(const char *path, const NervReaderSettings *settings, GError **error)
{
    return reader_new(path, NULL, settings, error);
}

NervReader *nerv_reader_open_bytes(GBytes *bytes, const NervReaderSettings *settings, GError **error)
{
    return reader_new(NULL, bytes, settings, error);
}

void nerv_reader_free(NervReader *r)
{
    if (!r)
        return;
    nerv_reader_workers_free(r->workers);
    nerv_reader_cache_clear(&r->cache);
    nerv_reader_file_clear(&r->file);
    nerv_init_free(r->init);
    g_mutex_clear(&r->lock);
    g_free(r);
}

/* --- what is there --- */

void nerv_reader_get_info(NervReader *r, NervReaderInfo *info)
{
    *info = r->info;
}

bool nerv_reader_get_segment(NervReader *r, uint32_t i, NervReaderSegment *out, GError **error)
{
    if (i >= r->file.entries->len) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "segment %u of %u", i, r->file.entries->len);
        return false;
    }
    const NervReaderEntry *e = &g_array_index(r->file.entries, NervReaderEntry, i);
    const NervFrameHeader first = { .index = 0 };
    uint64_t pts, duration;
    nerv_frame_times(&e->sequence, &first, &pts, &duration);
    *out = (NervReaderSegment){ .first_frame = e->first,
                                .n_frames = e->sequence.n_frames,
                                .pts_ns = (int64_t)nerv_index_shifted(pts, e->shift) };
    nerv_decoder_sequence_info(&e->sequence, &out->video);
    return true;
}

static bool no_frame(uint64_t frame, uint64_t n, GError **error)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "frame %" G_GUINT64_FORMAT " of a file of %" G_GUINT64_FORMAT, frame, n);
    return false;
}

static bool lost_frame(uint64_t frame, GError **error)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "frame %" G_GUINT64_FORMAT ": its segment is damaged",
                frame);
    return false;
}

bool nerv_reader_get_times(NervReader *r, uint64_t first, size_t n, int64_t *pts_ns, GError **error)
{
    bool ok = true;
    if (n > r->file.n_frames || first > r->file.n_frames - n)
        return no_frame(MAX(first, r->file.n_frames), r->file.n_frames, error);
    g_mutex_lock(&r->lock);
    for (size_t i = 0; ok && i < n; i++) {
        const NervReaderGroup *g = nerv_reader_file_group(&r->file, first + i);
        uint32_t index;
        const int32_t part = nerv_reader_file_part(g, first + i, &index);
        if (part < 0)
            ok = lost_frame(first + i, error);
        else
            pts_ns[i] = nerv_reader_file_time(g, (uint32_t)part, index);
    }
    g_mutex_unlock(&r->lock);
    return ok;
}

void nerv_reader_get_stats(NervReader *r, NervReaderStats *stats)
{
    g_mutex_lock(&r->lock);
    nerv_reader_workers_stats(r->workers, stats);
    stats->frames = r->n_read;
    stats->networks = r->cache.n_unpacked;
    stats->kept_bytes = r->cache.bytes;
    g_mutex_unlock(&r->lock);
}

/* --- frames --- */

/* What a call asks for: frame t of clip i is starts[i] + t step. */
typedef struct {
    const uint64_t *starts;
    size_t n;
    uint32_t length, step;
} Request;

static bool check_request(const NervReader *r, const Request *q, size_t *count, GError **error)
{
    const uint64_t n_frames = r->file.n_frames;
    if (q->length < 1 || q->step < 1) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "a clip's length and step are at least 1");
        return false;
    }
    if (__builtin_mul_overflow(q->n, (size_t)q->length, count) || *count > MAX_FRAMES) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "more than %zu frames in one call", MAX_FRAMES);
        return false;
    }
    const uint64_t reach = (uint64_t)(q->length - 1) * q->step; /* below 2^56 */
    for (size_t i = 0; i < q->n; i++)
        if (q->starts[i] >= n_frames || reach >= n_frames - q->starts[i])
            return no_frame(q->starts[i] >= n_frames ? q->starts[i] : q->starts[i] + reach, n_frames, error);
    return true;
}

static bool make_item(NervReader *r, uint64_t frame, size_t at, const NervTensorView *view,
                      NervReaderItem *item, uint32_t size[2], GError **error)
{
    uint32_t width, height;
    const NervReaderGroup *g = nerv_reader_file_group(&r->file, frame);
    const int32_t part = nerv_reader_file_part(g, frame, &item->index);
    if (part < 0)
        return lost_frame(frame, error);
    const NervSequence *s = &g_array_index(g->parts, NervReaderPart, (guint)part).sequence;
    if (!nerv_reader_target_size(view, s->width, s->height, &width, &height) ||
        (size[0] && (width != size[0] || height != size[1]))) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "frame %" G_GUINT64_FORMAT ", of %ux%u, has no part of that size in that place", frame,
                    s->width, s->height);
        return false;
    }
    item->group = g;
    item->part = (uint32_t)part;
    item->frame = frame;
    item->at = at;
    size[0] = width;
    size[1] = height;
    return true;
}

/* With the lock held. */
static bool read_request(NervReader *r, const Request *q, size_t count, const NervTensorView *view,
                         size_t clips, size_t length, GError **error)
{
    const NervReaderTarget target = { *view, length };
    uint32_t size[2] = { 0, 0 };
    g_autofree NervReaderItem *items = g_try_new(NervReaderItem, count);
    if (!items) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for a list of %zu frames", count);
        return false;
    }
    for (size_t at = 0; at < count; at++)
        if (!make_item(r, q->starts[at / q->length] + (uint64_t)(at % q->length) * q->step, at, view,
                       &items[at], size, error))
            return false;
    if (!nerv_reader_target_check(view, clips, length, size[0], size[1], error) ||
        !nerv_reader_workers_run(r->workers, &r->cache, r->init, items, count, &target, error))
        return false;
    r->n_read += count;
    return true;
}

bool nerv_reader_read_frames(NervReader *r, const uint64_t *frames, size_t n, const NervTensorView *dst,
                             GError **error)
{
    const Request q = { frames, n, 1, 1 };
    size_t count;
    if (!check_request(r, &q, &count, error))
        return false;
    if (count == 0)
        return true;
    g_mutex_lock(&r->lock);
    const bool ok = read_request(r, &q, count, dst, 1, n, error);
    g_mutex_unlock(&r->lock);
    return ok;
}

bool nerv_reader_read_clips(NervReader *r, const uint64_t *starts, size_t n, uint32_t length, uint32_t step,
                            const NervTensorView *dst, GError **error)
{
    const Request q = { starts, n, length, step };
    size_t count;
    if (!check_request(r, &q, &count, error))
        return false;
    if (count == 0)
        return true;
    g_mutex_lock(&r->lock);
    const bool ok = read_request(r, &q, count, dst, n, length, error);
    g_mutex_unlock(&r->lock);
    return ok;
}
