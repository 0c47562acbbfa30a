/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Shapes and sizes, see tensor.h.
 */
#include "tensor/tensor.h"

int64_t nerv_shape_count(NervShape s)
{
    const int32_t d[4] = { s.n, s.c, s.h, s.w };
    int64_t count = 1;
    for (int i = 0; i < 4; i++) {
        if (d[i] <= 0)
            return 0;
        count *= d[i];
        if (count > NERV_MAX_ELEMENTS)
            return 0;
    }
    return count;
}

bool nerv_shape_equal(NervShape a, NervShape b)
{
    return a.n == b.n && a.c == b.c && a.h == b.h && a.w == b.w;
}

size_t nerv_dtype_bytes(NervDType t)
{
    return t == NERV_U8 ? 1 : 4;
}

size_t nerv_tensor_bytes(const NervTensor *t)
{
    return (size_t)nerv_shape_count(t->shape) * nerv_dtype_bytes(t->dtype);
}
