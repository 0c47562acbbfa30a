/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: a file's index as nervparse looks for it, the index unit at the end and the walk, on the input as it is and with its checks made
 * right. Beyond not crashing: entries ascend and lie inside the file, reading is bounded by the file's size, and an index written again says the same.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "gst.h"
#include "codec/trailer.h"
#include "nervindex.h"
#include "nervtags.h"

#define MOST_READ 64 /* times the file's size */

typedef struct {
    const uint8_t *data;
    size_t size;
    uint64_t pulled;
} File;

static void require(bool condition)
{
    if (!condition)
        abort();
}

static GstFlowReturn pull(gpointer user, guint64 offset, guint size, GstBuffer **buffer)
{
    File *f = user;
    if (offset >= f->size)
        return GST_FLOW_EOS;
    size = (guint)MIN(size, f->size - offset);
    f->pulled += size;
    *buffer = gst_buffer_new_memdup(f->data + offset, size);
    return GST_FLOW_OK;
}

static void check_index(const NervIndex *index, size_t size)
{
    for (guint i = 0; i < index->entries->len; i++) {
        const NervIndexEntry *e = &g_array_index(index->entries, NervIndexEntry, i);
        require(e->offset < size);
        require(i == 0 || (e->offset > e[-1].offset && e->time > e[-1].time));
    }
    for (guint i = 0; i < index->parts->len; i++) {
        const NervIndexPart *p = &g_array_index(index->parts, NervIndexPart, i);
        require(p->offset < size && (i == 0 || p->offset > p[-1].offset));
    }
}

/* What was read, written behind the same bytes and read again. */
static void again(const NervIndex *index, const File *f)
{
    NervIndex other;
    GstFlowReturn ret;
    GBytes *unit = nerv_trailer_write(index);
    if (!unit)
        return;
    g_autoptr(GByteArray) bytes = g_byte_array_new();
    g_byte_array_append(bytes, f->data, (guint)f->size);
    g_byte_array_append(bytes, g_bytes_get_data(unit, NULL), (guint)g_bytes_get_size(unit));
    File file = { bytes->data, bytes->len, 0 };
    nerv_index_init(&other);
    if (index->complete && index->noted == f->size &&
        gst_nerv_index_read(&other, bytes->len, pull, &file, &ret)) {
        require(other.entries->len == index->entries->len && other.end == index->end);
        for (guint i = 0; i < other.entries->len; i++)
            require(!memcmp(&g_array_index(other.entries, NervIndexEntry, i),
                            &g_array_index(index->entries, NervIndexEntry, i), sizeof(NervIndexEntry)));
        fuzz_n_accepted++;
    }
    nerv_index_clear(&other);
    g_bytes_unref(unit);
}

static void look_for_index(const uint8_t *data, size_t size)
{
    File f = { data, size, 0 };
    NervIndex index;
    GstFlowReturn ret;
    nerv_index_init(&index);
    if (gst_nerv_index_read(&index, size, pull, &f, &ret)) {
        check_index(&index, size);
        fuzz_n_accepted++;
    } else {
        require(index.entries->len == 0);
    }
    require(f.pulled <= (uint64_t)MOST_READ * size);
    f.pulled = 0;
    require(gst_nerv_index_walk(&index, size, pull, &f) == GST_FLOW_OK);
    check_index(&index, size);
    again(&index, &f);
    GstTagList *tags = gst_nerv_tags_read(data, size);
    if (tags)
        gst_tag_list_unref(tags);
    nerv_index_clear(&index);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_init_gst();
    look_for_index(data, size);
    GByteArray *repaired = fuzz_repair(data, size);
    look_for_index(repaired->data, repaired->len);
    g_byte_array_unref(repaired);
    return 0;
}
