/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which instruction sets the CPU kernels may use.
 */
#pragma once

typedef enum {
    NERV_CPU_C,        /* every op runs its plain C reference */
    NERV_CPU_BASELINE, /* vector extensions at the compiler's baseline (SSE2, NEON) */
    NERV_CPU_AVX2,     /* AVX2 + FMA */
    NERV_CPU_AVX512,   /* AVX-512 F BW DQ VL */
    NERV_CPU_N_LEVELS,
} NervCpuLevel;

/* The highest level that this machine, the build and the environment variable NERV_CPU (c, baseline, avx2, avx512) allow. */
NervCpuLevel nerv_cpu_level(void);
/* The highest level that this machine can run, whatever NERV_CPU says. */
NervCpuLevel nerv_cpu_level_hardware(void);
/* "c", "baseline", "avx2", "avx512". */
const char *nerv_cpu_level_name(NervCpuLevel level);
