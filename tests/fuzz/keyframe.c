/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: a keyframe unit's payload and the image decoder behind it. The first two bytes choose the picture's size (16..79 each
 * way), the payload follows. The picture is decoded as it is, and once more behind a sequence header made here, so that the
 * frame's bytes reach libdav1d whatever became of the OBUs: the header's switches (superblock size, tools, film grain, colour)
 * come from the input as well. Decoding twice must give the same.
 */
#include <stdlib.h>
#include <string.h>

#include "codec/keyframe.h"
#include "codec/units.h"
#include "fuzz.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static bool decode(const uint8_t *data, size_t bytes, const NervPixels *p)
{
    GError *error = NULL;
    const size_t size = nerv_pixels_bytes(p);
    uint8_t *exact = g_memdup2(data, bytes), *frame = g_malloc(size), *again = g_malloc(size);
    const bool ok = nerv_keyframe_decode(exact, bytes, p, frame, &error);
    require(ok == !error && (ok || error->code == NERV_ERROR_DATA));
    require(nerv_keyframe_decode(exact, bytes, p, again, NULL) == ok);
    require(!ok || memcmp(frame, again, size) == 0);
    g_clear_error(&error);
    g_free(exact);
    g_free(frame);
    g_free(again);
    return ok;
}

typedef struct {
    uint8_t bytes[16];
    unsigned bit;
} Bits;

static void put(Bits *b, uint32_t value, unsigned n)
{
    while (n-- > 0) {
        b->bytes[b->bit / 8] |= (uint8_t)((value >> n & 1) << (7 - b->bit % 8));
        b->bit++;
    }
}

/* A sequence header of 8 bits and 4:2:0, and the input as a frame. */
static void decode_behind_header(const uint8_t *data, size_t bytes, const NervPixels *p)
{
    Bits b = { { 0 }, 0 };
    if (bytes < 2)
        return;
    put(&b, 3, 5); /* profile 0, still picture, short header */
    put(&b, 0, 5);
    put(&b, 6, 4); /* seven bits for each side */
    put(&b, 6, 4);
    put(&b, (uint32_t)p->width - 1, 7);
    put(&b, (uint32_t)p->height - 1, 7);
    put(&b, data[0], 6);      /* superblocks of 128, filter intra, edge filter, superres, cdef, restoration */
    put(&b, 0, 2);            /* 8 bits, not monochrome */
    put(&b, 0, 1);            /* colours not described */
    put(&b, data[0] >> 6, 2); /* range; chroma position's first bit */
    put(&b, data[1], 3);      /* and second, separate chroma quantisers, film grain */
    put(&b, 1, 1);            /* trailing bits */
    const uint8_t n = (uint8_t)((b.bit + 7) / 8);
    const size_t rest = MIN(bytes - 2, (1u << 14) - 1);
    const uint8_t sequence[2] = { 1 << 3 | 2, n };
    const uint8_t frame[3] = { 6 << 3 | 2, (uint8_t)(0x80 | rest), (uint8_t)(rest >> 7) };
    GByteArray *a = g_byte_array_new();
    g_byte_array_append(a, sequence, sizeof sequence);
    g_byte_array_append(a, b.bytes, n);
    g_byte_array_append(a, frame, sizeof frame);
    g_byte_array_append(a, data + 2, (guint)rest);
    decode(a->data, a->len, p);
    g_byte_array_unref(a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    NervKeyframeHeader k;
    GError *error = NULL;
    if (size < 2)
        return 0;
    const NervPixels p = { .format = NERV_PIXELS_I420,
                           .width = 16 + (data[0] & 63),
                           .height = 16 + (data[1] & 63),
                           .matrix = NERV_MATRIX_BT601,
                           .full_range = 1 };
    uint8_t *payload = g_memdup2(data + 2, size - 2);
    const bool ok = nerv_keyframe_header_read(payload, size - 2, &k, &error);
    require(ok == !error);
    g_clear_error(&error);
    if (ok) {
        const size_t at = (size_t)(k.data - payload);
        require(k.bytes > 0 && at + k.bytes == size - 2);
        fuzz_n_accepted += decode(k.data, k.bytes, &p);
        /* In a picture as it should be the frame's payload begins behind the sequence header and three bytes: its OBU's type and
         * size. The last two of them serve as switches. */
        const size_t skip = MIN(k.bytes, 2 + (size_t)(k.bytes > 1 ? k.data[1] : 0) + 1);
        decode_behind_header(k.data + skip, k.bytes - skip, &p);
    }
    g_free(payload);
    return 0;
}
