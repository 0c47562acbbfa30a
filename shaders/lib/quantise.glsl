/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Steps and indices of quantisation, by the rules of src/tensor/steps.h and with the same results bit by bit, and the
 * code length of src/ops/quantise.c. Include after lib/common.glsl.
 */
#ifndef NERV_QUANTISE_GLSL
#define NERV_QUANTISE_GLSL

#define LN2 0.69314718

/* The step that stands for 2^s. */
float quant_step(float s)
{
    precise float sum = s + 77.0;
    precise float exact = 16.0 * sum + 0.5;
    uint code = exact >= 2.0 ? (exact < 2048.0 ? uint(exact) : 2047u) : 1u;
    return float(16u + code % 16u) * uintBitsToFloat((code / 16u + 46u) << 23); /* 2^(code/16 - 81) */
}

/* |x| / step rounded to nearest, halves up, at most max_index. The quotient may be imprecise, the products are exact. */
float quant_index(float a, float step, float max_index)
{
    float k = floor(min(a / step + 0.5, max_index));
    k += a >= (k + 0.5) * step ? 1.0 : 0.0;
    k -= a < (k - 0.5) * step ? 1.0 : 0.0;
    return min(k, max_index);
}

/* asinh(x) for x > 0; relative error 3e-6, with a logarithm as bad as Vulkan allows near 1. */
float inverse_sinh(float x)
{
    if (x < 0.25) {
        float v = x * x;
        return x * (1.0 + v * (-1.0 / 6.0 + v * (3.0 / 40.0 + v * (-15.0 / 336.0 + v * (105.0 / 3456.0)))));
    }
    return log(x > 1e6 ? 2.0 * x : x + sqrt(1.0 + x * x));
}

/* The mean magnitude of a group's indices before rounding, from the sum of |w|. */
float quant_mean(float sum, float size, float step)
{
    return max(sum / size / step, 1e-3);
}

/* dH/dm = -log2 theta, and H(m). */
float quant_slope(float m)
{
    return inverse_sinh(1.0 / m) / LN2;
}

float quant_entropy(float m)
{
    return inverse_sinh(m) / LN2 + m * quant_slope(m);
}

#endif
