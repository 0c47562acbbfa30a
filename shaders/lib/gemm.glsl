/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One tile of a matrix product by one workgroup, the inner part of every convolution here: C[m,n] = sum over taps t and
 * k of A_t[m,k] B_t[k,n], for BM x BN values of C. The sum is walked in chunks of BK values of k that are staged
 * in shared memory; an invocation holds TM x TN sums. No matrix exists in memory. With AHEAD an invocation holds
 * the next chunk's values in registers while it multiplies the present one's, so that the latency of
 * memory is hidden by arithmetic; a software device has none to hide.
 * The includer defines GEMM_M, GEMM_N (the bounds), GEMM_TAPS and
 *     float gemm_a(uint m, uint k, int tap)
 *     void gemm_out_n(uint n)                works out what the elements of column n of C have in common
 *     void gemm_store(uint m, float)         takes a finished element of that column
 * and, B being gathered down its columns, so that a pixel's address is worked out once per tap and not per element,
 *     GemmColumn                             a struct: what the taps of a column have in common
 *     GemmColumn gemm_column_of(uint n)
 *     int gemm_tap(GemmColumn, int tap)      where the column's values begin, -1 if they are all zero
 *     float gemm_b(int at, uint k)
 * or, with GEMM_K_FAST, being gathered along its rows (one tap only, NERV_LOCAL a multiple of BK),
 *     void gemm_begin(uint n0)               called first
 *     void gemm_at_k(uint k)                 says which k the calls of gemm_a and gemm_b that follow mean
 *     float gemm_b(uint n_local)             n0 + n_local is the column
 * GEMM_A_M_FAST says that neighbours in memory of A differ in m rather than in k.
 * The sizes are specialisation constants, chosen by src/ops/gemm.h: (BM/TM)(BN/TN) = NERV_LOCAL, BN is a power
 * of two of at least 8, TM a multiple of 4 and TN one of 1, 2, 4, 8.
 */
#ifndef NERV_GEMM_GLSL
#define NERV_GEMM_GLSL

layout(constant_id = 0) const uint BM = 64;
layout(constant_id = 1) const uint BN = 128;
layout(constant_id = 2) const uint TM = 8;
layout(constant_id = 3) const uint TN = 8;
layout(constant_id = 4) const uint BK = 16;
layout(constant_id = 5) const bool AHEAD = false;

/* Quads in a staged row. Rows written across k are padded: the transposing store then meets few bank conflicts. */
#define GEMM_LDA (BM / 4 + 1)
#ifdef GEMM_K_FAST
#define GEMM_LDB (BN / 4 + 1)
#else
#define GEMM_LDB (BN / 4)
#endif
#define GEMM_TILE_B (BK * GEMM_LDA) /* where B begins */
#define GEMM_STAGED (BK * (GEMM_LDA + GEMM_LDB))
#define GEMM_LEAVING (NERV_LOCAL * TN) /* quads of C on their way out */

/* An invocation's share of a chunk. */
#define GEMM_PER_A ((BM * BK + NERV_LOCAL - 1) / NERV_LOCAL)
#ifdef GEMM_K_FAST
#define GEMM_COLUMNS 1
#define GEMM_PER_B ((BN * BK + NERV_LOCAL - 1) / NERV_LOCAL)
#else
#define GEMM_COLUMNS ((BN + NERV_LOCAL - 1) / NERV_LOCAL) /* columns of B */
#define GEMM_K_STEP (BN < NERV_LOCAL ? NERV_LOCAL / BN : 1)
#define GEMM_PER_COLUMN ((BK + GEMM_K_STEP - 1) / GEMM_K_STEP)
#define GEMM_PER_B (GEMM_COLUMNS * GEMM_PER_COLUMN)
#endif

/* The staged chunk; at the end, the elements of C. */
shared vec4 gemm_memory[GEMM_STAGED > GEMM_LEAVING ? GEMM_STAGED : GEMM_LEAVING];

/* Element e of a chunk of A. */
#ifdef GEMM_A_M_FAST
#define GEMM_A_ROW(e) ((e) % BM)
#define GEMM_A_K(e) ((e) / BM)
#else
#define GEMM_A_ROW(e) ((e) / BK)
#define GEMM_A_K(e) ((e) % BK)
#endif

float gemm_fetch_a(uint e, uint m0, uint k, uint k_end, int tap)
{
    uint m = m0 + GEMM_A_ROW(e), ka = k + GEMM_A_K(e);
    return e < BM * BK && m < GEMM_M && ka < k_end ? gemm_a(m, ka, tap) : 0.0;
}

void gemm_keep_a(uint e, float v)
{
    if (e < BM * BK)
        gemm_memory[GEMM_A_K(e) * GEMM_LDA + GEMM_A_ROW(e) / 4][GEMM_A_ROW(e) % 4] = v;
}

void gemm_keep_b(uint kb, uint n, float v)
{
    if (kb < BK)
        gemm_memory[GEMM_TILE_B + kb * GEMM_LDB + n / 4][n % 4] = v;
}

/* The invocation's column j of 0..TN-1 within the tile, tn being its place among the BN/TN that share rows:
 * quads of neighbouring columns where TN allows, and neighbours in the workgroup on neighbouring quads. */
uint gemm_column(uint tn, uint j)
{
    return TN < 4 ? j * (BN / TN) + tn : (j / 4 * (BN / TN) + tn) * 4 + j % 4;
}

vec4 gemm_sum[TM / 4 * TN]; /* the invocation's sums, four rows each */

/* Adds the staged chunk's products. */
void gemm_multiply(uint tm, uint tn)
{
    vec4 a[TM / 4];
    for (uint r = 0; r < BK; r++) {
        vec4 b = vec4(0.0);
        [[unroll]] for (uint i = 0; i < TM / 4; i++)
            a[i] = gemm_memory[r * GEMM_LDA + tm / 4 + i];
        [[unroll]] for (uint j = 0; j < TN; j++) {
            uint n = GEMM_TILE_B * 4 + r * GEMM_LDB * 4 + gemm_column(tn, j);
            if (TN < 4)
                b[j % 4] = gemm_memory[n / 4][n % 4];
            else if (j % 4 == 0)
                b = gemm_memory[n / 4];
            [[unroll]] for (uint i = 0; i < TM / 4; i++)
                gemm_sum[i * TN + j] += a[i] * b[j % 4];
        }
    }
}

/* Hands the elements inside to gemm_store(), neighbours in the workgroup on neighbouring columns, whatever each summed. */
void gemm_leave(uint m0, uint n0, uint tm, uint tn)
{
    uint tid = gl_LocalInvocationIndex;
    [[unroll]] for (uint i = 0; i < TM / 4; i++) {
        [[unroll]] for (uint j = 0; j < TN; j++)
            gemm_memory[tm / TM * BN + gemm_column(tn, j)] = gemm_sum[i * TN + j];
        barrier();
        [[dont_unroll]] for (uint n = tid % BN; n < BN; n += NERV_LOCAL) {
            if (n0 + n >= GEMM_N)
                break;
            gemm_out_n(n0 + n);
            [[dont_unroll]] for (uint g = tid / BN; g < BM / TM; g += (BN < NERV_LOCAL ? NERV_LOCAL / BN : 1)) {
                uint m = m0 + g * TM + i * 4;
                [[dont_unroll]] for (uint e = 0; e < 4 && m + e < GEMM_M; e++)
                    gemm_store(m + e, gemm_memory[g * BN + n][e]);
            }
        }
        barrier();
    }
}

/* Computes C[m0.., n0..], summed over all taps and, in each, k_begin..k_end-1, in order. All invocations of the
 * workgroup call it with the same arguments. */
void gemm_tile(uint m0, uint n0, uint k_begin, uint k_end)
{
    uint tid = gl_LocalInvocationIndex;
    uint tn = tid % (BN / TN);
    uint tm = tid / (BN / TN) * TM;
    float next_a[GEMM_PER_A], next_b[GEMM_PER_B];
    int tap = 0;
    uint k = k_begin;
    bool more = k_begin < k_end;

    [[unroll]] for (uint i = 0; i < TM / 4 * TN; i++)
        gemm_sum[i] = vec4(0.0);
#ifdef GEMM_K_FAST
    gemm_begin(n0);
    gemm_at_k(min(k + tid % BK, k_end - 1));
#else
    GemmColumn column[GEMM_COLUMNS];
    int at[GEMM_COLUMNS];
    [[unroll]] for (uint c = 0; c < GEMM_COLUMNS; c++) {
        uint n = n0 + tid % BN + c * NERV_LOCAL;
        column[c] = gemm_column_of(n);
        at[c] = n < GEMM_N ? gemm_tap(column[c], tap) : -1;
    }
#endif

/* What the invocation adds to the chunk at k: VALUE is what it does with value number i of A or B. */
#define GEMM_EACH_A(i, UNROLL, ACT) \
    UNROLL for (uint i = 0; i < GEMM_PER_A; i++) { \
        uint e = tid + i * NERV_LOCAL; \
        ACT; \
    }
#ifdef GEMM_K_FAST
#define GEMM_FETCH_B(kb, n, c) (k + (kb) < k_end && n0 + (n) < GEMM_N ? gemm_b(n) : 0.0)
#define GEMM_EACH_B(i, UNROLL, ACT) \
    UNROLL for (uint i = 0; i < GEMM_PER_B; i++) { \
        const uint c = 0; \
        uint kb = tid % BK, n = (tid + i * NERV_LOCAL) / BK; \
        if (n < BN) { \
            ACT; \
        } \
    }
#else
#define GEMM_FETCH_B(kb, n, c) ((kb) < BK && k + (kb) < k_end && at[c] >= 0 ? gemm_b(at[c], k + (kb)) : 0.0)
#define GEMM_EACH_B(i, UNROLL, ACT) \
    [[unroll]] for (uint c = 0; c < GEMM_COLUMNS; c++) { \
        UNROLL for (uint s = 0; s < GEMM_PER_COLUMN; s++) { \
            uint i = c * GEMM_PER_COLUMN + s; \
            uint kb = tid / BN + s * GEMM_K_STEP, n = tid % BN + c * NERV_LOCAL; \
            ACT; \
        } \
    }
#endif
    if (AHEAD && more) {
        GEMM_EACH_A(i, [[unroll]], next_a[i] = gemm_fetch_a(e, m0, k, k_end, tap))
        GEMM_EACH_B(i, [[unroll]], next_b[i] = GEMM_FETCH_B(kb, n, c))
    }
    while (more) {
        if (AHEAD) {
            GEMM_EACH_A(i, [[unroll]], gemm_keep_a(e, next_a[i]))
            GEMM_EACH_B(i, [[unroll]], gemm_keep_b(kb, n, next_b[i]))
        } else {
            GEMM_EACH_A(i, [[dont_unroll]], gemm_keep_a(e, gemm_fetch_a(e, m0, k, k_end, tap)))
            GEMM_EACH_B(i, [[dont_unroll]], gemm_keep_b(kb, n, GEMM_FETCH_B(kb, n, c)))
        }
        barrier();
        k += BK;
        if (k >= k_end) {
            k = k_begin;
            tap++;
#ifndef GEMM_K_FAST
            [[unroll]] for (uint c = 0; c < GEMM_COLUMNS; c++)
                at[c] = n0 + tid % BN + c * NERV_LOCAL < GEMM_N ? gemm_tap(column[c], tap) : -1;
#endif
        }
        more = tap < GEMM_TAPS;
#ifdef GEMM_K_FAST
        gemm_at_k(min(k + tid % BK, k_end - 1));
#endif
        if (AHEAD && more) {
            GEMM_EACH_A(i, [[unroll]], next_a[i] = gemm_fetch_a(e, m0, k, k_end, tap))
            GEMM_EACH_B(i, [[unroll]], next_b[i] = GEMM_FETCH_B(kb, n, c))
        }
        gemm_multiply(tm, tn);
        barrier();
    }
    gemm_leave(m0, n0, tm, tn);
}

#endif
