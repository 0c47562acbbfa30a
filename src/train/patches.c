/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Patches of frames, see patches.h. The frames come from the device as R'G'B'; the transforms are the host's, a few products for each sample.
 */
#include "train/patches.h"

#include <math.h>
#include <string.h>

#define SIDE NERV_START_SIDE
/* What a coefficient is multiplied by, so that most are of one size: with its frequency, and of colour differences. */
#define GAIN        4.
#define GAIN_SLOPE  1.
#define GAIN_COLOUR 3.

struct NervPatches {
    NervBackend *be;
    const NervModel *model;
    NervTape *tape;
    NervScene scene;
    NervExec *exec;
    float *rgb;            /* run_frames pictures */
    float *planes;         /* three of one picture, in other colours */
    float *columns;        /* a row of cells, transformed downwards: [3][SIDE][W] */
    double *basis;         /* [side][cell] of the grid at hand */
    const NervParam *flow; /* of what moves grids; NULL: nothing does */
    int32_t flow_cell;
    float flow_unit; /* a value of it is one sample */
    float *map;      /* the frame's flow, [2][h][w], and the way back */
    float *whole;    /* [H][W]: 1 for what is inside the picture, or next to nothing */
    float *mean,
        *counts; /* of all frames' planes, as they lie in a grid that is moved, and what it is made of, [H][W] */
    float *rest; /* the planes without it */
};

void nerv_patches_free(NervPatches *p)
{
    if (!p)
        return;
    nerv_exec_free(p->exec);
    nerv_scene_clear(&p->scene);
    nerv_tape_free(p->tape);
    g_free(p->rgb);
    g_free(p->planes);
    g_free(p->columns);
    g_free(p->basis);
    g_free(p->map);
    g_free(p->whole);
    g_free(p->mean);
    g_free(p->counts);
    g_free(p->rest);
    g_free(p);
}

/* Whether there is a flow that moves grids. */
static bool find_flow(NervPatches *p)
{
    NervFlows flows;
    if (!nerv_model_flows(p->model, &flows))
        return false;
    g_free(flows.spans);
    p->flow = flows.n_moved ? &p->model->params[flows.param] : NULL;
    p->flow_cell = flows.cell;
    p->flow_unit = flows.unit;
    return p->flow != NULL;
}

static bool make_map(NervPatches *p, size_t samples)
{
    p->whole = g_try_new(float, samples);
    p->map = g_try_new(float, 4 * (size_t)p->flow->shape.h * (size_t)p->flow->shape.w);
    return p->whole && p->map;
}

NervPatches *nerv_patches_new(NervBackend *be, const NervModel *model, const NervFootage *footage,
                              GError **error)
{
    NervPatches *p = g_new0(NervPatches, 1);
    const size_t samples = (size_t)model->clip.width * (size_t)model->clip.height;
    int32_t most_cell = 1;
    for (uint32_t i = 0; i < model->n_params; i++)
        most_cell = MAX(most_cell, model->params[i].cell);
    p->be = be;
    p->model = model;
    p->tape = nerv_tape_new();
    NervFootage pictures = *footage; /* as they are, whatever of them counts */
    pictures.masks = NULL;
    nerv_scene_init(&p->scene, p->tape, model, &pictures, 1);
    nerv_tape_output(p->tape, p->scene.target, "frames");
    p->rgb = g_try_new(float, 3 * samples * (size_t)model->run_frames);
    p->planes = g_try_new(float, 3 * samples);
    p->mean = g_try_new(float, 3 * samples);
    p->rest = g_try_new(float, 3 * samples);
    p->counts = g_try_new(float, samples);
    p->columns = g_try_new(float, (size_t)3 * SIDE * (size_t)model->clip.width);
    p->basis = g_try_new(double, (size_t)SIDE *(size_t)most_cell);
    if (!p->rgb || !p->planes || !p->columns || !p->basis || !p->mean || !p->rest || !p->counts ||
        (find_flow(p) && !make_map(p, samples)))
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for a frame's patches");
    else
        p->exec = nerv_exec_new(be, p->tape, error);
    if (!p->exec)
        g_clear_pointer(&p, nerv_patches_free);
    return p;
}

/* --- one picture --- */

/* Brightness around 0, and two differences of colours. */
static void split_colours(NervPatches *p, const float *rgb)
{
    const size_t n = (size_t)p->model->clip.width * (size_t)p->model->clip.height;
    const float *r = rgb, *g = rgb + n, *b = rgb + 2 * n;
    for (size_t i = 0; i < n; i++) {
        p->planes[i] = (r[i] + g[i] + b[i]) / 3.f - .5f;
        p->planes[n + i] = b[i] - g[i];
        p->planes[2 * n + i] = r[i] - g[i];
    }
}

/* Row k has the k-th cosine over a cell, so that coefficients are means. */
static void make_basis(NervPatches *p, int32_t cell)
{
    for (int32_t k = 0; k < MIN(SIDE, cell); k++)
        for (int32_t x = 0; x < cell; x++)
            p->basis[k * cell + x] = (k ? G_SQRT2 : 1.) * cos(G_PI * (x + .5) * k / cell) / cell;
}

/* --- what a flow moves --- */

/* So much counts what lies outside of the picture, where its border goes on. */
#define OUTSIDE 1e-3f

/* Between the four values round a place, of which the outer ones go on. */
static float between(const float *plane, int32_t w, int32_t h, float x, float y)
{
    const float cx = CLAMP(x, 0.f, (float)(w - 1)), cy = CLAMP(y, 0.f, (float)(h - 1));
    const int32_t x0 = (int32_t)cx, y0 = (int32_t)cy, x1 = MIN(x0 + 1, w - 1), y1 = MIN(y0 + 1, h - 1);
    const float fx = cx - (float)x0, fy = cy - (float)y0;
    const float *p = plane + (size_t)y0 * (size_t)w, *q = plane + (size_t)y1 * (size_t)w;
    return (1.f - fy) * ((1.f - fx) * p[x0] + fx * p[x1]) + fy * ((1.f - fx) * q[x0] + fx * q[x1]);
}

/* The flow of a frame, of the two rows beside it: [2][h][w], in samples. Of several grids that are moved it is the first one's: what was found is the
 * same for all. */
static void read_flow(const NervPatches *p, const float *flows, int32_t frame, float *dst)
{
    const NervShape s = p->flow->shape;
    const int32_t last = p->model->clip.n_frames - 1;
    const double at = last > 0 ? (double)frame * (s.n - 1) / last : 0.;
    const int32_t low = (int32_t)at, high = MIN(low + 1, s.n - 1);
    const size_t cells = (size_t)s.h * (size_t)s.w, row = (size_t)s.c * cells;
    const float *a = flows + (size_t)low * row, *b = flows + (size_t)high * row;
    for (size_t i = 0; i < 2 * cells; i++)
        dst[i] = (float)((1. - (at - low)) * a[i] + (at - low) * b[i]) / p->flow_unit;
}

/* From the way that a frame's cells go to the way back: place y of the grid is seen at x = y - flow(x), which two steps find nearly. */
static void turn_flow(const NervPatches *p, const float *flow, float *back)
{
    const int32_t w = p->flow->shape.w, h = p->flow->shape.h;
    const size_t cells = (size_t)w * (size_t)h;
    const float unit = 1.f / (float)p->flow_cell;
    for (int32_t i = 0; i < h; i++)
        for (int32_t j = 0; j < w; j++) {
            float x = 0.f, y = 0.f;
            for (int k = 0; k < 2; k++) {
                const float column = (float)j + x * unit, row = (float)i + y * unit;
                x = -between(flow, w, h, column, row);
                y = -between(flow + cells, w, h, column, row);
            }
            back[(size_t)i * (size_t)w + (size_t)j] = x;
            back[cells + (size_t)i * (size_t)w + (size_t)j] = y;
        }
}

/* One row of samples of a plane of cells, between their centres. */
static void spread_row(const NervPatches *p, const float *cells, int32_t y, float *dst)
{
    const int32_t w = p->model->clip.width, across = p->flow->shape.w, down = p->flow->shape.h;
    const float unit = 1.f / (float)p->flow_cell;
    const float at = CLAMP(((float)y + .5f) * unit - .5f, 0.f, (float)(down - 1));
    const int32_t low = (int32_t)at;
    const float *a = cells + (size_t)low * (size_t)across,
                *b = cells + (size_t)MIN(low + 1, down - 1) * (size_t)across;
    const float part = at - (float)low;
    for (int32_t x = 0; x < w; x++) {
        const float place = CLAMP(((float)x + .5f) * unit - .5f, 0.f, (float)(across - 1));
        const int32_t left = (int32_t)place, right = MIN(left + 1, across - 1);
        const float f = place - (float)left;
        dst[x] =
            (1.f - part) * ((1.f - f) * a[left] + f * a[right]) + part * ((1.f - f) * b[left] + f * b[right]);
    }
}

/* The three planes where `way`, [2][h][w], points to from each sample; whole: what of it is inside, may be NULL. */
static void move_planes(NervPatches *p, const float *planes, const float *way, float *dst, float *whole)
{
    const int32_t w = p->model->clip.width, h = p->model->clip.height;
    const size_t n = (size_t)w * (size_t)h, cells = (size_t)p->flow->shape.h * (size_t)p->flow->shape.w;
    float *dx = p->columns, *dy = dx + w; /* it has room for three such rows */
    for (int32_t i = 0; i < h; i++) {
        spread_row(p, way, i, dx);
        spread_row(p, way + cells, i, dy);
        for (int32_t j = 0; j < w; j++) {
            const size_t to = (size_t)i * (size_t)w + (size_t)j;
            const float x = (float)j + dx[j], y = (float)i + dy[j];
            for (size_t c = 0; c < 3; c++)
                dst[c * n + to] = between(planes + c * n, w, h, x, y);
            if (whole)
                whole[to] = x > -.5f && y > -.5f && x < (float)w - .5f && y < (float)h - .5f ? 1.f : OUTSIDE;
        }
    }
}

/* --- the mean of all frames --- */

static void add_to_mean(NervPatches *p, const float *flows, int32_t frame)
{
    const size_t n = (size_t)p->model->clip.width * (size_t)p->model->clip.height;
    if (!flows) {
        for (size_t i = 0; i < 3 * n; i++)
            p->mean[i] += p->planes[i];
        for (size_t i = 0; i < n; i++)
            p->counts[i] += 1.f;
        return;
    }
    const size_t cells = (size_t)p->flow->shape.h * (size_t)p->flow->shape.w;
    read_flow(p, flows, frame, p->map);
    turn_flow(p, p->map, p->map + 2 * cells);
    move_planes(p, p->planes, p->map + 2 * cells, p->rest, p->whole);
    for (size_t i = 0; i < n; i++) {
        p->counts[i] += p->whole[i];
        for (size_t c = 0; c < 3; c++)
            p->mean[c * n + i] += p->whole[i] * p->rest[c * n + i];
    }
}

static void finish_mean(NervPatches *p)
{
    const size_t n = (size_t)p->model->clip.width * (size_t)p->model->clip.height;
    for (size_t i = 0; i < 3 * n; i++)
        p->mean[i] /= p->counts[i % n];
}

/* The frame's planes without the mean, where the flow takes it. */
static void leave_rest(NervPatches *p, const float *flows, int32_t frame)
{
    const size_t n = (size_t)p->model->clip.width * (size_t)p->model->clip.height;
    const float *mean = p->mean;
    if (flows) {
        read_flow(p, flows, frame, p->map);
        move_planes(p, p->mean, p->map, p->rest, NULL);
        mean = p->rest;
    }
    for (size_t i = 0; i < 3 * n; i++)
        p->rest[i] = p->planes[i] - mean[i];
}

/* --- cells --- */

/* A row of cells downwards, into [3][side][W]. */
static void transform_columns(NervPatches *p, const float *planes, int32_t cell, int32_t row)
{
    const int32_t w = p->model->clip.width, h = p->model->clip.height, side = MIN(SIDE, cell);
    float *dst = p->columns;
    for (int32_t c = 0; c < 3; c++)
        for (int32_t k = 0; k < side; k++, dst += w) {
            memset(dst, 0, (size_t)w * sizeof(*dst));
            for (int32_t y = 0; y < cell; y++) {
                const int32_t from = c * h + MIN(row * cell + y, h - 1);
                const float *src = planes + (size_t)from * (size_t)w;
                const float factor = (float)p->basis[k * cell + y];
                for (int32_t x = 0; x < w; x++)
                    dst[x] += factor * src[x];
            }
        }
}

/* Adds `weight` times the patches of three planes to coefficients [3][side][side][h,w]. */
static void add_patches(NervPatches *p, const NervParam *grid, const float *planes, double weight, float *dst)
{
    const int32_t cell = grid->cell, w = p->model->clip.width, side = MIN(SIDE, cell);
    const size_t cells = (size_t)grid->shape.h * (size_t)grid->shape.w;
    for (int32_t y = 0; y < grid->shape.h; y++) {
        transform_columns(p, planes, cell, y);
        for (int32_t f = 0; f < 3 * side * side; f++) {
            const int32_t ky = f / side % side, kx = f % side;
            const double gain =
                weight * GAIN * (1. + GAIN_SLOPE * (ky + kx)) * (f >= side * side ? GAIN_COLOUR : 1.);
            const float *src = p->columns + (size_t)(f / side) * (size_t)w;
            float *out = dst + (size_t)f * cells + (size_t)y * (size_t)grid->shape.w;
            for (int32_t x = 0; x < grid->shape.w; x++) {
                double sum = 0.;
                for (int32_t i = 0; i < cell; i++)
                    sum += p->basis[kx * cell + i] * (double)src[MIN(x * cell + i, w - 1)];
                out[x] += (float)(gain * sum);
            }
        }
    }
}

/* --- all of them --- */

/* Floats of one row's patches. */
static size_t row_floats(const NervParam *grid)
{
    return (size_t)nerv_start_patch(grid) * (size_t)grid->shape.h * (size_t)grid->shape.w;
}

static double row_of(const NervModel *model, const NervParam *grid, int32_t frame)
{
    const int32_t last = model->clip.n_frames - 1;
    if (model->klass->row)
        return model->klass->row(model, grid, frame);
    return last > 0 ? (double)frame * (grid->shape.n - 1) / last : 0.;
}

/* A frame's part in the two rows beside it. weights: of each row of all grids. */
static void add_frame(NervPatches *p, int32_t frame, float *dst, double *weights)
{
    for (uint32_t i = 0; i < p->model->n_params; i++) {
        const NervParam *grid = &p->model->params[i];
        if (!grid->cell)
            continue;
        const double at = CLAMP(row_of(p->model, grid, frame), 0., grid->shape.n - 1.);
        const size_t n = row_floats(grid);
        make_basis(p, grid->cell);
        for (int32_t r = (int32_t)at; !grid->shared && r <= MIN((int32_t)at + 1, grid->shape.n - 1); r++) {
            const double weight = 1. - fabs(at - r);
            if (weight > 0.) {
                add_patches(p, grid, p->planes, weight, dst + (size_t)r * n);
                add_patches(p, grid, p->rest, weight, dst + (size_t)r * n + n / 2);
            }
            weights[r] += weight;
        }
        dst += (size_t)grid->shape.n * n;
        weights += grid->shape.n;
    }
}

/* Means; a row that no frame falls on is as the one before. Shared grids are of the mean of all frames. */
static void finish(NervPatches *p, float *dst, const double *weights)
{
    for (uint32_t i = 0; i < p->model->n_params; i++) {
        const NervParam *grid = &p->model->params[i];
        const size_t n = row_floats(grid);
        if (grid->cell && grid->shared) {
            make_basis(p, grid->cell);
            add_patches(p, grid, p->mean, 1., dst);
        }
        for (int32_t r = 0; grid->cell && r < grid->shape.n; r++, dst += n, weights++) {
            if (*weights > 0.)
                for (size_t j = 0; j < n; j++)
                    dst[j] = (float)(dst[j] / *weights);
            else if (r > 0)
                memcpy(dst, dst - n, n * sizeof(*dst));
        }
    }
}

static bool look_at_run(NervPatches *p, int32_t run, GError **error)
{
    nerv_scene_set(&p->scene, 0, run);
    return !nerv_backend_cancelled(p->be, error) && nerv_scene_write(&p->scene, p->exec, error) &&
           nerv_exec_run(p->exec, error) && nerv_exec_read(p->exec, p->scene.target, p->rgb, error);
}

/* dst: NULL: for the mean. */
static bool look_at_all(NervPatches *p, const float *flows, float *dst, double *weights, GError **error)
{
    const NervModel *model = p->model;
    const size_t samples = (size_t)model->clip.width * (size_t)model->clip.height;
    for (int32_t run = 0; run < model->n_runs; run++) {
        const NervRun r = nerv_model_run(model, run);
        if (!look_at_run(p, run, error))
            return false;
        for (int32_t i = 0; i < r.n; i++) {
            split_colours(p, p->rgb + (size_t)i * 3 * samples);
            if (dst) {
                leave_rest(p, flows, r.first + i);
                add_frame(p, r.first + i, dst, weights);
            } else {
                add_to_mean(p, flows, r.first + i);
            }
        }
    }
    return true;
}

bool nerv_patches_run(NervPatches *p, const NervFootage *footage, const float *flows, float *dst,
                      GError **error)
{
    const NervModel *model = p->model;
    const size_t samples = (size_t)model->clip.width * (size_t)model->clip.height;
    size_t n_rows = 0;
    for (uint32_t i = 0; i < model->n_params; i++)
        n_rows += model->params[i].cell ? (size_t)model->params[i].shape.n : 0;
    g_autofree double *weights = g_new0(double, n_rows + 1);
    flows = p->flow ? flows : NULL;
    memset(dst, 0, (size_t)nerv_start_patches_count(model) * sizeof(*dst));
    if (!nerv_scene_bind(&p->scene, p->exec, footage, error))
        return false;
    memset(p->mean, 0, 3 * samples * sizeof(*p->mean));
    memset(p->counts, 0, samples * sizeof(*p->counts));
    if (n_rows && !look_at_all(p, flows, NULL, NULL, error))
        return false;
    finish_mean(p);
    if (n_rows && !look_at_all(p, flows, dst, weights, error))
        return false;
    finish(p, dst, weights);
    return true;
}
