/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The tiles of the convolution shaders for devices that are not here: whatever the shape and the device's shared memory, a
 * tiling is found, keeps to what shaders/lib/gemm.glsl needs, and fits.
 */
#include "ops/gemm.h"

static void check(const NervGemm *g, uint32_t m, uint32_t n, const NervVkCaps *caps)
{
    g_assert_cmpuint(g->bm, >, 0);
    g_assert_cmpuint(g->bm / g->tm * (g->bn / g->tn), ==, NERV_VK_LOCAL);
    g_assert_cmpuint(g->bm % g->tm, ==, 0);
    g_assert_cmpuint(g->bn % g->tn, ==, 0);
    g_assert_cmpuint(g->tm % 4, ==, 0);
    g_assert_true(g->tn == 1 || g->tn == 2 || g->tn == 4 || g->tn == 8);
    g_assert_cmpuint(g->bn & (g->bn - 1), ==, 0);
    g_assert_cmpuint(g->bn, >=, 8);
    g_assert_cmpuint(nerv_gemm_shared(g), <=, caps->shared_bytes);
    g_assert_cmpuint((uint64_t)g->tiles_m * g->bm, >=, m);
    g_assert_cmpuint((uint64_t)g->tiles_n * g->bn, >=, n);
    g_assert_cmpuint((uint64_t)(g->tiles_m - 1) * g->bm, <, m);
    g_assert_cmpuint((uint64_t)(g->tiles_n - 1) * g->bn, <, n);
    if (g->ahead)
        g_assert_cmpuint((g->bm + g->bn) * g->bk, <=, NERV_GEMM_MAX_AHEAD * NERV_VK_LOCAL);
}

static void test_choose(void)
{
    /* Vulkan guarantees 16 KiB; AMD has 64, NVIDIA 48, Intel 32 to 64. */
    static const uint32_t shared[] = { 16384, 32768, 49152, 65536 };
    static const uint32_t sizes[] = { 1, 3, 12, 13, 24, 96, 217, 384, 650, 3600, 57600, 8294400 };
    for (guint s = 0; s < 2 * G_N_ELEMENTS(shared); s++) {
        const NervVkCaps caps = { .shared_bytes = shared[s / 2], .is_software = s % 2 };
        for (guint i = 0; i < G_N_ELEMENTS(sizes); i++) {
            for (guint j = 0; j < G_N_ELEMENTS(sizes); j++) {
                for (uint32_t bk = 1; bk <= NERV_GEMM_MAX_BK; bk++) {
                    const NervGemm g =
                        nerv_gemm_choose(sizes[i], sizes[j], bk, nerv_gemm_min_groups(&caps), &caps);
                    g_assert_cmpuint(g.bk, ==, bk);
                    g_assert_cmpint(g.ahead && caps.is_software, ==, FALSE);
                    check(&g, sizes[i], sizes[j], &caps);
                }
            }
        }
    }
}

/* Chunks waste little: the channels of real networks are met exactly, and no count is padded by more than a quarter. */
static void test_chunks(void)
{
    static const uint32_t exact[] = { 1, 3, 8, 12, 16, 24, 26, 48, 96, 112, 384 };
    for (guint i = 0; i < G_N_ELEMENTS(exact); i++)
        g_assert_cmpuint(exact[i] % nerv_gemm_bk(exact[i]), ==, 0);
    for (uint32_t depth = 1; depth < 2000; depth++) {
        const uint32_t bk = nerv_gemm_bk(depth);
        g_assert_cmpuint(bk, <=, NERV_GEMM_MAX_BK);
        g_assert_cmpuint((depth + bk - 1) / bk * bk * 4, <=, depth * 5);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/gemm/choose", test_choose);
    g_test_add_func("/gemm/chunks", test_chunks);
    return g_test_run();
}
