/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The convolution of conv.h. A task is a piece of the result: some rows by some output channels, small enough for the L2
 * cache. It walks over blocks of input channels: copies their rows into a padded buffer, and adds their taps' share to
 * the piece's sums. The piece is stored while it is still in the cache. How the result is cut may depend on the number of
 * threads, as it does not change the order in which one output's products are added.
 */
#include "cpu/conv.h"

#include <string.h>

#include "cpu/wino.h"

#define L1_FLOATS     5120  /* of one tile's input pixels */
#define PIECE_FLOATS  98304 /* of sums: 384 KiB */
#define BUFFER_FLOATS 65536 /* of padded input: 256 KiB */
#define PACK_FLOATS   8192  /* of weights in one task */

#define ALIGN_FLOATS 16

/* --- padded copies --- */

void nerv_conv_layout(const NervConvGeom *g, NervConvLayout *l)
{
    l->in_place = g->kh == 1 && g->kw == 1 && g->step == 1 && g->pad_y == 0 && g->pad_x == 0 &&
                  g->out_h == g->h && g->out_w == g->w;
    l->phases_y = MIN(g->step, g->kh);
    l->phases_x = MIN(g->step, g->kw);
    l->extra_rows = g->kh > 0 ? (g->kh - 1) / g->step : 0;
    if (g->step == 1) {
        /* Columns of a row are read up to `reach`. Those beyond the pitch are the next row's first ones, which have to
         * be zeros and to stand for zeros. */
        const int32_t reach = g->out_w + MAX(g->kw - 1, 0);
        const int32_t left = MAX(g->pad_x, 0);
        l->pitch = MAX(MAX(g->out_w, reach - left), MIN(g->w + g->pad_x, reach));
    } else {
        l->pitch = g->out_w + (g->kw > 0 ? (g->kw - 1) / g->step : 0);
    }
}

size_t nerv_conv_plane(const NervConvGeom *g, const NervConvLayout *l, int32_t n_rows, size_t slack)
{
    /* An odd number of cache lines: planes then don't compete for the same sets of a cache. */
    const size_t floats = (size_t)(n_rows + l->extra_rows) * l->pitch + g->kw + slack;
    return (floats / ALIGN_FLOATS / 2 * 2 + 3) * ALIGN_FLOATS;
}

/* Step 1: rows y0..y0+rows-1 of all channels, some of which may lie outside the source. */
static void copy_padded(const NervConvDsp *dsp, const NervConvGeom *g, const NervConvLayout *l, float *dst,
                        size_t plane, const float *src, int32_t n_channels, int32_t y0, int32_t rows)
{
    const int32_t above = CLAMP(-y0, 0, rows), h = CLAMP(g->h - MAX(y0, 0), 0, rows - above);
    const int32_t left = MIN(MAX(g->pad_x, 0), l->pitch), skip = MAX(-g->pad_x, 0);
    const int32_t w = CLAMP(g->w - skip, 0, l->pitch - left);

    dsp->pad(dst, plane, l->pitch, above, left, src + (size_t)MAX(y0, 0) * g->w + skip, (size_t)g->h * g->w,
             g->w, h, w, n_channels);
}

/* Columns c0..c1-1 of one phase: column c is column step*c + phase - pad_x of the source's row, or 0. */
static void split_columns(const NervConvGeom *g, float *dst, const float *src, int32_t phase, int32_t c0,
                          int32_t c1)
{
    for (int32_t c = c0; c < c1; c++) {
        const int32_t x = g->step * c + phase - g->pad_x;
        dst[c] = x >= 0 && x < g->w ? src[x] : 0.0f;
    }
}

/* One row of all phases. */
static void split_row(const NervConvDsp *dsp, const NervConvGeom *g, const NervConvLayout *l, float *dst,
                      size_t plane, const float *src)
{
    int32_t first = l->pitch, end = l->pitch;

    if (l->phases_x == g->step) {
        /* Columns first..end-1 lie inside the source in all phases. */
        first = MIN(nerv_ceil_div(MAX(g->pad_x, 0), g->step), l->pitch);
        end = CLAMP((g->w + g->pad_x) / g->step, first, l->pitch);
        dsp->deinterleave(dst + first, plane, src + (ptrdiff_t)g->step * first - g->pad_x, end - first,
                          g->step);
    }
    for (int32_t j = 0; j < l->phases_x; j++, dst += plane) {
        split_columns(g, dst, src, j, 0, first);
        split_columns(g, dst, src, j, end, l->pitch);
    }
}

void nerv_conv_copy(const NervConvDsp *dsp, const NervConvGeom *g, const NervConvLayout *l, float *dst,
                    size_t plane, const float *src, int32_t n_channels, int32_t first_row, int32_t n_rows)
{
    const int32_t rows = n_rows + l->extra_rows;
    const size_t used = (size_t)rows * l->pitch;

    if (g->step == 1) {
        copy_padded(dsp, g, l, dst, plane, src, n_channels, first_row - g->pad_y, rows);
        return;
    }
    for (int32_t c = 0; c < n_channels; c++, src += (size_t)g->h * g->w) {
        for (int32_t i = 0; i < l->phases_y; i++, dst += plane * l->phases_x) {
            for (int32_t j = 0; j < l->phases_x; j++)
                memset(dst + j * plane + used, 0, (plane - used) * sizeof *dst);
            for (int32_t r = 0; r < rows; r++) {
                const int32_t y = g->step * (first_row + r) + i - g->pad_y;
                float *row = dst + (size_t)r * l->pitch;
                if (y >= 0 && y < g->h) {
                    split_row(dsp, g, l, row, plane, src + (size_t)y * g->w);
                    continue;
                }
                for (int32_t j = 0; j < l->phases_x; j++)
                    memset(row + j * plane, 0, l->pitch * sizeof *dst);
            }
        }
    }
}

void nerv_conv_offsets(const NervConvGeom *g, const NervConvLayout *l, int32_t *off, size_t plane,
                       int32_t n_channels)
{
    for (int32_t c = 0; c < n_channels; c++) {
        for (int32_t i = 0; i < g->kh; i++) {
            for (int32_t j = 0; j < g->kw; j++) {
                const size_t p = ((size_t)c * l->phases_y + i % g->step) * l->phases_x + j % g->step;
                *off++ = (int32_t)(p * plane + (size_t)(i / g->step) * l->pitch + j / g->step);
            }
        }
    }
}

/* --- the cut --- */

typedef struct {
    NervConvLayout layout;
    int32_t ci_block, n_ci_blocks; /* input channels at a time */
    int32_t rows, n_row_pieces;
    int32_t outs, n_out_pieces;
    size_t plane, ld;
    size_t packed_floats, buffer_floats, offset_floats,
        sum_floats; /* of scratch; the last three per thread */
} Cut;

/* What a piece costs, in cycles or so: the tiles' multiply-adds, of which one and two vectors wide ones are less efficient,
 * copying the input, storing, and starting. */
static double piece_cost(const NervConvGeom *g, const NervConvDsp *dsp, const NervConvLayout *l, int32_t rows,
                         int32_t outs)
{
    const int32_t n_vectors = nerv_ceil_div((rows - 1) * l->pitch + g->out_w, dsp->vector_floats);
    const double vectors = n_vectors + (n_vectors % 3 == 0 ? 0 : n_vectors % 3 == 1 ? 0.5 : 0.25);
    const double macs = vectors * nerv_conv_padded(dsp, outs) * ((double)g->c_in * g->kh * g->kw / 2 + 4);
    const double copied = l->in_place ? 0 : (double)g->c_in * (rows + l->extra_rows) * (l->pitch / 4.0 + 16);
    const double stored = (double)rows * (l->pitch / 2.0 + 16) * outs;
    return macs + copied + stored + 3000;
}

/* Of the ways to cut into at most PIECE_FLOATS the one that all threads together finish soonest, all going well, with a
 * preference for small pieces as not all goes well. */
static void choose_pieces(const NervConvGeom *g, const NervCpu *cpu, Cut *cut)
{
    const NervConvDsp *dsp = &cpu->dsp->conv;
    const int32_t pitch = cut->layout.pitch, n_threads = (int32_t)nerv_pool_threads(cpu->pool);
    int32_t unit = dsp->block;
    double best = 0;

    while (unit % g->group != 0)
        unit += dsp->block;
    const int32_t n_units = nerv_ceil_div(g->c_out, unit);
    const int32_t fit = MAX(PIECE_FLOATS / pitch, 1); /* channels of one row */
    int32_t n_outs = CLAMP(nerv_ceil_div(MIN(g->c_out, 1 << 20) * MIN(g->out_h, 2), fit), 1, n_units);
    cut->rows = 0;
    if (g->whole)
        n_outs = 1;
    for (int tries = 0; tries < (g->whole ? 1 : 3) && n_outs <= n_units; tries++, n_outs *= 2) {
        const int32_t outs = nerv_ceil_div(n_units, n_outs) * unit;
        const int32_t room =
            BUFFER_FLOATS / (cut->ci_block * MAX(cut->layout.phases_y * cut->layout.phases_x, 1)) / pitch;
        const int32_t most = CLAMP(MIN(fit / outs, room - cut->layout.extra_rows), 1, g->out_h);
        const int32_t fewest = nerv_ceil_div(g->out_h, most);
        for (int32_t n = fewest; n < fewest + 4 * n_threads + 8 && n <= g->out_h; n++) {
            const int32_t rows = nerv_ceil_div(g->out_h, n);
            const int64_t pieces =
                (int64_t)g->n * nerv_ceil_div(g->out_h, rows) * nerv_ceil_div(g->c_out, outs);
            const double cost = piece_cost(g, dsp, &cut->layout, rows, MIN(outs, g->c_out));
            const double time = cost * ((pieces + n_threads - 1) / n_threads + (n_threads > 1 ? 0.25 : 0));
            if (cut->rows == 0 || time < best) {
                best = time;
                cut->rows = rows;
                cut->outs = MIN(outs, g->c_out);
            }
        }
    }
    cut->n_row_pieces = nerv_ceil_div(g->out_h, cut->rows);
    cut->n_out_pieces = nerv_ceil_div(g->c_out, cut->outs);
}

static void make_cut(const NervConvGeom *g, const NervCpu *cpu, Cut *cut)
{
    const NervConvDsp *dsp = &cpu->dsp->conv;
    const size_t vf = dsp->vector_floats, taps = (size_t)g->kh * g->kw;

    nerv_conv_layout(g, &cut->layout);
    const int32_t most = MAX(L1_FLOATS / MAX(g->kh * (3 * (int32_t)vf + g->kw), 1), 1);
    cut->n_ci_blocks = nerv_ceil_div(g->c_in, most);
    cut->ci_block = nerv_ceil_div(g->c_in, cut->n_ci_blocks);
    cut->n_ci_blocks = nerv_ceil_div(g->c_in, cut->ci_block);
    choose_pieces(g, cpu, cut);

    cut->plane = nerv_conv_plane(g, &cut->layout, cut->rows, vf);
    cut->ld =
        (nerv_round_up((size_t)cut->rows * cut->layout.pitch, vf) / ALIGN_FLOATS / 2 * 2 + 3) * ALIGN_FLOATS;
    cut->packed_floats = nerv_round_up(nerv_conv_padded(dsp, g->c_out) * g->c_in * taps, ALIGN_FLOATS);
    cut->buffer_floats = cut->plane * cut->ci_block * cut->layout.phases_y * cut->layout.phases_x;
    cut->offset_floats = nerv_round_up(cut->ci_block * taps, ALIGN_FLOATS);
    cut->sum_floats = cut->ld * nerv_conv_padded(dsp, cut->outs);
}

size_t nerv_conv_piece_floats(const NervConvGeom *g, const NervCpu *cpu)
{
    Cut cut;
    if (nerv_wino_suits(g))
        return nerv_wino_piece_floats(g, cpu);
    make_cut(g, cpu, &cut);
    return cut.ld;
}

size_t nerv_conv_scratch(const NervConvGeom *g, const NervCpu *cpu)
{
    Cut cut;
    if (nerv_wino_suits(g))
        return nerv_wino_scratch(g, cpu);
    make_cut(g, cpu, &cut);
    return sizeof(float) * (cut.packed_floats + nerv_pool_threads(cpu->pool) *
                                                    (cut.buffer_floats + cut.offset_floats + cut.sum_floats));
}

/* --- weights --- */

typedef struct {
    const NervConvGeom *g;
    const NervConvDsp *dsp;
    const Cut *cut;
    const NervConvWeights *weights;
    const float *src, *bias;
    float *packed, *per_thread;
    uint32_t n_pack_tasks;
    NervConvStore store;
    void *ctx;
} Job;

void nerv_conv_pack(const NervConvGeom *g, const NervConvDsp *dsp, const NervConvWeights *w, float *dst,
                    int32_t o, int32_t n_out, int32_t width, int32_t c0, int32_t c1)
{
    const int32_t kh = g->kh, kw = g->kw, taps = kh * kw;
    const float *src = w->w + o * w->out_stride + c0 * w->in_stride;

    if (w->row_stride == kw * w->col_stride && w->col_stride == 1 && w->in_stride == taps) {
        dsp->transpose(dst, width, src, w->out_stride, n_out, width, (size_t)(c1 - c0) * taps);
        return;
    }
    for (int32_t c = c0; c < c1; c++, src += w->in_stride, dst += (size_t)taps * width) {
        if (w->row_stride == kw * w->col_stride && w->col_stride == -1) {
            dsp->transpose(dst + (size_t)(taps - 1) * width, -width, src - (taps - 1), w->out_stride, n_out,
                           width, taps);
            continue;
        }
        for (int32_t t = 0; t < taps; t++) {
            const float *from = src + t / kw * w->row_stride + t % kw * w->col_stride;
            for (int32_t r = 0; r < width; r++)
                dst[t * width + r] = r < n_out ? from[r * w->out_stride] : 0.0f;
        }
    }
}

static int32_t block_width(const NervConvDsp *dsp, int32_t left)
{
    return left > dsp->block / 2 ? dsp->block : dsp->block / 2;
}

/* Packed weights: for each block of input channels, for each block of output channels, [tap][width]. */
static void pack_task(void *arg, uint32_t task, uint32_t thread)
{
    const Job *job = arg;
    const NervConvGeom *g = job->g;
    const int32_t block = job->dsp->block, n_blocks = nerv_ceil_div(g->c_out, block);
    const int32_t first = (int32_t)((int64_t)n_blocks * task / job->n_pack_tasks);
    const int32_t end = (int32_t)((int64_t)n_blocks * (task + 1) / job->n_pack_tasks);
    const size_t padded = nerv_conv_padded(job->dsp, g->c_out), taps = (size_t)g->kh * g->kw;

    for (int32_t c0 = 0; c0 < g->c_in; c0 += job->cut->ci_block) {
        const int32_t c1 = MIN(c0 + job->cut->ci_block, g->c_in);
        float *base = job->packed + c0 * taps * padded;
        for (int32_t i = first; i < end; i++) {
            const int32_t o = i * block, left = g->c_out - o;
            nerv_conv_pack(g, job->dsp, job->weights, base + o * (size_t)(c1 - c0) * taps, o,
                           MIN(left, block), block_width(job->dsp, left), c0, c1);
        }
    }
}

/* --- the products --- */

static void piece_task(void *arg, uint32_t task, uint32_t thread)
{
    const Job *job = arg;
    const NervConvGeom *g = job->g;
    const Cut *cut = job->cut;
    const NervConvLayout *l = &cut->layout;
    float *buffer = job->per_thread + thread * (cut->buffer_floats + cut->offset_floats + cut->sum_floats);
    int32_t *off = (int32_t *)(buffer + cut->buffer_floats);
    NervConvPiece piece = { .sums = buffer + cut->buffer_floats + cut->offset_floats,
                            .ld = cut->ld,
                            .pitch = l->pitch,
                            .first_out = (int32_t)(task % cut->n_out_pieces) * cut->outs,
                            .first_row = (int32_t)(task / cut->n_out_pieces % cut->n_row_pieces) * cut->rows,
                            .image = (int32_t)(task / cut->n_out_pieces / cut->n_row_pieces),
                            .n_cols = g->out_w,
                            .thread = thread };
    piece.n_out = MIN(cut->outs, g->c_out - piece.first_out);
    piece.n_rows = MIN(cut->rows, g->out_h - piece.first_row);

    const size_t n_pixels = (size_t)(piece.n_rows - 1) * l->pitch + g->out_w, channel = (size_t)g->h * g->w;
    const size_t padded = nerv_conv_padded(job->dsp, g->c_out), taps = (size_t)g->kh * g->kw;
    /* Whole vectors are read, and not beyond the channel's end. */
    const bool in_place =
        l->in_place &&
        (size_t)piece.first_row * g->w + nerv_round_up(n_pixels, job->dsp->vector_floats) <= channel;
    const size_t plane = in_place ? channel : cut->plane;

    nerv_conv_offsets(g, l, off, plane, cut->ci_block);
    for (int32_t c0 = 0; c0 < g->c_in; c0 += cut->ci_block) {
        const int32_t n_ci = MIN(cut->ci_block, g->c_in - c0);
        const float *in = job->src + ((size_t)piece.image * g->c_in + c0) * channel;
        if (in_place) {
            in += (size_t)piece.first_row * g->w;
        } else if (taps > 0) {
            nerv_conv_copy(job->dsp, g, l, buffer, cut->plane, in, n_ci, piece.first_row, piece.n_rows);
            in = buffer;
        }
        job->dsp->conv(piece.sums, piece.ld, in, off, n_ci * taps,
                       job->packed + c0 * taps * padded + piece.first_out * n_ci * taps,
                       job->bias ? job->bias + piece.first_out : NULL, piece.n_out, n_pixels, c0 > 0);
    }
    job->store(job->ctx, &piece);
}

void nerv_conv_run(const NervConvGeom *g, const NervCpu *cpu, void *scratch, const float *src,
                   const NervConvWeights *weights, const float *bias, NervConvStore store, void *ctx)
{
    Cut cut;
    if (nerv_wino_suits(g)) {
        nerv_wino_run(g, cpu, scratch, src, weights, bias, store, ctx);
        return;
    }
    make_cut(g, cpu, &cut);
    Job job = { .g = g,
                .dsp = &cpu->dsp->conv,
                .cut = &cut,
                .weights = weights,
                .src = src,
                .bias = bias,
                .packed = scratch,
                .per_thread = (float *)scratch + cut.packed_floats,
                .store = store,
                .ctx = ctx };

    job.n_pack_tasks =
        (uint32_t)CLAMP(cut.packed_floats / PACK_FLOATS, 1, (size_t)nerv_ceil_div(g->c_out, job.dsp->block));
    nerv_pool_run(cpu->pool, job.n_pack_tasks, pack_task, &job);
    nerv_pool_run(cpu->pool, (uint32_t)g->n * cut.n_row_pieces * cut.n_out_pieces, piece_task, &job);
}
