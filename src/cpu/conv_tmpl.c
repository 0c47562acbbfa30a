/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The kernels of conv_dsp.h in the compiler's vector extensions, compiled once per instruction set. The two matrix
 * products keep a tile of ROWS x VECTORS sums in registers: per step a few loads and broadcasts feed ROWS*VECTORS
 * multiply-adds. AVX-512 has registers for 8 x 3 sums, the others for 4 x 3.
 */
#include "cpu/conv_dsp.h"
#include "cpu/vectors.h"

#include <string.h>

#if defined(NERV_ISA_AVX512)
#define BLOCK 8
#else
#define BLOCK 4
#endif

typedef float v4 __attribute__((vector_size(16)));
typedef float v4u __attribute__((vector_size(16), aligned(4), may_alias));

INLINE v4 load4(const float *p)
{
    return *(const v4u *)p;
}

INLINE void store4(float *p, v4 v)
{
    *(v4u *)p = v;
}

/* --- conv --- */

/* One tile: `rows` output channels by `nv` vectors of pixels, both constants where this is inlined. */
INLINE void conv_tile(float *out, size_t ldo, const float *in, const int32_t *off, size_t n_taps,
                      const float *w, const float *bias, bool add, const int rows, const int nv)
{
    vf sum[BLOCK][3];

    UNROLL for (int r = 0; r < rows; r++)
    {
        UNROLL for (int v = 0; v < nv; v++) sum[r][v] = add ? load(out + r * ldo + v * VF) : splat(bias[r]);
    }
    for (size_t t = 0; t < n_taps; t++, w += rows) {
        const float *p = in + off[t];
        vf x[3];
        UNROLL for (int v = 0; v < nv; v++) x[v] = load(p + v * VF);
        UNROLL for (int r = 0; r < rows; r++)
        {
            const vf weight = splat(w[r]);
            UNROLL for (int v = 0; v < nv; v++) sum[r][v] += weight * x[v];
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
    {
        UNROLL for (int v = 0; v < nv; v++) store(out + r * ldo + v * VF, sum[r][v]);
    }
}

typedef void (*ConvTile)(float *out, size_t ldo, const float *in, const int32_t *off, size_t n_taps,
                         const float *w, const float *bias, bool add);

#define CONV_TILE(rows, nv)                                                                                  \
    static void conv_##rows##_##nv(float *out, size_t ldo, const float *in, const int32_t *off,              \
                                   size_t n_taps, const float *w, const float *bias, bool add)               \
    {                                                                                                        \
        conv_tile(out, ldo, in, off, n_taps, w, bias, add, rows, nv);                                        \
    }

#if BLOCK == 8
CONV_TILE(8, 1)
CONV_TILE(8, 2)
CONV_TILE(8, 3)
#endif
CONV_TILE(4, 1)
CONV_TILE(4, 2)
CONV_TILE(4, 3)
#if BLOCK == 4
CONV_TILE(2, 1)
CONV_TILE(2, 2)
CONV_TILE(2, 3)
#endif

/* Pixels outside, channels inside: the tile's pixels of all taps stay in the L1 cache, the weights stream. */
static void conv(float *out, size_t ldo, const float *in, const int32_t *off, size_t n_taps, const float *w,
                 const float *bias, size_t n_out, size_t n_pixels, bool add)
{
    /* By whether the block is a whole one, and vectors. */
#if BLOCK == 8
    static const ConvTile tiles[2][3] = { { conv_4_1, conv_4_2, conv_4_3 },
                                          { conv_8_1, conv_8_2, conv_8_3 } };
#else
    static const ConvTile tiles[2][3] = { { conv_2_1, conv_2_2, conv_2_3 },
                                          { conv_4_1, conv_4_2, conv_4_3 } };
#endif
    size_t n_vectors = (n_pixels + VF - 1) / VF;

    for (size_t p = 0; n_vectors > 0;) {
        /* 4 left: 2 + 2 is better than 3 + 1 */
        const size_t nv = n_vectors == 4 ? 2 : n_vectors < 3 ? n_vectors : 3;
        for (size_t o = 0; o < n_out; o += BLOCK) {
            const size_t left = n_out - o;
            float start[BLOCK] = { 0 };
            if (bias)
                memcpy(start, bias + o, (left < BLOCK ? left : BLOCK) * sizeof *start);
            tiles[left > BLOCK / 2][nv - 1](out + o * ldo + p, ldo, in + p, off, n_taps, w + o * n_taps,
                                            start, add);
        }
        p += nv * VF;
        n_vectors -= nv;
    }
}

/* --- corr --- */

/* One tile: `rows` taps by `nv` vectors of output channels. */
INLINE void corr_tile(float *acc, size_t lda, const float *in, const int32_t *off, const float *dy,
                      size_t n_pixels, const int rows, const int nv)
{
    const float *x[BLOCK];
    vf sum[BLOCK][NERV_CONV_MAX_STRIP];

    UNROLL for (int r = 0; r < rows; r++)
    {
        x[r] = in + off[r];
        UNROLL for (int v = 0; v < nv; v++) sum[r][v] = load(acc + r * lda + v * VF);
    }
    for (size_t p = 0; p < n_pixels; p++, dy += nv * VF) {
        vf d[NERV_CONV_MAX_STRIP];
        UNROLL for (int v = 0; v < nv; v++) d[v] = load(dy + v * VF);
        UNROLL for (int r = 0; r < rows; r++)
        {
            const vf pixel = splat(x[r][p]);
            UNROLL for (int v = 0; v < nv; v++) sum[r][v] += pixel * d[v];
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
    {
        UNROLL for (int v = 0; v < nv; v++) store(acc + r * lda + v * VF, sum[r][v]);
    }
}

INLINE void corr_strip(float *acc, size_t lda, const float *in, const int32_t *off, size_t n_taps,
                       const float *dy, size_t n_pixels, const int nv)
{
    size_t t = 0;
    for (; t + BLOCK <= n_taps; t += BLOCK)
        corr_tile(acc + t * lda, lda, in, off + t, dy, n_pixels, BLOCK, nv);
    if (n_taps - t >= BLOCK / 2) {
        corr_tile(acc + t * lda, lda, in, off + t, dy, n_pixels, BLOCK / 2, nv);
        t += BLOCK / 2;
    }
    if (n_taps - t >= 2) {
        corr_tile(acc + t * lda, lda, in, off + t, dy, n_pixels, 2, nv);
        t += 2;
    }
    if (n_taps > t)
        corr_tile(acc + t * lda, lda, in, off + t, dy, n_pixels, 1, nv);
}

static void corr(float *acc, size_t lda, const float *in, const int32_t *off, size_t n_taps, const float *dy,
                 int n_vectors, size_t n_pixels)
{
    if (n_vectors == 3)
        corr_strip(acc, lda, in, off, n_taps, dy, n_pixels, 3);
    else if (n_vectors == 2)
        corr_strip(acc, lda, in, off, n_taps, dy, n_pixels, 2);
    else
        corr_strip(acc, lda, in, off, n_taps, dy, n_pixels, 1);
}

static void column_sum(float *acc, const float *dy, int n_vectors, size_t n_pixels)
{
    for (int v = 0; v < n_vectors; v++) {
        vf sum = load(acc + v * VF);
        for (size_t p = 0; p < n_pixels; p++)
            sum += load(dy + (p * n_vectors + v) * VF);
        store(acc + v * VF, sum);
    }
}

INLINE float sum_lanes(vf v)
{
    float lane[VF];
    memcpy(lane, &v, sizeof lane);
    for (int step = VF / 2; step > 0; step /= 2) {
        for (int i = 0; i < step; i++)
            lane[i] += lane[i + step];
    }
    return lane[0];
}

/* `n_out` rows of dy by `rows` taps. */
INLINE void dots_tile(float *acc, size_t lda, const float *in, const int32_t *off, const float *dy,
                      size_t ldd, size_t n_pixels, const int n_out, const int rows)
{
    const float *x[4];
    vf sum[4][NERV_CONV_FEW];
    size_t p = 0;

    UNROLL for (int r = 0; r < rows; r++)
    {
        x[r] = in + off[r];
        UNROLL for (int o = 0; o < n_out; o++) sum[r][o] = (vf){ 0 };
    }
    for (; p + VF <= n_pixels; p += VF) {
        vf d[NERV_CONV_FEW];
        UNROLL for (int o = 0; o < n_out; o++) d[o] = load(dy + o * ldd + p);
        UNROLL for (int r = 0; r < rows; r++)
        {
            const vf pixels = load(x[r] + p);
            UNROLL for (int o = 0; o < n_out; o++) sum[r][o] += pixels * d[o];
        }
    }
    UNROLL for (int r = 0; r < rows; r++)
    {
        UNROLL for (int o = 0; o < n_out; o++)
        {
            float total = sum_lanes(sum[r][o]);
            for (size_t q = p; q < n_pixels; q++)
                total += x[r][q] * dy[o * ldd + q];
            acc[r * lda + o] += total;
        }
    }
}

INLINE void dots_taps(float *acc, size_t lda, const float *in, const int32_t *off, size_t n_taps,
                      const float *dy, size_t ldd, size_t n_pixels, const int n_out)
{
    size_t t = 0;
    for (; t + 4 <= n_taps; t += 4)
        dots_tile(acc + t * lda, lda, in, off + t, dy, ldd, n_pixels, n_out, 4);
    for (; t < n_taps; t++)
        dots_tile(acc + t * lda, lda, in, off + t, dy, ldd, n_pixels, n_out, 1);
}

static void dots(float *acc, size_t lda, const float *in, const int32_t *off, size_t n_taps, const float *dy,
                 size_t ldd, size_t n_out, size_t n_pixels)
{
    if (n_out == 4)
        dots_taps(acc, lda, in, off, n_taps, dy, ldd, n_pixels, 4);
    else if (n_out == 3)
        dots_taps(acc, lda, in, off, n_taps, dy, ldd, n_pixels, 3);
    else if (n_out == 2)
        dots_taps(acc, lda, in, off, n_taps, dy, ldd, n_pixels, 2);
    else
        dots_taps(acc, lda, in, off, n_taps, dy, ldd, n_pixels, 1);
}

static void row_sums(float *acc, const float *dy, size_t ldd, size_t n_out, size_t n_pixels)
{
    for (size_t o = 0; o < n_out; o++, dy += ldd) {
        vf even = { 0 }, odd = { 0 };
        size_t p = 0;
        for (; p + 2 * VF <= n_pixels; p += 2 * VF) {
            even += load(dy + p);
            odd += load(dy + p + VF);
        }
        float total = sum_lanes(even + odd);
        for (; p < n_pixels; p++)
            total += dy[p];
        acc[o] += total;
    }
}

/* --- moving --- */

INLINE void transpose4(v4 m[4])
{
    const v4 a = __builtin_shufflevector(m[0], m[1], 0, 4, 1, 5),
             b = __builtin_shufflevector(m[0], m[1], 2, 6, 3, 7);
    const v4 c = __builtin_shufflevector(m[2], m[3], 0, 4, 1, 5),
             d = __builtin_shufflevector(m[2], m[3], 2, 6, 3, 7);
    m[0] = __builtin_shufflevector(a, c, 0, 1, 4, 5);
    m[1] = __builtin_shufflevector(a, c, 2, 3, 6, 7);
    m[2] = __builtin_shufflevector(b, d, 0, 1, 4, 5);
    m[3] = __builtin_shufflevector(b, d, 2, 3, 6, 7);
}

#if VF >= 8
typedef float v8 __attribute__((vector_size(32)));
typedef float v8u __attribute__((vector_size(32), aligned(4), may_alias));

#define AHEAD 128 /* floats; dy comes in pieces too short for the hardware to see a stream */

/* Two 4 x 4 transpositions side by side, after the halves of rows r and r+4 were put together. */
INLINE void transpose8(float *dst, ptrdiff_t ldd, const float *src, size_t lds)
{
    v8 m[8], a[8];
    UNROLL for (int r = 0; r < 4; r++)
    {
        const v8 x = *(const v8u *)(src + r * lds), y = *(const v8u *)(src + (r + 4) * lds);
        __builtin_prefetch(src + r * lds + AHEAD);
        __builtin_prefetch(src + (r + 4) * lds + AHEAD);
        m[r] = __builtin_shufflevector(x, y, 0, 1, 2, 3, 8, 9, 10, 11);
        m[r + 4] = __builtin_shufflevector(x, y, 4, 5, 6, 7, 12, 13, 14, 15);
    }
    UNROLL for (int r = 0; r < 8; r += 2)
    {
        a[r] = __builtin_shufflevector(m[r], m[r + 1], 0, 8, 1, 9, 4, 12, 5, 13);
        a[r + 1] = __builtin_shufflevector(m[r], m[r + 1], 2, 10, 3, 11, 6, 14, 7, 15);
    }
    UNROLL for (int r = 0; r < 8; r += 4)
    {
        float *d = dst + r * ldd;
        *(v8u *)d = __builtin_shufflevector(a[r], a[r + 2], 0, 1, 8, 9, 4, 5, 12, 13);
        *(v8u *)(d + ldd) = __builtin_shufflevector(a[r], a[r + 2], 2, 3, 10, 11, 6, 7, 14, 15);
        *(v8u *)(d + 2 * ldd) = __builtin_shufflevector(a[r + 1], a[r + 3], 0, 1, 8, 9, 4, 5, 12, 13);
        *(v8u *)(d + 3 * ldd) = __builtin_shufflevector(a[r + 1], a[r + 3], 2, 3, 10, 11, 6, 7, 14, 15);
    }
}
#endif

/* Rows r..r+3 of all columns. */
INLINE void transpose_rows4(float *dst, ptrdiff_t ldd, const float *src, size_t lds, size_t n_columns)
{
    size_t c = 0;
    for (; c + 4 <= n_columns; c += 4) {
        v4 m[4] = { load4(src + c), load4(src + lds + c), load4(src + 2 * lds + c),
                    load4(src + 3 * lds + c) };
        transpose4(m);
        UNROLL for (int i = 0; i < 4; i++) store4(dst + (ptrdiff_t)(c + i) * ldd, m[i]);
    }
    for (; c < n_columns; c++) {
        const v4 m = { src[c], src[lds + c], src[2 * lds + c], src[3 * lds + c] };
        store4(dst + (ptrdiff_t)c * ldd, m);
    }
}

/* The last one to three rows, as four of which the others are 0. */
static void transpose_rest(float *dst, ptrdiff_t ldd, const float *src, size_t lds, size_t n_rows,
                           size_t n_columns)
{
    const v4 zero = { 0 };
    const size_t second = n_rows > 1 ? lds : 0, third = n_rows > 2 ? 2 * lds : 0;
    size_t c = 0;
    for (; c + 4 <= n_columns; c += 4) {
        v4 m[4] = { load4(src + c), n_rows > 1 ? load4(src + second + c) : zero,
                    n_rows > 2 ? load4(src + third + c) : zero, zero };
        transpose4(m);
        UNROLL for (int i = 0; i < 4; i++) store4(dst + (ptrdiff_t)(c + i) * ldd, m[i]);
    }
    for (; c < n_columns; c++) {
        const v4 m = { src[c], n_rows > 1 ? src[second + c] : 0, n_rows > 2 ? src[third + c] : 0, 0 };
        store4(dst + (ptrdiff_t)c * ldd, m);
    }
}

static void transpose(float *dst, ptrdiff_t ldd, const float *src, size_t lds, size_t n_rows, size_t width,
                      size_t n_columns)
{
    size_t r = 0;
#if VF >= 8
    for (; r + 8 <= n_rows; r += 8) {
        size_t c = 0;
        for (; c + 8 <= n_columns; c += 8)
            transpose8(dst + (ptrdiff_t)c * ldd + r, ldd, src + r * lds + c, lds);
        if (c < n_columns) {
            float *d = dst + (ptrdiff_t)c * ldd + r;
            transpose_rows4(d, ldd, src + r * lds + c, lds, n_columns - c);
            transpose_rows4(d + 4, ldd, src + (r + 4) * lds + c, lds, n_columns - c);
        }
    }
#endif
    for (; r + 4 <= n_rows; r += 4)
        transpose_rows4(dst + r, ldd, src + r * lds, lds, n_columns);
    if (r < n_rows && r + 4 <= width) {
        transpose_rest(dst + r, ldd, src + r * lds, lds, n_rows - r, n_columns);
        r += 4;
    }
    for (; r < n_rows; r++) {
        for (size_t c = 0; c < n_columns; c++)
            dst[(ptrdiff_t)c * ldd + r] = src[r * lds + c];
    }
    if (r < width) {
        for (size_t c = 0; c < n_columns; c++) {
            float *d = dst + (ptrdiff_t)c * ldd;
            size_t i = r;
            for (; i + 4 <= width; i += 4)
                store4(d + i, (v4){ 0 });
            for (; i < width; i++)
                d[i] = 0;
        }
    }
}

static void interleave(float *dst, const float *src, size_t lds, size_t n, int s)
{
    size_t x = 0;
    if (s == 1) {
        memcpy(dst, src, n * sizeof *dst);
        return;
    }
    if (s != 2) {
        transpose(dst, s, src, lds, s, s, n);
        return;
    }
    for (; x + VF <= n; x += VF) {
        const vf a = load(src + x), b = load(src + lds + x);
        store(dst + 2 * x, ZIP_LO(a, b));
        store(dst + 2 * x + VF, ZIP_HI(a, b));
    }
    for (; x < n; x++) {
        dst[2 * x] = src[x];
        dst[2 * x + 1] = src[lds + x];
    }
}

static void deinterleave(float *dst, size_t ldd, const float *src, size_t n, int s)
{
    size_t x = 0;
    if (s == 1) {
        memcpy(dst, src, n * sizeof *dst);
        return;
    }
    if (s != 2) {
        transpose(dst, (ptrdiff_t)ldd, src, s, n, n, s);
        return;
    }
    for (; x + VF <= n; x += VF) {
        const vf a = load(src + 2 * x), b = load(src + 2 * x + VF);
        store(dst + x, EVEN(a, b));
        store(dst + ldd + x, ODD(a, b));
    }
    for (; x < n; x++) {
        dst[x] = src[2 * x];
        dst[ldd + x] = src[2 * x + 1];
    }
}

/* Rows may be as short as 16 floats: no calls of memcpy or memset here. */
INLINE void copy_floats(float *dst, const float *src, size_t n)
{
    size_t i = 0;
    for (; i + VF <= n; i += VF)
        store(dst + i, load(src + i));
    for (; i + 4 <= n; i += 4)
        store4(dst + i, load4(src + i));
    for (; i < n; i++)
        dst[i] = src[i];
}

/* `zero` is 0 without the compiler knowing it, as it would make this a memset. */
INLINE void zero_floats(float *dst, size_t n, float zero)
{
    size_t i = 0;
    for (; i + VF <= n; i += VF)
        store(dst + i, splat(zero));
    for (; i < n; i++)
        dst[i] = zero;
}

static void copy_rows(float *dst, size_t ldd, const float *src, size_t lds, size_t w, size_t n_rows)
{
    for (size_t r = 0; r < n_rows; r++, dst += ldd, src += lds)
        copy_floats(dst, src, w);
}

static void pad(float *dst, size_t plane, size_t pitch, size_t above, size_t left, const float *src,
                size_t src_plane, size_t src_pitch, size_t h, size_t w, size_t n_channels)
{
    static const volatile float zero_value = 0;
    const float zero = zero_value;

    for (size_t c = 0; c < n_channels; c++, src += src_plane) {
        const float *from = src;
        float *to = dst + above * pitch;
        zero_floats(dst, above * pitch + left, zero);
        to += left;
        for (size_t r = 0; r < h; r++, from += src_pitch, to += pitch) {
            copy_floats(to, from, w);
            zero_floats(to + w, pitch - w, zero);
        }
        dst += plane;
        if (dst > to)
            zero_floats(to, (size_t)(dst - to), zero);
    }
}

static void add(float *a, const float *b, size_t n)
{
    size_t i = 0;
    for (; i + VF <= n; i += VF)
        store(a + i, load(a + i) + load(b + i));
    for (; i < n; i++)
        a[i] += b[i];
}

/* --- linear --- */

/* `ni` rows of x by `nj` rows of w. */
INLINE void linear_tile(float *y, size_t ldy, const float *x, const float *w, const float *b, size_t k,
                        const int ni, const int nj)
{
    vf sum[4][4] = { 0 };
    size_t l = 0;

    for (; l + VF <= k; l += VF) {
        vf a[4];
        UNROLL for (int i = 0; i < ni; i++) a[i] = load(x + i * k + l);
        UNROLL for (int j = 0; j < nj; j++)
        {
            const vf weight = load(w + j * k + l);
            UNROLL for (int i = 0; i < ni; i++) sum[i][j] += a[i] * weight;
        }
    }
    UNROLL for (int i = 0; i < ni; i++)
    {
        UNROLL for (int j = 0; j < nj; j++)
        {
            float total = sum_lanes(sum[i][j]);
            for (size_t m = l; m < k; m++)
                total += x[i * k + m] * w[j * k + m];
            y[i * ldy + j] = b ? total + b[j] : total;
        }
    }
}

INLINE void linear_rows(float *y, size_t ldy, const float *x, const float *w, const float *b, size_t m,
                        size_t k, const int ni)
{
    size_t j = 0;
    for (; j + 4 <= m; j += 4)
        linear_tile(y + j, ldy, x, w + j * k, b ? b + j : NULL, k, ni, 4);
    for (; j < m; j++)
        linear_tile(y + j, ldy, x, w + j * k, b ? b + j : NULL, k, ni, 1);
}

static void linear(float *y, size_t ldy, const float *x, const float *w, const float *b, size_t n, size_t m,
                   size_t k)
{
    size_t i = 0;
    for (; i + 2 <= n; i += 2)
        linear_rows(y + i * ldy, ldy, x + i * k, w, b, m, k, 2);
    if (i < n)
        linear_rows(y + i * ldy, ldy, x + i * k, w, b, m, k, 1);
}

static void linear_dx(float *dx, const float *dy, size_t ldy, const float *w, size_t n, size_t m, size_t k)
{
    memset(dx, 0, n * k * sizeof *dx);
    for (size_t j = 0; j < m; j += 4) {
        const size_t rows = m - j < 4 ? m - j : 4;
        const float *w0 = w + j * k, *w1 = rows > 1 ? w0 + k : w0, *w2 = rows > 2 ? w1 + k : w0,
                    *w3 = rows > 3 ? w2 + k : w0;
        for (size_t i = 0; i < n; i++) {
            const float *d = dy + i * ldy + j;
            const float d0 = d[0], d1 = rows > 1 ? d[1] : 0, d2 = rows > 2 ? d[2] : 0,
                        d3 = rows > 3 ? d[3] : 0;
            float *out = dx + i * k;
            size_t l = 0;
            for (; l + VF <= k; l += VF)
                store(out + l, load(out + l) + ((splat(d0) * load(w0 + l) + splat(d1) * load(w1 + l)) +
                                                (splat(d2) * load(w2 + l) + splat(d3) * load(w3 + l))));
            for (; l < k; l++)
                out[l] += (d0 * w0[l] + d1 * w1[l]) + (d2 * w2[l] + d3 * w3[l]);
        }
    }
}

static void linear_dw(float *dw, const float *dy, size_t ldy, const float *x, size_t n, size_t m, size_t k)
{
    for (size_t j = 0; j < m; j++, dw += k) {
        size_t l = 0;
        for (; l + VF <= k; l += VF) {
            vf sum = splat(dy[j]) * load(x + l);
            for (size_t i = 1; i < n; i++)
                sum += splat(dy[i * ldy + j]) * load(x + i * k + l);
            store(dw + l, sum);
        }
        for (; l < k; l++) {
            float sum = 0;
            for (size_t i = 0; i < n; i++)
                sum += dy[i * ldy + j] * x[i * k + l];
            dw[l] = sum;
        }
    }
}

void CAT(nerv_conv_dsp_init_, NERV_ISA)(NervConvDsp *dsp);
void CAT(nerv_conv_dsp_init_, NERV_ISA)(NervConvDsp *dsp)
{
    *dsp = (NervConvDsp){
        .vector_floats = VF,
        .block = BLOCK,
        .conv = conv,
        .corr = corr,
        .column_sum = column_sum,
        .dots = dots,
        .row_sums = row_sums,
        .transpose = transpose,
        .interleave = interleave,
        .deinterleave = deinterleave,
        .copy_rows = copy_rows,
        .pad = pad,
        .add = add,
        .linear = linear,
        .linear_dx = linear_dx,
        .linear_dw = linear_dw,
    };
}
