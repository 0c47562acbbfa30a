/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Keyframes coded at once, see stills.h. The caller's thread converts frames into slots of a ring and takes results out of it in order;
 * workers take what has been converted, first come first served. A worker knows the ring and nothing of the caller's, so
 * that it can outlive the call.
 */
#include "codec/stills.h"

#include "tensor/convert.h"

#define MOST_THREADS   64
#define SLOTS_A_THREAD 2 /* so that none waits for a conversion */
#define POLL_US        10000

typedef struct {
    uint8_t *picture; /* to be coded, then as decoded */
    uint8_t *decoded;
    GByteArray *coded;
    uint32_t quant;
    double error;
    GError *failure;
    bool done;
} Slot;

typedef struct {
    gatomicrefcount refs; /* the caller and the workers */
    GMutex lock;
    GCond changed;
    Slot *slots;
    uint32_t n_slots;
    uint32_t converted, taken; /* pictures so far; of which those that a worker has taken */
    gint quit;                 /* atomic: no more pictures are wanted */
    NervPixels pixels;
    uint32_t speed;
} Ring;

static void ring_unref(Ring *ring)
{
    if (!g_atomic_ref_count_dec(&ring->refs))
        return;
    for (uint32_t i = 0; i < ring->n_slots; i++) {
        Slot *s = &ring->slots[i];
        g_free(s->picture);
        g_free(s->decoded);
        g_byte_array_unref(s->coded);
        g_clear_error(&s->failure);
    }
    g_free(ring->slots);
    g_cond_clear(&ring->changed);
    g_mutex_clear(&ring->lock);
    g_free(ring);
}

static Ring *ring_new(const NervStillsJob *job, uint32_t n_slots, GError **error)
{
    Ring *ring = g_new0(Ring, 1);
    bool ok = true;
    g_atomic_ref_count_init(&ring->refs);
    g_mutex_init(&ring->lock);
    g_cond_init(&ring->changed);
    nerv_keyframe_pixels(job->pixels, &ring->pixels);
    ring->speed = job->speed;
    ring->slots = g_new0(Slot, n_slots);
    ring->n_slots = n_slots;
    for (uint32_t i = 0; i < n_slots; i++) {
        Slot *s = &ring->slots[i];
        s->coded = g_byte_array_new();
        s->picture = g_try_malloc0(nerv_pixels_bytes(&ring->pixels));
        s->decoded = g_try_malloc0((nerv_pixels_bytes(&ring->pixels) + 3) / 4 * 4);
        ok &= s->picture && s->decoded;
    }
    if (ok)
        return ring;
    g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for keyframes");
    ring_unref(ring);
    return NULL;
}

/* Mean squared differences of the planes, as they count in R, G and B if they have nothing to do with each other. */
static double rgb_error(const NervPixels *p, const uint8_t *a, const uint8_t *b)
{
    NervPlane planes[3];
    NervColorMatrix m;
    double sum = 0;
    nerv_pixels_matrix(p, &m);
    const int n = nerv_pixels_planes(p, planes);
    for (int i = 0; i < n; i++) {
        const size_t bytes = (size_t)planes[i].rows * (size_t)planes[i].stride;
        uint64_t square = 0;
        double gain = 0;
        for (size_t j = planes[i].offset; j < planes[i].offset + bytes; j++)
            square += (uint64_t)((a[j] - b[j]) * (a[j] - b[j]));
        for (int c = 0; c < 3; c++)
            gain += 255. * 255. / 3. * m.from[c][i] * m.from[c][i];
        sum += gain * (double)square / (double)bytes;
    }
    return sum;
}

/* One picture, without the lock: nobody else touches a slot between conversion and `done`. */
static void code(Ring *ring, Slot *s)
{
    if (nerv_keyframe_encode(&ring->pixels, s->picture, s->quant, ring->speed, &ring->quit, s->coded,
                             &s->failure) &&
        nerv_keyframe_decode(s->coded->data, s->coded->len, &ring->pixels, s->decoded, &s->failure))
        s->error = rgb_error(&ring->pixels, s->picture, s->decoded);
}

static gpointer worker(gpointer data)
{
    Ring *ring = data;
    g_mutex_lock(&ring->lock);
    while (!g_atomic_int_get(&ring->quit)) {
        if (ring->taken == ring->converted) {
            g_cond_wait(&ring->changed, &ring->lock);
            continue;
        }
        Slot *s = &ring->slots[ring->taken++ % ring->n_slots];
        g_mutex_unlock(&ring->lock);
        code(ring, s);
        g_mutex_lock(&ring->lock);
        s->done = true;
        g_cond_broadcast(&ring->changed);
    }
    g_mutex_unlock(&ring->lock);
    ring_unref(ring);
    return NULL;
}

/* Starts up to n workers; how many there are then. */
static uint32_t start_workers(Ring *ring, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        g_atomic_ref_count_inc(&ring->refs);
        GThread *thread = g_thread_try_new("nerv-still", worker, ring, NULL);
        if (!thread) {
            ring_unref(ring);
            return i;
        }
        g_thread_unref(thread);
    }
    return n;
}

static bool cancelled(const NervStillsJob *job, GError **error)
{
    if (!job->cancel || !g_atomic_int_get(job->cancel))
        return false;
    g_set_error(error, NERV_ERROR, NERV_ERROR_CANCELLED, "keyframes: cancelled");
    return true;
}

/* The next of them into its slot. */
static bool convert(const NervStillsJob *job, Ring *ring, const int32_t *frames, GError **error)
{
    Slot *s = &ring->slots[ring->converted % ring->n_slots];
    const uint8_t *data = job->frame_at(job->user, (uint32_t)frames[ring->converted]);
    if (!nerv_pixels_to_i420(job->pixels, data, &ring->pixels, s->picture)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory to convert a keyframe");
        return false;
    }
    g_byte_array_set_size(s->coded, 0);
    s->quant = job->quant + (uint32_t)(job->offsets ? job->offsets[ring->converted] : 0);
    g_mutex_lock(&ring->lock);
    s->done = false;
    ring->converted++;
    g_cond_broadcast(&ring->changed);
    g_mutex_unlock(&ring->lock);
    return true;
}

/* Waits for picture i; false if cancelled meanwhile. */
static bool await(const NervStillsJob *job, Ring *ring, const Slot *s, GError **error)
{
    bool ok = true;
    g_mutex_lock(&ring->lock);
    while (ok && !s->done) {
        g_cond_wait_until(&ring->changed, &ring->lock, g_get_monotonic_time() + POLL_US);
        ok = !cancelled(job, error);
    }
    g_mutex_unlock(&ring->lock);
    return ok;
}

static bool deliver(Slot *s, uint32_t i, NervStillFunc done, void *user, GError **error)
{
    if (s->failure) {
        g_propagate_error(error, g_steal_pointer(&s->failure));
        return false;
    }
    const NervStill still = { s->coded, s->decoded, s->error };
    if (!done(user, i, &still, error))
        return false;
    g_byte_array_unref(s->coded); /* it may have been kept */
    s->coded = g_byte_array_new();
    return true;
}

/* As many as there is work, threads and memory for. */
static uint32_t count_threads(const NervStillsJob *job, uint32_t n)
{
    NervPixels pixels;
    nerv_keyframe_pixels(job->pixels, &pixels);
    const uint64_t each =
        nerv_keyframe_encode_bytes(&pixels) + 2 * SLOTS_A_THREAD * (uint64_t)nerv_pixels_bytes(&pixels);
    const uint64_t fit = job->max_bytes ? job->max_bytes / each : n;
    const uint32_t threads = job->n_threads ? job->n_threads : g_get_num_processors();
    return (uint32_t)CLAMP(fit, 1, MIN(MIN(threads, n), MOST_THREADS));
}

bool nerv_stills_code(const NervStillsJob *job, const int32_t *frames, uint32_t n, NervStillFunc done,
                      void *user, GError **error)
{
    if (cancelled(job, error))
        return false;
    if (n == 0)
        return true;
    const uint32_t n_threads = count_threads(job, n);
    Ring *ring = ring_new(job, MIN(n, n_threads * SLOTS_A_THREAD), error);
    if (!ring)
        return false;
    const bool alone = start_workers(ring, n_threads) == 0;
    bool ok = true;
    for (uint32_t i = 0, next = 0; ok && i < n; i++) {
        Slot *s = &ring->slots[i % ring->n_slots];
        for (; ok && next < n && next < i + ring->n_slots; next++)
            ok = !cancelled(job, error) && convert(job, ring, frames, error);
        if (ok && alone)
            code(ring, s);
        else
            ok = ok && await(job, ring, s, error);
        ok = ok && deliver(s, i, done, user, error);
    }
    g_mutex_lock(&ring->lock);
    g_atomic_int_set(&ring->quit, 1);
    g_cond_broadcast(&ring->changed);
    g_mutex_unlock(&ring->lock);
    ring_unref(ring);
    return ok;
}
