/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One tile of a matrix product C[M,N] = A[M,K] B[K,N] by one workgroup, the inner part of every convolution
 * here: BM x BN values of C, K walked in chunks of GEMM_BK that are staged in shared memory, TM x TN
 * accumulators per invocation. Neither matrix exists in memory. The includer defines GEMM_M and GEMM_N (the
 * bounds) and the functions
 *     float gemm_a(uint m, uint k)           an element of A
 *     float gemm_b(uint k, uint n)           an element of B
 *     void gemm_store(uint m, uint n, float) takes a finished element of C
 * and one of these, which work out what the many calls of gemm_b (and gemm_a) that follow have in common:
 *     void gemm_at_n(uint n)  default; an invocation then asks for many k of that n
 *     void gemm_at_k(uint k)  if GEMM_K_FAST is defined; it then asks for many m and n of that k
 * The sizes are specialisation constants 0..3, chosen by src/ops/gemm.h; (BM/TM)(BN/TN) = NERV_LOCAL, BN
 * divides it or is a multiple of it, TM is a multiple of 4 and TN one of 1, 2, 4, 8.
 */
#ifndef NERV_GEMM_GLSL
#define NERV_GEMM_GLSL

layout(constant_id = 0) const uint BM = 64;
layout(constant_id = 1) const uint BN = 128;
layout(constant_id = 2) const uint TM = 8;
layout(constant_id = 3) const uint TN = 8;

#define GEMM_BK 16
/* Quads in a staged row. Rows written across k are padded: the transposing store then meets few bank conflicts. */
#define GEMM_LDA (BM / 4 + 1)
#ifdef GEMM_K_FAST
#define GEMM_LDB (BN / 4 + 1)
#else
#define GEMM_LDB (BN / 4)
#endif

shared vec4 gemm_tile_a[GEMM_BK * GEMM_LDA];
shared vec4 gemm_tile_b[GEMM_BK * GEMM_LDB];
/* An invocation's own quad on its way out: lets the store be a loop rather than 64 copies of itself, each
 * with its activation. */
shared vec4 gemm_quad[NERV_LOCAL];

/* Stages rows k..k+15 of the two operands; what lies outside becomes zero. */
void gemm_stage(uint m0, uint n0, uint k, uint k_end)
{
    uint tid = gl_LocalInvocationIndex;
    uint ka = tid % GEMM_BK;
    bool inside = k + ka < k_end;
#ifdef GEMM_K_FAST
    gemm_at_k(min(k + ka, k_end - 1));
    for (uint n = tid / GEMM_BK; n < BN; n += NERV_LOCAL / GEMM_BK)
        gemm_tile_b[ka * GEMM_LDB + n / 4][n % 4] = inside && n0 + n < GEMM_N ? gemm_b(k + ka, n0 + n) : 0.0;
#else
    for (uint n = tid % BN; n < BN; n += NERV_LOCAL) {
        if (BN > NERV_LOCAL)
            gemm_at_n(n0 + n);
        for (uint kb = tid / BN; kb < GEMM_BK; kb += max(NERV_LOCAL / BN, 1))
            gemm_tile_b[kb * GEMM_LDB + n / 4][n % 4] =
                k + kb < k_end && n0 + n < GEMM_N ? gemm_b(k + kb, n0 + n) : 0.0;
    }
#endif
    for (uint m = tid / GEMM_BK; m < BM; m += NERV_LOCAL / GEMM_BK)
        gemm_tile_a[ka * GEMM_LDA + m / 4][m % 4] = inside && m0 + m < GEMM_M ? gemm_a(m0 + m, k + ka) : 0.0;
}

/* The invocation's column j of 0..TN-1 within the tile, tn being its place among the BN/TN that share rows:
 * quads of neighbouring columns where TN allows, and neighbours in the workgroup on neighbouring quads. */
uint gemm_column(uint tn, uint j)
{
    return TN < 4 ? j * (BN / TN) + tn : (j / 4 * (BN / TN) + tn) * 4 + j % 4;
}

/* Computes C[m0.., n0..] summed over k_begin..k_end-1, in order, and hands the elements inside to
 * gemm_store(). All invocations of the workgroup call it with the same arguments. */
void gemm_tile(uint m0, uint n0, uint k_begin, uint k_end)
{
    uint tn = gl_LocalInvocationIndex % (BN / TN);
    uint tm = gl_LocalInvocationIndex / (BN / TN) * TM;
    vec4 acc[TM / 4 * TN]; /* of four rows each */
    vec4 a[TM / 4];

    [[unroll]] for (uint i = 0; i < TM / 4 * TN; i++)
        acc[i] = vec4(0.0);
#ifndef GEMM_K_FAST
    gemm_at_n(n0 + gl_LocalInvocationIndex % BN);
#endif
    for (uint k = k_begin; k < k_end; k += GEMM_BK) {
        gemm_stage(m0, n0, k, k_end);
        barrier();
        for (uint r = 0; r < GEMM_BK; r++) {
            vec4 b = vec4(0.0);
            [[unroll]] for (uint i = 0; i < TM / 4; i++)
                a[i] = gemm_tile_a[r * GEMM_LDA + tm / 4 + i];
            [[unroll]] for (uint j = 0; j < TN; j++) {
                uint n = gemm_column(tn, j);
                if (TN < 4)
                    b[j % 4] = gemm_tile_b[r * GEMM_LDB + n / 4][n % 4];
                else if (j % 4 == 0)
                    b = gemm_tile_b[r * GEMM_LDB + n / 4];
                [[unroll]] for (uint i = 0; i < TM / 4; i++)
                    acc[i * TN + j] += a[i] * b[j % 4];
            }
        }
        barrier();
    }
    [[unroll]] for (uint j = 0; j < TN; j++) {
        uint n = n0 + gemm_column(tn, j);
        [[unroll]] for (uint i = 0; i < TM / 4; i++) {
            gemm_quad[gl_LocalInvocationIndex] = acc[i * TN + j];
            [[dont_unroll]] for (uint e = 0; e < 4; e++) {
                uint m = m0 + tm + i * 4 + e;
                if (m < GEMM_M && n < GEMM_N)
                    gemm_store(m, n, gemm_quad[gl_LocalInvocationIndex][e]);
            }
        }
    }
}

#endif
