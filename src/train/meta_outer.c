/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The outer step, see meta_outer.h.
 */
#include "train/meta_outer.h"

#include <math.h>
#include <string.h>

#define BETA1 .9
#define BETA2 .999
#define EPS   1e-8

void nerv_outer_init(NervOuter *o, size_t n_start, size_t n_rates)
{
    *o = (NervOuter){ .n_start = n_start, .n_all = n_start + n_rates };
    o->value = g_new0(float, 4 * o->n_all);
    o->sum = o->value + o->n_all;
    o->moment = o->sum + o->n_all;
    o->square = o->moment + o->n_all;
}

void nerv_outer_clear(NervOuter *o)
{
    g_clear_pointer(&o->value, g_free);
}

static void forget(NervOuter *o)
{
    memset(o->sum, 0, o->n_all * sizeof(*o->sum));
    o->n_learned = 0;
}

void nerv_outer_adam(NervOuter *o, double start_rate, double rates_rate, double clip)
{
    const double t = (double)++o->n_updates, correct1 = 1. - pow(BETA1, t), correct2 = 1. - pow(BETA2, t);
    double norm = 0.;
    for (size_t i = 0; i < o->n_start; i++)
        norm += (double)o->sum[i] * o->sum[i];
    norm = sqrt(norm) / o->n_learned;
    g_debug("outer gradient's norm: %g", norm);
    const double scale = (clip > 0. && norm > clip ? clip / norm : 1.) / o->n_learned;
    for (size_t i = 0; i < o->n_all; i++) {
        const bool is_rate = i >= o->n_start;
        const double g = o->sum[i] * (is_rate ? 1. / o->n_learned : scale);
        o->moment[i] += (float)((1. - BETA1) * (g - o->moment[i]));
        o->square[i] += (float)((1. - BETA2) * (g * g - o->square[i]));
        o->value[i] -= (float)((is_rate ? rates_rate : start_rate) * o->moment[i] / correct1 /
                               (sqrt(o->square[i] / correct2) + EPS));
    }
    forget(o);
}

void nerv_outer_walk(NervOuter *o, double part)
{
    o->n_updates++;
    for (size_t i = 0; i < o->n_start; i++)
        o->value[i] -= (float)(part * o->sum[i] / o->n_learned);
    forget(o);
}

void nerv_outer_get(const NervOuter *o, float *dst)
{
    memcpy(dst, o->value, o->n_all * sizeof(*dst));
    memcpy(dst + o->n_all, o->moment, o->n_all * sizeof(*dst));
    memcpy(dst + 2 * o->n_all, o->square, o->n_all * sizeof(*dst));
}

void nerv_outer_set(NervOuter *o, const float *src, uint64_t n_updates)
{
    memcpy(o->value, src, o->n_all * sizeof(*src));
    memcpy(o->moment, src + o->n_all, o->n_all * sizeof(*src));
    memcpy(o->square, src + 2 * o->n_all, o->n_all * sizeof(*src));
    o->n_updates = n_updates;
    forget(o);
}

bool nerv_outer_is_finite(const NervOuter *o)
{
    for (size_t i = 0; i < o->n_all; i++)
        if (!isfinite(o->value[i]))
            return false;
    return true;
}
