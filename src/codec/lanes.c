/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Threads that wait on a condition for frames to compute, see lanes.h. One lock guards all places. A lane computes into a
 * picture of its own and exchanges it with its place's when it is done, so that a place whose frame was dropped can be used
 * again at once: the lane finds that it is not the place's any more.
 */
#include "codec/lanes.h"

#define MAX_PLACES (NERV_MAX_LANES * NERV_LANES_PLACES_OF_ONE)

typedef struct {
    NervLanes *all;
    NervBackend *be;
    NervEvaluator *ev;
    GThread *thread;
    gint cancel; /* atomic; stops the backend's run. Set and cleared with the lock held */
    uint8_t *picture;
} Lane;

typedef enum { EMPTY, QUEUED, RUNNING, DONE } PlaceState;

typedef struct {
    PlaceState state;
    int32_t run;
    uint64_t turn; /* QUEUED: the lowest goes first */
    Lane *lane;    /* RUNNING */
    uint8_t *picture;
    GError *error; /* DONE */
} Place;

struct NervLanes {
    NervBackend *owner;
    size_t reserved_bytes; /* for pictures */
    GMutex lock;
    GCond wake, finished;
    Place places[MAX_PLACES];
    uint64_t next_turn;
    uint32_t n_busy; /* lanes that compute, be it for a place or for none any more */
    bool quit;
    Lane lanes[NERV_MAX_LANES];
};

static Place *next_place(NervLanes *l)
{
    Place *next = NULL;
    for (int i = 0; i < MAX_PLACES; i++) {
        Place *place = &l->places[i];
        if (place->state == QUEUED && (!next || place->turn < next->turn))
            next = place;
    }
    return next;
}

/* With the lock held, which is let go meanwhile. */
static void compute(Lane *lane, Place *place)
{
    const int32_t run = place->run;
    GError *error = NULL;
    place->state = RUNNING;
    place->lane = lane;
    g_atomic_int_set(&lane->cancel, 0);
    lane->all->n_busy++;
    g_mutex_unlock(&lane->all->lock);

    if (nerv_evaluator_start(lane->ev, run, &error))
        nerv_evaluator_read(lane->ev, lane->picture, &error);

    g_mutex_lock(&lane->all->lock);
    lane->all->n_busy--;
    g_cond_signal(&lane->all->finished);
    if (place->lane != lane) {
        g_clear_error(&error);
        return;
    }
    uint8_t *picture = place->picture;
    place->picture = lane->picture;
    lane->picture = picture;
    place->state = DONE;
    place->lane = NULL;
    place->error = error;
}

static gpointer lane_main(gpointer data)
{
    Lane *lane = data;
    NervLanes *l = lane->all;
    Place *place;

    g_mutex_lock(&l->lock);
    while (!l->quit) {
        if ((place = next_place(l)))
            compute(lane, place);
        else
            g_cond_wait(&l->wake, &l->lock);
    }
    g_mutex_unlock(&l->lock);
    return NULL;
}

/* With the lock held. */
static void empty(Place *place)
{
    if (place->lane)
        g_atomic_int_set(&place->lane->cancel, 1);
    place->lane = NULL;
    place->state = EMPTY;
    g_clear_error(&place->error);
}

static uint8_t *picture_new(NervLanes *l, size_t bytes, GError **error)
{
    if (!nerv_backend_reserve(l->owner, bytes, error))
        return NULL;
    l->reserved_bytes += bytes;
    uint8_t *picture = g_try_malloc(bytes);
    if (!picture)
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for a frame");
    return picture;
}

static bool lane_init(Lane *lane, NervLanes *l, uint32_t n_threads, NervParams *params, NervKeyring *keyring,
                      const NervPixels *output, GError **error)
{
    lane->all = l;
    lane->be = nerv_backend_lane_new(l->owner, n_threads, error);
    if (!lane->be)
        return false;
    lane->be->cancel = &lane->cancel;
    lane->ev = nerv_evaluator_new(lane->be, params, keyring, output, error);
    return lane->ev && (lane->picture = picture_new(l, lane->ev->run_bytes, error));
}

NervLanes *nerv_lanes_new(NervBackend *be, uint32_t n_lanes, uint32_t n_threads, NervParams *params,
                          NervKeyring *keyring, const NervPixels *output, GError **error)
{
    NervLanes *l = g_new0(NervLanes, 1);
    l->owner = be;
    g_mutex_init(&l->lock);
    g_cond_init(&l->wake);
    g_cond_init(&l->finished);
    for (uint32_t i = 0; i < n_lanes; i++)
        if (!lane_init(&l->lanes[i], l, n_threads, params, keyring, output, error))
            goto error;
    for (uint32_t i = 0; i < n_lanes * NERV_LANES_PLACES_OF_ONE; i++)
        if (!(l->places[i].picture = picture_new(l, l->lanes[0].ev->run_bytes, error)))
            goto error;
    for (uint32_t i = 0; i < n_lanes; i++) {
        l->lanes[i].thread = g_thread_try_new("nerv-lane", lane_main, &l->lanes[i], error);
        if (!l->lanes[i].thread)
            goto error;
    }
    return l;

error:
    nerv_lanes_free(l);
    return NULL;
}

void nerv_lanes_free(NervLanes *l)
{
    if (!l)
        return;
    g_mutex_lock(&l->lock);
    l->quit = true;
    for (int i = 0; i < MAX_PLACES; i++)
        empty(&l->places[i]);
    g_cond_broadcast(&l->wake);
    g_mutex_unlock(&l->lock);
    for (int i = 0; i < NERV_MAX_LANES; i++) {
        Lane *lane = &l->lanes[i];
        if (lane->thread)
            g_thread_join(lane->thread);
        nerv_evaluator_free(lane->ev);
        nerv_backend_free(lane->be);
        g_free(lane->picture);
    }
    for (int i = 0; i < MAX_PLACES; i++)
        g_free(l->places[i].picture);
    nerv_backend_release(l->owner, l->reserved_bytes);
    g_cond_clear(&l->finished);
    g_cond_clear(&l->wake);
    g_mutex_clear(&l->lock);
    g_free(l);
}

void nerv_lanes_start(NervLanes *l, uint32_t at, int32_t run)
{
    Place *place = &l->places[at];
    g_mutex_lock(&l->lock);
    empty(place);
    place->state = QUEUED;
    place->run = run;
    place->turn = l->next_turn++;
    g_cond_signal(&l->wake);
    g_mutex_unlock(&l->lock);
}

void nerv_lanes_drop(NervLanes *l, uint32_t at)
{
    g_mutex_lock(&l->lock);
    empty(&l->places[at]);
    g_mutex_unlock(&l->lock);
}

void nerv_lanes_stop(NervLanes *l)
{
    g_mutex_lock(&l->lock);
    for (int i = 0; i < MAX_PLACES; i++)
        empty(&l->places[i]);
    while (l->n_busy)
        g_cond_wait(&l->finished, &l->lock);
    g_mutex_unlock(&l->lock);
}

bool nerv_lanes_take(NervLanes *l, uint32_t at, uint8_t **picture, GError **error)
{
    Place *place = &l->places[at];
    g_mutex_lock(&l->lock);
    while (place->state != DONE)
        g_cond_wait(&l->finished, &l->lock);
    GError *failure = g_steal_pointer(&place->error);
    uint8_t *pixels = place->picture;
    if (!failure) {
        place->picture = *picture;
        *picture = pixels;
    }
    empty(place);
    g_mutex_unlock(&l->lock);
    if (!failure)
        return true;
    g_propagate_error(error, failure);
    return false;
}
