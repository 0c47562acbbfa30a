/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Coded pictures by place and the last few decoded ones, see keyring.h.
 */
#include "codec/keyring.h"

#include <string.h>

#define N_DECODED     4 /* two runs at a time, mostly neighbours that share one */
#define MAX_N_DECODED 64

typedef struct {
    int32_t place; /* -1: none */
    uint64_t used; /* turn */
    uint8_t *picture;
} Decoded;

struct NervKeyring {
    NervBackend *be;
    GMutex lock;
    NervPixels pixels;
    size_t picture_bytes, reserved_bytes;
    int32_t *frames; /* of the segment, ascending: keyframe by place */
    GBytes **coded;  /* by place; NULL: not here */
    int32_t n;
    Decoded decoded[MAX_N_DECODED];
    int n_decoded;
    bool exact;                                 /* nothing takes the place of a keyframe that is missing */
    uint64_t turn, concealed, concealed_before; /* in all, and before the present network */
};

NervKeyring *nerv_keyring_new(NervBackend *be)
{
    NervKeyring *k = g_new0(NervKeyring, 1);
    k->be = be;
    k->n_decoded = N_DECODED;
    g_mutex_init(&k->lock);
    return k;
}

static void clear(NervKeyring *k)
{
    for (int32_t i = 0; i < k->n; i++)
        g_clear_pointer(&k->coded[i], g_bytes_unref);
    g_clear_pointer(&k->coded, g_free);
    g_clear_pointer(&k->frames, g_free);
    for (int i = 0; i < k->n_decoded; i++) {
        g_clear_pointer(&k->decoded[i].picture, g_free);
        k->decoded[i].place = -1;
    }
    nerv_backend_release(k->be, k->reserved_bytes);
    k->reserved_bytes = 0;
    k->n = 0;
}

void nerv_keyring_free(NervKeyring *k)
{
    if (!k)
        return;
    clear(k);
    g_mutex_clear(&k->lock);
    g_free(k);
}

static bool reserve(NervKeyring *k, size_t bytes, GError **error)
{
    if (!nerv_backend_reserve(k->be, bytes, error))
        return false;
    k->reserved_bytes += bytes;
    return true;
}

bool nerv_keyring_move(NervKeyring *k, NervBackend *be, GError **error)
{
    g_mutex_lock(&k->lock);
    const bool ok = nerv_backend_reserve(be, k->reserved_bytes, error);
    if (ok) {
        nerv_backend_release(k->be, k->reserved_bytes);
        k->be = be;
    }
    g_mutex_unlock(&k->lock);
    return ok;
}

static bool set_no_memory(GError **error)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for keyframes");
    return false;
}

static bool make_places(NervKeyring *k, const NervModel *model, GError **error)
{
    k->frames = g_try_new(int32_t, (gsize)model->n_keys);
    k->coded = g_try_new0(GBytes *, (gsize)model->n_keys);
    if (!k->frames || !k->coded)
        return set_no_memory(error);
    memcpy(k->frames, model->keys, (size_t)model->n_keys * sizeof(*model->keys));
    k->n = model->n_keys;
    return true;
}

void nerv_keyring_set_exact(NervKeyring *k)
{
    k->exact = true;
}

void nerv_keyring_set_decoded(NervKeyring *k, int32_t n)
{
    g_mutex_lock(&k->lock);
    k->n_decoded = CLAMP(n, N_DECODED, MAX_N_DECODED);
    g_mutex_unlock(&k->lock);
}

bool nerv_keyring_reset(NervKeyring *k, const NervModel *model, const NervPixels *pixels, GError **error)
{
    bool ok = true;
    g_mutex_lock(&k->lock);
    clear(k);
    k->concealed_before = k->concealed;
    k->pixels = *pixels;
    k->picture_bytes = (nerv_pixels_bytes(pixels) + 3) / 4 * 4;
    if (model->n_keys > 0) {
        ok =
            reserve(k, (size_t)k->n_decoded * k->picture_bytes + nerv_keyframe_decode_bytes(pixels), error) &&
            make_places(k, model, error);
    }
    g_mutex_unlock(&k->lock);
    return ok;
}

/* -1 if the frame is none. */
static int32_t place_of(const NervKeyring *k, int32_t frame)
{
    for (int32_t low = 0, high = k->n; low < high;) {
        const int32_t middle = low + (high - low) / 2;
        if (k->frames[middle] == frame)
            return middle;
        if (k->frames[middle] < frame)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

bool nerv_keyring_put(NervKeyring *k, int32_t frame, const uint8_t *data, size_t bytes, GError **error)
{
    bool ok = true;
    g_mutex_lock(&k->lock);
    const int32_t place = place_of(k, frame);
    GBytes *old = place < 0 ? NULL : k->coded[place];
    const bool same =
        old && g_bytes_get_size(old) == bytes && !memcmp(g_bytes_get_data(old, NULL), data, bytes);
    if (place >= 0 && !same && (ok = reserve(k, bytes, error))) {
        uint8_t *copy = g_try_malloc(MAX(bytes, 1));
        ok = copy || set_no_memory(error);
        g_clear_pointer(&k->coded[place], g_bytes_unref);
        if (ok) {
            memcpy(copy, data, bytes);
            k->coded[place] = g_bytes_new_take(copy, bytes);
        }
        for (int i = 0; i < k->n_decoded; i++)
            if (k->decoded[i].place == place)
                k->decoded[i].place = -1;
    }
    g_mutex_unlock(&k->lock);
    return ok;
}

bool nerv_keyring_has(NervKeyring *k, const NervRun *run)
{
    bool here = true;
    g_mutex_lock(&k->lock);
    for (int i = 0; i < 2 && run->keys[i] >= 0; i++)
        here = here && run->keys[i] < k->n && k->coded[run->keys[i]];
    g_mutex_unlock(&k->lock);
    return here;
}

size_t nerv_keyring_picture_bytes(const NervKeyring *k)
{
    return k->picture_bytes;
}

const NervPixels *nerv_keyring_pixels(const NervKeyring *k)
{
    return &k->pixels;
}

/* With the lock held: one that has the place, or the one that was used longest ago. */
static Decoded *find_decoded(NervKeyring *k, int32_t place)
{
    Decoded *oldest = &k->decoded[0];
    for (int i = 0; i < k->n_decoded; i++) {
        Decoded *d = &k->decoded[i];
        if (d->picture && d->place == place)
            return d;
        if (d->used < oldest->used)
            oldest = d;
    }
    return oldest;
}

static void remember(NervKeyring *k, int32_t place, const uint8_t *picture)
{
    Decoded *d = find_decoded(k, place);
    if (!d->picture)
        d->picture = g_try_malloc(k->picture_bytes);
    if (!d->picture)
        return;
    d->place = place;
    d->used = ++k->turn;
    memcpy(d->picture, picture, k->picture_bytes);
}

static bool get_one(NervKeyring *k, int32_t place, uint8_t *dst, GError **error)
{
    g_mutex_lock(&k->lock);
    Decoded *d = find_decoded(k, place);
    const bool ready = d->picture && d->place == place;
    GBytes *coded = place < k->n && k->coded[place] ? g_bytes_ref(k->coded[place]) : NULL;
    if (ready && coded) {
        d->used = ++k->turn;
        memcpy(dst, d->picture, k->picture_bytes);
    }
    g_mutex_unlock(&k->lock);
    if (!coded) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "a keyframe is missing");
        return false;
    }
    gsize bytes;
    const uint8_t *data = g_bytes_get_data(coded, &bytes);
    const bool ok = ready || nerv_keyframe_decode(data, bytes, &k->pixels, dst, error);
    if (ok && !ready) {
        g_mutex_lock(&k->lock);
        if (place < k->n && k->coded[place] == coded)
            remember(k, place, dst);
        g_mutex_unlock(&k->lock);
    }
    g_bytes_unref(coded);
    return ok;
}

/* The keyframe is there: another picture in its place would be a wrong one. */
static bool is_short(const GError *error)
{
    return g_error_matches(error, NERV_ERROR, NERV_ERROR_MEMORY);
}

bool nerv_keyring_get(NervKeyring *k, const NervRun *run, uint8_t *dst, GError **error)
{
    uint8_t *end = dst + k->picture_bytes;
    GError *no_start = NULL, *no_end = NULL;
    if (run->keys[1] == run->keys[0]) {
        if (!get_one(k, run->keys[0], dst, error))
            return false;
        memcpy(end, dst, k->picture_bytes);
        return true;
    }
    const bool has_start = get_one(k, run->keys[0], dst, &no_start),
               has_end = get_one(k, run->keys[1], end, &no_end);
    if (is_short(no_start) || is_short(no_end)) {
        g_propagate_error(error, g_error_copy(is_short(no_start) ? no_start : no_end));
        g_clear_error(&no_start);
        g_clear_error(&no_end);
        return false;
    }
    if (k->exact ? !has_start || !has_end : !has_start && !has_end) {
        g_propagate_prefixed_error(error, g_error_copy(has_end ? no_start : no_end),
                                   k->exact ? "a keyframe of frames %d to %d cannot be had: "
                                            : "neither keyframe of frames %d to %d can be had: ",
                                   run->first, run->first + run->n - 1);
        g_clear_error(&no_start);
        g_clear_error(&no_end);
        return false;
    }
    g_clear_error(&no_start);
    g_clear_error(&no_end);
    if (!has_end)
        memcpy(end, dst, k->picture_bytes);
    if (!has_start)
        memcpy(dst, end, k->picture_bytes);
    if (!has_start || !has_end) {
        g_mutex_lock(&k->lock);
        k->concealed++;
        g_mutex_unlock(&k->lock);
    }
    return true;
}

uint64_t nerv_keyring_concealed(NervKeyring *k, uint64_t *of_network)
{
    g_mutex_lock(&k->lock);
    const uint64_t n = k->concealed;
    *of_network = n - k->concealed_before;
    g_mutex_unlock(&k->lock);
    return n;
}
