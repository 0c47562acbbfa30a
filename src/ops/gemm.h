/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The host's half of shaders/lib/gemm.glsl: which tile a workgroup takes of an M x N product, and the dispatch that conv2d
 * and upconv2d have in common. Only `dispatch` rules use it.
 */
#pragma once

#include "ops/dispatch.h"

#define NERV_GEMM_MAX_BK 16u
/* Registers that an invocation may spend on the next chunk; beside 64 sums more would cost occupancy. */
#define NERV_GEMM_MAX_AHEAD 32u

typedef struct {
    uint32_t bm, bn, tm, tn, bk; /* specialisation constants 0..4 */
    bool ahead;                  /* 5 */
    uint32_t tiles_m, tiles_n;
} NervGemm;

/* Workgroups wanted at the least. */
static inline uint32_t nerv_gemm_min_groups(const NervVkCaps *caps)
{
    return caps->is_software ? 8 : 256;
}

/* Bytes of shared memory: a staged chunk or, at the end, four rows of every invocation's columns. conv2d_dw adds a table and a
 * sum. */
static inline size_t nerv_gemm_shared(const NervGemm *g)
{
    const size_t staged = (size_t)(g->bm + 4 + g->bn + 4) * g->bk,
                 leaving = (size_t)4 * NERV_VK_LOCAL * g->tn;
    return MAX(staged, leaving) * sizeof(float) + g->bn * 2 * sizeof(int32_t) + NERV_VK_LOCAL * sizeof(float);
}

/* The length of a chunk for sums of `depth` at a time: as few multiplications by padding as can be, and few chunks (each costs two
 * barriers, about two rows' work). */
static inline uint32_t nerv_gemm_bk(uint32_t depth)
{
    uint32_t best = 1, best_cost = UINT32_MAX;
    for (uint32_t bk = 1; bk <= NERV_GEMM_MAX_BK; bk++) {
        const uint32_t cost = (depth + bk - 1) / bk * (bk + 2);
        if (cost <= best_cost) {
            best = bk;
            best_cost = cost;
        }
    }
    return best;
}

/* Time of a tiling in arbitrary units: multiply-adds including those outside the matrix, shared-memory reads (1/TM + 1/TN per
 * multiply-add), staging (1/BM + 1/BN, dearer for its address arithmetic), and cores left idle by too few workgroups. A software
 * device gathers from memory lane by lane, an order of magnitude dearer than arithmetic. */
static inline double nerv_gemm_cost(const NervGemm *g, uint32_t min_groups, bool software)
{
    const double groups = (double)g->tiles_m * g->tiles_n;
    const double read = software ? 15.0 : 1.5, stage = software ? 60.0 : 12.0;
    const double per_mac = 1.0 + read / g->tm + read / g->tn + stage / g->bm + stage / g->bn;
    return MAX(groups, (double)min_groups) * g->bm * g->bn * per_mac;
}

/* The cheapest tiling by nerv_gemm_cost(). `bk`: length of a chunk; `min_groups`: workgroups that keep the device busy, 1 if the
 * caller splits K. */
static inline NervGemm nerv_gemm_choose(uint32_t m, uint32_t n, uint32_t bk, uint32_t min_groups,
                                        const NervVkCaps *caps)
{
    NervGemm best = { 0 };
    double best_cost = 0.0;

    for (uint32_t rows = 1; rows <= 16; rows *= 2) {
        const uint32_t cols = NERV_VK_LOCAL / rows;
        for (uint32_t tn = 1; tn <= 8; tn *= 2) {
            for (uint32_t tm = 4; tm <= 12 && tm * tn <= 64; tm += 4) {
                NervGemm g = { .bm = rows * tm, .bn = cols * tn, .tm = tm, .tn = tn, .bk = bk };
                g.ahead = !caps->is_software && (g.bm + g.bn) * bk <= NERV_GEMM_MAX_AHEAD * NERV_VK_LOCAL;
                if (nerv_gemm_shared(&g) > MIN(caps->shared_bytes, 24576))
                    continue;
                g.tiles_m = (m + g.bm - 1) / g.bm;
                g.tiles_n = (n + g.bn - 1) / g.bn;
                const double cost = nerv_gemm_cost(&g, min_groups, caps->is_software);
                if (best.bm == 0 || cost < best_cost) {
                    best = g;
                    best_cost = cost;
                }
            }
        }
    }
    return best;
}

static inline void nerv_gemm_spec(NervDispatch *d, const NervGemm *g)
{
    nerv_dispatch_spec(d, g->bm);
    nerv_dispatch_spec(d, g->bn);
    nerv_dispatch_spec(d, g->tm);
    nerv_dispatch_spec(d, g->tn);
    nerv_dispatch_spec(d, g->bk);
    nerv_dispatch_spec(d, g->ahead);
}

/* Starts the dispatch of a convolution going forward (shaders/lib/conv.glsl): x[N,Cin,H,W] with w[Cout,Cin,K,K] to an output of
 * `ho` x `wo`. Binds x and w at 0 and 1 and pushes all but the flags has_bias, store_y, store_z. False if the grid is too large. */
static inline bool nerv_gemm_conv(NervDispatch *d, const NervVkCaps *caps, const char *shader, NervShape x,
                                  NervShape w, int32_t ho, int32_t wo, int32_t stride, int32_t pad)
{
    const uint32_t columns = (uint32_t)x.n * (uint32_t)ho * (uint32_t)wo;
    const NervGemm g = nerv_gemm_choose((uint32_t)w.n, columns, nerv_gemm_bk((uint32_t)w.c),
                                        nerv_gemm_min_groups(caps), caps);
    const uint64_t tiles = (uint64_t)g.tiles_m * g.tiles_n;

    nerv_dispatch_init(d, shader);
    nerv_gemm_spec(d, &g);
    nerv_dispatch_spec(d, (uint32_t)w.h);
    nerv_dispatch_spec(d, (uint32_t)stride);
    nerv_dispatch_push(d, g.tiles_m);
    nerv_dispatch_push(d, (uint32_t)tiles);
    nerv_dispatch_push(d, (uint32_t)w.n);
    nerv_dispatch_push(d, (uint32_t)w.c);
    nerv_dispatch_push(d, (uint32_t)x.h);
    nerv_dispatch_push(d, (uint32_t)x.w);
    nerv_dispatch_push(d, (uint32_t)ho);
    nerv_dispatch_push(d, (uint32_t)wo);
    nerv_dispatch_push(d, columns);
    nerv_dispatch_push(d, (uint32_t)pad);
    nerv_dispatch_bind(d, NERV_BIND_IN, 0);
    nerv_dispatch_bind(d, NERV_BIND_IN, 1);
    return tiles <= UINT32_MAX && nerv_dispatch_groups(d, caps, tiles);
}
