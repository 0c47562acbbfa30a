/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Kernels of the math family.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int vector_floats; /* floats per vector */
} NervMathDsp;
