/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Motion search, see motion.h. Each cell of the grid of flows has a window round it that is looked for in the keyframe, on pictures of a
 * bounded size. A frame's displacements begin with those of the frame before, so that a search of a few samples follows motion of any length; what
 * the neighbours found is tried as well, and costs by how far a cell goes from them keep plain areas with the rest.
 */
#include "codec/motion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define MOST_SIDE  480 /* samples; larger pictures are averaged down */
#define SAMPLE     2   /* every so many samples of a window count, each way */
#define FIRST_STEP 4   /* samples; halved twice */
#define MOST_STEPS 8   /* downhill, of each length */
/* A sample away from what is expected costs a window so much of its samples, in 0..255. */
#define STRAY 0.15

typedef struct {
    int32_t x, y;
} Vector;

typedef struct {
    int32_t w, h;               /* of the small pictures */
    int32_t shrink;             /* frames' samples in one of theirs, each way */
    double cell;                /* of theirs */
    int32_t columns, rows;      /* of cells */
    uint8_t *start, *end, *now; /* pictures */
    Vector *found, *ahead,
        *last; /* by cell: of this frame, as it would go on from the two before, and of the one before */
} Search;

static void make_small(const Search *s, const NervPixels *pixels, const uint8_t *frame, uint8_t *dst)
{
    size_t stride, step;
    const uint8_t *grey = nerv_grey_plane(pixels, frame, &stride, &step);
    const int32_t k = s->shrink;
    for (int32_t y = 0; y < s->h; y++)
        for (int32_t x = 0; x < s->w; x++) {
            const uint8_t *at = grey + (size_t)y * k * stride + (size_t)x * k * step;
            uint32_t sum = 0;
            for (int32_t i = 0; i < k; i++)
                for (int32_t j = 0; j < k; j++)
                    sum += at[(size_t)i * stride + (size_t)j * step];
            dst[(size_t)y * s->w + x] = (uint8_t)(sum / (uint32_t)(k * k));
        }
}

/* Mean difference of the window of cell (column, row) to the keyframe `v` away, whose border goes on. */
static double difference(const Search *s, const uint8_t *key, int32_t column, int32_t row, Vector v)
{
    const int32_t x0 = MAX((int32_t)((column - .5) * s->cell), 0),
                  y0 = MAX((int32_t)((row - .5) * s->cell), 0);
    const int32_t x1 = MIN((int32_t)((column + 1.5) * s->cell), s->w);
    const int32_t y1 = MIN((int32_t)((row + 1.5) * s->cell), s->h);
    const bool inside = x0 + v.x >= 0 && x1 + v.x <= s->w;
    uint32_t sum = 0, n = 0;
    for (int32_t y = y0; y < y1; y += SAMPLE) {
        const uint8_t *a = s->now + (size_t)y * s->w, *b = key + (size_t)CLAMP(y + v.y, 0, s->h - 1) * s->w;
        if (inside)
            for (int32_t x = x0; x < x1; x += SAMPLE)
                sum += (uint32_t)abs(a[x] - b[x + v.x]);
        else
            for (int32_t x = x0; x < x1; x += SAMPLE)
                sum += (uint32_t)abs(a[x] - b[CLAMP(x + v.x, 0, s->w - 1)]);
        n += (uint32_t)(MAX(x1 - x0 + SAMPLE - 1, 0) / SAMPLE);
    }
    return n ? (double)sum / n : 0.;
}

typedef struct {
    const Search *s;
    const uint8_t *key;
    int32_t column, row;
    double mean_x, mean_y; /* what is expected */
    Vector best;
    double cost;
} Cell;

static bool try_vector(Cell *c, Vector v)
{
    if (abs(v.x) > c->s->w || abs(v.y) > c->s->h)
        return false;
    const double stray = STRAY * (fabs(v.x - c->mean_x) + fabs(v.y - c->mean_y));
    if (stray >= c->cost)
        return false;
    const double cost = difference(c->s, c->key, c->column, c->row, v) + stray;
    if (cost >= c->cost)
        return false;
    c->cost = cost;
    c->best = v;
    return true;
}

/* Of the eight around and the cell itself, as far as they are known. */
static void expect(Cell *c)
{
    const Search *s = c->s;
    double x = 0., y = 0., n = 0.;
    for (int32_t row = MAX(c->row - 1, 0); row <= MIN(c->row + 1, s->rows - 1); row++)
        for (int32_t column = MAX(c->column - 1, 0); column <= MIN(c->column + 1, s->columns - 1); column++) {
            x += s->found[row * s->columns + column].x;
            y += s->found[row * s->columns + column].y;
            n += 1.;
        }
    c->mean_x = x / n;
    c->mean_y = y / n;
}

/* `way`: neighbours that are tried are those before (-1) or behind (1). */
static void search_cell(const Search *s, const uint8_t *key, int32_t column, int32_t row, int way)
{
    Vector *found = &s->found[row * s->columns + column];
    Cell c = { .s = s, .key = key, .column = column, .row = row, .cost = INFINITY };
    expect(&c);
    try_vector(&c, *found);
    try_vector(&c, (Vector){ (int32_t)lrint(c.mean_x), (int32_t)lrint(c.mean_y) });
    try_vector(&c, (Vector){ 0, 0 });
    try_vector(&c, s->ahead[row * s->columns + column]);
    try_vector(&c, s->last[row * s->columns + column]);
    if (column + way >= 0 && column + way < s->columns)
        try_vector(&c, s->found[row * s->columns + column + way]);
    if (row + way >= 0 && row + way < s->rows)
        try_vector(&c, s->found[(row + way) * s->columns + column]);
    for (int32_t step = FIRST_STEP; step > 0; step /= 2) {
        bool moved = true;
        for (int i = 0; i < MOST_STEPS && moved; i++) {
            const Vector from = c.best;
            moved = false;
            for (int32_t k = 0; k < 9; k++)
                moved |= k != 4 &&
                         try_vector(&c, (Vector){ from.x + (k % 3 - 1) * step, from.y + (k / 3 - 1) * step });
        }
    }
    *found = c.best;
}

/* Displacements of `now` to the keyframe; those of the frame before are where it begins. */
static void search_frame(Search *s, const uint8_t *key)
{
    const int32_t n = s->columns * s->rows;
    for (int32_t i = 0; i < n; i++) {
        const Vector now = s->found[i], before = s->last[i];
        s->ahead[i] = (Vector){ 2 * now.x - before.x, 2 * now.y - before.y };
        s->last[i] = now;
    }
    for (int32_t i = 0; i < n; i++)
        search_cell(s, key, i % s->columns, i / s->columns, -1);
    for (int32_t i = n; i-- > 0;)
        search_cell(s, key, i % s->columns, i / s->columns, 1);
}

/* --- from displacements to rows --- */

/* Sums of a span's rows: of what a grid of values would give times what it should, and of its square. */
typedef struct {
    double *to, *by; /* to: [rows][2][cells], by: [rows] */
} Fit;

/* A frame's displacements, at the part `far` of the way from the keyframe, `place` rows into the span. */
static void add_frame(const Search *s, const Fit *fit, int32_t rows, double place, double far)
{
    const int32_t n = s->columns * s->rows, low = MIN((int32_t)place, rows - 1);
    for (int k = 0; k < 2; k++) {
        const int32_t row = MIN(low + k, rows - 1);
        const double part = k ? place - low : 1. - (place - low);
        if (part <= 0.)
            continue;
        fit->by[row] += part * far * far;
        for (int32_t i = 0; i < n; i++) {
            fit->to[(size_t)(2 * row) * n + i] += part * far * s->found[i].x;
            fit->to[(size_t)(2 * row + 1) * n + i] += part * far * s->found[i].y;
        }
    }
}

/* Rows that no frame spoke for are as their neighbour nearer to the other keyframe. */
static void write_rows(const Search *s, const Fit *fit, const NervFlows *flows, const NervFlowSpan *span,
                       int end, float *grid)
{
    const int32_t n = s->columns * s->rows;
    const double unit = flows->unit * s->shrink;
    for (int32_t i = 0; i < span->rows; i++) {
        const int32_t row = end ? i : span->rows - 1 - i;
        const int32_t from = fit->by[row] > 0. || i == 0 ? row : end ? row - 1 : row + 1;
        for (int axis = 0; axis < 2; axis++) {
            float *to = grid + ((size_t)(span->row + row) * 4 + (size_t)(2 * end + axis)) * n;
            const float *copied = grid + ((size_t)(span->row + from) * 4 + (size_t)(2 * end + axis)) * n;
            for (int32_t j = 0; j < n; j++)
                to[j] = from != row ? copied[j]
                        : fit->by[row] > 0.
                            ? (float)(fit->to[(size_t)(2 * row + axis) * n + j] / fit->by[row] * unit)
                            : 0.f;
        }
    }
}

/* What is searched, and what becomes of it. */
typedef struct {
    NervMotion *motion;
    const NervPixels *pixels;
    NervFrameAt frame_at;
    void *user;
    const gint *cancel;
    double *weight; /* by video: of what error is the sum of */
} Job;

/* Mean over the cells of the square of what they differ by from the keyframe where they were found. */
static double error_of(const Search *s, const uint8_t *key)
{
    const int32_t n = s->columns * s->rows;
    double sum = 0.;
    for (int32_t i = 0; i < n; i++) {
        const double d = difference(s, key, i % s->columns, i / s->columns, s->found[i]);
        sum += d * d;
    }
    return sum / n;
}

/* --- grids that all frames share --- */

/* By cell, of rows that give its displacements in the least squares: the sums of squares, of products of neighbours, and of what they should give. */
typedef struct {
    int32_t n_rows;
    double *square, *next; /* [n_rows] each */
    double *to[2];
} Rows;

/* So much of a displacement's worth has one that points out of the picture, and one whose cell differs by so much from where it was found has half
 * of it. Neighbouring rows are drawn together a little: some have no frames that say anything. */
#define OUTSIDE 0.02
#define HALF    8.
#define TIED    0.02

static double worth(const Search *s, const uint8_t *key, int32_t cell)
{
    const int32_t column = cell % s->columns, row = cell / s->columns;
    const Vector v = s->found[cell];
    const double x = (column + .5) * s->cell + v.x, y = (row + .5) * s->cell + v.y;
    const double d = difference(s, key, column, row, v) / HALF;
    return (x >= 0. && x < s->w && y >= 0. && y < s->h ? 1. : OUTSIDE) / (1. + d * d);
}

/* What the cells of a frame at `place` between the rows say. */
static void add_to_rows(const Search *s, const uint8_t *key, double place, Rows *cells)
{
    for (int32_t i = 0; i < s->columns * s->rows; i++) {
        Rows *c = &cells[i];
        const int32_t low = MIN((int32_t)place, c->n_rows - 1), behind = MIN(low + 1, c->n_rows - 1);
        const double weight = worth(s, key, i), high = place - low;
        const double v[2] = { s->found[i].x, s->found[i].y };
        c->square[low] += weight * (1. - high) * (1. - high);
        c->square[behind] += weight * high * high;
        c->next[low] += weight * high * (1. - high);
        for (int axis = 0; axis < 2; axis++) {
            c->to[axis][low] += weight * (1. - high) * v[axis];
            c->to[axis][behind] += weight * high * v[axis];
        }
    }
}

/* Solves a cell's rows into `to`. */
static void solve_rows(Rows *c)
{
    for (int32_t r = 0; r < c->n_rows; r++) {
        c->square[r] += 1e-6 + TIED * ((r > 0) + (r + 1 < c->n_rows));
        c->next[r] -= TIED;
    }
    for (int32_t r = 1; r < c->n_rows; r++) {
        const double part = c->next[r - 1] / c->square[r - 1];
        c->square[r] -= part * c->next[r - 1];
        for (int axis = 0; axis < 2; axis++)
            c->to[axis][r] -= part * c->to[axis][r - 1];
    }
    for (int32_t r = c->n_rows; r-- > 0;)
        for (int axis = 0; axis < 2; axis++) {
            const double behind = r + 1 < c->n_rows ? c->next[r] * c->to[axis][r + 1] : 0.;
            c->to[axis][r] = (c->to[axis][r] - behind) / c->square[r];
        }
}

/* All grids that are moved show the frame in the middle as it is. sums: a cell's rows' four, zeros. */
static bool search_shared(Search *s, const Job *job, int32_t n_frames, double *sums)
{
    NervMotion *motion = job->motion;
    const int32_t n = s->columns * s->rows, n_rows = motion->shape.n, middle = n_frames / 2;
    const double unit = motion->flows.unit * s->shrink;
    bool cancelled = false;
    g_autofree Rows *cells = g_new(Rows, n);
    for (int32_t i = 0; i < n; i++) {
        double *at = sums + (size_t)i * n_rows * 4;
        cells[i] = (Rows){ n_rows, at, at + n_rows, { at + 2 * (size_t)n_rows, at + 3 * (size_t)n_rows } };
    }
    make_small(s, job->pixels, job->frame_at(job->user, (uint32_t)middle), s->start);
    for (int way = 1; way >= -1; way -= 2) {
        memset(s->found, 0, (size_t)n * 3 * sizeof(*s->found)); /* and what is behind it */
        for (int32_t f = middle + (way < 0 ? -1 : 0); f >= 0 && f < n_frames && !cancelled; f += way) {
            make_small(s, job->pixels, job->frame_at(job->user, (uint32_t)f), s->now);
            if (f != middle)
                search_frame(s, s->start);
            add_to_rows(s, s->start, (double)f * (n_rows - 1) / MAX(n_frames - 1, 1), cells);
            cancelled = job->cancel && g_atomic_int_get(job->cancel);
        }
    }
    for (int32_t i = 0; i < n && !cancelled; i++) {
        solve_rows(&cells[i]);
        for (int32_t r = 0; r < n_rows; r++)
            for (int32_t c = 0; c < motion->shape.c; c++)
                motion->grid[((size_t)r * motion->shape.c + c) * n + i] =
                    (float)(cells[i].to[c % 2][r] * unit);
    }
    return !cancelled;
}

/* --- grids between keyframes --- */

/* One keyframe's flow of a span: from its own place to the other's. */
static bool search_span(Search *s, const Job *job, const NervFlowSpan *span, int end)
{
    NervMotion *motion = job->motion;
    const uint8_t *key = end ? s->end : s->start;
    const int32_t n = s->columns * s->rows, length = span->end - span->start;
    Fit fit = { g_new0(double, (size_t)span->rows * 2 * n), g_new0(double, span->rows) };
    bool cancelled = false;
    memset(s->found, 0, (size_t)n * 3 * sizeof(*s->found)); /* and what is behind it */
    for (int32_t i = 1; i <= length && !cancelled; i++) {
        const double d = (end ? length - i : i) / (double)length;
        const double near = 1. - (double)i / (length + 1);
        make_small(s, job->pixels,
                   job->frame_at(job->user, (uint32_t)(end ? span->end - i : span->start + i)), s->now);
        search_frame(s, key);
        add_frame(s, &fit, span->rows, d * (span->rows - 1), (double)i / length);
        motion->error[span->video] += near * error_of(s, key);
        job->weight[span->video] += near;
        cancelled = job->cancel && g_atomic_int_get(job->cancel);
    }
    write_rows(s, &fit, &motion->flows, span, end, motion->grid);
    g_free(fit.to);
    g_free(fit.by);
    return !cancelled;
}

static bool search_all(Search *s, const Job *job)
{
    const NervFlows *flows = &job->motion->flows;
    for (uint32_t i = 0; i < flows->n_spans; i++) {
        const NervFlowSpan *span = &flows->spans[i];
        if (span->end <= span->start)
            continue;
        make_small(s, job->pixels, job->frame_at(job->user, (uint32_t)span->start), s->start);
        make_small(s, job->pixels, job->frame_at(job->user, (uint32_t)span->end), s->end);
        for (int end = 0; end < 2; end++)
            if (!search_span(s, job, span, end))
                return false;
    }
    return true;
}

/* Makes *motion; its spans and shape are there. */
static bool find(const Job *job, int32_t n_frames, GError **error)
{
    NervMotion *motion = job->motion;
    const int32_t width = job->pixels->width, height = job->pixels->height;
    const int32_t shrink = (MAX(width, height) + MOST_SIDE - 1) / MOST_SIDE;
    Search s = { .w = width / shrink,
                 .h = height / shrink,
                 .shrink = shrink,
                 .cell = (double)motion->flows.cell / shrink,
                 .columns = motion->shape.w,
                 .rows = motion->shape.h };
    const size_t bytes = (size_t)s.w * (size_t)s.h, n = (size_t)s.columns * (size_t)s.rows;
    g_autofree double *sums = g_try_new0(double, motion->flows.n_moved ? 4 * n *(size_t)motion->shape.n : 1);
    motion->grid = g_try_new0(float, (gsize)nerv_shape_count(motion->shape));
    s.start = g_try_malloc(3 * bytes);
    s.found = g_try_new0(Vector, 3 * n);
    bool ok = motion->grid && s.start && s.found && sums;
    if (ok) {
        s.end = s.start + bytes;
        s.now = s.end + bytes;
        s.ahead = s.found + n;
        s.last = s.ahead + n;
        ok = motion->flows.n_moved ? search_shared(&s, job, n_frames, sums) : search_all(&s, job);
        if (!ok)
            g_set_error(error, NERV_ERROR, NERV_ERROR_CANCELLED, "cancelled");
    } else {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory to look for motion");
    }
    g_free(s.start);
    g_free(s.found);
    return ok;
}

void nerv_motion_clear(NervMotion *motion)
{
    g_free(motion->flows.spans);
    g_free(motion->grid);
    g_free(motion->error);
    *motion = (NervMotion){ 0 };
}

bool nerv_motion_find(NervMotion *motion, const NervModel *model, const NervPixels *pixels,
                      NervFrameAt frame_at, void *user, const gint *cancel, GError **error)
{
    const uint32_t n = MAX(model->n_videos, 1);
    nerv_motion_clear(motion);
    if (!nerv_model_flows(model, &motion->flows))
        return true;
    g_autofree double *weight = g_new0(double, n);
    const Job job = { motion, pixels, frame_at, user, cancel, weight };
    motion->shape = model->params[motion->flows.param].shape;
    motion->error = g_new0(double, n);
    motion->n_videos = n;
    if (!find(&job, model->clip.n_frames, error)) {
        nerv_motion_clear(motion);
        return false;
    }
    for (uint32_t i = 0; i < n && !motion->flows.n_moved; i++) {
        motion->error[i] /= fmax(weight[i], 1e-9);
        g_debug("motion of video %u: differences of %.2f", i, sqrt(motion->error[i]));
    }
    return true;
}

bool nerv_motion_suits(const NervMotion *motion, const NervModel *model)
{
    const NervFlows *own = &motion->flows;
    NervFlows flows;
    if (!nerv_model_flows(model, &flows))
        return motion->grid == NULL;
    bool same = motion->grid && nerv_shape_equal(motion->shape, model->params[flows.param].shape) &&
                own->cell == flows.cell && own->n_spans == flows.n_spans && own->n_moved == flows.n_moved;
    for (uint32_t i = 0; same && i < own->n_spans; i++) {
        const NervFlowSpan *a = &own->spans[i], *b = &flows.spans[i];
        same = a->start == b->start && a->end == b->end && a->row == b->row && a->rows == b->rows;
    }
    g_free(flows.spans);
    return same;
}

void nerv_motion_place(const NervMotion *motion, const NervModel *model, float *weights)
{
    if (!motion->grid)
        return;
    for (uint32_t i = 0; i < motion->flows.param; i++)
        weights += nerv_shape_count(model->params[i].shape);
    memcpy(weights, motion->grid, (size_t)nerv_shape_count(motion->shape) * sizeof(*weights));
}
