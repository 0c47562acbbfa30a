/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Builds the tables of kernels, see dsp.h. Each family has one function per instruction set that fills its part, under
 * the family's name and the level's.
 */
#include "cpu/dsp.h"

#include <glib.h>

#define DECLARE(level)                                                                                       \
    void nerv_conv_dsp_init_##level(NervConvDsp *dsp);                                                       \
    void nerv_wino_dsp_init_##level(NervWinoDsp *dsp);                                                       \
    void nerv_math_dsp_init_##level(NervMathDsp *dsp);                                                       \
    void nerv_pixels_dsp_init_##level(NervPixelsDsp *dsp);                                                   \
    void nerv_warp_dsp_init_##level(NervWarpDsp *dsp);                                                       \
    void nerv_clip_dsp_init_##level(NervClipDsp *dsp);                                                       \
    static void fill_##level(NervDsp *dsp)                                                                   \
    {                                                                                                        \
        nerv_conv_dsp_init_##level(&dsp->conv);                                                              \
        nerv_wino_dsp_init_##level(&dsp->wino);                                                              \
        nerv_math_dsp_init_##level(&dsp->math);                                                              \
        nerv_pixels_dsp_init_##level(&dsp->pixels);                                                          \
        nerv_warp_dsp_init_##level(&dsp->warp);                                                              \
        nerv_clip_dsp_init_##level(&dsp->clip);                                                              \
    }

DECLARE(baseline)
#ifdef NERV_HAVE_X86_LEVELS
DECLARE(avx2)
DECLARE(avx512)
#endif

static NervDsp tables[NERV_CPU_N_LEVELS];

static gpointer fill_tables(gpointer unused)
{
    fill_baseline(&tables[NERV_CPU_BASELINE]);
#ifdef NERV_HAVE_X86_LEVELS
    /* Even these functions are compiled for their level, and must not run elsewhere. */
    if (nerv_cpu_level_hardware() >= NERV_CPU_AVX2)
        fill_avx2(&tables[NERV_CPU_AVX2]);
    if (nerv_cpu_level_hardware() >= NERV_CPU_AVX512)
        fill_avx512(&tables[NERV_CPU_AVX512]);
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
