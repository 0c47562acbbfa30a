/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The ops of a training step or of a decoded frame, timed where they run: inside the plan, each after the one before it, with
 * the caches as that one left them. An op measured by itself says something else: its operands are then whatever
 * the loop keeps warm.
 */
#pragma once

#include "net.h"
#include "roof.h"

/* One op with its operands' shapes. */
typedef struct {
    const char *op;
    char *shapes;   /* "1x24x180x320 96x24x3x3 ..." */
    uint32_t count; /* how often it occurs in a run */
    double seconds; /* of one of them, the median of the runs */
    int64_t macs;   /* of one; 0: not counted */
    int64_t bytes;  /* that one has to read and write, each operand once */
} BenchOp;

typedef struct {
    GArray *ops;        /* BenchOp, the most expensive first */
    double run_seconds; /* the ops' and what a run took beside them */
    BenchRoof roof;     /* meanwhile; no pool */
} BenchProfile;

/* Times the ops over about `seconds` of runs. `share`: of the peak that a run reaches when its ops are not timed; a measured roof
 * is taken at the height that gives the same share, for other work on the machine weighs on both. False with an error; clear the profile in either case. */
bool bench_profile(BenchNet *net, BenchPart part, double seconds, const BenchRoof *roof, double share,
                   BenchProfile *out, GError **error);
void bench_profile_clear(BenchProfile *p);

/* Seconds that the roofs allow at least: the longer of its arithmetic and its memory traffic. 0: no roof known. */
double bench_op_roof_seconds(const BenchOp *op, const BenchRoof *roof);
/* Which of the two roofs is the lower one for this op: "arithmetic", "memory", or "unknown". */
const char *bench_op_bound(const BenchOp *op, const BenchRoof *roof);
