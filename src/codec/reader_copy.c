/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pictures into tensors of the caller's layout.
 */
#include <string.h>

#include "codec/reader_internal.h"

static size_t element_bytes(NervElement element)
{
    return element == NERV_ELEMENT_F32 ? sizeof(float) : 1;
}

static bool refuse(GError **error, const char *why)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "the view's %s", why);
    return false;
}

bool nerv_reader_target_check(const NervTensorView *v, size_t n, size_t length, uint32_t width,
                              uint32_t height, GError **error)
{
    const size_t sizes[5] = { n, length, height, width, 3 }, each = element_bytes(v->element);
    size_t last = 0;
    if ((unsigned)v->element >= NERV_ELEMENT_N)
        return refuse(error, "element is no type that there is");
    if (!v->data)
        return refuse(error, "data is NULL");
    if ((uintptr_t)v->data % each)
        return refuse(error, "data is not aligned to its elements");
    for (int i = 0; i < 5; i++) {
        size_t bytes;
        if (v->strides[i] % each)
            return refuse(error, "strides are no multiples of its element's size");
        if (__builtin_mul_overflow(sizes[i] - 1, v->strides[i], &bytes) ||
            __builtin_add_overflow(last, bytes, &last))
            return refuse(error, "strides lead out of its memory");
    }
    if (last > v->bytes || v->bytes - last < each)
        return refuse(error, "memory is smaller than what its strides lead to");
    return true;
}

bool nerv_reader_target_size(const NervTensorView *v, uint32_t frame_width, uint32_t frame_height,
                             uint32_t *width, uint32_t *height)
{
    if (v->x >= frame_width || v->y >= frame_height)
        return false;
    *width = v->width ? v->width : frame_width - v->x;
    *height = v->height ? v->height : frame_height - v->y;
    return *width <= frame_width - v->x && *height <= frame_height - v->y;
}

static void copy_row_u8(uint8_t *dst, const uint8_t *rgb, uint32_t width, size_t column, size_t channel)
{
    if (column == 3 && channel == 1) {
        memcpy(dst, rgb, (size_t)3 * width);
        return;
    }
    for (size_t c = 0; c < 3; c++)
        for (size_t x = 0; x < width; x++)
            dst[x * column + c * channel] = rgb[3 * x + c];
}

/* Strides in floats. */
static void copy_row_f32(float *dst, const uint8_t *rgb, uint32_t width, size_t column, size_t channel)
{
    for (size_t c = 0; c < 3; c++)
        for (size_t x = 0; x < width; x++)
            dst[x * column + c * channel] = (float)rgb[3 * x + c] / 255.f;
}

void nerv_reader_copy(const NervReaderTarget *t, size_t at, const uint8_t *rgb, uint32_t frame_width,
                      uint32_t frame_height)
{
    const NervTensorView *v = &t->view;
    const size_t *s = v->strides;
    uint32_t width, height;
    if (!nerv_reader_target_size(v, frame_width, frame_height, &width, &height))
        return;
    uint8_t *frame = (uint8_t *)v->data + at / t->length * s[0] + at % t->length * s[1];
    for (uint32_t y = 0; y < height; y++) {
        const uint8_t *row = rgb + 3 * ((size_t)(v->y + y) * frame_width + v->x);
        uint8_t *dst = frame + y * s[2];
        if (v->element == NERV_ELEMENT_U8)
            copy_row_u8(dst, row, width, s[3], s[4]);
        else
            copy_row_f32((float *)(void *)dst, row, width, s[3] / sizeof(float), s[4] / sizeof(float));
    }
}
