/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * fuzz_repair() and the count of accepted inputs, see fuzz.h.
 */
#include "fuzz.h"

#include "codec/units.h"

unsigned fuzz_n_accepted;

GByteArray *fuzz_repair(const uint8_t *data, size_t size)
{
    GByteArray *out = g_byte_array_new();
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
        nerv_unit_write(out, data[pos + 4], data + begin, payload);
        pos = MIN(begin + payload + 4, size);
    }
    return out;
}
