/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: the scanner of units and access units and the headers, on the input as it is and with its checks made
 * right. Beyond not crashing: what is found lies inside the input, waiting is bounded, and a header read and written
 * again is the same bytes.
 */
#include <stdlib.h>
#include <string.h>

#include "codec/units.h"
#include "fuzz.h"

static void require(bool condition)
{
    if (!condition)
        abort();
}

static void inside(const NervUnit *unit, const uint8_t *data, size_t size)
{
    if (!unit->type)
        return;
    require(unit->payload >= data && unit->payload_bytes <= size &&
            (size_t)(unit->payload - data) <= size - unit->payload_bytes);
}

static bool read_sequence(const NervUnit *unit)
{
    NervSequence s;
    NervBitWriter w;
    uint8_t *copy = g_memdup2(unit->payload, unit->payload_bytes);
    const bool ok = nerv_sequence_read(copy, unit->payload_bytes, &s, NULL);
    if (ok) {
        nerv_sequence_pts(&s, 65536);
        nerv_sequence_duration(&s, 65535);
        nerv_writer_init(&w);
        nerv_sequence_write(&s, &w);
        /* Up to the extension's length, which the writer leaves at none. */
        require(w.bytes->len <= unit->payload_bytes && memcmp(w.bytes->data, copy, w.bytes->len - 1) == 0);
        nerv_writer_clear(&w);
    }
    g_free(copy);
    return ok;
}

static bool read_frame(const NervUnit *unit)
{
    NervFrameHeader f;
    NervBitWriter w;
    uint8_t *copy = g_memdup2(unit->payload, unit->payload_bytes);
    const bool ok = nerv_frame_read(copy, unit->payload_bytes, &f, NULL);
    if (ok) {
        nerv_writer_init(&w);
        nerv_frame_write(&f, &w);
        require(w.bytes->len <= unit->payload_bytes && memcmp(w.bytes->data, copy, w.bytes->len) == 0);
        nerv_writer_clear(&w);
    }
    g_free(copy);
    return ok;
}

/* Another codec's are read as far as the index, and are none the worse. */
static bool read_keyframe(const NervUnit *unit)
{
    NervKeyframeHeader k;
    GError *error = NULL;
    uint8_t *copy = g_memdup2(unit->payload, unit->payload_bytes);
    const bool ok = nerv_keyframe_header_read(copy, unit->payload_bytes, &k, &error);
    require(ok == !error);
    require(!ok || (k.bytes > 0 && k.data > copy && k.data + k.bytes == copy + unit->payload_bytes));
    const bool other = error && error->code == NERV_ERROR_UNSUPPORTED;
    g_clear_error(&error);
    g_free(copy);
    return ok || other;
}

static void walk(const uint8_t *data, size_t size)
{
    size_t pos = 0;
    bool all = true, found = false;
    while (pos < size) {
        NervAccessUnit au;
        size_t need = 0;
        const NervScan scan = nerv_access_unit_scan(data + pos, size - pos, &au, &need);
        if (scan == NERV_SCAN_OK) {
            require(au.bytes >= NERV_UNIT_MIN_BYTES && au.bytes <= size - pos &&
                    au.frame.type == NERV_UNIT_FRAME);
            inside(&au.sequence, data + pos, au.bytes);
            inside(&au.network, data + pos, au.bytes);
            inside(&au.frame, data + pos, au.bytes);
            require(au.n_keyframes <= NERV_ACCESS_UNIT_MAX_KEYFRAMES);
            for (uint32_t i = 0; i < au.n_keyframes; i++) {
                inside(&au.keyframes[i], data + pos, au.bytes);
                all &= read_keyframe(&au.keyframes[i]);
            }
            all &= read_frame(&au.frame) && (!au.begins || read_sequence(&au.sequence));
            found = true;
            pos += au.bytes;
            continue;
        }
        require(scan != NERV_SCAN_MORE || (need > size - pos && need <= NERV_ACCESS_UNIT_MAX_BYTES));
        all = false;
        const size_t skip = nerv_unit_find_sync(data + pos, size - pos, 1);
        require(skip >= 1 && skip <= size - pos);
        pos += skip;
    }
    fuzz_n_accepted += all && found;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    walk(data, size);
    GByteArray *repaired = fuzz_repair(data, size);
    uint8_t *exact = g_memdup2(repaired->data, repaired->len);
    walk(exact, repaired->len);
    g_free(exact);
    g_byte_array_unref(repaired);
    return 0;
}
