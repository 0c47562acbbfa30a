/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Winograd's convolution, see wino.h. A task is a rectangle of tiles by some output channels. It transforms the
 * rectangle's inputs, multiplies them, frequency by frequency, with the transformed weights, and transforms the
 * products of a group of output channels back, whose piece is stored while it is in the cache. Sizes are chosen so
 * that inputs and products of a task stay in the L2 cache; weights come from further away, once per task.
 */
#include "cpu/wino.h"

#include <string.h>

#define L2_FLOATS       212992 /* of transformed inputs and products: 832 KiB */
#define GROUP_FLOATS    24576  /* of products at least */
#define MOST_TILES      160    /* in a task */
#define LEAST_COLUMNS   20     /* of tiles, where images are wider */
#define MOST_OUT_BLOCKS 4
#define LEAST_CHANNELS  20  /* of both images together */
#define LEAST_PIXELS    768 /* of all images */
#define PACK_CHANNELS   32  /* input channels packed at a time */

#define ALIGN_FLOATS 16

bool nerv_wino_suits(const NervConvGeom *g)
{
    /* The transforms must be worth their while: those of images grow with the channels, the products with their square; that of the
     * weights needs enough tiles. */
    return g->kh == 3 && g->kw == 3 && g->step == 1 && g->c_in >= 8 && g->c_out >= 8 &&
           g->c_in + g->c_out >= LEAST_CHANNELS && g->out_w >= 2 * NERV_WINO_TILE &&
           (int64_t)g->n * g->out_h * g->out_w >= LEAST_PIXELS;
}

/* --- inputs --- */

size_t nerv_wino_ldt(const NervConvDsp *dsp, int32_t n_rows, int32_t n_cols)
{
    /* Rows of tiles are written as whole vectors. An odd number of cache lines, as in nerv_conv_plane(). */
    const size_t vf = dsp->vector_floats, n = (size_t)(n_rows - 1) * n_cols + MAX((size_t)n_cols, vf);
    return (nerv_round_up(n, vf) + ALIGN_FLOATS - 1) / ALIGN_FLOATS / 2 * 2 * ALIGN_FLOATS + ALIGN_FLOATS;
}

/* Floats of a fourth of a line of pixels: whole vectors of tiles and the two pixels that the last one needs of the next. */
static size_t line_pitch(const NervConvDsp *dsp, int32_t n_cols)
{
    return nerv_round_up((size_t)n_cols + 1, dsp->vector_floats);
}

/* A padded line, the lines, and what an unaligned last vector reads. */
size_t nerv_wino_copy_floats(const NervConvDsp *dsp, int32_t n_rows, int32_t n_cols)
{
    return NERV_WINO_TILE * line_pitch(dsp, n_cols) * (NERV_WINO_TILE * n_rows + 2 + 1) + dsp->vector_floats;
}

typedef struct {
    const NervDsp *dsp;
    const float *end; /* of all images */
    float *line;      /* zeros but for columns left..left+n-1, or so */
    size_t pitch;
    int32_t left, n, first_x, used; /* columns of the image in a line; columns that count */
} Lines;

/* One line: the image's row at `from`, which is that of column first_x and may lie outside the image. */
static void copy_line(const Lines *l, float *d, const float *from, size_t offset)
{
    const size_t floats = NERV_WINO_TILE * l->pitch;

    if (offset < (size_t)-MIN(l->first_x, 0) || from + floats > l->end) {
        l->dsp->conv.copy_rows(l->line + l->left, 0, from + l->left, 0, l->n, 1);
        l->dsp->wino.split(d, l->pitch, l->line, l->pitch);
        return;
    }
    l->dsp->wino.split(d, l->pitch, from, l->pitch);
    for (int32_t x = 0; x < l->left; x++)
        d[x % NERV_WINO_TILE * l->pitch + x / NERV_WINO_TILE] = 0;
    for (int32_t x = l->left + l->n; x < l->used; x++)
        d[x % NERV_WINO_TILE * l->pitch + x / NERV_WINO_TILE] = 0;
}

void nerv_wino_input(const NervConvGeom *g, const NervDsp *dsp, const NervWinoBlock *b, const float *src,
                     float *copy, float *v, size_t ldf, size_t ldt)
{
    const size_t image = (size_t)g->c_in * g->h * g->w, pitch = line_pitch(&dsp->conv, b->n_cols);
    const size_t row = NERV_WINO_TILE * pitch;
    const int32_t n_lines = NERV_WINO_TILE * b->n_rows + 2,
                  first_y = NERV_WINO_TILE * b->first_row - g->pad_y;
    float *lines = copy + row;
    Lines l = { .dsp = dsp, .end = src + g->n * image, .line = copy, .pitch = pitch };

    l.first_x = NERV_WINO_TILE * b->first_col - g->pad_x;
    l.left = CLAMP(-l.first_x, 0, (int32_t)row);
    l.n = CLAMP(g->w - MAX(l.first_x, 0), 0, (int32_t)row - l.left);
    l.used = NERV_WINO_TILE * b->n_cols + 2;
    memset(l.line, 0, row * sizeof *l.line);
    for (int32_t c = 0; c < b->n_channels; c++, v += ldt) {
        const size_t channel = b->image * image + (size_t)(b->first_channel + c) * g->h * g->w;
        for (int32_t i = 0; i < n_lines; i++) {
            const int32_t y = first_y + i;
            const size_t offset = channel + (size_t)MAX(y, 0) * g->w;
            if (y < 0 || y >= g->h || l.n == 0)
                memset(lines + i * row, 0, row * sizeof *lines);
            else
                copy_line(&l, lines + i * row, src + (ptrdiff_t)offset + l.first_x, offset);
        }
        for (int32_t r = 0; r < b->n_rows; r++)
            dsp->wino.input(v + (size_t)r * b->n_cols, ldf, lines + NERV_WINO_TILE * r * row, pitch,
                            b->n_cols);
    }
}

/* --- the cut --- */

typedef struct {
    int32_t rows, cols, n_row_blocks, n_col_blocks; /* tiles of a task */
    int32_t outs, n_out_blocks;                     /* output channels of a task */
    int32_t group;                                  /* output channels multiplied and stored at a time */
    int32_t ci_block;                               /* input channels at a time */
    int32_t pitch;                                  /* of a piece */
    double time;                                    /* expected */
    size_t ldt, ld, padded;
    size_t weight_floats, pack_floats, copy_floats, input_floats, product_floats, offset_floats, sum_floats;
} Cut;

/* Of a task, in cycles of a processor with AVX-512 or so. */
static double task_cost(const NervConvGeom *g, const NervConvDsp *dsp, const Cut *cut)
{
    const int32_t vf = dsp->vector_floats, n_vectors = nerv_ceil_div(cut->rows * cut->cols, vf);
    const double vectors = n_vectors + (n_vectors % 3 == 0 ? 0 : n_vectors % 3 == 1 ? 0.5 : 0.25);
    const double row_vectors = (double)cut->rows * nerv_ceil_div(cut->cols, vf);
    const double n_groups = nerv_ceil_div(cut->outs, cut->group),
                 n_blocks = nerv_ceil_div(g->c_in, cut->ci_block);
    const double padded = NERV_WINO_FREQS * (double)nerv_conv_padded(dsp, cut->outs);

    const double lines = (4. * cut->rows + 2) * (20 + 12. * nerv_ceil_div(cut->cols + 1, vf));
    const double in = (n_blocks > 1 ? n_groups : 1) * g->c_in * (row_vectors * 110 + lines);
    const double products = padded * vectors * (g->c_in * 0.55 + 1.5 * n_blocks);
    const double weights = padded * g->c_in * 0.25;
    const double out = cut->outs * (row_vectors * 150 + cut->rows * cut->cols * 4.0 + 50);
    /* What does not fit the L2 cache comes from the next one. */
    const double input = NERV_WINO_FREQS * (double)cut->ci_block * cut->ldt,
                 product = NERV_WINO_FREQS * (double)cut->group * cut->ldt;
    const double near = n_groups * n_blocks * (input + product) * 0.2;
    const double far = input + product <= L2_FLOATS ? 0
                       : n_blocks > 1               ? n_groups * n_blocks * (input + 2 * product)
                                                    : n_groups * (input + product);
    return in + products + weights + out + near + far * 0.5 + 5000;
}

static void try_channels(const NervConvGeom *g, const NervCpu *cpu, Cut *cut, Cut *best)
{
    const int32_t n_threads = (int32_t)nerv_pool_threads(cpu->pool);
    const int64_t tasks = (int64_t)g->n * cut->n_row_blocks * cut->n_col_blocks * cut->n_out_blocks;
    cut->time = task_cost(g, &cpu->dsp->conv, cut) *
                (double)((tasks + n_threads - 1) / n_threads + (n_threads > 1 ? 0.25 : 0));
    if (best->rows == 0 || cut->time < best->time)
        *best = *cut;
}

/* How many channels at a time: groups of output channels from small to all, all input channels or as many as leave them in the
 * L2 cache. */
static void choose_channels(const NervConvGeom *g, const NervCpu *cpu, int32_t unit, int32_t n_out_blocks,
                            Cut *cut, Cut *best)
{
    const NervConvDsp *dsp = &cpu->dsp->conv;
    cut->ldt = nerv_wino_ldt(dsp, cut->rows, cut->cols);
    cut->outs = MIN(nerv_ceil_div(nerv_ceil_div(g->c_out, unit), n_out_blocks) * unit, g->c_out);
    cut->n_out_blocks = nerv_ceil_div(g->c_out, cut->outs);

    const int32_t channel = NERV_WINO_FREQS * (int32_t)cut->ldt, n_units = nerv_ceil_div(cut->outs, unit);
    int32_t last = 0;
    for (int32_t floats = GROUP_FLOATS; floats <= 4 * GROUP_FLOATS; floats *= 2) {
        const int32_t fit = CLAMP(floats / (channel * unit), 1, n_units);
        cut->group = MIN(nerv_ceil_div(n_units, nerv_ceil_div(n_units, fit)) * unit, cut->outs);
        if (cut->group == last)
            continue;
        last = cut->group;
        cut->ci_block = g->c_in;
        try_channels(g, cpu, cut, best);
        const int32_t most = (L2_FLOATS - cut->group * channel) / channel;
        if (most >= 8 && most < g->c_in) {
            cut->ci_block = nerv_ceil_div(g->c_in, nerv_ceil_div(g->c_in, most));
            try_channels(g, cpu, cut, best);
        }
    }
}

static void choose_blocks(const NervConvGeom *g, const NervCpu *cpu, Cut *best)
{
    const NervConvDsp *dsp = &cpu->dsp->conv;
    const int32_t tiles_y = nerv_ceil_div(g->out_h, NERV_WINO_TILE),
                  tiles_x = nerv_ceil_div(g->out_w, NERV_WINO_TILE);
    int32_t unit = dsp->block, last_cols = 0;

    while (unit % g->group != 0)
        unit += dsp->block;
    best->rows = 0;
    for (int32_t n = nerv_ceil_div(tiles_x, MOST_TILES); n <= tiles_x; n++) {
        Cut cut = { .cols = nerv_ceil_div(tiles_x, n) };
        if (cut.cols == last_cols)
            continue;
        if (last_cols > 0 && cut.cols < MAX(dsp->vector_floats, LEAST_COLUMNS))
            break;
        last_cols = cut.cols;
        cut.n_col_blocks = nerv_ceil_div(tiles_x, cut.cols);
        for (cut.rows = 1; cut.rows <= tiles_y && cut.rows * cut.cols <= MOST_TILES; cut.rows++) {
            cut.n_row_blocks = nerv_ceil_div(tiles_y, cut.rows);
            for (int32_t outs = 1;
                 outs <= (g->whole ? 1 : MOST_OUT_BLOCKS) && outs <= nerv_ceil_div(g->c_out, unit); outs *= 2)
                choose_channels(g, cpu, unit, outs, &cut, best);
        }
    }
}

static void make_cut(const NervConvGeom *g, const NervCpu *cpu, Cut *cut)
{
    const NervConvDsp *dsp = &cpu->dsp->conv;
    const size_t vf = dsp->vector_floats;

    choose_blocks(g, cpu, cut);
    cut->pitch = (int32_t)(NERV_WINO_TILE * nerv_round_up(cut->cols, vf));
    cut->ld = nerv_wino_ldt(dsp, 1, NERV_WINO_TILE * cut->rows * cut->pitch);
    cut->padded = nerv_conv_padded(dsp, g->c_out);
    cut->weight_floats = nerv_round_up(NERV_WINO_FREQS * cut->padded * g->c_in, ALIGN_FLOATS);
    cut->pack_floats = (size_t)PACK_CHANNELS * 9 * dsp->block;
    cut->copy_floats = nerv_round_up(nerv_wino_copy_floats(dsp, cut->rows, cut->cols), ALIGN_FLOATS);
    cut->input_floats = NERV_WINO_FREQS * cut->ci_block * cut->ldt;
    cut->product_floats = NERV_WINO_FREQS * nerv_conv_padded(dsp, cut->group) * cut->ldt;
    cut->offset_floats = nerv_round_up(cut->ci_block, ALIGN_FLOATS);
    cut->sum_floats = cut->group * cut->ld;
}

size_t nerv_wino_piece_floats(const NervConvGeom *g, const NervCpu *cpu)
{
    Cut cut;
    make_cut(g, cpu, &cut);
    return cut.ld;
}

static size_t thread_floats(const Cut *cut)
{
    return cut->copy_floats + cut->input_floats + cut->product_floats + cut->offset_floats + cut->sum_floats;
}

size_t nerv_wino_scratch(const NervConvGeom *g, const NervCpu *cpu)
{
    Cut cut;
    make_cut(g, cpu, &cut);
    return sizeof(float) *
           (cut.weight_floats + nerv_pool_threads(cpu->pool) * MAX(thread_floats(&cut), cut.pack_floats));
}

/* --- the job --- */

typedef struct {
    const NervConvGeom *g;
    const NervDsp *dsp;
    const Cut *cut;
    const NervConvWeights *weights;
    const float *src, *bias;
    float *u, *per_thread;
    size_t thread_floats;
    NervConvStore store;
    void *ctx;
} Job;

/* One block of output channels' weights. In scratch they lie as the products want them: by blocks of input channels, frequencies,
 * blocks of output channels, input channels. */
static void weights_task(void *arg, uint32_t task, uint32_t thread)
{
    const Job *job = arg;
    const NervConvGeom *g = job->g;
    const Cut *cut = job->cut;
    const NervConvDsp *dsp = &job->dsp->conv;
    const int32_t o = (int32_t)task * dsp->block, left = g->c_out - o;
    const int32_t width = left > dsp->block / 2 ? dsp->block : dsp->block / 2;
    float *packed = job->per_thread + thread * job->thread_floats;

    for (int32_t c0 = 0; c0 < g->c_in; c0 += cut->ci_block) {
        const int32_t n_ci = MIN(cut->ci_block, g->c_in - c0);
        float *u = job->u + NERV_WINO_FREQS * cut->padded * c0 + (size_t)o * n_ci;
        for (int32_t c = 0; c < n_ci; c += PACK_CHANNELS) {
            const int32_t n = MIN(PACK_CHANNELS, n_ci - c);
            nerv_conv_pack(g, dsp, job->weights, packed, o, MIN(left, dsp->block), width, c0 + c, c0 + c + n);
            job->dsp->wino.weights(u + (size_t)c * width, cut->padded * n_ci, packed, n, width);
        }
    }
}

typedef struct {
    float *copy, *v, *m, *sums;
    int32_t *off;
} Buffers;

/* Products of output channels first_out.. with the inputs c0.. that are in v. */
static void multiply(const Job *job, const Buffers *b, int32_t first_out, int32_t n_out, int32_t c0,
                     int32_t n_ci, size_t n_tiles)
{
    const Cut *cut = job->cut;
    const NervConvDsp *dsp = &job->dsp->conv;
    const size_t ldf = nerv_conv_padded(dsp, cut->group) * cut->ldt;
    const float *u = job->u + NERV_WINO_FREQS * cut->padded * c0 + (size_t)first_out * n_ci;

    for (int f = 0; f < NERV_WINO_FREQS; f++)
        dsp->conv(b->m + f * ldf, cut->ldt, b->v + f * n_ci * cut->ldt, b->off, n_ci,
                  u + f * cut->padded * n_ci, NULL, n_out, n_tiles, c0 > 0);
}

static void store_group(const Job *job, uint32_t thread, const Buffers *b, const NervWinoBlock *in,
                        int32_t first_out, int32_t n_out)
{
    const Cut *cut = job->cut;
    const NervConvGeom *g = job->g;
    const size_t ldf = nerv_conv_padded(&job->dsp->conv, cut->group) * cut->ldt;
    const int32_t row = NERV_WINO_TILE * in->first_row, col = NERV_WINO_TILE * in->first_col;

    for (int32_t o = 0; o < n_out; o++) {
        for (int32_t r = 0; r < in->n_rows; r++)
            job->dsp->wino.output(b->sums + o * cut->ld + (size_t)NERV_WINO_TILE * r * cut->pitch, cut->pitch,
                                  b->m + o * cut->ldt + (size_t)r * in->n_cols, ldf,
                                  job->bias ? job->bias[first_out + o] : 0.0f, in->n_cols);
    }
    const NervConvPiece piece = { .sums = b->sums,
                                  .ld = cut->ld,
                                  .pitch = cut->pitch,
                                  .image = in->image,
                                  .first_row = row,
                                  .n_rows = MIN(NERV_WINO_TILE * in->n_rows, g->out_h - row),
                                  .first_col = col,
                                  .n_cols = MIN(NERV_WINO_TILE * in->n_cols, g->out_w - col),
                                  .first_out = first_out,
                                  .n_out = n_out,
                                  .thread = thread };
    job->store(job->ctx, &piece);
}

static void block_task(void *arg, uint32_t task, uint32_t thread)
{
    const Job *job = arg;
    const NervConvGeom *g = job->g;
    const Cut *cut = job->cut;
    float *copy = job->per_thread + thread * job->thread_floats, *v = copy + cut->copy_floats;
    float *m = v + cut->input_floats, *sums = m + cut->product_floats;
    const Buffers b = { copy, v, m, sums, (int32_t *)(sums + cut->sum_floats) };
    const int32_t tiles_y = nerv_ceil_div(g->out_h, NERV_WINO_TILE),
                  tiles_x = nerv_ceil_div(g->out_w, NERV_WINO_TILE);

    const int32_t first = (int32_t)(task % cut->n_out_blocks) * cut->outs;
    const int32_t end = MIN(first + cut->outs, g->c_out);
    task /= cut->n_out_blocks;
    NervWinoBlock in = { .first_col = (int32_t)(task % cut->n_col_blocks) * cut->cols,
                         .first_row = (int32_t)(task / cut->n_col_blocks % cut->n_row_blocks) * cut->rows,
                         .image = (int32_t)(task / cut->n_col_blocks / cut->n_row_blocks) };
    in.n_cols = MIN(cut->cols, tiles_x - in.first_col);
    in.n_rows = MIN(cut->rows, tiles_y - in.first_row);

    for (int32_t c = 0; c < cut->ci_block; c++)
        b.off[c] = (int32_t)(c * cut->ldt);
    for (int32_t o = first; o < end; o += cut->group) {
        const int32_t n_out = MIN(cut->group, end - o);
        for (int32_t c0 = 0; c0 < g->c_in; c0 += cut->ci_block) {
            in.first_channel = c0;
            in.n_channels = MIN(cut->ci_block, g->c_in - c0);
            if (o == first || cut->ci_block < g->c_in)
                nerv_wino_input(g, job->dsp, &in, job->src, b.copy, b.v, in.n_channels * cut->ldt, cut->ldt);
            multiply(job, &b, o, n_out, c0, in.n_channels, (size_t)in.n_rows * in.n_cols);
        }
        store_group(job, thread, &b, &in, o, n_out);
    }
}

void nerv_wino_run(const NervConvGeom *g, const NervCpu *cpu, void *scratch, const float *src,
                   const NervConvWeights *weights, const float *bias, NervConvStore store, void *ctx)
{
    Cut cut;
    make_cut(g, cpu, &cut);
    Job job = { .g = g,
                .dsp = cpu->dsp,
                .cut = &cut,
                .weights = weights,
                .src = src,
                .bias = bias,
                .u = scratch,
                .per_thread = (float *)scratch + cut.weight_floats,
                .thread_floats = MAX(thread_floats(&cut), cut.pack_floats),
                .store = store,
                .ctx = ctx };

    nerv_pool_run(cpu->pool, (uint32_t)nerv_ceil_div(g->c_out, cpu->dsp->conv.block), weights_task, &job);
    nerv_pool_run(cpu->pool, (uint32_t)g->n * cut.n_row_blocks * cut.n_col_blocks * cut.n_out_blocks,
                  block_task, &job);
}
