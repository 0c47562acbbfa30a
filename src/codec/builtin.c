/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Built-in inits, see builtin.h. Each is read once, when it is first asked for.
 */
#include "codec/builtin.h"

#include <math.h>
#include <string.h>

/* A network is near if it takes no more than so many times as many multiplications and weights, nor so many times fewer. */
#define NEAR_MACS    2.
#define NEAR_WEIGHTS 2.5

static NervInit **inits;

static void read_all(void)
{
    static gsize done;
    if (!g_once_init_enter(&done))
        return;
    inits = g_new0(NervInit *, nerv_n_builtin_files + 1);
    for (uint32_t i = 0; i < nerv_n_builtin_files; i++) {
        GError *error = NULL;
        const NervBuiltinFile *f = &nerv_builtin_files[i];
        inits[i] = nerv_init_read(f->data, f->bytes, &error);
        if (!inits[i]) /* memory is all that it can lack */
            g_info("built-in init %s: %s", f->name, error->message);
        g_clear_error(&error);
    }
    g_once_init_leave(&done, 1);
}

const NervInit *nerv_builtin_init(uint32_t i)
{
    read_all();
    return inits[i];
}

const NervInit *nerv_builtin_find(const uint8_t hash[NERV_INIT_HASH_BYTES])
{
    read_all();
    for (uint32_t i = 0; i < nerv_n_builtin_files; i++)
        if (inits[i] && memcmp(inits[i]->hash, hash, NERV_INIT_HASH_BYTES) == 0)
            return inits[i];
    return NULL;
}

/* Whether both have the same tensors, but for how large they are. */
static bool same_form(const NervModel *a, const NervModel *b)
{
    if (a->n_params != b->n_params)
        return false;
    for (uint32_t i = 0; i < a->n_params; i++) {
        const NervParam *p = &a->params[i], *q = &b->params[i];
        if (!g_str_equal(p->name, q->name) || p->role != q->role || p->cell != q->cell ||
            p->shared != q->shared)
            return false;
    }
    return true;
}

/* In octaves, of the one that is further; infinite where it is not near. */
static double distance(double macs, double weights)
{
    const double m = fabs(log2(macs)), w = fabs(log2(weights));
    return m <= log2(NEAR_MACS) && w <= log2(NEAR_WEIGHTS) ? MAX(m, w) : INFINITY;
}

const NervInit *nerv_builtin_near(const NervModel *model, const NervModelSize *size, NervModel **like)
{
    const NervInit *nearest = NULL;
    double least = INFINITY, macs = 0.;
    *like = NULL;
    read_all();
    for (uint32_t i = 0; i < nerv_n_builtin_files; i++) {
        NervModelSize wanted = *size;
        if (!inits[i] || inits[i]->model->klass != model->klass)
            continue;
        wanted.like = inits[i]->model;
        NervModel *other = nerv_model_new_sized(model->klass->name, NULL, &model->clip, &wanted, NULL);
        if (!other || !nerv_init_suits(inits[i], other) || !same_form(model, other)) {
            nerv_model_free(other);
            continue;
        }
        macs = macs > 0. ? macs : nerv_model_macs_per_pixel(model);
        const double d = distance(nerv_model_macs_per_pixel(other) / macs,
                                  (double)other->n_weights / (double)model->n_weights);
        if (d < least) {
            nerv_model_free(*like);
            *like = other;
            least = d;
            nearest = inits[i];
        } else {
            nerv_model_free(other);
        }
    }
    return nearest;
}
