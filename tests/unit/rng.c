/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Unit test of base/rng: the numbers themselves (streams depend on them: same seed, same bytes), their
 * ranges, and a coarse look at their distribution.
 */
#include <glib.h>
#include <math.h>

#include "base/rng.h"

/* Computed from the definitions of splitmix64 and xoshiro256** by an independent program. */
static const struct {
    uint64_t seed, out[4];
} known[] = {
    { 0, { 0x99ec5f36cb75f2b4, 0xbf6e1f784956452a, 0x1a5f849d4933e6e0, 0x6aa594f1262d2d2c } },
    { 1, { 0xb3f2af6d0fc710c5, 0x853b559647364cea, 0x92f89756082a4514, 0x642e1c7bc266a3a7 } },
    { 0xdeadbeefcafef00d,
      { 0x9e32cfb5bb93eebb, 0x16006bd9d4ac0014, 0x8ada5d6d34b6538e, 0x7c327ca32346a238 } },
};

static void test_known(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        NervRng rng;
        nerv_rng_init(&rng, known[i].seed);
        for (size_t k = 0; k < 4; k++)
            g_assert_cmphex(nerv_rng_u64(&rng), ==, known[i].out[k]);
    }
}

static void test_below(void)
{
    static const uint32_t limits[] = { 1, 2, 3, 7, 1000, 0x80000001u, UINT32_MAX };
    NervRng rng;
    nerv_rng_init(&rng, 5);
    for (size_t i = 0; i < G_N_ELEMENTS(limits); i++)
        for (int k = 0; k < 2000; k++)
            g_assert_cmpuint(nerv_rng_below(&rng, limits[i]), <, limits[i]);
}

/* Chi-square of 10 bins: 9 degrees of freedom, beyond 27.9 with probability .001; the seed is fixed. */
static void test_even(void)
{
    const int n = 100000;
    int bins[10] = { 0 };
    double chi = 0;
    NervRng rng;
    nerv_rng_init(&rng, 11);
    for (int i = 0; i < n; i++)
        bins[nerv_rng_below(&rng, 10)]++;
    for (int i = 0; i < 10; i++)
        chi += pow(bins[i] - n / 10., 2) / (n / 10.);
    g_assert_cmpfloat(chi, <, 27.9);
}

static void test_uniform(void)
{
    const int n = 100000;
    double sum = 0, squares = 0;
    NervRng rng;
    nerv_rng_init(&rng, 3);
    for (int i = 0; i < n; i++) {
        const float x = nerv_rng_uniform(&rng, -1.f, 1.f);
        g_assert_true(x >= -1.f && x < 1.f);
        sum += x;
        squares += x * x;
    }
    g_assert_cmpfloat(fabs(sum / n), <, 0.01);
    g_assert_cmpfloat_with_epsilon(squares / n, 1. / 3., 0.01);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/rng/known", test_known);
    g_test_add_func("/rng/below", test_below);
    g_test_add_func("/rng/even", test_even);
    g_test_add_func("/rng/uniform", test_uniform);
    return g_test_run();
}
