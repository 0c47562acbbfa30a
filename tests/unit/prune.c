/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which weights are pruned: exactly as many as asked for, none larger than one that is left, ties by order, and of both models
 * only what may be.
 */
#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "train/prune.h"

static const NervClip clip = { 40, 24, 6 };

static NervModel *make(const char *name)
{
    GError *error = NULL;
    NervModel *model = nerv_model_new(name, NULL, &clip, &error);
    g_assert_no_error(error);
    return model;
}

/* Weights of few different magnitudes, so that many are equal, or of all kinds; some are zero before. */
static float *draw(const NervModel *model, bool coarse)
{
    NervRng rng;
    float *w = g_new(float, model->n_weights);
    nerv_rng_init(&rng, 7);
    for (int64_t i = 0; i < model->n_weights; i++) {
        w[i] = nerv_rng_uniform(&rng, -1, 1);
        w[i] = coarse ? rintf(w[i] * 5) / 5 : w[i] * expf(nerv_rng_uniform(&rng, -40, 3));
    }
    return w;
}

static void check(const NervModel *model, const float *before, double share)
{
    GError *error = NULL;
    const int64_t n = model->n_weights, wanted = (int64_t)(share * (double)nerv_prune_eligible(model));
    g_autofree float *w = g_memdup2(before, (gsize)n * sizeof(float));
    g_autofree float *mask = g_new(float, n);
    int64_t chosen = 0, at = 0, last_tie = -1, first_kept_tie = n;
    float largest = 0, least = INFINITY;
    g_assert_true(nerv_prune(model, share, w, mask, &error));
    for (uint32_t i = 0; i < model->n_params; i++)
        for (int64_t j = nerv_shape_count(model->params[i].shape); j > 0; j--, at++) {
            g_assert_true(mask[at] == 0.f || mask[at] == 1.f);
            g_assert_true(w[at] == (mask[at] == 0.f ? 0.f : before[at]));
            g_assert_true(mask[at] == 1.f || model->params[i].prunable);
            chosen += mask[at] == 0.f;
            if (mask[at] == 0.f)
                largest = fmaxf(largest, fabsf(before[at]));
            else if (model->params[i].prunable)
                least = fminf(least, fabsf(before[at]));
        }
    g_assert_cmpint(chosen, ==, wanted);
    g_assert_cmpfloat(largest, <=, least);
    for (uint32_t i = at = 0; i < model->n_params; i++)
        for (int64_t j = nerv_shape_count(model->params[i].shape); j > 0; j--, at++)
            if (model->params[i].prunable && fabsf(before[at]) == largest) {
                last_tie = mask[at] == 0.f ? at : last_tie;
                first_kept_tie = mask[at] == 1.f ? MIN(first_kept_tie, at) : first_kept_tie;
            }
    g_assert_cmpint(last_tie, <, first_kept_tie);
}

static void test_choice(void)
{
    static const double shares[] = { 0, .1, .25, .4, .5, .77, .99 };
    for (int model_at = 0; model_at < 2; model_at++) {
        NervModel *model = make(model_at ? "nerv" : "nerv-mlp");
        for (int coarse = 0; coarse < 2; coarse++) {
            g_autofree float *w = draw(model, coarse);
            for (size_t i = 0; i < G_N_ELEMENTS(shares); i++)
                check(model, w, shares[i]);
        }
        nerv_model_free(model);
    }
}

static void test_eligible(void)
{
    for (int model_at = 0; model_at < 2; model_at++) {
        NervModel *model = make(model_at ? "nerv" : "nerv-mlp");
        int64_t n = 0;
        for (uint32_t i = 0; i < model->n_params; i++) {
            const NervParam *p = &model->params[i];
            const bool inner = (g_str_has_prefix(p->name, "stem") || g_str_has_prefix(p->name, "block")) &&
                               g_str_has_suffix(p->name, ".weight");
            g_assert_cmpint(p->prunable, ==, inner);
            n += inner ? nerv_shape_count(p->shape) : 0;
        }
        g_assert_cmpint(n, >, 0);
        g_assert_cmpint(nerv_prune_eligible(model), ==, n);
        nerv_model_free(model);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/prune/choice", test_choice);
    g_test_add_func("/prune/eligible", test_eligible);
    return g_test_run();
}
