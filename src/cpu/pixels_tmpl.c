/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The kernels of cpu/pixels_dsp.h, written once with vector extensions and compiled per instruction set
 * (NERV_ISA). Rows are processed in whole vectors, then their last elements one by one with the same
 * arithmetic.
 */
#include <string.h>

#include "cpu/pixels_dsp.h"
#include "cpu/vectors.h"

typedef int32_t vi __attribute__((vector_size(VF * 4)));
typedef uint8_t vb __attribute__((vector_size(VF)));
typedef uint8_t vb2 __attribute__((vector_size(VF * 2)));

static inline vf load_bytes(const uint8_t *p)
{
    vb v;
    memcpy(&v, p, sizeof(v));
    return __builtin_convertvector(__builtin_convertvector(v, vi), vf);
}

/* NaN becomes 0, as in clamp1. */
static inline vf clamp(vf x, float most)
{
    const vi is_positive = x > 0;
    x = (vf)((vi)x & is_positive);
    const vi is_over = x > most;
    return (vf)(((vi)splat(most) & is_over) | ((vi)x & ~is_over));
}

static inline float clamp1(float x, float most)
{
    x = x > 0 ? x : 0;
    return x > most ? most : x;
}

/* Codes from values: round to nearest; the truncation of what is not negative is its floor. */
static inline vb code(vf x)
{
    return __builtin_convertvector(__builtin_convertvector(clamp(x, 255) + 0.5f, vi), vb);
}

static inline uint8_t code1(float x)
{
    return (uint8_t)(int32_t)(clamp1(x, 255) + 0.5f);
}

static void unpack(float *const rgb[3], const uint8_t *restrict src, int n, int pixel_bytes, bool swap)
{
    float *restrict a = rgb[swap ? 2 : 0], *restrict g = rgb[1], *restrict b = rgb[swap ? 0 : 2];
    const float scale = 1.0f / 255.0f;
    if (pixel_bytes == 3) {
        for (int i = 0; i < n; i++) {
            a[i] = src[3 * i] * scale;
            g[i] = src[3 * i + 1] * scale;
            b[i] = src[3 * i + 2] * scale;
        }
        return;
    }
    int i = 0;
    for (; i + VF <= n; i += VF) {
        vi x;
        memcpy(&x, src + 4 * i, sizeof(x));
        store(a + i, __builtin_convertvector(x & 255, vf) * scale);
        store(g + i, __builtin_convertvector((x >> 8) & 255, vf) * scale);
        store(b + i, __builtin_convertvector((x >> 16) & 255, vf) * scale);
    }
    for (; i < n; i++) {
        a[i] = src[4 * i] * scale;
        g[i] = src[4 * i + 1] * scale;
        b[i] = src[4 * i + 2] * scale;
    }
}

static void blend(float *restrict dst, const uint8_t *a, const uint8_t *b, float wb, int n, int step)
{
    const float wa = 1 - wb;
    int i = 0;
    if (step == 1) {
        for (; i + VF <= n; i += VF)
            store(dst + i, load_bytes(a + i) * wa + load_bytes(b + i) * wb);
    } else {
        /* The last pair is left to the tail: of interleaved planes the second starts one byte later. */
        for (; i + VF < n; i += VF) {
            vb2 x, y;
            memcpy(&x, a + 2 * i, sizeof(x));
            memcpy(&y, b + 2 * i, sizeof(y));
            const vb xe = EVEN(x, x), ye = EVEN(y, y);
            store(dst + i, __builtin_convertvector(__builtin_convertvector(xe, vi), vf) * wa +
                               __builtin_convertvector(__builtin_convertvector(ye, vi), vf) * wb);
        }
    }
    for (; i < n; i++)
        dst[i] = a[i * step] * wa + b[i * step] * wb;
}

/* R'G'B' of VF pixels; the chroma offsets and the luma offset are folded into `bias`. */
static inline void convert(float *const rgb[3], int at, vf y, vf cb, vf cr, const NervColorMatrix *m,
                           const float bias[3])
{
    for (int k = 0; k < 3; k++)
        store(rgb[k] + at, clamp(m->from[k][0] * y + m->from[k][1] * cb + m->from[k][2] * cr + bias[k], 1));
}

static void from_yuv(float *const rgb[3], const uint8_t *y, const float *cb, const float *cr, int n,
                     bool cosited, const NervColorMatrix *m)
{
    /* Even luma: near*c[i] + far*c[i-1]; odd luma: near*c[i] + far*c[i+1], the weights depending on the
     * siting. */
    const float even_far = cosited ? 0 : 0.25f, odd_far = cosited ? 0.5f : 0.25f;
    float bias[3];
    int x = 0;
    for (int k = 0; k < 3; k++)
        bias[k] =
            -(m->from[k][0] * m->to_off[0] + m->from[k][1] * m->to_off[1] + m->from[k][2] * m->to_off[2]);
    for (; x + 2 * VF <= n; x += 2 * VF) {
        const float *b = cb + x / 2, *r = cr + x / 2;
        const vf b0 = load(b), r0 = load(r);
        const vf be = b0 + even_far * (load(b - 1) - b0), bo = b0 + odd_far * (load(b + 1) - b0);
        const vf re = r0 + even_far * (load(r - 1) - r0), ro = r0 + odd_far * (load(r + 1) - r0);
        convert(rgb, x, load_bytes(y + x), ZIP_LO(be, bo), ZIP_LO(re, ro), m, bias);
        convert(rgb, x + VF, load_bytes(y + x + VF), ZIP_HI(be, bo), ZIP_HI(re, ro), m, bias);
    }
    for (; x < n; x++) {
        const int i = x / 2, j = x & 1 ? i + 1 : i - 1;
        const float far = x & 1 ? odd_far : even_far;
        const float b = cb[i] + far * (cb[j] - cb[i]), r = cr[i] + far * (cr[j] - cr[i]);
        for (int k = 0; k < 3; k++)
            rgb[k][x] = clamp1(m->from[k][0] * y[x] + m->from[k][1] * b + m->from[k][2] * r + bias[k], 1);
    }
}

/* VF pixels as words R G B 255. */
static inline vi words(const float *r, const float *g, const float *b)
{
    const vi a = __builtin_convertvector(clamp(load(r) * 255, 255) + 0.5f, vi);
    const vi c = __builtin_convertvector(clamp(load(g) * 255, 255) + 0.5f, vi);
    const vi d = __builtin_convertvector(clamp(load(b) * 255, 255) + 0.5f, vi);
    return a | c << 8 | d << 16 | INT32_MIN >> 7;
}

static void pack(uint8_t *restrict dst, const float *const rgb[3], int n, int pixel_bytes, bool swap)
{
    const float *restrict a = rgb[swap ? 2 : 0], *restrict g = rgb[1], *restrict b = rgb[swap ? 0 : 2];
    int i = 0;
    if (pixel_bytes == 3) {
        /* Each store's fourth byte is overwritten by the next; the row's last pixels are left to the tail. */
        for (; i + VF < n; i += VF) {
            const vi x = words(a + i, g + i, b + i);
            int32_t pixel[VF];
            memcpy(pixel, &x, sizeof(x));
            for (int j = 0; j < VF; j++)
                memcpy(dst + 3 * (i + j), &pixel[j], 4);
        }
    } else {
        for (; i + VF <= n; i += VF) {
            const vi x = words(a + i, g + i, b + i);
            memcpy(dst + 4 * i, &x, sizeof(x));
        }
    }
    for (; i < n; i++) {
        dst[pixel_bytes * i] = code1(a[i] * 255);
        dst[pixel_bytes * i + 1] = code1(g[i] * 255);
        dst[pixel_bytes * i + 2] = code1(b[i] * 255);
        if (pixel_bytes == 4)
            dst[4 * i + 3] = 255;
    }
}

static void mix(float *restrict dst, const float *const row[3], const float w[3], int n)
{
    int i = 0;
    for (; i + VF <= n; i += VF)
        store(dst + i, w[0] * clamp(load(row[0] + i), 1) + w[1] * clamp(load(row[1] + i), 1) +
                           w[2] * clamp(load(row[2] + i), 1));
    for (; i < n; i++)
        dst[i] = w[0] * clamp1(row[0][i], 1) + w[1] * clamp1(row[1][i], 1) + w[2] * clamp1(row[2][i], 1);
}

static void to_luma(uint8_t *restrict dst, const float *const rgb[3], int n, const NervColorMatrix *m)
{
    const float *t = m->to[0], off = m->to_off[0];
    int i = 0;
    for (; i + VF <= n; i += VF) {
        const vb y = code(t[0] * clamp(load(rgb[0] + i), 1) + t[1] * clamp(load(rgb[1] + i), 1) +
                          t[2] * clamp(load(rgb[2] + i), 1) + off);
        memcpy(dst + i, &y, sizeof(y));
    }
    for (; i < n; i++)
        dst[i] = code1(t[0] * clamp1(rgb[0][i], 1) + t[1] * clamp1(rgb[1][i], 1) +
                       t[2] * clamp1(rgb[2][i], 1) + off);
}

/* Down by two: [1 2 1]/4 round each even sample, or [1 1]/2. */
static inline vf halve(const float *p, bool cosited)
{
    const vf a = load(p), b = load(p + VF);
    const vf even = EVEN(a, b), odd = ODD(a, b);
    if (!cosited)
        return 0.5f * (even + odd);
    const vf before = EVEN(load(p - 1), load(p - 1 + VF));
    return 0.5f * even + 0.25f * (before + odd);
}

static inline float halve1(const float *p, bool cosited)
{
    return cosited ? 0.5f * p[0] + 0.25f * (p[-1] + p[1]) : 0.5f * (p[0] + p[1]);
}

static void to_chroma(uint8_t *cb, uint8_t *cr, int step, const float *const rgb[3], int n, bool cosited,
                      const NervColorMatrix *m)
{
    int i = 0;
    for (; i + VF <= n; i += VF) {
        const vf r = halve(rgb[0] + 2 * i, cosited), g = halve(rgb[1] + 2 * i, cosited);
        const vf b = halve(rgb[2] + 2 * i, cosited);
        const vb u = code(m->to[1][0] * r + m->to[1][1] * g + m->to[1][2] * b + m->to_off[1]);
        const vb v = code(m->to[2][0] * r + m->to[2][1] * g + m->to[2][2] * b + m->to_off[2]);
        if (step == 1) {
            memcpy(cb + i, &u, sizeof(u));
            memcpy(cr + i, &v, sizeof(v));
        } else {
            const vb lo = ZIP_LO(u, v), hi = ZIP_HI(u, v);
            memcpy(cb + 2 * i, &lo, sizeof(lo));
            memcpy(cb + 2 * i + VF, &hi, sizeof(hi));
        }
    }
    for (; i < n; i++) {
        const float r = halve1(rgb[0] + 2 * i, cosited), g = halve1(rgb[1] + 2 * i, cosited);
        const float b = halve1(rgb[2] + 2 * i, cosited);
        cb[i * step] = code1(m->to[1][0] * r + m->to[1][1] * g + m->to[1][2] * b + m->to_off[1]);
        cr[i * step] = code1(m->to[2][0] * r + m->to[2][1] * g + m->to[2][2] * b + m->to_off[2]);
    }
}

void CAT(nerv_pixels_dsp_init_, NERV_ISA)(NervPixelsDsp *dsp);
void CAT(nerv_pixels_dsp_init_, NERV_ISA)(NervPixelsDsp *dsp)
{
    dsp->vector_floats = VF;
    dsp->unpack = unpack;
    dsp->blend = blend;
    dsp->from_yuv = from_yuv;
    dsp->pack = pack;
    dsp->mix = mix;
    dsp->to_luma = to_luma;
    dsp->to_chroma = to_chroma;
}
