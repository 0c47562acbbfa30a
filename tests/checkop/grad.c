/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Gradient rules against central differences. All float outputs y are contracted with random constants c into
 * the scalar L = sum c*y; its gradient by nerv_tape_grad() is compared with (L(x+e) - L(x-e)) / 2e, where y
 * comes from the references and the sum over c*y is done in double.
 */
#include <math.h>
#include <string.h>

#include "harness.h"

#define MAX_PROBES 40 /* elements tried of each leaf */

/* One contraction constant per element of each float output, the same for every tape of a trial. */
static float *coefficients(const NervTensor *output)
{
    NervRng rng;
    const int64_t n = nerv_shape_count(output->shape);
    float *c = g_new(float, n);
    nerv_rng_init(&rng, 77 + output->id);
    for (int64_t i = 0; i < n; i++)
        c[i] = nerv_rng_uniform(&rng, -1.0f, 1.0f);
    return c;
}

static bool is_contracted(const NervTensor *t)
{
    return t->is_output && t->dtype == NERV_F32;
}

static bool is_variable(const NervTensor *t)
{
    return t->kind == NERV_TENSOR_PARAM && t->dtype == NERV_F32 && !t->no_grad;
}

/* L at the trial's present values; *magnitude: sum of |c*y|, the scale of its rounding error. */
static bool evaluate(CheckExec *x, const CheckTrial *t, uint32_t n_tensors, double *loss, double *magnitude,
                     GString *why)
{
    CheckResult r = { 0 };
    double sum = 0, sum_abs = 0;
    const bool ok = check_exec_run(x, &r, why);
    for (uint32_t i = 0; ok && i < n_tensors; i++) {
        const NervTensor *y = g_ptr_array_index(t->tape->tensors, i);
        if (!is_contracted(y))
            continue;
        float *c = coefficients(y);
        for (int64_t k = 0; k < nerv_shape_count(y->shape); k++) {
            const double term = (double)c[k] * ((const float *)r.data[i])[k];
            sum += term;
            sum_abs += fabs(term);
        }
        g_free(c);
    }
    check_result_clear(&r);
    *loss = sum;
    *magnitude = sum_abs;
    return ok;
}

/* Appends L and its gradients to the trial's tape; dwrt[id] is the gradient of leaf id. */
static bool append_gradient(CheckTrial *t, NervTensor **dwrt, GString *why)
{
    const uint32_t n = t->n_tensors;
    NervTensor **wrt = g_new0(NervTensor *, n), **d = g_new0(NervTensor *, n);
    NervTensor *loss = NULL;
    uint32_t n_wrt = 0;
    GError *error = NULL;

    for (uint32_t i = 0; i < n; i++) {
        NervTensor *y = g_ptr_array_index(t->tape->tensors, i);
        if (is_variable(y))
            wrt[n_wrt++] = y;
        if (!is_contracted(y))
            continue;
        float *c = coefficients(y);
        NervTensor *product = nerv_mul(t->tape, y, nerv_tape_const(t->tape, y->shape, c));
        NervTensor *term = nerv_reduce_sum(t->tape, product, NERV_AXIS_ALL, 1.0f);
        loss = loss ? nerv_add(t->tape, loss, term) : term;
        g_free(c);
    }
    nerv_tape_grad(t->tape, loss, wrt, n_wrt, d);
    const bool ok = n_wrt > 0 && nerv_tape_check(t->tape, &error);
    if (!ok)
        g_string_append_printf(why, "differentiating: %s", error ? error->message : "no float PARAM leaf");
    g_clear_error(&error);
    for (uint32_t i = 0; ok && i < n_wrt; i++) {
        dwrt[wrt[i]->id] = d[i];
        if (d[i]->kind == NERV_TENSOR_VALUE)
            nerv_tape_output(t->tape, d[i], NULL);
    }
    check_trial_update(t);
    g_free(wrt);
    g_free(d);
    return ok;
}

/* Compares the gradient `g` of one leaf with central differences. */
static bool probe_leaf(CheckExec *x, const CheckTrial *t, uint32_t id, const float *g, GString *why)
{
    const NervTensor *leaf = g_ptr_array_index(t->tape->tensors, id);
    const int64_t n = nerv_shape_count(leaf->shape), step = MAX(1, n / MAX_PROBES);
    const float eps = t->kase->grad_eps > 0 ? t->kase->grad_eps : 1e-2f;
    const double tol = t->kase->grad_tol > 0 ? t->kase->grad_tol : 2e-2;
    float *v = t->values[id];
    double largest = 0, worst = -1, worst_num = 0, noise = 0;
    int64_t worst_at = 0;

    for (int64_t i = 0; i < n; i += step) {
        const float old = v[i], hi = old + eps, lo = old - eps;
        double l_hi, l_lo, m;
        v[i] = hi;
        bool ok = evaluate(x, t, t->n_tensors, &l_hi, &m, why);
        v[i] = lo;
        ok = ok && evaluate(x, t, t->n_tensors, &l_lo, &m, why);
        v[i] = old;
        if (!ok)
            return false;
        const double width = (double)hi - (double)lo;
        const double num = (l_hi - l_lo) / width;
        largest = fmax(largest, fmax(fabs(num), fabs((double)g[i])));
        noise = fmax(noise, m * 0x1p-22 / width);
        if (!(fabs(num - g[i]) <= worst)) {
            worst = fabs(num - g[i]);
            worst_num = num;
            worst_at = i;
        }
    }
    if (worst <= tol * largest + noise)
        return true;
    g_string_append(why, "gradient of ");
    check_describe(why, leaf);
    g_string_append_printf(
        why, " at %" G_GINT64_FORMAT ": %.7g, central difference %.7g (off by %.3g, allowed %.3g)", worst_at,
        (double)g[worst_at], worst_num, worst, tol * largest + noise);
    return false;
}

bool check_gradient(const CheckCase *kase, const NervOp *op, uint64_t seed, uint32_t trial,
                    NervBackend *c_backend, GString *why)
{
    bool ok = false;
    CheckExec *fx = NULL, *gx = NULL;
    CheckResult r = { 0 };
    NervTensor **dwrt = NULL;
    CheckTrial *forward = check_trial_new(kase, op, seed, trial, why);
    CheckTrial *both = forward ? check_trial_new(kase, op, seed, trial, why) : NULL;
    if (!both)
        goto out;
    dwrt = g_new0(NervTensor *, both->n_tensors);
    if (!append_gradient(both, dwrt, why))
        goto out;
    fx = check_exec_new(c_backend, forward, why);
    gx = check_exec_new(c_backend, both, why);
    if (!fx || !gx || !check_exec_run(gx, &r, why))
        goto out;
    ok = true;
    for (uint32_t i = 0; ok && i < forward->n_tensors; i++) {
        if (!dwrt[i])
            continue;
        const uint32_t d = dwrt[i]->id;
        ok = probe_leaf(fx, forward, i, r.data[d] ? r.data[d] : both->values[d], why);
    }
out:
    check_exec_free(fx);
    check_exec_free(gx);
    check_result_clear(&r);
    check_trial_free(forward);
    check_trial_free(both);
    g_free(dwrt);
    return ok;
}
