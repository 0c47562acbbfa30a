/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The pointwise functions of NervAct (src/ops/ops.h), their first and second derivatives. Vulkan lets sin()
 * be wrong by 2^-11 and says nothing of it outside [-pi, pi], and tanh() may overflow on the way, so both are
 * computed here, as is the normal distribution that GELU needs. Errors stated are absolute, in float, with a
 * correctly rounded exp(); coefficients were fitted for this file by iteratively reweighted least squares on
 * Chebyshev nodes.
 */
#ifndef NERV_ACT_GLSL
#define NERV_ACT_GLSL

#define NERV_ACT_NONE 0
#define NERV_ACT_GELU 1
#define NERV_ACT_SILU 2
#define NERV_ACT_SIN 3
#define NERV_ACT_SIGMOID 4
#define NERV_ACT_TANH 5
#define NERV_ACT_TANH01 6
#define NERV_ACT_RELU 7

/* The normal distribution Phi(x) = (1 + erf(x/sqrt 2))/2. With u = |x|/sqrt 2: for u < 1 the odd polynomial
 * of Abramowitz & Stegun 7.1.5 (here a minimax fit, 1.2e-9 on erf), else the tail exp(-u^2) t Q(t)/2, t =
 * 1/(1 + u/2), which is the form of Hastings, A&S 7.1.26, refitted for u >= 1 (1.3e-9). In float: 2e-7 on
 * erf, and the lower tail keeps its relative precision. */
float nerv_normal_cdf(float x)
{
    float u = abs(x) * 0.70710678;
    float v = u * u;
    float p = 7.889123e-05;
    p = p * v - 0.0008020842;
    p = p * v + 0.0051895357;
    p = p * v - 0.026854444;
    p = p * v + 0.112836;
    p = p * v - 0.37612626;
    p = p * v + 1.1283791;
    float near = 0.5 * u * p;
    float t = 1.0 / (1.0 + 0.5 * u);
    float q = -0.20329897;
    q = q * t + 0.556229;
    q = q * t + 0.029369136;
    q = q * t + 0.34226945;
    q = q * t + 0.275492;
    float tail = 0.5 * exp(-0.5 * x * x) * t * q;
    if (u < 1.0)
        return x < 0.0 ? 0.5 - near : 0.5 + near;
    return x < 0.0 ? tail : 1.0 - tail;
}

/* Its density exp(-x^2/2)/sqrt(2 pi). */
float nerv_normal_pdf(float x)
{
    return 0.39894228 * exp(-0.5 * x * x);
}

/* erf(x), 2e-7. */
float nerv_erf(float x)
{
    return 2.0 * nerv_normal_cdf(x * 1.4142136) - 1.0;
}

/* sin(x + quarter*pi/2), quarter 0 or 1. x is reduced by an integer multiple of pi/2 of the parity that
 * leaves a sine (Cody & Waite 1980: pi/2 in three parts, the first two of 8 and 11 bits, so their products
 * are exact while the multiple is below 2^13); then an odd polynomial, 1.7e-11 on [-pi/2, pi/2]. Error 1.2e-7
 * for |x| < 12000, beyond that that of x itself. */
float nerv_sine(float x, float quarter)
{
    float k = round(x * 0.31830989 + 0.5 * quarter); /* half turns of the sum */
    float m = 2.0 * k - quarter;
    precise float r = x - m * 1.5703125;
    r = r - m * 0.0004837512969970703;
    r = r - m * 7.549789948768648e-08;
    r = clamp(r, -1.6, 1.6);
    float v = r * r;
    float p = -2.3889665e-08;
    p = p * v + 2.7525298e-06;
    p = p * v - 0.00019840861;
    p = p * v + 0.008333331;
    p = p * v - 0.16666667;
    float s = r + r * v * p;
    float half_turns = k - 2.0 * floor(0.5 * k); /* k mod 2 */
    return half_turns != 0.0 ? -s : s;
}

/* tanh(x): x + x^3 P(x^2) for |x| < 0.625 (4e-8 relative to x^3), else 1 - 2/(exp(2|x|) + 1), with the sign
 * of x. 1e-7. */
float nerv_tanh(float x)
{
    float u = abs(x);
    if (u < 0.625) {
        float v = x * x;
        float p = -0.006113193;
        p = p * v + 0.021010082;
        p = p * v - 0.05385407;
        p = p * v + 0.13332795;
        p = p * v - 0.33333328;
        return x + x * v * p;
    }
    float y = 1.0 - 2.0 / (exp(2.0 * min(u, 16.0)) + 1.0);
    return x < 0.0 ? -y : y;
}

/* 1/(1 + exp(-x)) without overflow. */
float nerv_sigmoid(float x)
{
    float e = exp(-abs(x));
    float y = 1.0 / (1.0 + e);
    return x < 0.0 ? e * y : y;
}

/* f(x) */
float nerv_act(uint act, float x)
{
    switch (act) {
    case NERV_ACT_GELU:
        return x * nerv_normal_cdf(x);
    case NERV_ACT_SILU:
        return x * nerv_sigmoid(x);
    case NERV_ACT_SIN:
        return nerv_sine(x, 0.0);
    case NERV_ACT_SIGMOID:
        return nerv_sigmoid(x);
    case NERV_ACT_TANH:
        return nerv_tanh(x);
    case NERV_ACT_TANH01:
        return 0.5 * nerv_tanh(x) + 0.5;
    case NERV_ACT_RELU:
        return x > 0.0 ? x : 0.0;
    default:
        return x;
    }
}

/* f'(x) */
float nerv_act_d1(uint act, float x)
{
    float s;
    switch (act) {
    case NERV_ACT_GELU:
        return nerv_normal_cdf(x) + x * nerv_normal_pdf(x);
    case NERV_ACT_SILU:
        s = nerv_sigmoid(x);
        return s * (1.0 + x * (1.0 - s));
    case NERV_ACT_SIN:
        return nerv_sine(x, 1.0);
    case NERV_ACT_SIGMOID:
        s = nerv_sigmoid(x);
        return s * (1.0 - s);
    case NERV_ACT_TANH:
        s = nerv_tanh(x);
        return 1.0 - s * s;
    case NERV_ACT_TANH01:
        s = nerv_tanh(x);
        return 0.5 - 0.5 * s * s;
    case NERV_ACT_RELU:
        return x > 0.0 ? 1.0 : 0.0;
    default:
        return 1.0;
    }
}

/* f''(x) */
float nerv_act_d2(uint act, float x)
{
    float s;
    switch (act) {
    case NERV_ACT_GELU:
        return nerv_normal_pdf(x) * (2.0 - x * x);
    case NERV_ACT_SILU:
        s = nerv_sigmoid(x);
        return s * (1.0 - s) * (2.0 + x * (1.0 - 2.0 * s));
    case NERV_ACT_SIN:
        return -nerv_sine(x, 0.0);
    case NERV_ACT_SIGMOID:
        s = nerv_sigmoid(x);
        return s * (1.0 - s) * (1.0 - 2.0 * s);
    case NERV_ACT_TANH:
        s = nerv_tanh(x);
        return -2.0 * s * (1.0 - s * s);
    case NERV_ACT_TANH01:
        s = nerv_tanh(x);
        return -s * (1.0 - s * s);
    default: /* none, ReLU */
        return 0.0;
    }
}

#endif
