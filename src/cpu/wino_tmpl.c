/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The transforms of wino_dsp.h in the compiler's vector extensions, compiled once per instruction set. Each is a
 * one-dimensional transform, over columns and then over rows; lanes are tiles, filters or channels, so that none
 * needs a shuffle inside. With the points in pairs +-a and +-b even and odd terms are shared.
 */
#include "cpu/vectors.h"
#include "cpu/wino_dsp.h"

/* The points a and b, and what is made of them. */
#define A1 0.75f
#define B1 1.5f
#define A2 (A1 * A1)
#define B2 (B1 * B1)
#define A3 (A2 * A1)
#define B3 (B2 * B1)
#define C0 (1.0f / (A2 * B2))
#define CA (0.5f / (A2 * (A2 - B2)))
#define CB (0.5f / (B2 * (B2 - A2)))

/* --- the one-dimensional transforms --- */

INLINE void line_input(vf o[6], const vf d[6])
{
    const vf even_a = d[4] - B2 * d[2], odd_a = d[3] - B2 * d[1];
    const vf even_b = d[4] - A2 * d[2], odd_b = d[3] - A2 * d[1];
    o[0] = (A2 * B2) * d[0] + (d[4] - (A2 + B2) * d[2]);
    o[1] = even_a + A1 * odd_a;
    o[2] = even_a - A1 * odd_a;
    o[3] = even_b + B1 * odd_b;
    o[4] = even_b - B1 * odd_b;
    o[5] = (A2 * B2) * d[1] + (d[5] - (A2 + B2) * d[3]);
}

INLINE void line_output(vf y[4], const vf m[6])
{
    const vf sum_a = m[1] + m[2], diff_a = m[1] - m[2], sum_b = m[3] + m[4], diff_b = m[3] - m[4];
    y[0] = m[0] + sum_a + sum_b;
    y[1] = A1 * diff_a + B1 * diff_b;
    y[2] = A2 * sum_a + B2 * sum_b;
    y[3] = A3 * diff_a + B3 * diff_b + m[5];
}

/* Its transpose. */
INLINE void line_output_dx(vf v[6], const vf d[4])
{
    const vf even_a = d[0] + A2 * d[2], odd_a = A1 * d[1] + A3 * d[3];
    const vf even_b = d[0] + B2 * d[2], odd_b = B1 * d[1] + B3 * d[3];
    v[0] = d[0];
    v[1] = even_a + odd_a;
    v[2] = even_a - odd_a;
    v[3] = even_b + odd_b;
    v[4] = even_b - odd_b;
    v[5] = d[3];
}

/* The transpose of the weights' transform. */
INLINE void line_weights_dx(vf g[3], const vf u[6])
{
    const vf sum_a = u[1] + u[2], diff_a = u[1] - u[2], sum_b = u[3] + u[4], diff_b = u[3] - u[4];
    g[0] = C0 * u[0] + (CA * sum_a + CB * sum_b);
    g[1] = (CA * A1) * diff_a + (CB * B1) * diff_b;
    g[2] = (CA * A2) * sum_a + (CB * B2) * sum_b + u[5];
}

/* --- tiles --- */

static void split(float *d, size_t pitch, const float *line, size_t n)
{
    for (size_t q = 0; q < n; q += VF, line += 4 * VF, d += VF) {
        const vf a = load(line), b = load(line + VF), c = load(line + 2 * VF), e = load(line + 3 * VF);
        const vf even_lo = EVEN(a, b), even_hi = EVEN(c, e), odd_lo = ODD(a, b), odd_hi = ODD(c, e);
        store(d, EVEN(even_lo, even_hi));
        store(d + pitch, EVEN(odd_lo, odd_hi));
        store(d + 2 * pitch, ODD(even_lo, even_hi));
        store(d + 3 * pitch, ODD(odd_lo, odd_hi));
    }
}

static void input(float *v, size_t ldf, const float *d, size_t pitch, size_t n_tiles)
{
    for (size_t at = 0; at < n_tiles; at += VF) {
        /* The last vector overlaps the one before. */
        const size_t t = at + VF > n_tiles && n_tiles >= VF ? n_tiles - VF : at;
        vf rows[6][6];
        UNROLL for (int i = 0; i < 6; i++)
        {
            const float *p = d + (size_t)(4 * i) * pitch + t;
            const vf line[6] = { load(p),     load(p + pitch),    load(p + 2 * pitch), load(p + 3 * pitch),
                                 load(p + 1), load(p + pitch + 1) };
            line_input(rows[i], line);
        }
        UNROLL for (int j = 0; j < 6; j++)
        {
            const vf line[6] = { rows[0][j], rows[1][j], rows[2][j], rows[3][j], rows[4][j], rows[5][j] };
            vf out[6];
            line_input(out, line);
            UNROLL for (int i = 0; i < 6; i++) store(v + (size_t)(6 * i + j) * ldf + t, out[i]);
        }
    }
}

INLINE void store_interleaved(float *y, const vf p[4])
{
    const vf even_lo = ZIP_LO(p[0], p[2]), even_hi = ZIP_HI(p[0], p[2]);
    const vf odd_lo = ZIP_LO(p[1], p[3]), odd_hi = ZIP_HI(p[1], p[3]);
    store(y, ZIP_LO(even_lo, odd_lo));
    store(y + VF, ZIP_HI(even_lo, odd_lo));
    store(y + 2 * VF, ZIP_LO(even_hi, odd_hi));
    store(y + 3 * VF, ZIP_HI(even_hi, odd_hi));
}

static void output(float *y, size_t pitch, const float *m, size_t ldf, float bias, size_t n_tiles)
{
    for (size_t t = 0; t < n_tiles; t += VF, m += VF, y += 4 * VF) {
        vf columns[6][4];
        UNROLL for (int j = 0; j < 6; j++)
        {
            vf line[6];
            UNROLL for (int i = 0; i < 6; i++) line[i] = load(m + (size_t)(6 * i + j) * ldf);
            line_output(columns[j], line);
        }
        UNROLL for (int i = 0; i < 4; i++)
        {
            const vf line[6] = { columns[0][i], columns[1][i], columns[2][i],
                                 columns[3][i], columns[4][i], columns[5][i] };
            vf out[4];
            line_output(out, line);
            UNROLL for (int j = 0; j < 4; j++) out[j] += bias;
            store_interleaved(y + i * pitch, out);
        }
    }
}

static void output_dx(float *v, size_t ldf, const float *dy, size_t pitch, int n_vectors, size_t n_tiles)
{
    const size_t width = (size_t)n_vectors * VF;

    for (size_t t = 0; t < n_tiles; t++, v += width, dy += 4 * width) {
        for (size_t o = 0; o < width; o += VF) {
            vf columns[4][6];
            UNROLL for (int j = 0; j < 4; j++)
            {
                vf line[4];
                UNROLL for (int i = 0; i < 4; i++) line[i] = load(dy + (i * pitch + j) * width + o);
                line_output_dx(columns[j], line);
            }
            UNROLL for (int i = 0; i < 6; i++)
            {
                const vf line[4] = { columns[0][i], columns[1][i], columns[2][i], columns[3][i] };
                vf out[6];
                line_output_dx(out, line);
                UNROLL for (int j = 0; j < 6; j++) store(v + (size_t)(6 * i + j) * ldf + o, out[j]);
            }
        }
    }
}

/* --- filters --- */

/* `width` floats of each; a constant where this is inlined, so that the loops become vectors. */
INLINE void filters(float *u, size_t ldf, const float *w, size_t n, const int width)
{
    for (size_t k = 0; k < n; k++, u += width, w += 9 * width) {
        float half[6][3][8];
        UNROLL for (int j = 0; j < 3; j++)
        {
            for (int r = 0; r < width; r++) {
                const float g0 = w[j * width + r], g1 = w[(3 + j) * width + r], g2 = w[(6 + j) * width + r];
                half[0][j][r] = C0 * g0;
                half[1][j][r] = CA * (g0 + A2 * g2) + (CA * A1) * g1;
                half[2][j][r] = CA * (g0 + A2 * g2) - (CA * A1) * g1;
                half[3][j][r] = CB * (g0 + B2 * g2) + (CB * B1) * g1;
                half[4][j][r] = CB * (g0 + B2 * g2) - (CB * B1) * g1;
                half[5][j][r] = g2;
            }
        }
        UNROLL for (int i = 0; i < 6; i++)
        {
            float *to = u + (size_t)(6 * i) * ldf;
            for (int r = 0; r < width; r++) {
                const float g0 = half[i][0][r], g1 = half[i][1][r], g2 = half[i][2][r];
                to[r] = C0 * g0;
                to[ldf + r] = CA * (g0 + A2 * g2) + (CA * A1) * g1;
                to[2 * ldf + r] = CA * (g0 + A2 * g2) - (CA * A1) * g1;
                to[3 * ldf + r] = CB * (g0 + B2 * g2) + (CB * B1) * g1;
                to[4 * ldf + r] = CB * (g0 + B2 * g2) - (CB * B1) * g1;
                to[5 * ldf + r] = g2;
            }
        }
    }
}

static void weights(float *u, size_t ldf, const float *w, size_t n, size_t width)
{
    if (width == 8)
        filters(u, ldf, w, n, 8);
    else if (width == 4)
        filters(u, ldf, w, n, 4);
    else
        filters(u, ldf, w, n, 2);
}

static void weights_dx(float *dw, size_t ldd, const float *u, size_t ldf, size_t n)
{
    for (size_t o = 0; o < n; o += VF) {
        vf half[6][3];
        UNROLL for (int i = 0; i < 6; i++)
        {
            vf line[6];
            UNROLL for (int j = 0; j < 6; j++) line[j] = load(u + (size_t)(6 * i + j) * ldf + o);
            line_weights_dx(half[i], line);
        }
        UNROLL for (int j = 0; j < 3; j++)
        {
            const vf line[6] = { half[0][j], half[1][j], half[2][j], half[3][j], half[4][j], half[5][j] };
            vf out[3];
            line_weights_dx(out, line);
            UNROLL for (int i = 0; i < 3; i++) store(dw + (size_t)(3 * i + j) * ldd + o, out[i]);
        }
    }
}

void CAT(nerv_wino_dsp_init_, NERV_ISA)(NervWinoDsp *dsp);
void CAT(nerv_wino_dsp_init_, NERV_ISA)(NervWinoDsp *dsp)
{
    *dsp = (NervWinoDsp){
        .weights = weights,
        .split = split,
        .input = input,
        .output = output,
        .output_dx = output_dx,
        .weights_dx = weights_dx,
    };
}
