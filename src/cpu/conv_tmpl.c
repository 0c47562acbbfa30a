/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>
#include "cpu/conv_dsp.h"
#define CAT_(a, b) a##b
#define CAT(a, b)  CAT_(a, b)
void CAT(nerv_conv_dsp_init_, NERV_ISA)(NervConvDsp *dsp);
void CAT(nerv_conv_dsp_init_, NERV_ISA)(NervConvDsp *dsp)
{
    memset(dsp, 0, sizeof(*dsp));
}
