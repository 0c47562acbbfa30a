/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The math family's kernels (math_dsp.h), compiled once per instruction set: pointwise functions, sums, losses and Adam. SSIM is
 * in ssim_tmpl.c. Loops without a special function are plain C, which the compiler turns into vectors by itself.
 */
#include "cpu/math_dsp.h"
#include "cpu/vmath.h"
#include "ops/ops.h"

#define PASTE_(a, b) a##b
#define PASTE(a, b)  PASTE_(a, b)

void PASTE(nerv_math_dsp_init_, NERV_ISA)(NervMathDsp *dsp);
void PASTE(nerv_ssim_dsp_init_, NERV_ISA)(NervMathDsp *dsp);

/* --- pointwise functions --- */

INLINE vf gelu(vf x)
{
    const vf u = vabs(x);
    vf e;
    return 0.5f * (x + u) - u * vnormal_tail(u, &e); /* max(x, 0) less what the tail takes */
}

INLINE vf gelu_derivative(vf x)
{
    vf e;
    const vf q = vnormal_tail(vabs(x), &e);
    return vselect(x > vsplat(0.0f), 1.0f - q, q) + x * e * 0.39894228f;
}

INLINE vf value(vf x, int act)
{
    switch (act) {
    case NERV_ACT_GELU:
        return gelu(x);
    case NERV_ACT_SILU:
        return x * vsigmoid(x);
    case NERV_ACT_SIN:
        return vsine(x, 0);
    case NERV_ACT_SIGMOID:
        return vsigmoid(x);
    case NERV_ACT_TANH:
        return vtanh(x);
    case NERV_ACT_TANH01:
        return vsigmoid(x + x);
    case NERV_ACT_RELU:
        return vselect(x < vsplat(0.0f), vsplat(0.0f), x);
    default:
        return x;
    }
}

/* s = sigmoid(x) and c = 1 - s = sigmoid(-x), neither by a difference, so that products with a large x stay exact. */
INLINE void sigmoids(vf x, vf *s, vf *c)
{
    const vf e = vexp(-x);
    *s = 1.0f / (1.0f + e);
    *c = e * *s;
}

INLINE vf first_derivative(vf x, int act)
{
    vf s, c;
    switch (act) {
    case NERV_ACT_GELU:
        return gelu_derivative(x);
    case NERV_ACT_SILU:
        sigmoids(x, &s, &c);
        return s * (1.0f + x * c);
    case NERV_ACT_SIN:
        return vsine(x, 1);
    case NERV_ACT_SIGMOID:
        sigmoids(x, &s, &c);
        return s * c;
    case NERV_ACT_TANH:
        sigmoids(x + x, &s, &c);
        return 4.0f * s * c;
    case NERV_ACT_TANH01:
        sigmoids(x + x, &s, &c);
        return 2.0f * s * c;
    case NERV_ACT_RELU:
        return vselect(x > vsplat(0.0f), vsplat(1.0f), vsplat(0.0f));
    default:
        return vsplat(1.0f);
    }
}

INLINE vf second_derivative(vf x, int act)
{
    vf s, c;
    switch (act) {
    case NERV_ACT_GELU:
        return vgauss(x) * 0.39894228f * (2.0f - x * x);
    case NERV_ACT_SILU:
        sigmoids(x, &s, &c);
        return s * c * (2.0f + x * (c - s));
    case NERV_ACT_SIN:
        return -vsine(x, 0);
    case NERV_ACT_SIGMOID:
        sigmoids(x, &s, &c);
        return s * c * (c - s);
    case NERV_ACT_TANH:
        sigmoids(x + x, &s, &c);
        return 8.0f * s * c * (c - s);
    case NERV_ACT_TANH01:
        sigmoids(x + x, &s, &c);
        return 4.0f * s * c * (c - s);
    default:
        return vsplat(0.0f);
    }
}

INLINE void map_act(float *y, const float *x, size_t n, int act)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vstore(y + i, value(vload(x + i), act));
    if (i < n)
        vstore_part(y + i, value(vload_part(x + i, n - i), act), n - i);
}

INLINE void map_act_dx(float *dx, const float *dy, const float *x, size_t n, int act)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vstore(dx + i, vload(dy + i) * first_derivative(vload(x + i), act));
    if (i < n)
        vstore_part(dx + i, vload_part(dy + i, n - i) * first_derivative(vload_part(x + i, n - i), act),
                    n - i);
}

INLINE void map_act_dxx(float *y, const float *g, const float *dy, const float *x, size_t n, int act)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vstore(y + i, vload(g + i) * vload(dy + i) * second_derivative(vload(x + i), act));
    if (i < n) {
        const vf v = second_derivative(vload_part(x + i, n - i), act);
        vstore_part(y + i, vload_part(g + i, n - i) * vload_part(dy + i, n - i) * v, n - i);
    }
}

/* One loop per function: the switch is outside it. */
#define FOR_EACH_ACT(X)                                                                                      \
    X(NERV_ACT_NONE)                                                                                         \
    X(NERV_ACT_GELU)                                                                                         \
    X(NERV_ACT_SILU)                                                                                         \
    X(NERV_ACT_SIN)                                                                                          \
    X(NERV_ACT_SIGMOID)                                                                                      \
    X(NERV_ACT_TANH)                                                                                         \
    X(NERV_ACT_TANH01)                                                                                       \
    X(NERV_ACT_RELU)

static void act(float *y, const float *x, size_t n, int f)
{
    switch (f) {
#define CASE(f)                                                                                              \
    case f:                                                                                                  \
        map_act(y, x, n, f);                                                                                 \
        break;
        FOR_EACH_ACT(CASE)
#undef CASE
    }
}

static void act_dx(float *dx, const float *dy, const float *x, size_t n, int f)
{
    switch (f) {
#define CASE(f)                                                                                              \
    case f:                                                                                                  \
        map_act_dx(dx, dy, x, n, f);                                                                         \
        break;
        FOR_EACH_ACT(CASE)
#undef CASE
    }
}

static void act_dxx(float *y, const float *g, const float *dy, const float *x, size_t n, int f)
{
    switch (f) {
#define CASE(f)                                                                                              \
    case f:                                                                                                  \
        map_act_dxx(y, g, dy, x, n, f);                                                                      \
        break;
        FOR_EACH_ACT(CASE)
#undef CASE
    }
}

static void add(float *y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void mul(float *y, const float *a, const float *b, size_t n)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] * b[i];
}

static void affine(float *y, const float *x, size_t n, float scale, float shift)
{
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] * scale + shift;
}

static void mix(float *y, const float *a, const float *b, size_t n, float f)
{
    const float g = 1.0f - f;
    for (size_t i = 0; i < n; i++)
        y[i] = g * a[i] + f * b[i];
}

static void add_scaled(float *y, const float *x, size_t n, float scale)
{
    for (size_t i = 0; i < n; i++)
        y[i] += scale * x[i];
}

/* --- sums --- */

enum { SUM, SUM_MAGNITUDES, SUM_ABS, SUM_SQUARES };

INLINE vf term(vf a, vf b, int kind)
{
    const vf d = a - b;
    return kind == SUM ? a : kind == SUM_MAGNITUDES ? vabs(a) : kind == SUM_ABS ? vabs(d) : d * d;
}

/* Four vectors of partial sums over BLOCK steps, then into a double: no partial sum has more than BLOCK terms. */
#define BLOCK 64
INLINE double sum_terms(const float *a, const float *b, size_t n, int kind)
{
    double total = 0;
    size_t i = 0;
    while (i + 4 * LANES <= n) {
        vf s[4] = { { 0 } };
        for (int k = 0; k < BLOCK && i + 4 * LANES <= n; k++, i += 4 * LANES)
            for (int j = 0; j < 4; j++)
                s[j] += term(vload(a + i + j * LANES), vload(b + i + j * LANES), kind);
        total += vsum((s[0] + s[1]) + (s[2] + s[3]));
    }
    for (; i + LANES <= n; i += LANES)
        total += vsum(term(vload(a + i), vload(b + i), kind));
    if (i < n)
        total += vsum(term(vload_part(a + i, n - i), vload_part(b + i, n - i), kind));
    return total;
}

static double sum(const float *x, size_t n)
{
    return sum_terms(x, x, n, SUM);
}

static double l1(const float *a, const float *b, size_t n)
{
    return sum_terms(a, b, n, SUM_ABS);
}

static double mse(const float *a, const float *b, size_t n)
{
    return sum_terms(a, b, n, SUM_SQUARES);
}

static void l1_dx(float *dx, const float *a, const float *b, size_t n, float g)
{
    for (size_t i = 0; i < n; i++)
        dx[i] = g * (float)((a[i] > b[i]) - (a[i] < b[i]));
}

static void mse_dx(float *dx, const float *a, const float *b, size_t n, float g)
{
    for (size_t i = 0; i < n; i++)
        dx[i] = g * (a[i] - b[i]);
}

static void adam(float *restrict w, const float *restrict dw, float *restrict m, float *restrict v, size_t n,
                 const NervAdamStep *step)
{
    const NervAdamStep s = *step;
    for (size_t i = 0; i < n; i++) {
        const float mi = s.beta1 * m[i] + s.one_minus_beta1 * dw[i];
        const float vi_ = s.beta2 * v[i] + s.one_minus_beta2 * dw[i] * dw[i];
        w[i] = s.decay * w[i] - s.step_size * mi / (sqrtf(vi_) * s.v_scale + s.eps);
        m[i] = mi;
        v[i] = vi_;
    }
}

/* --- quantisation --- */

/* nerv_quant_index() times the step, lane by lane, and the same bit by bit: see there. */
INLINE vf quantised(vf x, const NervQuantStep *q)
{
    const vf a = vabs(x), most = vsplat(q->max_index), one = vsplat(1.0f);
    const vf guess = a * q->inverse + 0.5f;
    vf k = __builtin_convertvector(__builtin_convertvector(vselect(guess < most, guess, most), vi), vf);
    k += (vf)((vi)one & (a >= (k + 0.5f) * q->step));
    k -= (vf)((vi)one & (a < (k - 0.5f) * q->step));
    k = vselect(k < most, k, most) * q->step;
    return (vf)((vi)k | ((vi)x & INT32_MIN));
}

static double quantise(float *y, const float *w, size_t n, const NervQuantStep *q)
{
    double total = 0;
    size_t i = 0;
    if (!y)
        return sum_terms(w, w, n, SUM_MAGNITUDES);
    while (i + LANES <= n) {
        vf s = { 0 };
        for (int k = 0; k < 4 * BLOCK && i + LANES <= n; k++, i += LANES) {
            const vf x = vload(w + i);
            vstore(y + i, quantised(x, q));
            s += vabs(x);
        }
        total += vsum(s);
    }
    if (i < n) {
        const vf x = vload_part(w + i, n - i);
        vstore_part(y + i, quantised(x, q), n - i);
        total += vsum(vabs(x));
    }
    return total;
}

/* What the step's logarithm moves y by, times dy. */
INLINE vf step_term(vf dy, vf x, const NervQuantStep *q)
{
    return dy * (quantised(x, q) - (vf)((vi)x & (vabs(x) <= vsplat(q->limit))));
}

static void quantise_sums(const float *dy, const float *w, size_t n, const NervQuantStep *q, double sums[2])
{
    size_t i = 0;
    sums[0] = sums[1] = 0;
    while (i + LANES <= n) {
        vf s = { 0 }, t = { 0 };
        for (int k = 0; k < 4 * BLOCK && i + LANES <= n; k++, i += LANES) {
            const vf x = vload(w + i);
            s += vabs(x);
            t += step_term(vload(dy + i), x, q);
        }
        sums[0] += vsum(s);
        sums[1] += vsum(t);
    }
    if (i < n) {
        const vf x = vload_part(w + i, n - i);
        sums[0] += vsum(vabs(x));
        sums[1] += vsum(step_term(vload_part(dy + i, n - i), x, q));
    }
}

INLINE vf passed(vf dy, vf x, const NervQuantStep *q, float rate)
{
    const vf sign = (vf)((vi)vsplat(rate) ^ ((vi)x & INT32_MIN));
    const vi passes = (vabs(x) <= vsplat(q->limit)) | (((vi)dy ^ (vi)x) >= 0);
    return (vf)((vi)dy & passes) + (vf)((vi)sign & (x != vsplat(0.0f)));
}

static void quantise_dx(float *dw, const float *dy, const float *w, size_t n, const NervQuantStep *q,
                        float rate)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vstore(dw + i, passed(vload(dy + i), vload(w + i), q, rate));
    if (i < n)
        vstore_part(dw + i, passed(vload_part(dy + i, n - i), vload_part(w + i, n - i), q, rate), n - i);
}

void PASTE(nerv_math_dsp_init_, NERV_ISA)(NervMathDsp *dsp)
{
    dsp->act = act;
    dsp->act_dx = act_dx;
    dsp->act_dxx = act_dxx;
    dsp->add = add;
    dsp->mul = mul;
    dsp->affine = affine;
    dsp->mix = mix;
    dsp->add_scaled = add_scaled;
    dsp->sum = sum;
    dsp->l1 = l1;
    dsp->mse = mse;
    dsp->l1_dx = l1_dx;
    dsp->mse_dx = mse_dx;
    dsp->adam = adam;
    dsp->quantise = quantise;
    dsp->quantise_sums = quantise_sums;
    dsp->quantise_dx = quantise_dx;
    PASTE(nerv_ssim_dsp_init_, NERV_ISA)(dsp);
}
