/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The gradient of a 3x3 convolution's weights by the transposed form of Winograd's algorithm, see wino.h: both images
 * are transformed tile by tile, the products of equal frequencies summed over all tiles, and the sums transformed
 * back. A task is a range of rows of tiles by a group of output channels by a group of input channels, with sums of
 * its own in scratch; the ranges' sums are then added in order. The cut depends on the shapes alone: so does the
 * result.
 */
#include <string.h>

#include "cpu/wino.h"

#define SUM_FLOATS   98304   /* of one task: 384 KiB */
#define BLOCK_FLOATS 393216  /* of both transformed images: 1.5 MiB */
#define MOST_TILES   80      /* of a block */
#define TASK_MACS    6000000 /* of the direct form, worth a task */
#define MAX_TASKS    16
#define RANGE_TILES  24  /* worth a range */
#define FINISH_OUTS  128 /* transformed back at a time */

#define ALIGN_FLOATS 16

typedef struct {
    int32_t vf, tiles_y, tiles_x;
    int32_t ins, n_in_groups;      /* input channels */
    int32_t vectors, n_out_groups; /* output channels, in vectors */
    int32_t cols, n_col_blocks;    /* tiles of a block, which is one row high */
    int32_t n_ranges;              /* of all images' rows of tiles */
    size_t ld, ldt; /* sums: [n_ranges][frequencies][c_in + 1][ld]; the last row of frequency 0 is db */
    size_t sum_floats, copy_floats, input_floats, dy_floats, output_floats, offset_floats;
} Cut;

static void make_cut(const NervConvGeom *g, const NervCpu *cpu, Cut *cut)
{
    const NervConvDsp *dsp = &cpu->dsp->conv;
    const int32_t vf = cut->vf = dsp->vector_floats, n_vectors = nerv_ceil_div(g->c_out, vf);

    cut->tiles_y = nerv_ceil_div(g->out_h, NERV_WINO_TILE);
    cut->tiles_x = nerv_ceil_div(g->out_w, NERV_WINO_TILE);
    cut->ld = nerv_round_up(g->c_out, ALIGN_FLOATS);

    /* Whole strips of output channels, and as many input channels as then fit. */
    const int32_t strip = NERV_CONV_MAX_STRIP * vf;
    cut->vectors = MIN(n_vectors, NERV_CONV_MAX_STRIP * MAX(1, 96 / strip));
    cut->n_out_groups = nerv_ceil_div(n_vectors, cut->vectors);
    const int32_t fit = MAX(8, SUM_FLOATS / (NERV_WINO_FREQS * cut->vectors * vf));
    cut->ins = nerv_ceil_div(g->c_in, nerv_ceil_div(g->c_in, fit));
    cut->n_in_groups = nerv_ceil_div(g->c_in, cut->ins);

    const int32_t tiles =
        CLAMP(BLOCK_FLOATS / (NERV_WINO_FREQS * (cut->ins + cut->vectors * vf)), 8, MOST_TILES);
    cut->cols = nerv_ceil_div(cut->tiles_x, nerv_ceil_div(cut->tiles_x, tiles));
    cut->n_col_blocks = nerv_ceil_div(cut->tiles_x, cut->cols);
    cut->ldt = nerv_wino_ldt(dsp, 1, cut->cols);

    const int64_t macs = (int64_t)g->n * g->c_out * g->out_h * g->out_w * g->c_in * 9;
    const int32_t n_groups = cut->n_in_groups * cut->n_out_groups;
    const int64_t wanted = (CLAMP(macs / TASK_MACS, 1, MAX_TASKS) + n_groups - 1) / n_groups;
    const int64_t fit_ranges = MAX((int64_t)g->n * cut->tiles_y * cut->tiles_x / RANGE_TILES, 1);
    cut->n_ranges = (int32_t)CLAMP(MIN(wanted, fit_ranges), 1, (int64_t)g->n * cut->tiles_y);

    cut->sum_floats = (size_t)cut->n_ranges * NERV_WINO_FREQS * (g->c_in + 1) * cut->ld;
    cut->copy_floats = nerv_round_up(nerv_wino_copy_floats(dsp, 1, cut->cols), ALIGN_FLOATS);
    cut->input_floats = NERV_WINO_FREQS * cut->ins * cut->ldt;
    cut->dy_floats = (size_t)NERV_WINO_TILE * NERV_WINO_TILE * cut->cols * strip;
    cut->output_floats = (size_t)NERV_WINO_FREQS * cut->cols * cut->vectors * vf;
    cut->offset_floats = nerv_round_up(cut->ins, ALIGN_FLOATS);
}

static size_t thread_floats(const Cut *cut)
{
    return cut->copy_floats + cut->input_floats + cut->dy_floats + cut->output_floats + cut->offset_floats;
}

size_t nerv_wino_dw_scratch(const NervConvGeom *g, const NervCpu *cpu)
{
    Cut cut;
    make_cut(g, cpu, &cut);
    return sizeof(float) * (cut.sum_floats + nerv_pool_threads(cpu->pool) * thread_floats(&cut));
}

typedef struct {
    const NervConvGeom *g;
    const NervDsp *dsp;
    const Cut *cut;
    const float *dy, *src;
    float *dw, *db;
    float *sums, *per_thread;
} Job;

typedef struct {
    float *copy, *v, *dy, *out;
    int32_t *off;
} Buffers;

/* One block's dy of one strip of output channels, transposed: dst[row][column][width], zeros beyond the image, from pixel
 * (y, x) on. */
static void transpose_dy(const Job *job, float *dst, const float *channels, int32_t n_out, int32_t width,
                         int32_t y, int32_t x, int32_t n_columns)
{
    const NervConvGeom *g = job->g;
    const size_t channel = (size_t)g->out_h * g->out_w, row = (size_t)n_columns * width;
    const int32_t n = MIN(n_columns, g->out_w - x);

    for (int32_t i = 0; i < NERV_WINO_TILE; i++, dst += row) {
        if (y + i >= g->out_h) {
            memset(dst, 0, row * sizeof *dst);
            continue;
        }
        job->dsp->conv.transpose(dst, width, channels + (size_t)(y + i) * g->out_w + x, channel, n_out, width,
                                 n);
        memset(dst + (size_t)n * width, 0, (size_t)(n_columns - n) * width * sizeof *dst);
    }
}

/* Adds the products of the transformed inputs in b->v with strips of output channels from v0 on. */
static void add_block(const Job *job, const Buffers *b, const NervWinoBlock *in, int32_t v0, float *sums,
                      float *db_sums)
{
    const NervConvGeom *g = job->g;
    const Cut *cut = job->cut;
    const NervConvDsp *dsp = &job->dsp->conv;
    const int32_t y = NERV_WINO_TILE * in->first_row, x = NERV_WINO_TILE * in->first_col;
    const int32_t end = MIN((v0 + cut->vectors) * cut->vf, (int32_t)nerv_round_up(g->c_out, cut->vf));

    for (int32_t o = v0 * cut->vf; o < end; o += NERV_CONV_MAX_STRIP * cut->vf) {
        const int32_t width = MIN(NERV_CONV_MAX_STRIP * cut->vf, end - o), n_vectors = width / cut->vf;
        const float *channels = job->dy + ((size_t)in->image * g->c_out + o) * g->out_h * g->out_w;
        const size_t ldf = (size_t)in->n_cols * width, ld_sums = (size_t)(g->c_in + 1) * cut->ld;

        transpose_dy(job, b->dy, channels, MIN(width, g->c_out - o), width, y, x,
                     NERV_WINO_TILE * in->n_cols);
        if (db_sums)
            dsp->column_sum(db_sums + o, b->dy, n_vectors,
                            (size_t)NERV_WINO_TILE * NERV_WINO_TILE * in->n_cols);
        if (!job->dw)
            continue;
        job->dsp->wino.output_dx(b->out, ldf, b->dy, (size_t)NERV_WINO_TILE * in->n_cols, n_vectors,
                                 in->n_cols);
        for (int f = 0; f < NERV_WINO_FREQS; f++)
            dsp->corr(sums + f * ld_sums + o, cut->ld, b->v + f * in->n_channels * cut->ldt, b->off,
                      in->n_channels, b->out + f * ldf, n_vectors, in->n_cols);
    }
}

static void range_task(void *arg, uint32_t task, uint32_t thread)
{
    const Job *job = arg;
    const NervConvGeom *g = job->g;
    const Cut *cut = job->cut;
    const int32_t ig = (int32_t)(task % cut->n_in_groups),
                  og = (int32_t)(task / cut->n_in_groups % cut->n_out_groups);
    const int32_t range = (int32_t)(task / cut->n_in_groups / cut->n_out_groups);
    const int32_t v0 = og * cut->vectors, n_rows = g->n * cut->tiles_y;
    const int32_t first = (int32_t)((int64_t)n_rows * range / cut->n_ranges);
    const int32_t end = (int32_t)((int64_t)n_rows * (range + 1) / cut->n_ranges);
    const size_t ld_sums = (size_t)(g->c_in + 1) * cut->ld;
    const size_t width = MIN((size_t)cut->vectors * cut->vf, cut->ld - (size_t)v0 * cut->vf);
    NervWinoBlock in = { .first_channel = ig * cut->ins, .n_rows = 1 };
    float *all = job->sums + range * NERV_WINO_FREQS * ld_sums, *sums = all + in.first_channel * cut->ld;
    float *db_sums = job->db && ig == 0 ? all + (size_t)g->c_in * cut->ld : NULL;
    float *copy = job->per_thread + thread * thread_floats(cut), *v = copy + cut->copy_floats;
    float *dy = v + cut->input_floats, *out = dy + cut->dy_floats;
    const Buffers b = { copy, v, dy, out, (int32_t *)(out + cut->output_floats) };

    in.n_channels = MIN(cut->ins, g->c_in - in.first_channel);
    for (int32_t c = 0; c < in.n_channels; c++)
        b.off[c] = (int32_t)(c * cut->ldt);
    for (int f = 0; f < NERV_WINO_FREQS; f++) {
        for (int32_t c = 0; c < in.n_channels; c++)
            memset(sums + f * ld_sums + c * cut->ld + v0 * cut->vf, 0, width * sizeof *sums);
    }
    if (db_sums)
        memset(db_sums + v0 * cut->vf, 0, width * sizeof *sums);
    for (int32_t r = first; r < end; r++) {
        in.image = r / cut->tiles_y;
        in.first_row = r % cut->tiles_y;
        for (in.first_col = 0; in.first_col < cut->tiles_x; in.first_col += cut->cols) {
            in.n_cols = MIN(cut->cols, cut->tiles_x - in.first_col);
            if (job->dw)
                nerv_wino_input(g, job->dsp, &in, job->src, b.copy, b.v, in.n_channels * cut->ldt, cut->ldt);
            add_block(job, &b, &in, v0, sums, db_sums);
        }
    }
}

/* Adds the ranges' sums of one input channel, transforms them back and turns them into the order of the weights. The last task
 * does db. */
static void finish_task(void *arg, uint32_t task, uint32_t thread)
{
    const Job *job = arg;
    const NervConvGeom *g = job->g;
    const Cut *cut = job->cut;
    const size_t ld_sums = (size_t)(g->c_in + 1) * cut->ld, range = NERV_WINO_FREQS * ld_sums;
    float *sums = job->sums + task * cut->ld, *taps = job->per_thread + thread * thread_floats(cut);

    if ((int32_t)task == g->c_in) {
        for (int32_t r = 1; r < cut->n_ranges && job->db; r++)
            job->dsp->conv.add(sums, sums + r * range, cut->ld);
        if (job->db)
            memcpy(job->db, sums, g->c_out * sizeof *job->db);
        return;
    }
    if (!job->dw)
        return;
    for (int32_t r = 1; r < cut->n_ranges; r++) {
        for (int f = 0; f < NERV_WINO_FREQS; f++)
            job->dsp->conv.add(sums + f * ld_sums, sums + r * range + f * ld_sums, cut->ld);
    }
    for (int32_t o = 0; o < g->c_out; o += FINISH_OUTS) {
        const int32_t n = MIN(FINISH_OUTS, g->c_out - o);
        job->dsp->wino.weights_dx(taps, FINISH_OUTS, sums + o, ld_sums, nerv_round_up(n, cut->vf));
        job->dsp->conv.transpose(job->dw + ((size_t)o * g->c_in + task) * 9, (ptrdiff_t)g->c_in * 9, taps,
                                 FINISH_OUTS, 9, 9, n);
    }
}

void nerv_wino_dw_run(const NervConvGeom *g, const NervCpu *cpu, void *scratch, const float *dy,
                      const float *src, float *dw, float *db)
{
    Cut cut;
    make_cut(g, cpu, &cut);
    Job job = { .g = g,
                .dsp = cpu->dsp,
                .cut = &cut,
                .dy = dy,
                .src = src,
                .dw = dw,
                .db = db,
                .sums = scratch,
                .per_thread = (float *)scratch + cut.sum_floats };

    nerv_pool_run(cpu->pool, (uint32_t)cut.n_ranges * cut.n_out_groups * cut.n_in_groups, range_task, &job);
    nerv_pool_run(cpu->pool, (uint32_t)g->c_in + 1, finish_task, &job);
}
