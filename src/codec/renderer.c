/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which runs are computed ahead and where, see renderer.h; a run is one frame, or a clip of a model that makes several at once. On a CPU runs are computed side by side, each in a lane with
 * a share of the threads: that scales better than threads that share a run and meet after each op. On a device that
 * takes work in order and asynchronously they are runs in the slots of one exec, the next on the device while
 * one is read. Which of the two it is, the backend says.
 */
#include <string.h>

#include "codec/lanes.h"
#include "codec/renderer.h"

#define MAX_PLACES (NERV_MAX_LANES * NERV_LANES_PLACES_OF_ONE)
#define N_SLOTS    2  /* one is read, one runs */
#define MAX_STRIDE 16 /* runs; what is further from the last one asked for is a jump */
#define NONE       (-1)

G_STATIC_ASSERT(N_SLOTS <= MAX_PLACES && N_SLOTS <= NERV_MAX_SLOTS);

/* Where a run is, will be or is being computed: the lanes' place or the exec's slot of this number. */
typedef struct {
    int32_t run;   /* or NONE */
    GError *error; /* a slot's run could not be started */
} Place;

struct NervRenderer {
    NervBackend *be;
    NervParams *params;
    NervKeyring *keyring;
    NervPixels output;
    NervEvaluator *ev;

    Place places[MAX_PLACES];
    uint32_t n_places;
    bool places_made; /* or given up */
    NervLanes *lanes; /* NULL: slots, if there are places */

    int32_t last, difference; /* the last run asked for, NONE; from the one before to it, 0: unknown */
    int32_t stride;
    bool is_first;    /* nothing was asked for yet, or since a seek */
    uint8_t *picture; /* the frames of run `shown`, or NONE; NULL: they stay in their place on the device */
    int32_t shown;
    NervRendererStats stats;
};

static uint32_t number(const NervRenderer *r, const Place *place)
{
    return (uint32_t)(place - r->places);
}

static NervRenderer *renderer_new(NervBackend *be, NervParams *params, NervKeyring *keyring,
                                  const NervPixels *output, GError **error)
{
    NervRenderer *r = g_new0(NervRenderer, 1);
    r->be = be;
    r->params = params;
    r->keyring = keyring;
    r->output = *output;
    r->last = r->shown = NONE;
    r->stride = 1;
    r->is_first = true;
    r->ev = nerv_evaluator_new(be, params, keyring, output, error);
    if (r->ev)
        return r;
    nerv_renderer_free(r);
    return NULL;
}

NervRenderer *nerv_renderer_new(NervBackend *be, NervParams *params, NervKeyring *keyring,
                                const NervPixels *output, GError **error)
{
    NervRenderer *r = renderer_new(be, params, keyring, output, error);
    if (!r)
        return NULL;
    r->picture = g_try_malloc(r->ev->run_bytes);
    if (r->picture)
        return r;
    g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for a frame");
    nerv_renderer_free(r);
    return NULL;
}

static void drop_places(NervRenderer *r)
{
    for (uint32_t i = 0; i < r->n_places; i++) {
        if (r->lanes)
            nerv_lanes_drop(r->lanes, i);
        g_clear_error(&r->places[i].error);
        r->places[i].run = NONE;
    }
}

void nerv_renderer_free(NervRenderer *r)
{
    if (!r)
        return;
    nerv_lanes_free(r->lanes);
    r->lanes = NULL;
    drop_places(r);
    nerv_evaluator_free(r->ev);
    g_free(r->picture);
    g_free(r);
}

/* --- places --- */

/* How many lanes there can be, at most one per thread. The plan for all threads needs no less memory than a lane's. */
static uint32_t count_lanes(const NervRenderer *r)
{
    const size_t each = r->ev->device_bytes + (1 + NERV_LANES_PLACES_OF_ONE) * r->ev->run_bytes;
    size_t bytes = NERV_RENDERER_AHEAD_BYTES;
    if (r->be->limit_bytes)
        bytes = MIN(bytes, r->be->limit_bytes - MIN(r->be->live_bytes, r->be->limit_bytes));
    const uint32_t most = (uint32_t)MIN(MIN(r->be->n_threads, NERV_MAX_LANES), bytes / each);
    if (most < 2)
        return 0;
    const uint32_t threads = (r->be->n_threads + most - 1) / most; /* of a lane: all have the same pace */
    return r->be->n_threads / threads;
}

static uint32_t make_lanes(NervRenderer *r, GError **error)
{
    const uint32_t n = count_lanes(r);
    if (n < 2)
        return 0;
    r->lanes = nerv_lanes_new(r->be, n, r->be->n_threads / n, r->params, r->keyring, &r->output, error);
    if (!r->lanes)
        return 0;
    r->stats.n_lanes = n;
    r->stats.n_ahead = n * NERV_LANES_PLACES_OF_ONE;
    return r->stats.n_ahead;
}

static uint32_t make_slots(NervRenderer *r, GError **error)
{
    const size_t before = r->be->live_bytes;
    if (!nerv_exec_set_slots(r->ev->exec, N_SLOTS, error))
        return 0;
    if (r->be->live_bytes - before > NERV_RENDERER_AHEAD_BYTES) {
        nerv_exec_set_slots(r->ev->exec, 1, error);
        return 0;
    }
    r->stats.n_ahead = N_SLOTS - 1;
    return N_SLOTS;
}

/* Without places runs are computed all the same, so that a failure is none of a frame's. */
static void make_places(NervRenderer *r)
{
    GError *error = NULL;
    r->places_made = true;
    r->n_places = nerv_backend_has_lanes(r->be) ? make_lanes(r, &error) : make_slots(r, &error);
    for (uint32_t i = 0; i < r->n_places; i++)
        r->places[i].run = NONE;
    if (error)
        g_debug("nothing is computed ahead: %s", error->message);
    g_clear_error(&error);
}

static Place *find(NervRenderer *r, int32_t run)
{
    for (uint32_t i = 0; i < r->n_places; i++)
        if (r->places[i].run == run)
            return &r->places[i];
    return NULL;
}

/* Starts a run in a place, whatever that has; a failure comes up when one of its frames is asked for. */
static void start(NervRenderer *r, Place *place, int32_t run)
{
    place->run = run;
    g_clear_error(&place->error);
    if (r->lanes) {
        nerv_lanes_start(r->lanes, number(r, place), run);
        return;
    }
    nerv_exec_use_slot(r->ev->exec, number(r, place));
    nerv_evaluator_start(r->ev, run, &place->error);
}

/* Moves a place's run into the picture. */
static bool take(NervRenderer *r, Place *place, GError **error)
{
    place->run = NONE;
    if (r->lanes)
        return nerv_lanes_take(r->lanes, number(r, place), &r->picture, error);
    if (place->error) {
        g_propagate_error(error, g_steal_pointer(&place->error));
        return false;
    }
    nerv_exec_use_slot(r->ev->exec, number(r, place));
    return nerv_evaluator_read(r->ev, r->picture, error);
}

/* --- changes of place and network --- */

static void forget_order(NervRenderer *r)
{
    drop_places(r);
    r->last = NONE;
    r->difference = 0;
}

void nerv_renderer_restart(NervRenderer *r)
{
    forget_order(r);
    r->stride = 1;
    r->is_first = true;
}

bool nerv_renderer_idle(NervRenderer *r, GError **error)
{
    bool ok = true;
    forget_order(r);
    r->shown = NONE;
    if (r->lanes)
        nerv_lanes_stop(r->lanes);
    for (uint32_t i = 0; ok && i < r->ev->exec->n_slots; i++) {
        nerv_exec_use_slot(r->ev->exec, i);
        ok = nerv_exec_wait(r->ev->exec, error);
    }
    return ok;
}

/* --- looking ahead --- */

/* A new stride is believed when it comes twice, or first after a jump or another run that was not foreseen: one left
 * out changes nothing. */
static void predict(NervRenderer *r, int32_t run)
{
    const bool is_next = r->last == NONE; /* of another network: the direction is likely to be the same */
    const int32_t difference = is_next ? 0 : run - r->last;
    r->last = run;
    if (is_next)
        return;
    if (difference == 0 || ABS(difference) > MAX_STRIDE) {
        r->stride = 1;
        r->difference = 0;
        return;
    }
    if (r->difference == 0 || difference == r->difference)
        r->stride = difference;
    r->difference = difference == r->stride || find(r, run) ? difference : 0;
}

static bool is_wanted(const NervRenderer *r, int32_t run)
{
    for (int32_t k = 1; run != NONE && k <= (int32_t)r->stats.n_ahead; k++)
        if (run == r->last + k * r->stride)
            return true;
    return false;
}

/* A place without a run, else one whose run nobody is expected to ask for, other than `keep`. */
static Place *free_place(NervRenderer *r, const Place *keep)
{
    Place *stale = NULL;
    for (uint32_t i = 0; i < r->n_places; i++) {
        Place *place = &r->places[i];
        if (place == keep)
            continue;
        if (place->run == NONE)
            return place;
        if (!is_wanted(r, place->run))
            stale = place;
    }
    return stale;
}

static bool is_run(const NervRenderer *r, int32_t run)
{
    return run >= 0 && run < r->params->model->n_runs;
}

/* Whether all that it takes is here. */
static bool can_start(const NervRenderer *r, int32_t run)
{
    if (!is_run(r, run))
        return false;
    const NervRun what = nerv_model_run(r->params->model, run);
    return what.keys[0] < 0 || nerv_keyring_has(r->keyring, &what);
}

/* Starts what is likely to be asked for next. `keep` has the run that is to be read first, or is NULL. After a seek one frame
 * may be all that is wanted, and soon. */
static void look_ahead(NervRenderer *r, const Place *keep)
{
    if (r->is_first)
        return;
    for (int32_t k = 1; k <= (int32_t)r->stats.n_ahead; k++) {
        const int32_t run = r->last + k * r->stride;
        if (!can_start(r, run) || run == r->shown || find(r, run))
            continue;
        Place *place = free_place(r, keep);
        if (place)
            start(r, place, run);
    }
}

/* --- runs and frames --- */

/* On all threads. What is under way elsewhere would only take cores from it, and was not foreseen well. */
static bool compute_at_once(NervRenderer *r, int32_t run, double later, GError **error)
{
    drop_places(r);
    nerv_exec_use_slot(r->ev->exec, 0);
    return nerv_evaluator_start_at(r->ev, run, later, error) && nerv_evaluator_read(r->ev, r->picture, error);
}

static bool from_lane(NervRenderer *r, Place *place, int32_t run, GError **error)
{
    const bool ok = place ? take(r, place, error) : compute_at_once(r, run, 0., error);
    r->shown = ok ? run : NONE;
    look_ahead(r, NULL);
    return ok;
}

/* The device takes the next run before this one is waited for. */
static bool from_slot(NervRenderer *r, Place *place, int32_t run, GError **error)
{
    if (!place) {
        place = free_place(r, NULL);
        start(r, place, run);
    }
    look_ahead(r, place);
    const bool ok = take(r, place, error);
    r->shown = ok ? run : NONE;
    return ok;
}

static bool compute(NervRenderer *r, int32_t run, GError **error)
{
    Place *place = find(r, run);
    const bool slots = r->n_places > 0 && !r->lanes;
    r->stats.n_foreseen += place != NULL;
    r->stats.n_at_once += place == NULL;
    r->shown = NONE;
    return slots ? from_slot(r, place, run, error) : from_lane(r, place, run, error);
}

/* The shown run's frame `at`. */
static void copy_planes(const NervRenderer *r, int32_t at, const NervFrame *dst)
{
    const uint8_t *picture = r->picture + (size_t)at * r->ev->frame_bytes;
    NervPlane plane[3];
    const int n = nerv_pixels_planes(&r->output, plane);
    for (int i = 0; i < n; i++)
        for (int32_t y = 0; y < plane[i].rows; y++)
            memcpy(dst->data[i] + (ptrdiff_t)y * dst->stride[i],
                   picture + plane[i].offset + (size_t)y * plane[i].stride, plane[i].row_bytes);
}

static bool is_frame(const NervRenderer *r, int32_t frame, GError **error)
{
    const int32_t n = r->params->model->clip.n_frames;
    if (frame >= 0 && frame < n)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "frame %d of %d", frame, n);
    return false;
}

bool nerv_renderer_get(NervRenderer *r, int32_t frame, const NervFrame *dst, GError **error)
{
    const NervModel *model = r->params->model;
    if (!is_frame(r, frame, error))
        return false;
    const int32_t run = nerv_model_run_of(model, frame);
    if (run != r->last || model->run_frames == 1)
        predict(r, run);
    const bool ok = run == r->shown || compute(r, run, error), is_first = r->is_first;
    r->is_first = false;
    if (!ok)
        return false;
    copy_planes(r, frame - nerv_model_run(model, run).first, dst);
    const bool make = !is_first && !r->places_made && is_run(r, run + r->stride);
    if (make)
        make_places(r);
    /* what the next run takes may have come while this one was shown */
    if (make || (r->places_made && model->run_frames > 1))
        look_ahead(r, NULL);
    return true;
}

bool nerv_renderer_get_at(NervRenderer *r, int32_t frame, double later, const NervFrame *dst, GError **error)
{
    if (!is_frame(r, frame, error))
        return false;
    const int32_t run = nerv_model_run_of(r->params->model, frame);
    r->shown = NONE;
    if (!compute_at_once(r, run, later, error))
        return false;
    copy_planes(r, frame - nerv_model_run(r->params->model, run).first, dst);
    return true;
}

/* --- frames that stay on the device --- */

NervRenderer *nerv_renderer_new_exporting(NervBackend *be, NervParams *params, NervKeyring *keyring,
                                          const NervPixels *output, GError **error)
{
    NervRenderer *r = renderer_new(be, params, keyring, output, error);
    if (!r)
        return NULL;
    if (!nerv_exec_keep_outputs(r->ev->exec, error)) {
        nerv_renderer_free(r);
        return NULL;
    }
    r->n_places = 1; /* a run is in a place even where none is computed ahead */
    r->places[0].run = NONE;
    return r;
}

/* With the first frame behind a seek on its way. */
static void make_slots_ahead(NervRenderer *r)
{
    GError *error = NULL;
    r->places_made = true;
    if (make_slots(r, &error)) {
        for (uint32_t i = 1; i < N_SLOTS; i++)
            r->places[i].run = NONE;
        r->n_places = N_SLOTS;
    }
    if (error)
        g_debug("nothing is computed ahead: %s", error->message);
    g_clear_error(&error);
}

/* The copy is in line behind its run and before the next one, which the device goes on with while this frame is shown. A run stays in its place
 * for its other frames. */
bool nerv_renderer_export(NervRenderer *r, int32_t frame, const void *target, GError **error)
{
    const NervModel *model = r->params->model;
    if (!is_frame(r, frame, error))
        return false;
    const int32_t run = nerv_model_run_of(model, frame);
    if (run != r->last || model->run_frames == 1)
        predict(r, run);
    if (!r->is_first && !r->places_made && is_run(r, run + r->stride))
        make_slots_ahead(r);
    Place *place = find(r, run);
    r->stats.n_foreseen += place != NULL;
    r->stats.n_at_once += place == NULL;
    if (!place) {
        place = free_place(r, NULL);
        if (!place)
            place = &r->places[0];
        start(r, place, run);
    }
    nerv_exec_use_slot(r->ev->exec, number(r, place));
    bool ok = !place->error;
    if (!ok)
        g_propagate_error(error, g_steal_pointer(&place->error));
    ok = ok && nerv_evaluator_export(r->ev, frame - nerv_model_run(model, run).first, target, error);
    if (!ok)
        place->run = NONE;
    look_ahead(r, place);
    r->is_first = false;
    return ok && nerv_exec_export_wait(r->ev->exec, error);
}

void nerv_renderer_get_stats(const NervRenderer *r, NervRendererStats *stats)
{
    *stats = r->stats;
}
