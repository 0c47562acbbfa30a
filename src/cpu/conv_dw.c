/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The gradient of a convolution's weights, see conv.h. dw[o][t] = sum over pixels p of dy[o][p] in[off[t] + p]: a matrix
 * product with vectors along o, for which dy is transposed piece by piece, and broadcasts of input pixels.
 *
 * A task is a range of the images' rows by a group of output channels by a group of input channels, with sums of its own
 * in scratch; the ranges' sums are then added in order. The cut depends on the shapes alone: so does the result.
 */
#include "cpu/conv.h"

#include <string.h>

#include "cpu/wino.h"

#define BUFFER_FLOATS 98304   /* of padded input: 384 KiB */
#define GROUP_IN      64      /* input channels at most */
#define GROUP_OUT     192     /* output channels at most */
#define PIXELS        112     /* of dy transposed at a time */
#define FEW_PIXELS    2048    /* at a time where output channels are few */
#define TASK_MACS     1500000 /* worth a task */
#define TASK_FLOATS   65536   /* read, worth a task */
#define MAX_TASKS     32
#define RANGE_PIXELS  300 /* of the images, worth a range */
#define FINISH_TAPS   64  /* in one task of the last step */

#define ALIGN_FLOATS 16

typedef struct {
    NervConvLayout layout;
    int32_t vf;
    int32_t ins, n_in_groups;      /* input channels */
    int32_t vectors, n_out_groups; /* output channels, in vectors */
    int32_t rows, n_bands;         /* rows copied at a time; bands of them in all images */
    int32_t n_ranges;              /* of bands */
    size_t taps, ld;               /* sums: [n_ranges][taps + 1][ld], the last row for db */
    size_t plane;
    bool few;        /* output channels: a vector of them would be mostly empty */
    size_t dy_plane; /* then, of the padded rows of dy */
    size_t sum_floats, buffer_floats, offset_floats, dy_floats; /* of scratch; the last three per thread */
} Cut;

static void make_cut(const NervConvGeom *g, const NervCpu *cpu, Cut *cut)
{
    const int32_t vf = cut->vf = cpu->dsp->conv.vector_floats;
    const int32_t n_vectors = nerv_ceil_div(g->c_out, vf), window = g->kh * g->kw;
    NervConvLayout *l = &cut->layout;

    nerv_conv_layout(g, l);
    cut->taps = (size_t)g->c_in * window;
    cut->ld = nerv_round_up(g->c_out, ALIGN_FLOATS);
    cut->n_out_groups = nerv_ceil_div(g->c_out, GROUP_OUT);
    cut->vectors = nerv_ceil_div(n_vectors, cut->n_out_groups);
    cut->vectors = MIN(n_vectors, nerv_ceil_div(cut->vectors, NERV_CONV_MAX_STRIP) * NERV_CONV_MAX_STRIP);
    cut->n_out_groups = nerv_ceil_div(n_vectors, cut->vectors);

    cut->ins = nerv_ceil_div(g->c_in, nerv_ceil_div(g->c_in, GROUP_IN));
    const size_t row = (size_t)l->phases_y * l->phases_x * l->pitch;
    while (cut->ins > 8 && cut->ins * row * (l->extra_rows + 1) > BUFFER_FLOATS)
        cut->ins = nerv_ceil_div(cut->ins, 2);
    cut->n_in_groups = nerv_ceil_div(g->c_in, cut->ins);
    cut->rows = (int32_t)CLAMP((int64_t)(BUFFER_FLOATS / (cut->ins * row)) - l->extra_rows, 1, g->out_h);

    const int64_t macs = (int64_t)g->n * g->c_out * g->out_h * g->out_w * cut->taps;
    const int64_t floats =
        (int64_t)g->n * (g->c_out * (int64_t)g->out_h * g->out_w + g->c_in * (int64_t)g->h * g->w);
    const int64_t tasks = CLAMP(MAX(macs / TASK_MACS, floats / TASK_FLOATS), 1, MAX_TASKS);
    const int32_t n_groups = cut->n_in_groups * cut->n_out_groups;
    /* Adding a range's sums costs as much as some pixels. */
    const int64_t fit = MAX((int64_t)g->n * g->out_h * g->out_w / RANGE_PIXELS, 1);
    const int32_t wanted =
        (int32_t)CLAMP(MIN((tasks + n_groups - 1) / n_groups, fit), 1, (int64_t)g->n * g->out_h);
    /* Rows so that there are at least as many bands as ranges. */
    cut->rows = MIN(cut->rows, MAX(1, g->out_h / nerv_ceil_div(wanted, g->n)));
    cut->rows = nerv_ceil_div(g->out_h, nerv_ceil_div(g->out_h, cut->rows));
    cut->n_bands = g->n * nerv_ceil_div(g->out_h, cut->rows);
    cut->n_ranges = MIN(wanted, cut->n_bands);

    cut->plane = nerv_conv_plane(g, l, cut->rows, 0);
    cut->sum_floats = cut->n_ranges * (cut->taps + 1) * cut->ld;
    cut->buffer_floats = l->in_place ? 0 : cut->plane * cut->ins * l->phases_y * l->phases_x;
    cut->offset_floats = nerv_round_up((size_t)cut->ins * window, ALIGN_FLOATS);
    cut->few = g->c_out <= NERV_CONV_FEW && g->c_out < vf / 2;
    cut->dy_plane = nerv_round_up((size_t)cut->rows * l->pitch, ALIGN_FLOATS) + ALIGN_FLOATS;
    cut->dy_floats = cut->few ? g->c_out * cut->dy_plane : (size_t)PIXELS * NERV_CONV_MAX_STRIP * vf;
}

size_t nerv_conv_dw_scratch(const NervConvGeom *g, const NervCpu *cpu)
{
    Cut cut;
    if (nerv_wino_suits(g))
        return nerv_wino_dw_scratch(g, cpu);
    make_cut(g, cpu, &cut);
    return sizeof(float) * (cut.sum_floats + nerv_pool_threads(cpu->pool) *
                                                 (cut.buffer_floats + cut.offset_floats + cut.dy_floats));
}

typedef struct {
    const NervConvGeom *g;
    const NervConvDsp *dsp;
    const Cut *cut;
    const float *dy, *src;
    float *dw, *db;
    float *sums, *per_thread;
} Job;

/* Transposes pixels p0..p1-1 of a band, flat indices of the padded layout: dst[p - p0][width]. Columns that are not of the image
 * become 0. `dy` is the band's first row of the strip's first channel. */
static void transpose_dy(const Job *job, float *dst, const float *dy, int32_t n_out, int32_t width,
                         int32_t p0, int32_t p1)
{
    const NervConvGeom *g = job->g;
    const int32_t pitch = job->cut->layout.pitch;
    const size_t channel = (size_t)g->out_h * g->out_w;

    for (int32_t p = p0; p < p1;) {
        const int32_t y = p / pitch, x = p % pitch;
        if (x < g->out_w) {
            const int32_t n = MIN(g->out_w - x, p1 - p);
            job->dsp->transpose(dst, width, dy + (size_t)y * g->out_w + x, channel, n_out, width, n);
            p += n;
            dst += (size_t)n * width;
        } else {
            const int32_t n = MIN(pitch - x, p1 - p);
            memset(dst, 0, (size_t)n * width * sizeof *dst);
            p += n;
            dst += (size_t)n * width;
        }
    }
}

/* One group of output channels over one band. `sums` is the range's, at the first tap of the group. */
static void band(const Job *job, float *sums, float *db_sums, const float *in, const int32_t *off,
                 size_t n_taps, float *dy_buffer, const float *dy, int32_t first_vector, int32_t n_rows)
{
    const NervConvGeom *g = job->g;
    const Cut *cut = job->cut;
    const int32_t vf = cut->vf, n_pixels = (n_rows - 1) * cut->layout.pitch + g->out_w;
    const int32_t end = MIN(first_vector + cut->vectors, nerv_ceil_div(g->c_out, vf));
    const int32_t n_pieces = nerv_ceil_div(n_pixels, PIXELS),
                  n_strips = nerv_ceil_div(end - first_vector, NERV_CONV_MAX_STRIP);

    for (int32_t i = 0; i < n_pieces; i++) {
        const int32_t p0 = (int32_t)((int64_t)n_pixels * i / n_pieces);
        const int32_t p1 = (int32_t)((int64_t)n_pixels * (i + 1) / n_pieces);
        for (int32_t s = 0; s < n_strips; s++) {
            const int32_t v0 = first_vector + (end - first_vector) * s / n_strips;
            const int32_t v1 = first_vector + (end - first_vector) * (s + 1) / n_strips;
            const int32_t o = v0 * vf, n_out = MIN((v1 - v0) * vf, g->c_out - o);
            transpose_dy(job, dy_buffer, dy + (size_t)o * g->out_h * g->out_w, n_out, (v1 - v0) * vf, p0, p1);
            if (job->dw)
                job->dsp->corr(sums + o, cut->ld, in + p0, off, n_taps, dy_buffer, v1 - v0, p1 - p0);
            if (db_sums)
                job->dsp->column_sum(db_sums + o, dy_buffer, v1 - v0, p1 - p0);
        }
    }
}

/* The same where output channels are few: vectors along the pixels. */
static void band_of_few(const Job *job, float *sums, float *db_sums, const float *in, const int32_t *off,
                        size_t n_taps, float *dy_buffer, const float *dy, int32_t n_rows)
{
    const NervConvGeom *g = job->g;
    const Cut *cut = job->cut;
    const int32_t pitch = cut->layout.pitch, n_pixels = (n_rows - 1) * pitch + g->out_w;
    size_t ldd = (size_t)g->out_h * g->out_w;

    if (pitch != g->out_w) {
        job->dsp->pad(dy_buffer, cut->dy_plane, pitch, 0, 0, dy, ldd, g->out_w, n_rows, g->out_w, g->c_out);
        dy = dy_buffer;
        ldd = cut->dy_plane;
    }
    for (int32_t p = 0; p < n_pixels; p += FEW_PIXELS) {
        const int32_t n = MIN(FEW_PIXELS, n_pixels - p);
        if (job->dw)
            job->dsp->dots(sums, cut->ld, in + p, off, n_taps, dy + p, ldd, g->c_out, n);
        if (db_sums)
            job->dsp->row_sums(db_sums, dy + p, ldd, g->c_out, n);
    }
}

static void range_task(void *arg, uint32_t task, uint32_t thread)
{
    const Job *job = arg;
    const NervConvGeom *g = job->g;
    const Cut *cut = job->cut;
    const NervConvLayout *l = &cut->layout;
    const int32_t window = g->kh * g->kw;
    const int32_t ig = (int32_t)(task % cut->n_in_groups),
                  og = (int32_t)(task / cut->n_in_groups % cut->n_out_groups);
    const int32_t range = (int32_t)(task / cut->n_in_groups / cut->n_out_groups);
    const int32_t c0 = ig * cut->ins, n_ci = MIN(cut->ins, g->c_in - c0), v0 = og * cut->vectors;
    const size_t n_taps = (size_t)n_ci * window,
                 width = MIN((size_t)cut->vectors * cut->vf, cut->ld - v0 * cut->vf);
    float *buffer = job->per_thread + thread * (cut->buffer_floats + cut->offset_floats + cut->dy_floats);
    int32_t *off = (int32_t *)(buffer + cut->buffer_floats);
    float *dy_buffer = buffer + cut->buffer_floats + cut->offset_floats;
    float *all = job->sums + range * (cut->taps + 1) * cut->ld, *sums = all + (size_t)c0 * window * cut->ld;
    float *db_sums = job->db && ig == 0 ? all + cut->taps * cut->ld : NULL;
    const int32_t per_image = cut->n_bands / g->n;
    const int32_t first = (int32_t)((int64_t)cut->n_bands * range / cut->n_ranges);
    const int32_t end = (int32_t)((int64_t)cut->n_bands * (range + 1) / cut->n_ranges);

    for (size_t t = 0; t < n_taps; t++)
        memset(sums + t * cut->ld + v0 * cut->vf, 0, width * sizeof *sums);
    if (db_sums)
        memset(db_sums + v0 * cut->vf, 0, width * sizeof *sums);
    nerv_conv_offsets(g, l, off, l->in_place ? (size_t)g->h * g->w : cut->plane, n_ci);
    for (int32_t b = first; b < end; b++) {
        const int32_t image = b / per_image, row = b % per_image * cut->rows,
                      n_rows = MIN(cut->rows, g->out_h - row);
        const float *in = job->src + ((size_t)image * g->c_in + c0) * g->h * g->w;
        const float *dy = job->dy + ((size_t)image * g->c_out * g->out_h + row) * g->out_w;
        if (l->in_place) {
            in += (size_t)row * g->w;
        } else if (job->dw) {
            nerv_conv_copy(job->dsp, g, l, buffer, cut->plane, in, n_ci, row, n_rows);
            in = buffer;
        }
        if (cut->few)
            band_of_few(job, sums, db_sums, in, off, n_taps, dy_buffer, dy, n_rows);
        else
            band(job, sums, db_sums, in, off, n_taps, dy_buffer, dy, v0, n_rows);
    }
}

/* Adds the ranges' sums of some taps and turns them into the order of the weights. */
static void finish_task(void *arg, uint32_t task, uint32_t thread)
{
    const Job *job = arg;
    const NervConvGeom *g = job->g;
    const Cut *cut = job->cut;
    const size_t range = (cut->taps + 1) * cut->ld, t0 = (size_t)task * FINISH_TAPS;
    const size_t end = MIN(t0 + FINISH_TAPS, cut->taps + 1);
    float *sums = job->sums + t0 * cut->ld;

    for (int32_t r = 1; r < cut->n_ranges; r++)
        job->dsp->add(sums, sums + r * range, (end - t0) * cut->ld);
    if (job->dw && t0 < cut->taps) {
        const size_t n = MIN(end, cut->taps) - t0;
        job->dsp->transpose(job->dw + t0, (ptrdiff_t)cut->taps, sums, cut->ld, n, n, g->c_out);
    }
    if (job->db && end == cut->taps + 1)
        memcpy(job->db, job->sums + cut->taps * cut->ld, g->c_out * sizeof *job->db);
}

void nerv_conv_dw_run(const NervConvGeom *g, const NervCpu *cpu, void *scratch, const float *dy,
                      const float *src, float *dw, float *db)
{
    Cut cut;
    if (nerv_wino_suits(g)) {
        nerv_wino_dw_run(g, cpu, scratch, dy, src, dw, db);
        return;
    }
    make_cut(g, cpu, &cut);
    Job job = { .g = g,
                .dsp = &cpu->dsp->conv,
                .cut = &cut,
                .dy = dy,
                .src = src,
                .dw = dw,
                .db = db,
                .sums = scratch,
                .per_thread = (float *)scratch + cut.sum_floats };

    nerv_pool_run(cpu->pool, (uint32_t)cut.n_ranges * cut.n_out_groups * cut.n_in_groups, range_task, &job);
    nerv_pool_run(cpu->pool, (uint32_t)((cut.taps + FINISH_TAPS) / FINISH_TAPS), finish_task, &job);
}
