/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Vectors of floats as wide as the instruction set being compiled for (NERV_ISA_*), their loads, stores and shuffles, for
 * the templates of conv, wino and pixels. Elementary functions are in vmath.h.
 */
#pragma once

#if defined(NERV_ISA_AVX512)
#define VF 16
#elif defined(NERV_ISA_AVX2)
#define VF 8
#else
#define VF 4
#endif

#define CAT_(a, b) a##b
#define CAT(a, b)  CAT_(a, b)
#define INLINE     static inline __attribute__((always_inline))
#define UNROLL     _Pragma("GCC unroll 16")

typedef float vf __attribute__((vector_size(VF * 4)));
typedef float vfu __attribute__((vector_size(VF * 4), aligned(4), may_alias));

INLINE vf load(const float *p)
{
    return *(const vfu *)p;
}

INLINE void store(float *p, vf v)
{
    *(vfu *)p = v;
}

INLINE vf splat(float x)
{
    return x - (vf){ 0 };
}

/* a0 b0 a1 b1 .. of the lower and of the upper halves, and the even and odd elements of a, then b. */
#if VF == 16
#define ZIP_LO(a, b) __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23)
#define ZIP_HI(a, b)                                                                                         \
    __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31)
#define EVEN(a, b) __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30)
#define ODD(a, b)  __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27, 29, 31)
#elif VF == 8
#define ZIP_LO(a, b) __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11)
#define ZIP_HI(a, b) __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15)
#define EVEN(a, b)   __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14)
#define ODD(a, b)    __builtin_shufflevector(a, b, 1, 3, 5, 7, 9, 11, 13, 15)
#else
#define ZIP_LO(a, b) __builtin_shufflevector(a, b, 0, 4, 1, 5)
#define ZIP_HI(a, b) __builtin_shufflevector(a, b, 2, 6, 3, 7)
#define EVEN(a, b)   __builtin_shufflevector(a, b, 0, 2, 4, 6)
#define ODD(a, b)    __builtin_shufflevector(a, b, 1, 3, 5, 7)
#endif
