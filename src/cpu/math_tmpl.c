/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include "cpu/math_dsp.h"
#define CAT_(a, b) a##b
#define CAT(a, b)  CAT_(a, b)
void CAT(nerv_math_dsp_init_, NERV_ISA)(NervMathDsp *dsp);
void CAT(nerv_math_dsp_init_, NERV_ISA)(NervMathDsp *dsp)
{
    memset(dsp, 0, sizeof(*dsp));
}
