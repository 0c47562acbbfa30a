/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Networks that were unpacked, kept by segment within a bound of bytes; the one that was used longest ago goes first, but none that somebody has. Unpacking goes on outside
 * the lock: two threads that want the same one at the same time do it twice.
 */
#include <string.h>

#include "codec/coded.h"
#include "codec/decoder_internal.h"
#include "codec/reader_internal.h"
#include "codec/residual.h"

void nerv_reader_cache_init(NervReaderCache *c, uint64_t limit)
{
    *c = (NervReaderCache){ .limit = limit };
    g_mutex_init(&c->lock);
    c->kept =
        g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, (GDestroyNotify)nerv_reader_network_unref);
}

void nerv_reader_cache_clear(NervReaderCache *c)
{
    if (!c->kept)
        return;
    g_clear_pointer(&c->kept, g_hash_table_unref);
    g_mutex_clear(&c->lock);
}

void nerv_reader_cache_drop(NervReaderCache *c)
{
    g_mutex_lock(&c->lock);
    g_hash_table_remove_all(c->kept);
    c->bytes = 0;
    g_mutex_unlock(&c->lock);
}

NervReaderNetwork *nerv_reader_network_ref(NervReaderNetwork *n)
{
    g_atomic_int_inc(&n->refs);
    return n;
}

void nerv_reader_network_unref(NervReaderNetwork *n)
{
    if (!n || !g_atomic_int_dec_and_test(&n->refs))
        return;
    nerv_keyring_free(n->keyring);
    nerv_model_free(n->model);
    g_free(n->weights);
    g_free(n);
}

/* --- what is kept --- */

static NervReaderNetwork *find(NervReaderCache *c, uint64_t id)
{
    g_mutex_lock(&c->lock);
    NervReaderNetwork *n = g_hash_table_lookup(c->kept, &id);
    if (n) {
        nerv_reader_network_ref(n);
        n->used = ++c->turn;
    }
    g_mutex_unlock(&c->lock);
    return n;
}

/* The network that nobody has and that was used longest ago. */
static NervReaderNetwork *find_oldest(NervReaderCache *c)
{
    NervReaderNetwork *n, *oldest = NULL;
    GHashTableIter i;
    g_hash_table_iter_init(&i, c->kept);
    while (g_hash_table_iter_next(&i, NULL, (gpointer *)&n))
        if (g_atomic_int_get(&n->refs) == 1 && (!oldest || n->used < oldest->used))
            oldest = n;
    return oldest;
}

/* Keeps a network, or lets it go for the one that was kept meanwhile, which is returned. */
static NervReaderNetwork *keep(NervReaderCache *c, NervReaderNetwork *n)
{
    NervReaderNetwork *oldest;
    g_mutex_lock(&c->lock);
    c->n_unpacked++;
    NervReaderNetwork *before = g_hash_table_lookup(c->kept, &n->id);
    if (before) {
        nerv_reader_network_unref(n);
        n = nerv_reader_network_ref(before);
    } else {
        g_hash_table_insert(c->kept, &n->id, nerv_reader_network_ref(n));
        c->bytes += n->bytes;
    }
    n->used = ++c->turn;
    while (c->bytes > c->limit && (oldest = find_oldest(c))) {
        c->bytes -= oldest->bytes;
        g_hash_table_remove(c->kept, &oldest->id);
    }
    g_mutex_unlock(&c->lock);
    return n;
}

/* --- unpacking --- */

static const NervReaderPart *nth_part(const NervReaderGroup *g, uint32_t i)
{
    return &g_array_index(g->parts, NervReaderPart, i);
}

static bool put_keyframes(NervReaderNetwork *n, const NervReaderPart *p, const NervReaderLimits *limits,
                          GError **error)
{
    const uint64_t weights = (uint64_t)n->model->n_weights * sizeof(float);
    NervVideoInfo info;
    NervPixels pixels;
    nerv_decoder_sequence_info(&p->sequence, &info);
    memset(&pixels, 0, sizeof(pixels));
    nerv_keyframe_pixels(&info.pixels, &pixels);
    n->account.limit_bytes = (size_t)(limits->max_bytes - MIN(weights, limits->max_bytes - 1));
    n->keyring = nerv_keyring_new(&n->account);
    nerv_keyring_set_exact(n->keyring);
    /* clips lie anywhere: all pictures, where they are not much of what there is */
    if ((uint64_t)n->model->n_keys * nerv_pixels_bytes(&pixels) < limits->max_bytes / 8)
        nerv_keyring_set_decoded(n->keyring, n->model->n_keys);
    if (!nerv_keyring_reset(n->keyring, n->model, &pixels, error))
        return false;
    for (guint i = 0; n->model->n_keys > 0 && p->keyframes && i < p->keyframes->len; i++) {
        const NervUnit *u = &g_array_index(p->keyframes, NervUnit, i);
        NervKeyframeHeader k;
        if (nerv_keyframe_header_read(u->payload, u->payload_bytes, &k, NULL) &&
            !nerv_keyring_put(n->keyring, (int32_t)k.index, k.data, k.bytes, error))
            return false;
    }
    /* what decoding a picture takes is there only while it lasts */
    const uint64_t decoding = n->model->n_keys > 0 ? nerv_keyframe_decode_bytes(&pixels) : 0;
    n->bytes = sizeof(*n) + weights + n->account.live_bytes - MIN(decoding, n->account.live_bytes) +
               (uint64_t)n->model->n_keys * (2 * sizeof(int32_t) + sizeof(GBytes *));
    return true;
}

/* Half of the network before goes to one that is a residual of it. */
static bool add_before(NervReaderNetwork *n, const NervCoded *c, const NervReaderNetwork *before,
                       const NervReaderPart *base, GError **error)
{
    if (!before || base->network.crc != c->base_crc) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA,
                    "the network that its segment's goes on from is lost");
        return false;
    }
    if (!nerv_model_alike(n->model, before->model)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA,
                    "a residual network of another configuration than the one before");
        return false;
    }
    nerv_residual_add(n->model, before->weights, n->weights);
    return true;
}

/* before: the network of the part that a residual is of, or NULL. */
static NervReaderNetwork *unpack(const NervReaderGroup *g, uint32_t part, const NervReaderNetwork *before,
                                 const NervReaderLimits *limits, GError **error)
{
    const NervReaderPart *p = nth_part(g, part);
    const NervClip clip = { (int32_t)p->sequence.width, (int32_t)p->sequence.height,
                            (int32_t)p->sequence.n_frames };
    const int64_t most = (int64_t)MIN(limits->max_bytes / (2 * sizeof(float)), NERV_MODEL_MAX_WEIGHTS);
    NervReaderNetwork *n = g_new0(NervReaderNetwork, 1);
    NervCoded c;
    n->refs = 1;
    n->id = p->first;
    if (p->unknown_type)
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
                    "its segment has units of type %u, which this version does not know", p->unknown_type);
    else if (!p->network.type)
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "the network of its segment is lost");
    else if (nerv_coded_open(&c, limits->init, &p->network, error) &&
             nerv_coded_is_affordable(&c, &clip, most, limits->max_macs_per_frame, error) &&
             (n->model = nerv_coded_read(&c, &clip, most, &n->weights, error)) &&
             (!c.is_residual ||
              add_before(n, &c, before, p->base < 0 ? NULL : nth_part(g, (uint32_t)p->base), error)) &&
             put_keyframes(n, p, limits, error))
        return n;
    nerv_reader_network_unref(n);
    return NULL;
}

/* Residuals, back to the first network that stands alone or is kept, and from there on. */
NervReaderNetwork *nerv_reader_network_get(NervReaderCache *c, const NervReaderGroup *g, uint32_t part,
                                           const NervReaderLimits *limits, GError **error)
{
    int32_t at = (int32_t)part;
    NervReaderNetwork *n = find(c, nth_part(g, part)->first);
    while (!n && nth_part(g, (uint32_t)at)->base >= 0) {
        at = nth_part(g, (uint32_t)at)->base;
        n = find(c, nth_part(g, (uint32_t)at)->first);
    }
    /* `at` is the last part whose network is had, or the first one to unpack */
    for (at += n ? 1 : 0; at <= (int32_t)part; at++) {
        NervReaderNetwork *next = unpack(g, (uint32_t)at, n, limits, error);
        nerv_reader_network_unref(n);
        if (!next)
            return NULL;
        n = keep(c, next);
    }
    return n;
}
