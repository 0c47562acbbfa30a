/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * D-NeRV's network of a configuration: how a segment's videos are cut into runs and keyframes, which parameters there are, and what
 * goes in for a run. What may be configured is in dnerv.c.
 */
#include "models/dnerv.h"

#include <math.h>
#include <string.h>

#include "models/params.h"

#define LEAST_FLOW_WIDTH 4
#define FLOW_NAME        "flow"
#define BASE_NAME        "grid"

#define PAPER_RATE 5e-4
#define NET_RATE   5e-3
/* As nerv-grid's, but for passes of more runs than RATE_RUNS: with their number the steps of a fit grow, and what Adam makes of a row's few gradients
 * grows with its root; the rate falls with that. */
#define GRIDS_RATE 1e-2
#define RATE_RUNS  40.
/* Steps that Adam remembers the size of gradients for, at least and as a part of a pass: in most of a pass's steps a grid's row has no gradient but the
 * rate's, and what is forgotten by then lets that alone move it. */
#define LEAST_MEMORY 20.
#define PASS_MEMORY  .2
#define GRID_BOUND   0.05f
#define GRID_RATE    10.f
#define QUIET_BOUND                                                                                          \
    1e-3f /* of what begins as nothing: flows, and what the refinement adds to the keyframes */

static const char no_memory[] = "no memory for its tables";

/* --- videos and runs --- */

int32_t nerv_dnerv_rows(int32_t frames, int32_t row_frames)
{
    return MAX((frames + row_frames / 2) / row_frames, 1);
}

/* Of the flow between two keyframes: one at each, and between them. */
static int32_t count_flows(const NervDnervConfig *c, int32_t span)
{
    return !nerv_dnerv_has_flow_grid(c) ? 0 : span > 0 ? nerv_dnerv_rows(span, c->flow_frames) + 1 : 1;
}

/* The keyframe `frame` in the list, appended if it is not its last; -1 where the network has none. */
static int32_t add_key(NervDnerv *m, int32_t frame)
{
    NervModel *head = &m->head;
    if (!nerv_dnerv_has_keys(&m->config))
        return -1;
    if (head->n_keys == 0 || head->keys[head->n_keys - 1] != frame)
        head->keys[head->n_keys++] = frame;
    return head->n_keys - 1;
}

/* Where a video's interval begins, counted from its first frame; behind the last interval the last frame or more. With grids there are as many
 * intervals as come nearest to the length that is asked for, as long as each other but for what whole runs allow. */
static int32_t interval_start(const NervDnervConfig *c, int32_t frames, int32_t i)
{
    if (!nerv_dnerv_has(c, NERV_DNERV_GRIDS))
        return i * c->interval;
    const int32_t last = MAX(frames - 1, 1), most = (last + c->clip - 1) / c->clip;
    const int32_t n = CLAMP((last + c->interval / 2) / c->interval, 1, most);
    return c->clip * (int32_t)((int64_t)MIN(i, n) * most / n);
}

/* The runs of one video; the first frame of each interval is a keyframe, and the video's last frame, which with grids belongs to the interval
 * that it ends. */
static void cut_video(NervDnerv *m, uint32_t number, int32_t video, int32_t frames)
{
    const NervDnervConfig *c = &m->config;
    const int32_t rows = c->stem ? 0 : nerv_dnerv_rows(frames, c->row_frames);
    const int32_t middles = c->middle_channels ? nerv_dnerv_rows(frames, c->middle_frames) : 0;
    const bool own_last = nerv_dnerv_has(c, NERV_DNERV_GRIDS);
    for (int32_t i = 0, past = 0; past < frames; i++) {
        const int32_t start = past, next = interval_start(c, frames, i + 1), end = MIN(next, frames - 1);
        past = own_last && end == frames - 1 ? frames : MIN(next, frames);
        const int32_t flows = count_flows(c, end - start);
        const int32_t keys[2] = { add_key(m, video + start), add_key(m, video + end) };
        for (int32_t first = start; first < past; first += c->clip)
            m->runs[m->head.n_runs++] = (NervDnervRun){ .first = video + first,
                                                        .n = MIN(c->clip, past - first),
                                                        .keys = { keys[0], keys[1] },
                                                        .start = video + start,
                                                        .end = video + end,
                                                        .number = number,
                                                        .video = video,
                                                        .video_frames = frames,
                                                        .row = m->n_rows,
                                                        .rows = rows,
                                                        .middle = m->n_middle,
                                                        .middles = middles,
                                                        .flow = m->n_flow,
                                                        .flows = flows };
        m->n_flow += flows;
    }
    m->n_rows += rows;
    m->n_middle += middles;
}

/* Tables that have a place for each frame or video. */
static bool make_tables(NervDnerv *m, uint32_t n_videos)
{
    const gsize n = (gsize)m->head.clip.n_frames;
    m->videos = g_try_new(int32_t, n_videos);
    m->runs = g_try_new0(NervDnervRun, n); /* at most one a frame; so are keyframes */
    m->head.keys = g_try_new0(int32_t, n);
    return m->videos && m->runs && m->head.keys;
}

/* NULL, or why not. */
static const char *cut_videos(NervDnerv *m, const int32_t *videos, uint32_t n_videos)
{
    static const char not_the_frames[] = "the videos are not the segment's frames";
    const int32_t n = m->head.clip.n_frames, one[] = { n };
    int32_t at = 0;
    if (n_videos == 0) {
        videos = one;
        n_videos = 1;
    }
    for (uint32_t i = 0; i < n_videos; i++) {
        if (videos[i] < 1 || videos[i] > n - at)
            return not_the_frames;
        at += videos[i];
    }
    if (at != n)
        return not_the_frames;
    if (!make_tables(m, n_videos))
        return no_memory;
    memcpy(m->videos, videos, n_videos * sizeof(*videos));
    m->head.n_videos = n_videos;
    at = 0;
    for (uint32_t i = 0; i < n_videos; at += videos[i++])
        cut_video(m, i, at, videos[i]);
    return NULL;
}

NervRun nerv_dnerv_run(const NervModel *model, int32_t run)
{
    const NervDnervRun *r = &((const NervDnerv *)model)->runs[run];
    return (NervRun){ .first = r->first, .n = r->n, .keys = { r->keys[0], r->keys[1] }, .video = r->number };
}

bool nerv_dnerv_flows(const NervModel *model, NervFlows *flows)
{
    const NervDnerv *m = (const NervDnerv *)model;
    const int32_t scale = nerv_strides_product(m->config.stride, m->config.n_blocks);
    if (!nerv_dnerv_has_flow_grid(&m->config))
        return false;
    *flows = (NervFlows){ .cell = scale / nerv_dnerv_flow_scale(&m->config),
                          .spans = g_new(NervFlowSpan, model->n_runs) };
    flows->unit = NERV_DNERV_FLOW_UNITS / (float)flows->cell;
    while (strcmp(model->params[flows->param].name, FLOW_NAME) != 0)
        flows->param++;
    for (int32_t i = 0; i < model->n_runs; i++) {
        const NervDnervRun *r = &m->runs[i];
        if (flows->n_spans == 0 || flows->spans[flows->n_spans - 1].row != r->flow)
            flows->spans[flows->n_spans++] = (NervFlowSpan){ r->start, r->end, r->flow, r->flows, r->number };
    }
    return true;
}

/* --- parameters, in the order in which the tape takes them --- */

void nerv_dnerv_free(NervModel *model)
{
    NervDnerv *m = (NervDnerv *)model;
    g_free(m->videos);
    g_free(m->runs);
    g_free(model->keys);
    g_free(model->params);
    g_free(model);
}

/* The layer's last weights and biases begin within `bound`. */
static void quieten(NervModel *m, float bound)
{
    m->params[m->n_params - 2].init_bound = m->params[m->n_params - 1].init_bound = bound;
}

static int32_t flow_width(int32_t channels)
{
    return MAX(channels / 4, LEAST_FLOW_WIDTH);
}

static void add_flow(NervDnerv *m, int32_t i, int32_t channels)
{
    char name[24];
    if (!nerv_dnerv_has(&m->config, NERV_DNERV_FLOW) || nerv_dnerv_has(&m->config, NERV_DNERV_GRIDS))
        return;
    g_snprintf(name, sizeof(name), "flow%d.0", i);
    nerv_model_add_layer(&m->head, name, flow_width(channels), channels, 1);
    g_snprintf(name, sizeof(name), "flow%d.1", i);
    nerv_model_add_layer(&m->head, name, 4, flow_width(channels), 3);
    if (nerv_dnerv_has(&m->config, NERV_DNERV_PYRAMID))
        quieten(&m->head, QUIET_BOUND);
}

static void add_mix(NervDnerv *m, int32_t i, int32_t channels)
{
    const int32_t frames = m->config.clip;
    const bool quiet = m->config.parts != NERV_DNERV_PAPER;
    const float bound = quiet ? QUIET_BOUND : (float)(1. / sqrt(frames));
    NervParam *w = &m->head.params[m->head.n_params++], *b = &m->head.params[m->head.n_params++];
    *w = (NervParam){ .shape = { channels, frames, frames, 1 },
                      .role = NERV_PARAM_WEIGHT,
                      .init_bound = bound };
    *b = (NervParam){ .shape = { 1, channels, frames, 1 }, .role = NERV_PARAM_BIAS, .init_bound = bound };
    g_snprintf(w->name, sizeof(w->name), "mix%d.weight", i);
    g_snprintf(b->name, sizeof(b->name), "mix%d.bias", i);
    m->head.n_weights += (int64_t)channels * frames * (frames + 1);
}

/* So many times as fine as the base; `cell` is NervParam's. False if it is too large. */
static bool add_grid(NervDnerv *m, const char *name, int32_t rows, int32_t channels, int32_t scale,
                     float bound, int32_t cell)
{
    const int64_t n = (int64_t)m->grid_h * scale * m->grid_w * scale * channels;
    if (n > NERV_MODEL_MAX_WEIGHTS / rows)
        return false;
    NervParam *p = &m->head.params[m->head.n_params++];
    *p = (NervParam){ .shape = { rows, channels, m->grid_h * scale, m->grid_w * scale },
                      .role = NERV_PARAM_GRID,
                      .init_bound = bound,
                      .rate = GRID_RATE,
                      .cell = cell };
    g_strlcpy(p->name, name, sizeof(p->name));
    m->head.n_weights += n * rows;
    return true;
}

/* What the first stage begins with, besides the keyframes' features; and the flow. */
static bool add_stem(NervDnerv *m)
{
    const NervDnervConfig *c = &m->config;
    const int64_t cells = (int64_t)m->grid_h * m->grid_w * c->base_channels;
    const int32_t cell = nerv_strides_product(c->stride, c->n_blocks);
    if (!c->stem)
        return add_grid(m, BASE_NAME, m->n_rows, c->base_channels, 1, GRID_BOUND, cell) &&
               (!nerv_dnerv_has_flow_grid(c) ||
                add_grid(m, FLOW_NAME, m->n_flow, 4, nerv_dnerv_flow_scale(c), QUIET_BOUND, 0));
    if (cells > INT32_MAX || cells * c->stem > NERV_MODEL_MAX_WEIGHTS)
        return false;
    nerv_model_add_layer(&m->head, "stem.0", c->stem, 2 * c->pe_levels, 1);
    nerv_model_add_layer(&m->head, "stem.1", (int32_t)cells, c->stem, 1);
    return true;
}

/* What each video's channels are scaled by, less one. */
static void add_gains(NervDnerv *m, int32_t i, int32_t channels)
{
    NervParam *p = &m->head.params[m->head.n_params++];
    *p = (NervParam){ .shape = { (int32_t)m->head.n_videos, channels, 1, 1 },
                      .role = NERV_PARAM_GRID,
                      .init_bound = QUIET_BOUND,
                      .apart = true };
    g_snprintf(p->name, sizeof(p->name), "gain%d", i);
    m->head.n_weights += (int64_t)m->head.n_videos * channels;
}

static bool add_stage(NervDnerv *m, int32_t i, int32_t channels)
{
    const NervDnervConfig *c = &m->config;
    const int64_t out = (int64_t)c->width[i] * c->stride[i] * c->stride[i];
    char name[24];
    if (i == 1 && c->middle_channels) {
        const int32_t cell = nerv_strides_product(c->stride + 1, c->n_blocks - 1);
        if (!add_grid(m, "middle", m->n_middle, c->middle_channels, c->stride[0], GRID_BOUND, cell))
            return false;
        channels += c->middle_channels;
    }
    const int64_t videos = i == 0 && nerv_dnerv_has(c, NERV_DNERV_OWN) ? m->head.n_videos : 1;
    if (videos * out * channels * 9 > NERV_MODEL_MAX_WEIGHTS)
        return false;
    if (nerv_dnerv_has(c, NERV_DNERV_SAF)) {
        add_flow(m, i, channels);
        g_snprintf(name, sizeof(name), "saf%d", i);
        nerv_model_add_layer(&m->head, name, 2 * channels, c->content, 1);
    }
    g_snprintf(name, sizeof(name), "block%d", i);
    nerv_model_add_layer(&m->head, name, (int32_t)(videos * out), channels,
                         nerv_dnerv_has(c, NERV_DNERV_GRIDS) && i == 0 ? 1 : 3);
    for (uint32_t j = m->head.n_params - 2; j < m->head.n_params; j++)
        m->head.params[j].copies = (uint32_t)videos;
    if (nerv_dnerv_has(c, NERV_DNERV_MIX))
        add_mix(m, i, c->width[i]);
    if (nerv_dnerv_has(c, NERV_DNERV_GAINS))
        add_gains(m, i, c->width[i]);
    return m->head.n_weights <= NERV_MODEL_MAX_WEIGHTS;
}

/* From the keyframes down to the base grid. */
static bool add_content(NervDnerv *m)
{
    const NervDnervConfig *c = &m->config;
    nerv_model_add_layer(&m->head, "content.0", c->content, 3, 3);
    for (int32_t i = c->n_blocks; i-- > 0;) {
        char name[24];
        if ((int64_t)c->content * c->content * c->stride[i] * c->stride[i] > NERV_MODEL_MAX_WEIGHTS)
            return false;
        g_snprintf(name, sizeof(name), "content.%d", c->n_blocks - i);
        nerv_model_add_layer(&m->head, name, c->content, c->content, c->stride[i]);
    }
    return m->head.n_weights <= NERV_MODEL_MAX_WEIGHTS;
}

/* From the last stage's features to the frame. */
static void add_refinement(NervDnerv *m, int32_t channels)
{
    const NervDnervConfig *c = &m->config;
    if (nerv_dnerv_has(c, NERV_DNERV_KEYS)) {
        add_flow(m, c->n_blocks, channels);
        channels += 3;
    }
    if (nerv_dnerv_has(c, NERV_DNERV_GRIDS)) {
        nerv_model_add_layer(&m->head, "head", nerv_dnerv_head_channels(c), channels, 3);
    } else {
        nerv_model_add_layer(&m->head, "refine.0", NERV_DNERV_REFINE, channels, 1);
        nerv_model_add_layer(&m->head, "refine.1", 3, NERV_DNERV_REFINE, 3);
    }
    if (nerv_dnerv_has(c, NERV_DNERV_SKIP))
        quieten(&m->head, QUIET_BOUND);
}

static const char *add_params(NervDnerv *m)
{
    static const char too_many[] = "it has too many weights";
    const NervDnervConfig *c = &m->config;
    const bool features = !nerv_dnerv_has(c, NERV_DNERV_GRIDS);
    int32_t channels = c->base_channels + (features ? c->content : 0);
    /* content, stem, up to eleven of a stage and a grid, flow and refinement */
    m->head.params = g_try_new0(NervParam, 2 * (size_t)(c->n_blocks + 1) + 4 + 12 * (size_t)c->n_blocks + 8);
    if (!m->head.params)
        return no_memory;
    if ((features && !add_content(m)) || !add_stem(m))
        return too_many;
    for (int32_t i = 0; i < c->n_blocks; i++) {
        if (!add_stage(m, i, channels))
            return too_many;
        channels = c->width[i];
    }
    add_refinement(m, channels);
    return m->head.n_weights <= NERV_MODEL_MAX_WEIGHTS ? NULL : too_many;
}

NervModel *nerv_dnerv_new(const NervDnervConfig *c, const NervClip *clip, const int32_t *videos,
                          uint32_t n_videos, NervErrorCode code, GError **error)
{
    const int32_t scale = nerv_strides_product(c->stride, c->n_blocks);
    NervDnerv *m = g_new0(NervDnerv, 1);

    m->head.klass = &nerv_model_class_dnerv;
    m->head.clip = *clip;
    m->head.input_floats = (c->stem ? 2 * c->pe_levels : 1) + nerv_dnerv_inputs(c);
    m->head.run_frames = c->clip;
    m->head.between = c->stem == 0;
    const bool grids = nerv_dnerv_has(c, NERV_DNERV_GRIDS);
    m->head.learning_rate = c->stem ? PAPER_RATE : NET_RATE;
    m->head.beta1 = .9;
    m->head.beta2 = .999;
    m->head.warmup = c->stem ? .1 : .05;
    m->config = *c;
    for (int32_t i = c->n_blocks; i < NERV_MAX_BLOCKS; i++)
        m->config.width[i] = m->config.stride[i] = 0;
    m->grid_h = nerv_blocks_cells(clip->height, scale);
    m->grid_w = nerv_blocks_cells(clip->width, scale);
    const char *why = cut_videos(m, videos, n_videos);
    if (!why)
        why = add_params(m);
    if (!why && grids) {
        m->head.learning_rate = GRIDS_RATE * sqrt(fmin(RATE_RUNS / m->head.n_runs, 1.));
        m->head.beta2 = 1. - 1. / fmax(PASS_MEMORY * m->head.n_runs, LEAST_MEMORY);
    }
    if (!why)
        return &m->head;
    g_set_error(error, NERV_ERROR, why == no_memory ? NERV_ERROR_MEMORY : code, "model dnerv: %s", why);
    nerv_dnerv_free(&m->head);
    return NULL;
}

/* --- input --- */

/* Phases grow to 1e23, whose sines differ with the last bit: each power of the base is one product, rounded once, the same everywhere. */
static float *write_encoding(const NervDnervConfig *c, double t, float *dst)
{
    double b = 1.;
    for (int32_t k = 0; k < c->pe_levels; k++) {
        *dst++ = (float)sin(b * G_PI * t);
        *dst++ = (float)cos(b * G_PI * t);
        b *= c->pe_base;
    }
    return dst;
}

/* Where `at` falls in the rows of the base, or of the middle grid. */
static double row_at(const NervDnervRun *r, bool base, double at)
{
    const double last = r->video_frames - 1, t = last > 0 ? (at - r->video) / last : 0.;
    return base ? r->row + t * (r->rows - 1) : r->middle + t * MAX(r->middles - 1, 0);
}

double nerv_dnerv_row(const NervModel *model, const NervParam *grid, int32_t frame)
{
    const NervDnerv *m = (const NervDnerv *)model;
    const NervDnervRun *r = m->runs;
    while (frame >= r->first + r->n && r + 1 < m->runs + model->n_runs)
        r++;
    return row_at(r, g_str_equal(grid->name, BASE_NAME), frame);
}

/* at: counted in frames of the segment, not behind the video's last. */
static void write_frame(const NervDnervConfig *c, const NervDnervRun *r, double at, float *dst)
{
    const double last = r->video_frames - 1, span = MAX(r->end - r->start, 1);
    const double t = last > 0 ? (at - r->video) / last : 0.;
    const double distance = (at - r->start) / span;
    /* bilinear, between the middles of the two halves of an interval */
    const double place = CLAMP((at - r->start + .5) * 2. / c->interval - .5, 0., 1.);
    if (c->stem)
        dst = write_encoding(c, t, dst);
    else
        *dst++ = (float)row_at(r, true, at);
    dst[NERV_DNERV_INPUT_START] = (float)(1. - distance);
    dst[NERV_DNERV_INPUT_END] = (float)distance;
    dst[NERV_DNERV_INPUT_EARLY] = (float)(1. - place);
    dst[NERV_DNERV_INPUT_LATE] = (float)place;
    if (!nerv_dnerv_has(c, NERV_DNERV_GRIDS))
        return;
    dst[NERV_DNERV_INPUT_FLOW] = (float)(r->flow + distance * MAX(r->flows - 1, 0));
    dst[NERV_DNERV_INPUT_MIDDLE] = (float)row_at(r, false, at);
    dst[NERV_DNERV_INPUT_VIDEO] = (float)r->number;
}

void nerv_dnerv_input(const NervModel *model, int32_t run, double later, float *dst)
{
    const NervDnerv *m = (const NervDnerv *)model;
    const NervDnervRun *r = &m->runs[run];
    for (int32_t i = 0; i < m->config.clip; i++)
        write_frame(&m->config, r, fmin(r->first + MIN(i, r->n - 1) + later, r->video + r->video_frames - 1),
                    dst + (size_t)i * model->input_floats);
}
