/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * From a segment's frames to its coded keyframes, see keys.h.
 */
#include "codec/keys.h"

#include <math.h>

#include "tensor/convert.h"

#define SPEED       4
#define TRIAL_SPEED 6
#define MOST_TRIALS 4 /* pictures that a quantiser is tried on */
#define LEAST_QUANT 4
#define OVERSHOOT   1.05

void nerv_keys_clear(NervKeys *keys)
{
    for (int32_t i = 0; i < keys->n; i++)
        if (keys->coded[i])
            g_byte_array_unref(keys->coded[i]);
    g_free(keys->coded);
    g_free(keys->frames);
    nerv_buffer_free(keys->store);
    *keys = (NervKeys){ 0 };
}

static size_t picture_bytes(const NervKeys *keys)
{
    return (nerv_pixels_bytes(&keys->pixels) + 3) / 4 * 4;
}

/* Codes keyframe i into `out`. picture: room for one. */
static bool code_one(const NervKeys *keys, const NervKeysJob *job, int32_t i, uint32_t quant, uint32_t speed,
                     uint8_t *picture, GByteArray *out, GError **error)
{
    const uint8_t *frame = job->frame_at(job->user, (uint32_t)keys->frames[i]);
    if (nerv_backend_cancelled(job->be, error))
        return false;
    if (!nerv_pixels_to_i420(job->pixels, frame, &keys->pixels, picture)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory to convert a keyframe");
        return false;
    }
    return nerv_keyframe_encode(&keys->pixels, picture, quant, speed, job->be->cancel, out, error);
}

/* Mean bytes of some of the keyframes. */
static bool try_quant(const NervKeys *keys, const NervKeysJob *job, uint32_t quant, uint8_t *picture,
                      double *bytes, GError **error)
{
    const int32_t n = MIN(keys->n, MOST_TRIALS);
    GByteArray *out = g_byte_array_new();
    bool ok = true;
    for (int32_t i = 0; ok && i < n; i++)
        ok =
            code_one(keys, job, (int32_t)((int64_t)i * keys->n / n), quant, TRIAL_SPEED, picture, out, error);
    *bytes = (double)out->len / n;
    g_byte_array_unref(out);
    return ok;
}

/* The least quantiser with which the pictures take no more than the bytes asked for, by bisection. */
static bool choose_quant(NervKeys *keys, const NervKeysJob *job, uint8_t *picture, GError **error)
{
    uint32_t low = LEAST_QUANT - 1, high = NERV_KEYFRAME_QUANT_MAX; /* too large at low */
    keys->quant = job->quant;
    if (job->target_bytes <= 0.)
        return true;
    while (high - low > 1) {
        const uint32_t middle = (low + high) / 2;
        double bytes;
        if (!try_quant(keys, job, middle, picture, &bytes, error))
            return false;
        *(bytes * keys->n > job->target_bytes * OVERSHOOT ? &low : &high) = middle;
    }
    keys->quant = high;
    return true;
}

static bool same_frames(const NervKeys *keys, const NervModel *model)
{
    if (keys->n != model->n_keys)
        return false;
    for (int32_t i = 0; i < keys->n; i++)
        if (keys->frames[i] != model->keys[i])
            return false;
    return true;
}

bool nerv_keys_make(NervKeys *keys, const NervModel *model, const NervKeysJob *job, GError **error)
{
    uint8_t *picture = NULL;
    if (same_frames(keys, model))
        return true;
    nerv_keys_clear(keys);
    nerv_keyframe_pixels(job->pixels, &keys->pixels);
    keys->n = model->n_keys;
    keys->frames = g_memdup2(model->keys, (gsize)keys->n * sizeof(*keys->frames));
    keys->coded = g_new0(GByteArray *, keys->n);
    keys->store = nerv_buffer_new(job->be, picture_bytes(keys) * (size_t)keys->n, error);
    if (!keys->store)
        goto error;
    picture = g_try_malloc0(picture_bytes(keys));
    if (!picture) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for a keyframe");
        goto error;
    }
    if (!choose_quant(keys, job, picture, error))
        goto error;
    for (int32_t i = 0; i < keys->n; i++) {
        GByteArray *out = keys->coded[i] = g_byte_array_new();
        if (!code_one(keys, job, i, keys->quant, SPEED, picture, out, error) ||
            !nerv_keyframe_decode(out->data, out->len, &keys->pixels, picture, error) ||
            !nerv_buffer_upload(keys->store, (size_t)i * picture_bytes(keys), picture, picture_bytes(keys),
                                error))
            goto error;
        keys->bytes += out->len;
    }
    g_debug("%d keyframes, quantiser %u: %" G_GUINT64_FORMAT " bytes", keys->n, keys->quant, keys->bytes);
    g_free(picture);
    return true;

error:
    g_free(picture);
    nerv_keys_clear(keys);
    return false;
}
