/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Trials: building a case's tape from a seed, filling its leaves, and comparing what runs of it left behind.
 */
#include <math.h>
#include <string.h>

#include "harness.h"

void check_describe(GString *out, const NervTensor *t)
{
    g_string_append_printf(out, "%s [%d,%d,%d,%d]",
                           t->name   ? t->name
                           : t->node ? t->node->op->name
                                     : "leaf",
                           t->shape.n, t->shape.c, t->shape.h, t->shape.w);
}

/* One stream of random numbers per (seed, op, trial, purpose), so that a single op can be run alone. */
static void seed_rng(NervRng *rng, uint64_t seed, const char *op, uint32_t trial, uint32_t purpose)
{
    uint64_t h = seed * UINT64_C(0x9e3779b97f4a7c15) + trial * UINT64_C(1000003) + purpose;
    for (const char *p = op; *p; p++)
        h = (h ^ (uint8_t)*p) * UINT64_C(0x100000001b3);
    nerv_rng_init(rng, h);
}

static void fill_default(const NervTensor *leaf, NervRng *rng, void *data)
{
    const int64_t n = nerv_shape_count(leaf->shape);
    if (leaf->dtype == NERV_F32) {
        for (int64_t i = 0; i < n; i++)
            ((float *)data)[i] = nerv_rng_uniform(rng, -1.0f, 1.0f);
    } else if (leaf->dtype == NERV_U8) {
        for (int64_t i = 0; i < n; i++)
            ((uint8_t *)data)[i] = (uint8_t)nerv_rng_below(rng, 256);
    } else {
        memset(data, 0, nerv_tensor_bytes(leaf));
    }
}

void check_trial_update(CheckTrial *t)
{
    const uint32_t n = t->tape->tensors->len;
    t->values = g_renew(void *, t->values, n);
    for (uint32_t i = t->n_tensors; i < n; i++) {
        const NervTensor *x = g_ptr_array_index(t->tape->tensors, i);
        t->values[i] = x->kind == NERV_TENSOR_CONST ? g_memdup2(x->const_data, nerv_tensor_bytes(x)) : NULL;
    }
    t->n_tensors = n;
}

static void fill_leaves(CheckTrial *t, NervRng *rng)
{
    for (uint32_t i = 0; i < t->n_tensors; i++) {
        const NervTensor *x = g_ptr_array_index(t->tape->tensors, i);
        if (x->kind != NERV_TENSOR_PARAM && x->kind != NERV_TENSOR_INPUT)
            continue;
        t->values[i] = g_malloc0(nerv_tensor_bytes(x));
        (t->kase->fill ? t->kase->fill : fill_default)(x, rng, t->values[i]);
    }
}

static bool has_output(const NervTape *tape)
{
    for (uint32_t i = 0; i < tape->tensors->len; i++)
        if (((const NervTensor *)g_ptr_array_index(tape->tensors, i))->is_output)
            return true;
    return false;
}

static bool uses_op(const NervTape *tape, const NervOp *op)
{
    for (uint32_t i = 0; i < tape->nodes->len; i++)
        if (((const NervNode *)g_ptr_array_index(tape->nodes, i))->op == op)
            return true;
    return false;
}

static CheckTrial *trial_finish(CheckTrial *t, uint64_t seed, uint32_t trial, GString *why)
{
    GError *error = NULL;
    if (!nerv_tape_check(t->tape, &error)) {
        g_string_append_printf(why, "building the tape: %s", error->message);
        g_error_free(error);
    } else if (!uses_op(t->tape, t->op)) {
        g_string_append(why, "the case builds a tape without the op");
    } else if (!has_output(t->tape) && !t->op->alias[0]) {
        g_string_append(why, "the case marks no output");
    } else {
        NervRng rng;
        check_trial_update(t);
        seed_rng(&rng, seed, t->op->name, trial, 1);
        fill_leaves(t, &rng);
        return t;
    }
    check_trial_free(t);
    return NULL;
}

CheckTrial *check_trial_new(const CheckCase *kase, const NervOp *op, uint64_t seed, uint32_t trial,
                            GString *why)
{
    NervRng rng;
    CheckTrial *t = g_new0(CheckTrial, 1);
    t->kase = kase;
    t->op = op;
    t->tape = nerv_tape_new();
    seed_rng(&rng, seed, op->name, trial, 0);
    kase->make(t->tape, &rng, trial);
    return trial_finish(t, seed, trial, why);
}

CheckTrial *check_trial_new_bench(const CheckCase *kase, const NervOp *op, uint32_t which, double *macs,
                                  GString *why)
{
    CheckTrial *t = g_new0(CheckTrial, 1);
    t->kase = kase;
    t->op = op;
    t->tape = nerv_tape_new();
    *macs = 0;
    if (!kase->bench(t->tape, which, macs)) {
        check_trial_free(t);
        return NULL;
    }
    return trial_finish(t, 1, which, why);
}

void check_trial_free(CheckTrial *t)
{
    if (!t)
        return;
    for (uint32_t i = 0; i < t->n_tensors; i++)
        g_free(t->values[i]);
    g_free(t->values);
    nerv_tape_free(t->tape);
    g_free(t);
}

void check_result_clear(CheckResult *r)
{
    for (uint32_t i = 0; i < r->n_tensors; i++)
        g_free(r->data[i]);
    g_free(r->data);
    memset(r, 0, sizeof *r);
}

bool check_is_overwritten(const NervTape *tape, const NervTensor *leaf)
{
    for (uint32_t i = 0; i < tape->nodes->len; i++) {
        const NervNode *node = g_ptr_array_index(tape->nodes, i);
        for (uint32_t o = 0; o < node->op->n_out; o++)
            if (node->op->alias[o] && node->in[node->op->alias[o] - 1] == leaf)
                return true;
    }
    return false;
}

static double element(const NervTensor *t, const void *data, int64_t i)
{
    switch (t->dtype) {
    case NERV_F32:
        return ((const float *)data)[i];
    case NERV_U8:
        return ((const uint8_t *)data)[i];
    default:
        return ((const int32_t *)data)[i];
    }
}

static bool compare_tensor(const NervTensor *x, const void *got, const void *want, double rtol, double atol,
                           GString *why)
{
    const int64_t n = nerv_shape_count(x->shape);
    int64_t n_bad = 0, first = -1;
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        const double a = element(x, got, i), b = element(x, want, i);
        /* Written so that a NaN on either side is bad. */
        if (fabs(a - b) <= atol + rtol * fabs(b))
            continue;
        if (!n_bad++)
            first = i;
        if (!(fabs(a - b) <= worst))
            worst = fabs(a - b);
    }
    if (!n_bad)
        return true;
    const int64_t w = first % x->shape.w, h = first / x->shape.w % x->shape.h;
    const int64_t c = first / x->shape.w / x->shape.h % x->shape.c;
    check_describe(why, x);
    g_string_append_printf(why,
                           ": %" G_GINT64_FORMAT " of %" G_GINT64_FORMAT
                           " differ, first at (%d,%d,%d,%d): %.9g, not "
                           "%.9g; worst by %.3g (allowed %.3g + %.3g relative)",
                           n_bad, n, (int)(first / x->shape.w / x->shape.h / x->shape.c), (int)c, (int)h,
                           (int)w, element(x, got, first), element(x, want, first), worst, atol, rtol);
    return false;
}

bool check_compare(const CheckTrial *t, const CheckResult *got, const CheckResult *want, bool exact,
                   GString *why)
{
    uint32_t n_compared = 0;
    for (uint32_t i = 0; i < got->n_tensors; i++) {
        const NervTensor *x = g_ptr_array_index(t->tape->tensors, i);
        if (!got->data[i])
            continue;
        const bool read_only = x->kind != NERV_TENSOR_VALUE && !check_is_overwritten(t->tape, x);
        const void *reference = read_only ? t->values[i] : i < want->n_tensors ? want->data[i] : NULL;
        if (!reference) {
            check_describe(why, x);
            g_string_append(why, " has no reference");
            return false;
        }
        n_compared += !read_only;
        if (exact || read_only) {
            if (memcmp(got->data[i], reference, nerv_tensor_bytes(x)) == 0)
                continue;
            g_string_append(why, read_only ? "an operand changed: " : "must be equal bit by bit: ");
            if (compare_tensor(x, got->data[i], reference, 0, 0, why))
                g_string_append(why, "signs of zero or NaN differ");
            return false;
        }
        const bool is_float = x->dtype == NERV_F32;
        if (!compare_tensor(x, got->data[i], reference, is_float ? t->op->rtol : 0, t->op->atol, why))
            return false;
    }
    if (!n_compared)
        g_string_append(why, "nothing was compared");
    return n_compared > 0;
}
