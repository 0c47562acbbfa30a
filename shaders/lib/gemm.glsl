/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * One tile of a matrix product C[M,N] = A[M,K] B[K,N] by one workgroup, the inner part of every convolution here: BM x BN
 * values of C, K walked in chunks of GEMM_BK that are staged in shared memory, TM x TN accumulators per invocation.
 * Neither matrix exists in memory. The includer defines GEMM_M and GEMM_N (the bounds) and the functions
 *     float gemm_a(uint m, uint k)           an element of A
 *     float gemm_b(uint k, uint n)           an element of B
 *     void gemm_store(uint m, uint n, float) takes a finished element of C
 * and one of these, which work out what the many calls of gemm_b (and gemm_a) that follow have in common:
 *     void gemm_at_n(uint n)  default; an invocation then asks for many k of that n
 *     void gemm_at_k(uint k)  if GEMM_K_FAST is defined; it then asks for many m and n of that k
 * The sizes are specialisation constants 0..3, chosen by src/ops/gemm.h; (BM/TM)(BN/TN) = NERV_LOCAL, and BN divides it.
 */
#ifndef NERV_GEMM_GLSL
#define NERV_GEMM_GLSL

layout(constant_id = 0) const uint BM = 64;
layout(constant_id = 1) const uint BN = 128;
layout(constant_id = 2) const uint TM = 8;
layout(constant_id = 3) const uint TN = 8;

#define GEMM_BK 16
#define GEMM_LDA (BM + 4) /* padded: the transposing store of A then meets few bank conflicts */
#ifdef GEMM_K_FAST
#define GEMM_LDB (BN + 4)
#else
#define GEMM_LDB BN
#endif

shared float gemm_tile_a[GEMM_BK * GEMM_LDA];
shared float gemm_tile_b[GEMM_BK * GEMM_LDB];

/* Stages rows k..k+15 of the two operands; what lies outside becomes zero. */
void gemm_stage(uint m0, uint n0, uint k, uint k_end)
{
    uint tid = gl_LocalInvocationIndex;
    uint ka = tid % GEMM_BK;
    bool inside = k + ka < k_end;
#ifdef GEMM_K_FAST
    gemm_at_k(min(k + ka, k_end - 1));
    for (uint n = tid / GEMM_BK; n < BN; n += NERV_LOCAL / GEMM_BK)
        gemm_tile_b[ka * GEMM_LDB + n] = inside && n0 + n < GEMM_N ? gemm_b(k + ka, n0 + n) : 0.0;
#else
    uint n = tid % BN;
    for (uint kb = tid / BN; kb < GEMM_BK; kb += NERV_LOCAL / BN)
        gemm_tile_b[kb * GEMM_LDB + n] = k + kb < k_end && n0 + n < GEMM_N ? gemm_b(k + kb, n0 + n) : 0.0;
#endif
    for (uint m = tid / GEMM_BK; m < BM; m += NERV_LOCAL / GEMM_BK)
        gemm_tile_a[ka * GEMM_LDA + m] = inside && m0 + m < GEMM_M ? gemm_a(m0 + m, k + ka) : 0.0;
}

/* Computes C[m0.., n0..] summed over k_begin..k_end-1, in order, and hands the elements inside to gemm_store(). All
 * invocations of the workgroup call it with the same arguments. An invocation's columns are BN/TN apart, so that neighbours
 * read neighbouring words and store to neighbouring addresses. */
void gemm_tile(uint m0, uint n0, uint k_begin, uint k_end)
{
    const uint cols = BN / TN;
    uint tn = gl_LocalInvocationIndex % cols;
    uint tm = gl_LocalInvocationIndex / cols * TM;
    float acc[TM * TN];
    float a[TM];

    [[unroll]] for (uint i = 0; i < TM * TN; i++)
        acc[i] = 0.0;
#ifndef GEMM_K_FAST
    gemm_at_n(n0 + gl_LocalInvocationIndex % BN);
#endif
    for (uint k = k_begin; k < k_end; k += GEMM_BK) {
        gemm_stage(m0, n0, k, k_end);
        barrier();
        for (uint r = 0; r < GEMM_BK; r++) {
            [[unroll]] for (uint i = 0; i < TM; i++)
                a[i] = gemm_tile_a[r * GEMM_LDA + tm + i];
            [[unroll]] for (uint j = 0; j < TN; j++) {
                float b = gemm_tile_b[r * GEMM_LDB + tn + j * cols];
                [[unroll]] for (uint i = 0; i < TM; i++)
                    acc[i * TN + j] += a[i] * b;
            }
        }
        barrier();
    }
    [[unroll]] for (uint j = 0; j < TN; j++) {
        uint n = n0 + tn + j * cols;
        [[unroll]] for (uint i = 0; i < TM; i++) {
            uint m = m0 + tm + i;
            if (m < GEMM_M && n < GEMM_N)
                gemm_store(m, n, acc[i * TN + j]);
        }
    }
}

#endif
