/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an op's CPU form gets to work with: threads and the table of kernels of one instruction set.
 */
#pragma once

#include "base/cpuid.h"
#include "base/threads.h"
#include "backend/backend.h"
#include "cpu/dsp.h"

struct NervCpu {
    NervPool *pool;
    NervCpuLevel level;
    const NervDsp *dsp; /* NULL at level NERV_CPU_C, where only references run */
};

/* A CPU backend at a given level, for checkop; users go through nerv_backend_open("cpu"). */
NervBackend *nerv_cpu_backend_new_level(uint32_t n_threads, NervCpuLevel level, GError **error);
