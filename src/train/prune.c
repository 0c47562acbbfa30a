/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The choice of weights, see prune.h. Their magnitudes' bits, as integers, have the magnitudes' order: the threshold is found by
 * counting, in two passes of 16 bits each, without sorting millions of floats.
 */
#include "train/prune.h"

#include <string.h>

#define HALF 65536

int64_t nerv_prune_eligible(const NervModel *model)
{
    int64_t n = 0;
    for (uint32_t i = 0; i < model->n_params; i++)
        if (model->params[i].prunable)
            n += nerv_shape_count(model->params[i].shape);
    return n;
}

/* The bits of |x|; of numbers that are none above all others. */
static inline uint32_t magnitude(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits & 0x7fffffff;
}

/* How many prunable weights have each value of 16 bits of their magnitude: of the upper ones, or of the lower ones under one upper. */
static void count_halves(const NervModel *model, const float *weights, int64_t upper, int64_t count[HALF])
{
    memset(count, 0, HALF * sizeof *count);
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t n = nerv_shape_count(model->params[i].shape);
        for (int64_t j = 0; model->params[i].prunable && j < n; j++) {
            const uint32_t m = magnitude(weights[j]);
            if (upper < 0)
                count[m >> 16]++;
            else if (m >> 16 == upper)
                count[m & (HALF - 1)]++;
        }
        weights += n;
    }
}

/* The value at which the count of all values up to it passes `n`; takes from n what lies below it. */
static int64_t rank(const int64_t count[HALF], int64_t *n)
{
    int64_t at = 0;
    for (; at < HALF - 1 && *n >= count[at]; at++)
        *n -= count[at];
    return at;
}

bool nerv_prune(const NervModel *model, double share, float *weights, float *mask, GError **error)
{
    g_autofree int64_t *count = g_try_new(int64_t, HALF);
    if (!count) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory to choose the weights to prune");
        return false;
    }
    int64_t equal = (int64_t)(share * (double)nerv_prune_eligible(model));
    count_halves(model, weights, -1, count);
    const int64_t upper = rank(count, &equal);
    count_halves(model, weights, upper, count);
    const uint32_t threshold = (uint32_t)(upper << 16 | rank(count, &equal));
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t n = nerv_shape_count(model->params[i].shape);
        for (int64_t j = 0; j < n; j++, weights++, mask++) {
            const uint32_t m = magnitude(*weights);
            const bool chosen =
                model->params[i].prunable && (m < threshold || (m == threshold && equal-- > 0));
            *mask = chosen ? 0.f : 1.f;
            *weights = chosen ? 0.f : *weights;
        }
    }
    return true;
}

NervParams *nerv_prune_masks_new(NervBackend *be, const NervModel *model, GError **error)
{
    g_autofree float *ones = g_try_new(float, (gsize)model->n_weights);
    if (!ones) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for the weights' masks");
        return NULL;
    }
    for (int64_t i = 0; i < model->n_weights; i++)
        ones[i] = 1.f;
    NervParams *masks = nerv_params_new(be, model, error);
    if (masks && nerv_params_upload(masks, ones, error))
        return masks;
    nerv_params_free(masks);
    return NULL;
}
