/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The tables of CPU kernels, one per family, filled per instruction set. Each family's kernels are written once with
 * vector extensions in src/cpu/<family>_tmpl.c and compiled per level; nerv_dsp_get() hands out the finished table.
 */
#pragma once

#include "base/cpuid.h"
#include "cpu/clip_dsp.h"
#include "cpu/conv_dsp.h"
#include "cpu/math_dsp.h"
#include "cpu/pixels_dsp.h"
#include "cpu/warp_dsp.h"
#include "cpu/wino_dsp.h"

typedef struct {
    NervConvDsp conv;     /* convolutions and linear layers */
    NervWinoDsp wino;     /* transforms of 3x3 convolutions */
    NervMathDsp math;     /* pointwise functions, sums, losses, SSIM, Adam */
    NervPixelsDsp pixels; /* colour conversion */
    NervWarpDsp warp;     /* samples where a flow points */
    NervClipDsp clip;     /* weighted frames, modulation, normalisation, mixing in time */
} NervDsp;

/* The table of a level, built once; NULL for NERV_CPU_C or a level that this machine or build lacks. Any thread. */
const NervDsp *nerv_dsp_get(NervCpuLevel level);
