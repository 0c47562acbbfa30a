/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Single convolutions, see convs.h. Rates count the multiply-accumulates of the direct form, whatever way the op takes.
 */
#include <math.h>

#include "base/rng.h"
#include "convs.h"
#include "ops/ops.h"
#include "rounds.h"

#define MIN_RUNS 3
#define N_WAYS   3

static const char *const ways[N_WAYS] = { "forward", "dx", "dw" };

typedef struct {
    int n, cin, cout, h, w, k;
} Shape;

static const Shape shapes[] = {
    { 1, 96, 96, 180, 320, 3 }, { 1, 24, 96, 180, 320, 3 }, { 1, 24, 24, 180, 320, 3 },
    { 1, 48, 192, 90, 160, 3 }, { 1, 16, 64, 180, 320, 3 }, { 1, 128, 512, 45, 80, 3 },
};
static const Shape small[] = { { 1, 8, 8, 18, 32, 3 } };

/* One op whose operands are leaves in buffers of their own. */
typedef struct {
    NervTape *tape;
    NervExec *exec;
    GPtrArray *buffers;
} Lone;

static void buffer_free(gpointer data)
{
    nerv_buffer_free(data);
}

static void lone_clear(Lone *l)
{
    nerv_exec_free(l->exec);
    if (l->buffers)
        g_ptr_array_unref(l->buffers);
    nerv_tape_free(l->tape);
}

static bool fill_leaf(Lone *l, NervBackend *be, const NervTensor *leaf, NervRng *rng, GError **error)
{
    const size_t n = (size_t)nerv_shape_count(leaf->shape);
    g_autofree float *values = g_new(float, n);
    for (size_t i = 0; i < n; i++)
        values[i] = nerv_rng_uniform(rng, -1.f, 1.f);
    NervBuffer *buf = nerv_buffer_new(be, n * sizeof(float), error);
    if (!buf)
        return false;
    g_ptr_array_add(l->buffers, buf);
    return nerv_buffer_upload(buf, 0, values, n * sizeof(float), error) &&
           nerv_exec_bind(l->exec, leaf, buf, 0, error);
}

static NervTensor *leaf(NervTape *t, int n, int c, int h, int w)
{
    return nerv_tape_leaf(t, NERV_TENSOR_PARAM, NERV_F32, nerv_shape(n, c, h, w), NULL);
}

/* Of dw's two outputs only the weights' is asked for, as of the peer. */
static NervTensor *build(NervTape *t, const Shape *s, int way)
{
    const int pad = (s->k - 1) / 2;
    if (way == 0)
        return nerv_conv2d(t, leaf(t, s->n, s->cin, s->h, s->w), leaf(t, s->cout, s->cin, s->k, s->k),
                           leaf(t, 1, s->cout, 1, 1), 1, pad);
    NervTensor *dy = leaf(t, s->n, s->cout, s->h, s->w);
    if (way == 1)
        return nerv_conv2d_dx(t, dy, leaf(t, s->cout, s->cin, s->k, s->k), 1, pad, s->h, s->w);
    return nerv_conv2d_dw(t, dy, leaf(t, s->n, s->cin, s->h, s->w), s->k, 1, pad);
}

static bool lone_open(Lone *l, NervBackend *be, const Shape *s, int way, GError **error)
{
    NervRng rng;
    nerv_rng_init(&rng, 1);
    *l = (Lone){ nerv_tape_new(), NULL, g_ptr_array_new_with_free_func(buffer_free) };
    nerv_tape_output(l->tape, build(l->tape, s, way), NULL);
    if (!nerv_tape_check(l->tape, error) || !(l->exec = nerv_exec_new(be, l->tape, error)))
        return false;
    for (guint i = 0; i < l->tape->tensors->len; i++) {
        const NervTensor *t = g_ptr_array_index(l->tape->tensors, i);
        if (t->kind == NERV_TENSOR_PARAM && !fill_leaf(l, be, t, &rng, error))
            return false;
    }
    return true;
}

static double now(void)
{
    return (double)g_get_monotonic_time() * 1e-6;
}

static double lone_time(Lone *l, double seconds, GError **error)
{
    uint32_t n = 0;
    if (!nerv_exec_run(l->exec, error) || !nerv_exec_wait(l->exec, error))
        return -1;
    const double start = now();
    do {
        if (!nerv_exec_run(l->exec, error))
            return -1;
    } while (++n < MIN_RUNS || now() - start < seconds);
    return nerv_exec_wait(l->exec, error) ? (now() - start) / n : -1;
}

static bool run_rounds(Lone *lone, BenchPeer *peer, const BenchRoof *roof, const char *question, Rounds *r,
                       double seconds, GError **error)
{
    for (uint32_t i = 0; i < r->n; i++) {
        r->peak[i] = bench_roof_gmacs_now(roof);
        if ((r->ours[i] = lone_time(lone, seconds, error)) < 0 ||
            (peer && (r->peer[i] = bench_peer_ask(peer, question, "seconds", error)) < 0))
            return false;
    }
    return true;
}

/* Sums of logarithms, for geometric means. */
typedef struct {
    double gmacs, share, ratio;
} Logs;

static void report(Json *j, const Shape *s, int way, const Rounds *r, bool with_peer, Logs *logs)
{
    const double macs = (double)s->n * s->cin * s->cout * s->h * s->w * s->k * s->k;
    const double t = rounds_median(r->ours, r->n), gmacs = macs / t * 1e-9;
    const double share = rounds_median_share(r, macs);
    g_autofree char *name =
        g_strdup_printf("%dx%dx%dx%d to %d, %dx%d", s->n, s->cin, s->h, s->w, s->cout, s->k, s->k);
    json_open(j, NULL, '{');
    json_string(j, "shape", name);
    json_string(j, "way", ways[way]);
    json_number(j, "seconds", t);
    json_number(j, "gmacs_per_s", gmacs);
    json_number(j, "share_of_peak", share);
    g_print("  conv2d %-28s %-7s %8.2f GMAC/s", name, ways[way], gmacs);
    if (isfinite(share))
        g_print("  %5.1f %% of peak", 100 * share);
    if (with_peer) {
        const double ratio = rounds_median_ratio(r);
        json_number(j, "peer_gmacs_per_s", macs / rounds_median(r->peer, r->n) * 1e-9);
        json_number(j, "ratio", ratio);
        g_print("  %5.2fx PyTorch (%.2f)", ratio, macs / rounds_median(r->peer, r->n) * 1e-9);
        logs->ratio += log(ratio);
    }
    g_print("\n");
    json_close(j, '}');
    logs->gmacs += log(gmacs);
    logs->share += log(share);
}

static void report_means(Json *j, const Logs logs[N_WAYS], size_t n, bool with_peer)
{
    json_open(j, "conv2d_mean", '[');
    for (int way = 0; way < N_WAYS; way++) {
        const double gmacs = exp(logs[way].gmacs / (double)n), share = exp(logs[way].share / (double)n);
        json_open(j, NULL, '{');
        json_string(j, "way", ways[way]);
        json_number(j, "gmacs_per_s", gmacs);
        json_number(j, "share_of_peak", share);
        g_print("  conv2d geometric mean               %-7s %8.2f GMAC/s", ways[way], gmacs);
        if (isfinite(share))
            g_print("  %5.1f %% of peak", 100 * share);
        if (with_peer) {
            json_number(j, "ratio", exp(logs[way].ratio / (double)n));
            g_print("  %5.2fx PyTorch", exp(logs[way].ratio / (double)n));
        }
        g_print("\n");
        json_close(j, '}');
    }
    json_close(j, ']');
}

bool bench_convs(Json *j, NervBackend *be, BenchPeer *peer, const BenchRoof *roof, uint32_t rounds,
                 double seconds, bool quick, GError **error)
{
    const Shape *list = quick ? small : shapes;
    const size_t n = quick ? G_N_ELEMENTS(small) : G_N_ELEMENTS(shapes);
    Logs logs[N_WAYS] = { { 0, 0, 0 } };
    json_open(j, "conv2d", '[');
    for (size_t i = 0; i < n; i++) {
        for (int way = 0; way < N_WAYS; way++) {
            const Shape *s = &list[i];
            Lone lone = { NULL, NULL, NULL };
            Rounds r = { .n = rounds };
            g_autofree char *question = g_strdup_printf("conv_%s %d %d %d %d %d %d %g", ways[way], s->n,
                                                        s->cin, s->cout, s->h, s->w, s->k, seconds);
            const bool ok = lone_open(&lone, be, s, way, error) &&
                            run_rounds(&lone, peer, roof, question, &r, seconds, error);
            lone_clear(&lone);
            if (!ok)
                return false;
            report(j, s, way, &r, peer != NULL, &logs[way]);
        }
    }
    json_close(j, ']');
    report_means(j, logs, n, peer != NULL);
    return true;
}
