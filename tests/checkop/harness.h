/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Private to checkop: one trial of a case with its leaves' values, ways to run it (through a backend, or node
 * by node in guarded memory), and comparison of results. Case files need only checkop.h.
 */
#pragma once

#include "checkop.h"
#include "cpu/cpu.h"

/* A tape built from a case, with the values of its leaves. */
typedef struct {
    const CheckCase *kase;
    const NervOp *op;
    NervTape *tape;
    uint32_t n_tensors;
    void **values; /* by tensor id: PARAM, INPUT and CONST leaves' values, else NULL */
} CheckTrial;

/* What a run left behind, by tensor id: values of outputs and contents of PARAM leaves; NULL for all others.
 */
typedef struct {
    uint32_t n_tensors;
    void **data;
} CheckResult;

/* Builds trial number `trial`; the same seed gives the same tape and values. NULL with *why set on failure.
 */
CheckTrial *check_trial_new(const CheckCase *kase, const NervOp *op, uint64_t seed, uint32_t trial,
                            GString *why);
/* The same tape and values for a bench size; NULL with *why untouched past the last size. */
CheckTrial *check_trial_new_bench(const CheckCase *kase, const NervOp *op, uint32_t which, double *macs,
                                  GString *why);
void check_trial_free(CheckTrial *t);
/* Gives tensors that were added to the tape since (constants of a contraction) their place in the tables. */
void check_trial_update(CheckTrial *t);

void check_result_clear(CheckResult *r);

/* A trial on a backend, every PARAM leaf in a buffer of its own between two poisoned margins. */
typedef struct CheckExec CheckExec;
CheckExec *check_exec_new(NervBackend *be, const CheckTrial *t, GString *why);
void check_exec_free(CheckExec *x);
/* Uploads all leaves, runs, reads back, and checks the margins. */
bool check_exec_run(CheckExec *x, CheckResult *r, GString *why);
/* The run alone, for timing. */
bool check_exec_repeat(CheckExec *x, uint32_t times, GString *why);

/* Runs the nodes one by one at a CPU level, without plan or backend, with margins round every operand, output
 * and scratch, and outputs that nobody reads absent. */
bool check_run_direct(const CheckTrial *t, NervCpuLevel level, NervPool *pool, CheckResult *r, GString *why);

/* Compares all that `got` has with `want`: exactly, or within the op's tolerance. Leaves that no node
 * overwrites must be equal in any case. */
bool check_compare(const CheckTrial *t, const CheckResult *got, const CheckResult *want, bool exact,
                   GString *why);

/* Gradient rules against central differences on the references; grad.c. */
bool check_gradient(const CheckCase *kase, const NervOp *op, uint64_t seed, uint32_t trial,
                    NervBackend *c_backend, GString *why);

/* Throughput of one case on one backend, one line per size; bench.c. Returns false if a run fails. */
bool check_bench(const CheckCase *kase, const NervOp *op, NervBackend *be, const char *label);

/* Whether a node of the tape overwrites this leaf. */
bool check_is_overwritten(const NervTape *tape, const NervTensor *leaf);

/* Appends "name [n,c,h,w]". */
void check_describe(GString *out, const NervTensor *t);
