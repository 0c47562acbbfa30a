/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Init files, see init.h.
 */
#include "codec/init.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "codec/quant.h"
#include "codec/weights.h"
#include "train/patches.h"

#define VERSION 1
/* Of the values of a row; a bias shifts a whole channel. */
#define MOST_INDEX      127
#define MOST_BIAS       1023
#define MOST_MAP        8191 /* of a map's coefficients */
#define MOST_STEP       1e30f
#define MOST_FULL_STEPS 1000000
/* A fit of more steps keeps less of a learned tensor, the root of their ratio; and of how many one has that goes by time. */
#define KEPT_STEPS    320.
#define UNKNOWN_STEPS 1000
/* The least that stands before the network and behind it. */
#define LEAST_BYTES (4 + NERV_INIT_HASH_BYTES)

static const uint8_t magic[4] = { 'N', 0xe5, 'V', 'I' };

void nerv_init_free(NervInit *init)
{
    if (!init)
        return;
    nerv_model_free(init->model);
    g_free(init->start);
    g_free(init->provenance);
    g_free(init);
}

static void hash_of(const uint8_t *data, size_t bytes, uint8_t hash[NERV_INIT_HASH_BYTES])
{
    gsize n = NERV_INIT_HASH_BYTES;
    GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
    for (size_t at = 0; at < bytes;) { /* g_checksum_update() takes a signed length */
        const size_t part = MIN(bytes - at, (size_t)1 << 30);
        g_checksum_update(sum, data + at, (gssize)part);
        at += part;
    }
    g_checksum_get_digest(sum, hash, &n);
    g_checksum_free(sum);
}

static bool rates_valid(const NervInitRates *r)
{
    return r->learning_rate >= 0. && r->learning_rate <= 10. && r->layers_rate > 0. &&
           r->layers_rate <= 100. && r->full_steps <= MOST_FULL_STEPS;
}

/* --- writing --- */

static const char *check(const NervModel *model, const float *start, const NervInitRates *rates,
                         const char *provenance)
{
    const size_t length = strlen(provenance);
    if (!rates_valid(rates))
        return "a learning rate goes from 0 to 10, that of layers to 100 and is more than 0, and a full rate "
               "comes after 1000000 steps at most";
    if (length > NERV_INIT_MAX_PROVENANCE || !g_utf8_validate(provenance, (gssize)length, NULL))
        return "a provenance is at most 65535 bytes of UTF-8";
    if (model->n_weights > NERV_INIT_MAX_WEIGHTS)
        return "the network has too many weights";
    for (int64_t i = 0; i < nerv_start_count(model); i++)
        if (!(fabsf(start[i]) <= MOST_STEP))
            return "weights are finite, and 1e30 at most";
    return NULL;
}

/* A step for each row: of the weights as they are, of a grid's channel by its one value. */
static uint16_t *choose_steps(const NervModel *model, const float *weights)
{
    uint16_t *steps = g_new(uint16_t, (gsize)nerv_model_steps(model)), *s = steps;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int64_t n = nerv_shape_count(p->shape), rows = nerv_param_steps(p);
        const bool is_grid = p->role == NERV_PARAM_GRID;
        const int64_t pitch = is_grid ? (int64_t)p->shape.h * p->shape.w : n / rows;
        for (int64_t r = 0; r < rows; r++)
            *s++ = (uint16_t)nerv_quant_fit(weights + r * pitch, is_grid ? 1 : (size_t)pitch,
                                            p->role == NERV_PARAM_BIAS ? MOST_BIAS : MOST_INDEX);
        weights += n;
    }
    return steps;
}

/* Of each channel of each grid that is a map: a step, and the coefficients behind the first in units of it. The first ones are the network's. */
static void write_maps(NervBitWriter *w, const NervModel *model, const float *start)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int32_t n = nerv_start_patch(p);
        for (int32_t c = 0; n && c < p->shape.c; c++) {
            const float *map = start + (int64_t)c * (n + 1) + 1;
            float most = 0.f;
            for (int32_t k = 0; k < n; k++)
                most = fmaxf(most, fabsf(map[k]));
            const float step = most / MOST_MAP;
            nerv_write_f32(w, step);
            for (int32_t k = 0; k < n; k++) {
                const long index = step > 0.f ? lrintf(map[k] / step) : 0;
                nerv_write_svarint(w, CLAMP(index, -MOST_MAP, MOST_MAP));
            }
        }
        start += nerv_shape_count(nerv_start_shape(p));
    }
}

bool nerv_init_write(const NervModel *model, const float *start, const NervInitRates *rates,
                     const char *provenance, GByteArray *out, GError **error)
{
    const char *why = check(model, start, rates, provenance);
    if (why) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "init: %s", why);
        return false;
    }
    g_autofree float *weights = g_try_new(float, (gsize)model->n_weights);
    if (!weights) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "init: no memory for the weights");
        return false;
    }
    nerv_start_expand(model, start, NULL, weights);
    g_autofree uint16_t *steps = choose_steps(model, weights);
    NervBitWriter w, network;
    nerv_writer_init(&w);
    nerv_writer_init(&network);
    nerv_write_bytes(&w, magic, sizeof(magic));
    nerv_write_u8(&w, VERSION);
    nerv_write_varint(&w, (uint64_t)model->clip.width);
    nerv_write_varint(&w, (uint64_t)model->clip.height);
    nerv_write_varint(&w, (uint64_t)model->clip.n_frames);
    nerv_write_f32(&w, (float)rates->learning_rate);
    nerv_write_f32(&w, (float)rates->layers_rate);
    nerv_write_varint(&w, rates->full_steps);
    nerv_write_varint(&w, strlen(provenance));
    nerv_write_bytes(&w, provenance, strlen(provenance));
    const bool ok = nerv_network_write_steps(model, weights, steps, NULL, &network, error);
    if (ok) {
        uint8_t hash[NERV_INIT_HASH_BYTES];
        nerv_write_varint(&w, network.bytes->len);
        nerv_write_bytes(&w, network.bytes->data, network.bytes->len);
        write_maps(&w, model, start);
        hash_of(w.bytes->data, w.bytes->len, hash);
        nerv_write_bytes(&w, hash, sizeof(hash));
        g_byte_array_append(out, w.bytes->data, w.bytes->len);
    }
    nerv_writer_clear(&w);
    nerv_writer_clear(&network);
    return ok;
}

/* --- reading --- */

static bool damaged(const char *why, GError **error)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "init: %s", why);
    return false;
}

static bool read_maps(NervInit *init, NervBitReader *r, GError **error)
{
    float *start = init->start;
    for (uint32_t i = 0; i < init->model->n_params; i++) {
        const NervParam *p = &init->model->params[i];
        const int32_t n = nerv_start_patch(p);
        for (int32_t c = 0; n && c < p->shape.c; c++) {
            if (nerv_reader_left(r) <
                sizeof(float) + (size_t)n) /* before a long loop over what is not there */
                return damaged("its maps are cut off", error);
            const float step = nerv_read_f32(r);
            if (!(step >= 0.f && step <= MOST_STEP))
                return damaged("a map's step is out of range", error);
            for (int32_t k = 0; k < n; k++) {
                const int64_t index = nerv_read_svarint(r);
                if (index < -MOST_MAP || index > MOST_MAP)
                    return damaged("a map's coefficient is out of range", error);
                start[(int64_t)c * (n + 1) + 1 + k] = step * (float)index;
            }
        }
        start += nerv_shape_count(nerv_start_shape(p));
    }
    return !r->failed || damaged("its maps are cut off", error);
}

/* Where the network's grids begin alike everywhere: the first coefficients of maps. */
static bool take_start(NervInit *init, const float *weights, GError **error)
{
    const NervModel *m = init->model;
    int64_t at = 0;
    float *start = init->start = g_try_new0(float, (gsize)nerv_start_count(m));
    if (!start) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "init: no memory for the weights");
        return false;
    }
    /* the first of each that are to be alike */
    for (uint32_t i = 0; i < m->n_params; i++) {
        const NervParam *p = &m->params[i];
        const int64_t n_start = nerv_shape_count(nerv_start_shape(p));
        const int64_t cells = p->role == NERV_PARAM_GRID ? (int64_t)p->shape.h * p->shape.w : 1;
        const int64_t features = MAX(nerv_start_features(p), 1);
        for (int64_t j = 0; j < n_start / features; j++)
            start[j * features] = weights[at + j * cells];
        at += nerv_shape_count(p->shape);
        start += n_start;
    }
    g_autofree float *again = g_try_new(float, (gsize)m->n_weights);
    if (!again) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "init: no memory for the weights");
        return false;
    }
    nerv_start_expand(m, init->start, NULL, again);
    if (memcmp(again, weights, (size_t)m->n_weights * sizeof(*again)) != 0)
        return damaged("its weights are no start: a grid has more than one value in a channel", error);
    return true;
}

static bool read_head(NervInit *init, NervBitReader *r, NervClip *clip, GError **error)
{
    clip->width = (int32_t)nerv_read_range(r, 16, 8192);
    clip->height = (int32_t)nerv_read_range(r, 16, 8192);
    clip->n_frames = (int32_t)nerv_read_range(r, 1, 65536);
    init->rates.learning_rate = nerv_read_f32(r);
    init->rates.layers_rate = nerv_read_f32(r);
    init->rates.full_steps = (uint32_t)nerv_read_range(r, 0, MOST_FULL_STEPS);
    const size_t length = (size_t)nerv_read_range(r, 0, NERV_INIT_MAX_PROVENANCE);
    const uint8_t *text = nerv_read_bytes(r, length);
    if (r->failed || !rates_valid(&init->rates))
        return damaged("its head is damaged", error);
    if (!g_utf8_validate((const char *)text, (gssize)length, NULL))
        return damaged("what it says of its origin is not UTF-8", error);
    init->provenance = g_strndup((const char *)text, length);
    return true;
}

static bool read_file(NervInit *init, const uint8_t *data, size_t bytes, GError **error)
{
    g_autofree float *weights = NULL;
    NervBitReader r;
    NervClip clip;
    nerv_reader_init(&r, data, bytes - NERV_INIT_HASH_BYTES);
    nerv_read_bytes(&r, sizeof(magic));
    const uint8_t version = nerv_read_u8(&r);
    if (version != VERSION) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
                    "init: the file is of version %u, and %u is known", version, VERSION);
        return false;
    }
    hash_of(data, r.size, init->hash);
    if (memcmp(init->hash, data + r.size, NERV_INIT_HASH_BYTES) != 0)
        return damaged("the file is damaged: its hash is another", error);
    if (!read_head(init, &r, &clip, error))
        return false;
    const size_t length = (size_t)nerv_read_range(&r, 1, NERV_INIT_MAX_BYTES);
    const uint8_t *network = nerv_read_bytes(&r, length);
    if (!network || r.failed)
        return damaged("its network is cut off", error);
    init->model = nerv_network_read(network, length, &clip, NERV_INIT_MAX_WEIGHTS, &weights, error);
    return init->model && take_start(init, weights, error) && read_maps(init, &r, error) &&
           (nerv_reader_left(&r) == 0 || damaged("there is more behind its maps", error));
}

NervInit *nerv_init_read(const uint8_t *data, size_t bytes, GError **error)
{
    if (bytes <= LEAST_BYTES || bytes > NERV_INIT_MAX_BYTES || memcmp(data, magic, sizeof(magic)) != 0) {
        damaged("this is no init file", error);
        return NULL;
    }
    NervInit *init = g_new0(NervInit, 1);
    if (!read_file(init, data, bytes, error))
        g_clear_pointer(&init, nerv_init_free);
    return init;
}

/* A file's bytes, or one more than an init has at most. Pipes and devices may never end, or never begin. Free with g_free(). */
static uint8_t *read_bounded(const char *path, size_t *bytes, GError **error)
{
    uint8_t *data = NULL;
    if (g_file_test(path, G_FILE_TEST_EXISTS) && !g_file_test(path, G_FILE_TEST_IS_REGULAR)) {
        g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_INVAL, "this is no regular file");
        return NULL;
    }
    FILE *file = g_fopen(path, "rb");
    GStatBuf info;
    int failed = 0;
    *bytes = 0;
    if (!file || fstat(fileno(file), &info) != 0) {
        failed = errno;
    } else {
        const size_t most = (size_t)CLAMP(info.st_size, 0, NERV_INIT_MAX_BYTES + 1);
        setvbuf(file, NULL, _IONBF, 0);
        data = g_try_malloc(MAX(most, 1));
        if (data)
            *bytes = fread(data, 1, most, file);
        failed = !data ? ENOMEM : ferror(file) ? errno : 0;
    }
    if (file)
        fclose(file);
    if (!failed)
        return data;
    if (failed == ENOMEM)
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory to read it");
    else
        g_set_error_literal(error, G_FILE_ERROR, (gint)g_file_error_from_errno(failed), g_strerror(failed));
    g_free(data);
    return NULL;
}

NervInit *nerv_init_load(const char *path, GError **error)
{
    GError *why = NULL;
    NervInit *init = NULL;
    size_t bytes;
    g_autofree uint8_t *file = read_bounded(path, &bytes, &why);
    if (file)
        init = nerv_init_read(file, bytes, &why);
    if (!init) {
        const bool is_short = g_error_matches(why, NERV_ERROR, NERV_ERROR_MEMORY);
        g_set_error(error, NERV_ERROR, is_short ? NERV_ERROR_MEMORY : NERV_ERROR_INVALID, "%s: %s",
                    *path ? path : "a file without a name", why->message);
        g_error_free(why);
    }
    return init;
}

/* --- use --- */

NervInitRates nerv_init_rates(const NervInit *init, const NervModel *model)
{
    NervInitRates rates = init->rates;
    const double longer = (double)model->clip.n_frames / init->model->clip.n_frames;
    rates.full_steps = (uint32_t)fmin(ceil(rates.full_steps * longer), UINT32_MAX);
    return rates;
}

void nerv_init_tune(const NervInitRates *rates, uint64_t n_steps, NervTrainSettings *train)
{
    if (rates->learning_rate > 0.)
        train->learning_rate = rates->learning_rate;
    if (n_steps > 0 && n_steps < rates->full_steps)
        train->learning_rate *= (double)n_steps / rates->full_steps;
    train->layers_rate = rates->layers_rate;
}

/* The first parameter from i on that starts have; n_params where there is none. */
static uint32_t next_param(const NervModel *m, uint32_t i)
{
    while (i < m->n_params && m->params[i].apart)
        i++;
    return i;
}

bool nerv_init_suits(const NervInit *init, const NervModel *model)
{
    const NervModel *m = init->model;
    uint32_t i = next_param(m, 0), j = next_param(model, 0);
    if (m->klass != model->klass)
        return false;
    for (; i < m->n_params && j < model->n_params; i = next_param(m, i + 1), j = next_param(model, j + 1)) {
        const NervParam *a = &m->params[i], *b = &model->params[j];
        if (a->role != b->role || !g_str_equal(a->name, b->name) ||
            !nerv_shape_equal(nerv_start_shape(a), nerv_start_shape(b)))
            return false;
    }
    return i == m->n_params && j == model->n_params;
}

const float *nerv_init_layer(const NervInit *init, const NervModel *model, uint32_t i)
{
    const NervModel *m = init->model;
    const float *start = init->start;
    uint32_t j = next_param(m, 0);
    if (model->params[i].role == NERV_PARAM_GRID || model->params[i].apart)
        return NULL;
    for (uint32_t k = next_param(model, 0); k < i; k = next_param(model, k + 1))
        j = next_param(m, j + 1);
    for (uint32_t k = 0; k < j; k++)
        start += nerv_shape_count(nerv_start_shape(&m->params[k]));
    return start;
}

double nerv_init_kept(uint64_t n_steps)
{
    return fmin(sqrt(KEPT_STEPS / (double)(n_steps ? n_steps : UNKNOWN_STEPS)), 1.);
}

bool nerv_init_loosen(const NervModel *model, uint64_t n_steps, uint64_t seed, float *weights, GError **error)
{
    const float kept = (float)nerv_init_kept(n_steps);
    if (kept >= 1.f)
        return true;
    g_autofree float *drawn = g_try_new(float, (gsize)model->n_weights);
    if (!drawn) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "init: no memory for the initial weights");
        return false;
    }
    nerv_model_init_params(model, seed, drawn);
    const float *from = drawn;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t n = nerv_shape_count(model->params[i].shape);
        const bool mixed = model->params[i].role != NERV_PARAM_GRID && !model->params[i].apart;
        for (int64_t j = 0; mixed && j < n; j++)
            weights[j] = kept * weights[j] + (1.f - kept) * from[j];
        weights += n;
        from += n;
    }
    return true;
}

bool nerv_init_begin(const NervInit *init, NervBackend *be, const NervModel *model,
                     const NervFootage *footage, const float *flows, float *weights, GError **error)
{
    g_autofree float *seen = g_try_new(float, (gsize)nerv_start_patches_count(model) + 1);
    if (!seen) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "init: no memory for the pictures' patches");
        return false;
    }
    NervPatches *patches = nerv_patches_new(be, model, footage, error);
    const bool ok = patches && nerv_patches_run(patches, footage, flows, seen, error);
    nerv_patches_free(patches);
    if (ok)
        nerv_start_expand(model, init->start, seen, weights);
    return ok;
}

char *nerv_init_name(const uint8_t hash[NERV_INIT_HASH_BYTES])
{
    GString *s = g_string_sized_new(2 * NERV_INIT_HASH_BYTES);
    for (int i = 0; i < NERV_INIT_HASH_BYTES; i++)
        g_string_append_printf(s, "%02x", hash[i]);
    return g_string_free(s, FALSE);
}
