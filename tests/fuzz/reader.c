/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: the reader of frames on a file, as it is and with its checks made right. Beyond not crashing: segments add up to the frames, what is written
 * lies inside the view, a frame is the same alone and among others and at the second time, and an error comes with every failure and no success.
 */
#include "nerv_reader.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define MAX_READS  4 /* frames of an input */
#define MAX_PIXELS (64 * 64)
#define GUARD      16

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool agree(bool ok, GError **error)
{
    require(ok == (*error == NULL));
    g_clear_error(error);
    return ok;
}

static void check_segments(NervReader *r, const NervReaderInfo *info)
{
    uint64_t next = 0;
    int64_t time;
    for (uint32_t i = 0; i < info->n_segments; i++) {
        NervReaderSegment s;
        GError *error = NULL;
        require(agree(nerv_reader_get_segment(r, i, &s, &error), &error));
        require(s.first_frame == next && s.n_frames > 0 && s.pts_ns >= 0);
        if (i < MAX_READS && agree(nerv_reader_get_times(r, next, 1, &time, &error), &error))
            require(time >= 0);
        next += s.n_frames;
    }
    require(next == info->n_frames);
}

/* Reads n frames to out, which has a guard on both sides. */
static bool read_frames(NervReader *r, const uint64_t *frames, size_t n, size_t w, size_t h, uint8_t *out)
{
    const size_t bytes = n * w * h * 3;
    const NervTensorView view = { .data = out + GUARD,
                                  .bytes = bytes,
                                  .strides = { bytes, w * h * 3, w * 3, 3, 1 },
                                  .width = (uint32_t)w,
                                  .height = (uint32_t)h };
    GError *error = NULL;
    memset(out, 0x5a, bytes + 2 * GUARD);
    const bool ok = agree(nerv_reader_read_frames(r, frames, n, &view, &error), &error);
    for (int i = 0; i < GUARD; i++)
        require(out[i] == 0x5a && out[GUARD + bytes + i] == 0x5a);
    return ok;
}

/* From the beginning, the end and between; true if all could be had. */
static bool read_some(NervReader *r, const NervReaderInfo *info)
{
    static uint8_t one[MAX_PIXELS * 3 + 2 * GUARD], all[MAX_READS * MAX_PIXELS * 3 + 2 * GUARD];
    const size_t w = (size_t)info->video.pixels.width, h = (size_t)info->video.pixels.height,
                 n = info->n_frames;
    const uint64_t frames[MAX_READS] = { n - 1, 0, n / 2, n - 1 };
    if (w * h > MAX_PIXELS)
        return false;
    const bool ok = read_frames(r, frames, MAX_READS, w, h, all);
    bool each = true;
    for (int i = 0; i < MAX_READS; i++) {
        const bool is_there = read_frames(r, &frames[i], 1, w, h, one);
        require(is_there || !ok);
        require(!ok || !memcmp(one + GUARD, all + GUARD + (size_t)i * w * h * 3, w * h * 3));
        each &= is_there;
    }
    require(ok || !each);
    return ok;
}

static void read_file(const uint8_t *data, size_t size)
{
    NervReaderSettings s;
    NervReaderInfo info;
    GError *error = NULL;
    nerv_reader_settings_init(&s);
    g_free(s.device);
    s.device = g_strdup("cpu");
    s.threads = size % 8 ? 1 : 2;
    s.max_memory_bytes = 32 << 20;
    s.max_macs_per_frame = 4000000;
    g_autoptr(GBytes) bytes = g_bytes_new(data, size);
    NervReader *r = nerv_reader_open_bytes(bytes, &s, &error);
    nerv_reader_settings_clear(&s);
    if (!agree(r != NULL, &error))
        return;
    nerv_reader_get_info(r, &info);
    check_segments(r, &info);
    fuzz_n_accepted += read_some(r, &info);
    nerv_reader_free(r);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_file(data, size);
    GByteArray *repaired = fuzz_repair(data, size);
    read_file(repaired->data, repaired->len);
    g_byte_array_unref(repaired);
    return 0;
}
