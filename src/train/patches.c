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
    float *rgb;     /* run_frames pictures */
    float *planes;  /* three of one picture, in other colours */
    float *columns; /* a row of cells, transformed downwards: [3][SIDE][W] */
    double *basis;  /* [side][cell] of the grid at hand */
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
    g_free(p);
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
    nerv_scene_init(&p->scene, p->tape, model, footage, 1);
    nerv_tape_output(p->tape, p->scene.target, "frames");
    p->rgb = g_try_new(float, 3 * samples * (size_t)model->run_frames);
    p->planes = g_try_new(float, 3 * samples);
    p->columns = g_try_new(float, (size_t)3 * SIDE * (size_t)model->clip.width);
    p->basis = g_try_new(double, (size_t)SIDE *(size_t)most_cell);
    if (!p->rgb || !p->planes || !p->columns || !p->basis)
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

/* A row of cells downwards, into [3][side][W]. */
static void transform_columns(NervPatches *p, int32_t cell, int32_t row)
{
    const int32_t w = p->model->clip.width, h = p->model->clip.height, side = MIN(SIDE, cell);
    float *dst = p->columns;
    for (int32_t c = 0; c < 3; c++)
        for (int32_t k = 0; k < side; k++, dst += w) {
            memset(dst, 0, (size_t)w * sizeof(*dst));
            for (int32_t y = 0; y < cell; y++) {
                const int32_t from = c * h + MIN(row * cell + y, h - 1);
                const float *src = p->planes + (size_t)from * (size_t)w;
                const float factor = (float)p->basis[k * cell + y];
                for (int32_t x = 0; x < w; x++)
                    dst[x] += factor * src[x];
            }
        }
}

/* Adds `weight` times the picture's patches to those of one row of a grid, [patch,h,w]. */
static void add_patches(NervPatches *p, const NervParam *grid, double weight, float *dst)
{
    const int32_t cell = grid->cell, w = p->model->clip.width, side = MIN(SIDE, cell);
    const size_t cells = (size_t)grid->shape.h * (size_t)grid->shape.w;
    for (int32_t y = 0; y < grid->shape.h; y++) {
        transform_columns(p, cell, y);
        for (int32_t f = 0; f < nerv_start_patch(grid); f++) {
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
        const size_t row_floats =
            (size_t)nerv_start_patch(grid) * (size_t)grid->shape.h * (size_t)grid->shape.w;
        if (!grid->cell)
            continue;
        const double at = CLAMP(row_of(p->model, grid, frame), 0., grid->shape.n - 1.);
        make_basis(p, grid->cell);
        for (int32_t r = (int32_t)at; r <= MIN((int32_t)at + 1, grid->shape.n - 1); r++) {
            const double weight = 1. - fabs(at - r);
            if (weight > 0.)
                add_patches(p, grid, weight, dst + (size_t)r * row_floats);
            weights[r] += weight;
        }
        dst += (size_t)grid->shape.n * row_floats;
        weights += grid->shape.n;
    }
}

/* Means; a row that no frame falls on is as the one before. */
static void finish(const NervModel *model, float *dst, const double *weights)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *grid = &model->params[i];
        const size_t n = (size_t)nerv_start_patch(grid) * (size_t)grid->shape.h * (size_t)grid->shape.w;
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

bool nerv_patches_run(NervPatches *p, const NervFootage *footage, float *dst, GError **error)
{
    const NervModel *model = p->model;
    const size_t samples = (size_t)model->clip.width * (size_t)model->clip.height;
    size_t n_rows = 0;
    for (uint32_t i = 0; i < model->n_params; i++)
        n_rows += model->params[i].cell ? (size_t)model->params[i].shape.n : 0;
    g_autofree double *weights = g_new0(double, n_rows + 1);
    memset(dst, 0, (size_t)nerv_start_patches_count(model) * sizeof(*dst));
    if (!nerv_scene_bind(&p->scene, p->exec, footage, error))
        return false;
    for (int32_t run = 0; n_rows && run < model->n_runs; run++) {
        const NervRun r = nerv_model_run(model, run);
        if (!look_at_run(p, run, error))
            return false;
        for (int32_t i = 0; i < r.n; i++) {
            split_colours(p, p->rgb + (size_t)i * 3 * samples);
            add_frame(p, r.first + i, dst, weights);
        }
    }
    finish(model, dst, weights);
    return true;
}
