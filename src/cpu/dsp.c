/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Builds the tables of kernels, one per instruction set, from what each family's template offers. See dsp.h.
 */
#include <glib.h>

#include "cpu/dsp.h"

#define DECLARE(isa)                                   \
    void nerv_conv_dsp_init_##isa(NervConvDsp *dsp);   \
    void nerv_math_dsp_init_##isa(NervMathDsp *dsp);   \
    void nerv_pixels_dsp_init_##isa(NervPixelsDsp *dsp)

#define FILL(dsp, isa)                              \
    do {                                            \
        nerv_conv_dsp_init_##isa(&(dsp)->conv);     \
        nerv_math_dsp_init_##isa(&(dsp)->math);     \
        nerv_pixels_dsp_init_##isa(&(dsp)->pixels); \
    } while (0)

DECLARE(baseline);
#ifdef NERV_HAVE_X86_LEVELS
DECLARE(avx2);
DECLARE(avx512);
#endif

static NervDsp tables[NERV_CPU_N_LEVELS];

static gpointer fill_tables(gpointer unused)
{
    FILL(&tables[NERV_CPU_BASELINE], baseline);
#ifdef NERV_HAVE_X86_LEVELS
    FILL(&tables[NERV_CPU_AVX2], avx2);
    FILL(&tables[NERV_CPU_AVX512], avx512);
#endif
    return NULL;
}

const NervDsp *nerv_dsp_get(NervCpuLevel level)
{
    static GOnce once = G_ONCE_INIT;
    if (level <= NERV_CPU_C || level > nerv_cpu_level_hardware())
        return NULL;
    g_once(&once, fill_tables, NULL);
    return &tables[level];
}
