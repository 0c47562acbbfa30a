/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Vectors of floats as wide as the instruction set being compiled for (NERV_ISA_*), and elementary functions on them,
 * for the kernel templates. Rational and polynomial coefficients were fitted for this file (Lawson's iteratively
 * reweighted least squares on Chebyshev nodes). Errors stated are the largest that tests/unit/math.c finds.
 */
#pragma once

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(NERV_ISA_AVX512)
#define VBYTES 64
#elif defined(NERV_ISA_AVX2)
#define VBYTES 32
#else
#define VBYTES 16
#endif
#define LANES ((int)(VBYTES / sizeof(float)))

typedef float vf __attribute__((vector_size(VBYTES)));
typedef int32_t vi __attribute__((vector_size(VBYTES)));
typedef float vf_any __attribute__((vector_size(VBYTES), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline, unused))

INLINE vf vload(const float *p)
{
    return *(const vf_any *)p;
}

INLINE void vstore(float *p, vf v)
{
    *(vf_any *)p = v;
}

/* The first n < LANES elements; the others are zero. */
INLINE vf vload_part(const float *p, size_t n)
{
    vf v = { 0 };
    memcpy(&v, p, n * sizeof(float));
    return v;
}

INLINE void vstore_part(float *p, vf v, size_t n)
{
    memcpy(p, &v, n * sizeof(float));
}

INLINE vf vsplat(float x)
{
    return x - (vf){ 0 };
}

/* Lane by lane m ? a : b, where m is a comparison's result. */
INLINE vf vselect(vi m, vf a, vf b)
{
    return (vf)(((vi)a & m) | ((vi)b & ~m));
}

INLINE vf vabs(vf x)
{
    return (vf)((vi)x & 0x7fffffff);
}

/* A NaN in x stays. */
INLINE vf vclamp(vf x, float lo, float hi)
{
    x = vselect(x > vsplat(hi), vsplat(hi), x);
    return vselect(x < vsplat(lo), vsplat(lo), x);
}

INLINE double vsum(vf v)
{
    double s = 0;
    for (int i = 0; i < LANES; i++)
        s += v[i];
    return s;
}

/* Adding it rounds |x| < 2^22 to an integer and leaves that, plus 127, in the low bits: an exponent field. */
#define ROUND_MAGIC (12582912.0f + 127.0f)

/* exp(x), x clamped to [-87, 87]; 3 ulp. x = n ln 2 + r with ln 2 in two parts, then 1 + r P(r) on |r| <= ln 2 / 2. */
INLINE vf vexp(vf x)
{
    x = vclamp(x, -87.0f, 87.0f);
    const vf magic = x * 1.44269504f + ROUND_MAGIC;
    const vf n = magic - ROUND_MAGIC;
    const vf r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    vf p = r * 8.290229442e-03f + 4.189839008e-02f;
    p = p * r + 1.666764006e-01f;
    p = p * r + 4.999914615e-01f;
    p = p * r + 9.999997054e-01f;
    return (p * r + 1.0f) * (vf)((vi)magic << 23);
}

/* 2^r on |r| <= 1/2, 1e-7. */
INLINE vf vexp2_part(vf r)
{
    vf p = r * 1.326459076e-03f + 9.671619004e-03f;
    p = p * r + 5.550735032e-02f;
    p = p * r + 2.402224046e-01f;
    p = p * r + 6.931469764e-01f;
    return p * r + 1.0f;
}

/* exp(-x^2/2), absolute error 1.2e-7: 2^t with t rounded once, whose error matters only where the value is small. */
INLINE vf vgauss(vf x)
{
    vf t = x * x * -0.72134752f;
    t = vselect(t < vsplat(-127.0f), vsplat(-127.0f), t);
    const vf magic = t + ROUND_MAGIC;
    return vexp2_part(t - (magic - ROUND_MAGIC)) * (vf)((vi)magic << 23);
}

/* The normal distribution's tail Phi(-u), u >= 0; e receives exp(-u^2/2) as vgauss, by the same steps on a u clamped so that they
 * need no clamp. Phi(-u) = e P(u)/Q(u) with a fit to Mills' ratio on [0, 9] of absolute error 1e-8 and relative error 1e-6 (all
 * coefficients positive: nothing cancels). From 9 on, where the tail is below 2e-19, both are 0: what is that small would become
 * subnormal in the layers that follow. */
INLINE vf vnormal_tail(vf u, vf *e)
{
    u = vselect(u > vsplat(12.8f), vsplat(12.8f), u);
    const vf t = u * u * -0.72134752f;
    const vf magic = t + ROUND_MAGIC;
    *e = vexp2_part(t - (magic - ROUND_MAGIC)) * (vf)((vi)magic << 23);
    *e = (vf)((vi)*e & (u < vsplat(9.0f)));
    vf p = u * 1.320351260e-02f + 1.027293758e-01f;
    p = p * u + 3.317713755e-01f;
    p = p * u + 4.999999900e-01f;
    vf q = u * 3.311526233e-02f + 2.569578489e-01f;
    q = q * u + 8.715244412e-01f;
    q = q * u + 1.461425877e+00f;
    q = q * u + 1.0f;
    return *e * p / q;
}

/* 1/(1 + exp(-x)), 9e-8. */
INLINE vf vsigmoid(vf x)
{
    return 1.0f / (1.0f + vexp(-x));
}

/* tanh(x), 1.0e-7 and 2 ulp: x + x^3 P(x^2) for |x| < 0.625, else 1 - 2/(exp(2|x|) + 1) with the sign of x. */
INLINE vf vtanh(vf x)
{
    const vf u = vabs(x), v = x * x;
    vf p = v * -5.704987214e-03f + 2.063908744e-02f;
    p = p * v - 5.373971515e-02f;
    p = p * v + 1.333144220e-01f;
    p = p * v - 3.333328194e-01f;
    const vf near = x + x * v * p;
    const vf far = 1.0f - 2.0f / (vexp(u + u) + 1.0f);
    return vselect(u < vsplat(0.625f), near, (vf)((vi)far | ((vi)x & INT32_MIN)));
}

/* sin(x) for quarter 0, cos(x) for quarter 1; absolute error 1.3e-7. A multiple of pi/2 of the parity that leaves a sine
 * is taken off (Cody & Waite 1980: pi/2 in three parts, of which the first two are short, so that their products
 * are exact up to |x| of about 12000); beyond that the C library answers. */
INLINE vf vsine(vf x, int quarter)
{
    const vf k = (x * 0.318309886f + 0.5f * quarter + 12582912.0f) - 12582912.0f; /* half turns of the sum */
    const vf m = k + k - (float)quarter;
    vf r = x - m * 1.5703125f;
    r = r - m * 0.0004837512969970703f;
    r = r - m * 7.549789948768648e-08f;
    const vf v = r * r;
    vf p = v * 2.599903264e-06f - 1.980654711e-04f;
    p = p * v + 8.333016355e-03f;
    p = p * v - 1.666665706e-01f;
    vf s = r + r * v * p;
    s = (vf)((vi)s ^ ((vi)(k + 12582912.0f) << 31));
    const vi far = vabs(x) > vsplat(12000.0f);
    int any = 0;
    for (int i = 0; i < LANES; i++)
        any |= far[i];
    if (__builtin_expect(any, 0))
        for (int i = 0; i < LANES; i++)
            s[i] = far[i] ? (quarter ? cosf(x[i]) : sinf(x[i])) : s[i];
    return s;
}
