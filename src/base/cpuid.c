/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Finds the instruction sets that this machine and this build have, see cpuid.h. The compiler's own run-time support
 * does the asking; it also checks that the operating system saves the wide registers.
 */
#include "base/cpuid.h"

#include <glib.h>

static const char *const level_names[NERV_CPU_N_LEVELS] = {
    [NERV_CPU_C] = "c",
    [NERV_CPU_BASELINE] = "baseline",
    [NERV_CPU_AVX2] = "avx2",
    [NERV_CPU_AVX512] = "avx512",
};

NervCpuLevel nerv_cpu_level_hardware(void)
{
#ifdef NERV_HAVE_X86_LEVELS
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
        return NERV_CPU_BASELINE;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return NERV_CPU_AVX2;
    return NERV_CPU_AVX512;
#else
    return NERV_CPU_BASELINE;
#endif
}

NervCpuLevel nerv_cpu_level(void)
{
    const NervCpuLevel have = nerv_cpu_level_hardware();
    const char *mask = g_getenv("NERV_CPU");

    for (int i = 0; mask && i < NERV_CPU_N_LEVELS; i++) {
        if (!g_ascii_strcasecmp(mask, level_names[i]))
            return MIN((NervCpuLevel)i, have);
    }
    return have;
}

const char *nerv_cpu_level_name(NervCpuLevel level)
{
    return (unsigned)level < NERV_CPU_N_LEVELS ? level_names[level] : "unknown";
}
