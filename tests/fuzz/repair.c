/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * fuzz_repair() and the count of accepted inputs, see fuzz.h.
 */
#include "fuzz.h"

#include "codec/units.h"

unsigned fuzz_n_accepted;

/* Of the last network or residual, whose CRC is returned, `base` is the CRC, which a residual begins with. */
static uint32_t write_unit(GByteArray *out, uint8_t type, const uint8_t *payload, size_t bytes, uint32_t base)
{
    if (type != NERV_UNIT_NETWORK && type != NERV_UNIT_RESIDUAL) {
        nerv_unit_write(out, type, payload, bytes);
        return base;
    }
    g_autofree uint8_t *copy = g_memdup2(payload, bytes);
    for (size_t i = 0; type == NERV_UNIT_RESIDUAL && i < MIN(bytes, 4); i++)
        copy[i] = (uint8_t)(base >> 8 * i);
    nerv_unit_write(out, type, copy, bytes);
    return nerv_unit_crc(type, copy, bytes);
}

GByteArray *fuzz_repair(const uint8_t *data, size_t size)
{
    GByteArray *out = g_byte_array_new();
    uint32_t base = 0;
    size_t pos = 0;
    while (pos < size) {
        const size_t sync = pos + nerv_unit_find_sync(data + pos, size - pos, 0);
        g_byte_array_append(out, data + pos, (guint)(sync - pos));
        pos = sync;
        if (size - pos < 7) {
            g_byte_array_append(out, data + pos, (guint)(size - pos));
            break;
        }
        const unsigned n = data[pos + 5] >> 6;
        const size_t header = n ? 8 + n : 7;
        size_t payload = data[pos + 5] & 63;
        for (unsigned i = 0; i < n && pos + 7 + i < size; i++)
            payload |= (size_t)data[pos + 7 + i] << (6 + 8 * i);
        const size_t begin = MIN(pos + header, size);
        payload = MIN(payload, size - begin);
        base = write_unit(out, data[pos + 4], data + begin, payload, base);
        pos = MIN(begin + payload + 4, size);
    }
    return out;
}
