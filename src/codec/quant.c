/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Quantisation, see quant.h and docs/bitstream.md, section "Quantisation". Only nerv_quant_step() is
 * normative: how an encoder picks steps and indices is its own affair.
 */
#include "codec/quant.h"

#include <math.h>

#define SEARCH_CODES  32 /* two octaves below the step that clips nothing */
#define SEARCH_MISSES 4  /* the error has one minimum but for noise */

uint32_t nerv_quant_code(float x)
{
    int e;
    const float m = frexpf(x, &e); /* x = m * 2^e, 0.5 <= m < 1, so x = 32m * 2^(e-5) */
    if (x <= nerv_quant_step(1))
        return 1;
    const int64_t code = (int64_t)(e - 5 + 81) * 16 + (int64_t)ceilf(32 * m) - 16;
    return code < NERV_STEP_CODES ? (uint32_t)code : NERV_STEP_CODES - 1;
}

void nerv_quantise(const float *x, size_t n, uint32_t code, int32_t max_index, int16_t *index)
{
    const float step = nerv_quant_step(code), inverse = code ? 1 / step : 0;
    for (size_t i = 0; i < n; i++)
        index[i] = code ? (int16_t)nerv_quant_index(x[i], step, inverse, (float)max_index) : 0;
}

double nerv_quant_error(const float *x, size_t n, uint32_t code, int32_t max_index)
{
    const float step = nerv_quant_step(code), inverse = code ? 1 / step : 0;
    double sum = 0;
    for (size_t i = 0; i < n; i += 256) {
        const size_t end = i + 256 < n ? i + 256 : n;
        float part = 0;
        for (size_t j = i; j < end; j++) {
            /* In units of the step: squares of tiny weights stay normal numbers. */
            const float d =
                code ? x[j] * inverse - nerv_quant_index(x[j], step, inverse, (float)max_index) : x[j];
            part += d * d;
        }
        sum += part;
    }
    return code ? sum * step * step : sum;
}

uint32_t nerv_quant_fit(const float *x, size_t n, int32_t max_index)
{
    float peak = 0;
    for (size_t i = 0; i < n; i++)
        peak = fmaxf(peak, fabsf(x[i]));
    if (peak == 0)
        return 0;
    const uint32_t widest = nerv_quant_code(peak / (float)max_index);
    uint32_t best = widest;
    double best_error = nerv_quant_error(x, n, widest, max_index);
    for (uint32_t i = 1, misses = 0; i <= SEARCH_CODES && i < widest && misses < SEARCH_MISSES; i++) {
        const double error = nerv_quant_error(x, n, widest - i, max_index);
        misses++;
        if (error < best_error) {
            best = widest - i;
            best_error = error;
            misses = 0;
        }
    }
    return best;
}
