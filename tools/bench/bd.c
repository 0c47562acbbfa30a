/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * BD-rate, see bd.h. The integrals are exact: each piece is a cubic.
 */
#include <math.h>

#include "bd.h"

typedef struct {
    double x, y; /* quality in dB, log10 of the rate */
    double d;    /* dy/dx */
} Knot;

static int by_quality(const void *a, const void *b)
{
    const double xa = ((const Knot *)a)->x, xb = ((const Knot *)b)->x;
    return (xa > xb) - (xa < xb);
}

/* The derivative at an end, from the two pieces next to it, of which the first touches it; kept from overshooting. */
static double end_slope(double h0, double h1, double slope0, double slope1)
{
    const double d = ((2 * h0 + h1) * slope0 - h0 * slope1) / (h0 + h1);
    if (d * slope0 <= 0)
        return 0;
    if (slope0 * slope1 < 0 && fabs(d) > 3 * fabs(slope0))
        return 3 * slope0;
    return d;
}

static double inner_slope(double h0, double h1, double slope0, double slope1)
{
    if (slope0 * slope1 <= 0)
        return 0;
    const double w0 = 2 * h1 + h0, w1 = h1 + 2 * h0;
    return (w0 + w1) / (w0 / slope0 + w1 / slope1);
}

static double width(const Knot *k)
{
    return k[1].x - k[0].x;
}

static double slope(const Knot *k)
{
    return (k[1].y - k[0].y) / width(k);
}

/* n >= 3, strictly increasing in x. */
static void set_derivatives(Knot *k, uint32_t n)
{
    for (uint32_t i = 1; i + 1 < n; i++)
        k[i].d = inner_slope(width(k + i - 1), width(k + i), slope(k + i - 1), slope(k + i));
    k[0].d = end_slope(width(k), width(k + 1), slope(k), slope(k + 1));
    k[n - 1].d = end_slope(width(k + n - 2), width(k + n - 3), slope(k + n - 2), slope(k + n - 3));
}

/* Sorted knots with derivatives; NULL with the reason why not. */
static Knot *make_knots(const BdCurve *c, uint32_t *n, const char **why)
{
    Knot *k = g_new0(Knot, c->n + 1);
    *n = 0;
    for (uint32_t i = 0; i < c->n; i++)
        if (isfinite(c->quality[i]) && isfinite(c->rate[i]) && c->rate[i] > 0)
            k[(*n)++] = (Knot){ .x = c->quality[i], .y = log10(c->rate[i]) };
    qsort(k, *n, sizeof *k, by_quality);
    *why = *n < BD_MIN_POINTS ? "fewer than four points of finite quality" : NULL;
    for (uint32_t i = 1; !*why && i < *n; i++) {
        if (!(k[i].x > k[i - 1].x))
            *why = "two points of the same quality";
        else if (k[i].y < k[i - 1].y)
            *why = "more bytes for lower quality";
    }
    if (*why) {
        g_free(k);
        return NULL;
    }
    set_derivatives(k, *n);
    return k;
}

/* The integral of piece k[0] to k[1] from k[0].x to x. */
static double piece_integral(const Knot *k, double x)
{
    const double h = width(k), m = slope(k), s = x - k->x;
    const double c2 = (3 * m - 2 * k[0].d - k[1].d) / h, c3 = (k[0].d + k[1].d - 2 * m) / (h * h);
    return s * (k->y + s * (k->d / 2 + s * (c2 / 3 + s * c3 / 4)));
}

static double integral(const Knot *k, uint32_t n, double low, double high)
{
    double sum = 0;
    for (uint32_t i = 0; i + 1 < n; i++) {
        const double from = MAX(low, k[i].x), to = MIN(high, k[i + 1].x);
        if (to > from)
            sum += piece_integral(k + i, to) - piece_integral(k + i, from);
    }
    return sum;
}

const char *bd_rate(const BdCurve *anchor, const BdCurve *test, BdRate *out)
{
    const char *why;
    uint32_t n_a, n_t;
    g_autofree Knot *a = make_knots(anchor, &n_a, &why);
    if (!a)
        return why;
    g_autofree Knot *t = make_knots(test, &n_t, &why);
    if (!t)
        return why;
    const double low = MAX(a[0].x, t[0].x), high = MIN(a[n_a - 1].x, t[n_t - 1].x);
    if (!(high > low))
        return "no quality that both have";
    const double mean = (integral(t, n_t, low, high) - integral(a, n_a, low, high)) / (high - low);
    *out = (BdRate){ .percent = 100 * (pow(10, mean) - 1), .low = low, .high = high };
    return NULL;
}
