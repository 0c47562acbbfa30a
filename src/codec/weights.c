/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Syntax of the network unit, see weights.h and docs/bitstream.md, section "Network unit". Writer and reader
 * walk the tensors in the same order with the same adaptive models; keep the pairs write_x/read_x together.
 */
#include "codec/weights.h"

#include <math.h>
#include <string.h>

#include "codec/lattice.h"
#include "codec/minmax.h"
#include "codec/quant.h"
#include "codec/rangecoder.h"
#include "codec/stored.h"
#include "codec/tensors.h"
#include "codec/units.h"

#define CODING_ADAPTIVE 0 /* ways of coding weights */
#define CODING_CONTEXT  1
#define CODING_HUFFMAN  2
#define CODING_STORED   3
#define RELEARN_COUNT   20 /* what a tensor's statistics are worth at the start of the next one */
#define STEP_CLASS      11 /* differences of step codes are below 2^11 */

/* What both sides know when a row begins. */
typedef struct {
    NervSymbolModel weights, biases, steps;
    NervProb zero_row;
    uint32_t step_mean; /* expected step code, times 16 */
    bool first_row;     /* no step has been coded in this tensor yet */
} State;

static void state_init(State *s)
{
    nerv_symbol_init(&s->weights);
    nerv_symbol_init(&s->biases);
    nerv_symbol_init(&s->steps);
    nerv_prob_init(&s->zero_row);
    s->step_mean = NERV_STEP_MIDDLE * 16;
}

static void state_begin_tensor(State *s)
{
    nerv_symbol_relearn(&s->weights, RELEARN_COUNT);
    s->first_row = true;
}

static uint32_t expected_step(const State *s)
{
    return (s->step_mean + 8) / 16;
}

/* The first step of a tensor is a fresh start; then an average over about eight rows. */
static void learn_step(State *s, uint32_t code)
{
    s->step_mean = s->first_row ? code * 16 : (s->step_mean * 7 + code * 16 + 4) / 8;
    s->first_row = false;
}

/* How a tensor is cut into rows of one step each. */
typedef struct {
    int64_t n_rows, row_len;
    unsigned bits;
    NervSymbolModel *model;
} Rows;

static Rows rows_of(const NervParam *param, uint32_t bits, State *s)
{
    const int64_t n = nerv_shape_count(param->shape);
    if (param->role == NERV_PARAM_BIAS)
        return (Rows){ 1, n, NERV_BIAS_BITS, &s->biases };
    return (Rows){ param->shape.n, n / param->shape.n, bits, &s->weights };
}

/* --- rows --- */

static void write_step(State *s, NervRangeEncoder *e, uint32_t code)
{
    nerv_range_encode(e, &s->zero_row, code == 0);
    if (code == 0)
        return;
    nerv_symbol_encode(e, &s->steps, STEP_CLASS, (int32_t)code - (int32_t)expected_step(s));
    learn_step(s, code);
}

static bool read_step(State *s, NervRangeDecoder *d, uint32_t *code)
{
    *code = 0;
    if (nerv_range_decode(d, &s->zero_row))
        return true;
    const int32_t v = (int32_t)expected_step(s) + nerv_symbol_decode(d, &s->steps, STEP_CLASS);
    if (v < 1 || v >= NERV_STEP_CODES)
        return false;
    *code = (uint32_t)v;
    learn_step(s, *code);
    return true;
}

/* codes: the rows' steps, or NULL where they are still to be chosen. */
static void write_rows(State *s, NervRangeEncoder *e, const Rows *rows, const float *x, const uint16_t *codes,
                       int16_t *index)
{
    const int32_t max_index = (1 << (rows->bits - 1)) - 1;
    for (int64_t r = 0; r < rows->n_rows; r++, x += rows->row_len) {
        const uint32_t code = codes ? codes[r] : nerv_quant_fit(x, (size_t)rows->row_len, max_index);
        write_step(s, e, code);
        if (code == 0)
            continue;
        nerv_quantise(x, (size_t)rows->row_len, code, max_index, index);
        for (int64_t i = 0; i < rows->row_len; i++)
            nerv_symbol_encode(e, rows->model, rows->bits - 1, index[i]);
    }
}

/* codes: NULL, or where the rows' steps go. */
static bool read_rows(State *s, NervRangeDecoder *d, const Rows *rows, float *x, uint16_t *codes)
{
    for (int64_t r = 0; r < rows->n_rows; r++, x += rows->row_len) {
        uint32_t code;
        if (!read_step(s, d, &code) || nerv_range_decode_overrun(d))
            return false;
        if (codes)
            codes[r] = (uint16_t)code;
        const float step = nerv_quant_step(code);
        for (int64_t i = 0; i < rows->row_len; i++)
            x[i] = code ? (float)nerv_symbol_decode(d, rows->model, rows->bits - 1) * step : 0;
    }
    return !nerv_range_decode_overrun(d);
}

/* --- unit --- */

static uint64_t least_coded_bytes(int64_t n_weights)
{
    return ((uint64_t)n_weights + NERV_WEIGHTS_PER_BYTE - 1) / NERV_WEIGHTS_PER_BYTE;
}

static bool check_params(const NervModel *model, const float *params, GError **error)
{
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t n = nerv_shape_count(model->params[i].shape);
        for (int64_t j = 0; j < n; j++) {
            if (fabsf(params[j]) <= NERV_QUANT_MAX_VALUE) /* false for a NaN */
                continue;
            g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                        "parameter %s has the value %g: the network diverged and cannot be written",
                        model->params[i].name, params[j]);
            return false;
        }
        params += n;
    }
    return true;
}

/* Room for the indices of any row. */
static int16_t *new_indices(const NervModel *model, GError **error)
{
    int64_t longest = 1;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int64_t n = nerv_shape_count(p->shape);
        longest = MAX(longest, p->role == NERV_PARAM_BIAS ? n : n / p->shape.n);
    }
    int16_t *index = g_try_new(int16_t, (gsize)longest);
    if (!index)
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                    "no memory for the indices of %" G_GINT64_FORMAT " weights", longest);
    return index;
}

static void write_weights(const NervModel *model, const float *params, const uint16_t *codes, uint32_t bits,
                          int16_t *index, GByteArray *out)
{
    State s;
    NervRangeEncoder e;
    state_init(&s);
    nerv_range_encode_begin(&e, out);
    for (uint32_t i = 0; i < model->n_params; i++) {
        const Rows rows = rows_of(&model->params[i], bits, &s);
        state_begin_tensor(&s);
        write_rows(&s, &e, &rows, params, codes, index);
        params += rows.n_rows * rows.row_len;
        codes = codes ? codes + rows.n_rows : NULL;
    }
    nerv_range_encode_end(&e);
}

/* After the weights, which begin at `coded`, of a unit that begins at `start`. */
static bool end_unit(const NervModel *model, GByteArray *out, guint start, guint coded, GError **error)
{
    const guint written = out->len - coded, least = (guint)least_coded_bytes(model->n_weights);
    if (written < least) {
        g_byte_array_set_size(out, coded + least);
        memset(out->data + coded + written, 0, least - written);
    }
    const guint bytes = out->len - start;
    if (bytes <= NERV_UNIT_MAX_PAYLOAD)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
                "the network takes %u bytes, a stream's unit holds %u: use fewer parameters or bits", bytes,
                NERV_UNIT_MAX_PAYLOAD);
    g_byte_array_set_size(out, start);
    return false;
}

static bool check_bits(uint32_t bits, GError **error)
{
    if (bits >= 2 && bits <= 8)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "weights of %u bits: 2 to 8 are possible", bits);
    return false;
}

/* What stands before the weights; bits 0: the coding has none. Returns where they begin. */
static guint begin_unit(const NervModel *model, uint32_t coding, uint32_t bits, NervBitWriter *w)
{
    nerv_model_write(model, w);
    nerv_write_varint(w, coding);
    if (bits)
        nerv_write_varint(w, bits);
    nerv_write_varint(w, 0); /* no extension */
    return w->bytes->len;
}

static bool write_adaptive(const NervModel *model, const float *params, const uint16_t *codes, uint32_t bits,
                           NervBitWriter *w, GError **error)
{
    if (!check_bits(bits, error) || !check_params(model, params, error))
        return false;
    g_autofree int16_t *index = new_indices(model, error);
    if (!index)
        return false;
    const guint start = w->bytes->len;
    const guint coded = begin_unit(model, CODING_ADAPTIVE, bits, w);
    write_weights(model, params, codes, bits, index, w->bytes);
    return end_unit(model, w->bytes, start, coded, error);
}

bool nerv_network_write(const NervModel *model, const float *params, uint32_t bits, NervBitWriter *w,
                        GError **error)
{
    return write_adaptive(model, params, NULL, bits, w, error);
}

bool nerv_network_write_steps(const NervModel *model, const float *params, const uint16_t *steps,
                              const gint *cancel, NervBitWriter *w, GError **error)
{
    if (!check_params(model, params, error) || !nerv_tensors_check_steps(model, steps, error))
        return false;
    const guint start = w->bytes->len;
    const guint coded = begin_unit(model, CODING_CONTEXT, 0, w);
    NervRangeEncoder e;
    nerv_range_encode_begin(&e, w->bytes);
    if (!nerv_tensors_write(model, params, steps, NULL, cancel, &e, error)) {
        g_byte_array_set_size(w->bytes, start);
        return false;
    }
    nerv_range_encode_end(&e);
    return end_unit(model, w->bytes, start, coded, error);
}

static bool write_huffman(const NervModel *model, const float *params, const NervStoredTensor *tensors,
                          uint32_t bits, NervBitWriter *w, GError **error)
{
    if (!check_bits(bits, error) || !check_params(model, params, error))
        return false;
    const guint start = w->bytes->len;
    const guint coded = begin_unit(model, CODING_HUFFMAN, bits, w);
    if (nerv_minmax_write(model, params, tensors, bits, w->bytes, error))
        return end_unit(model, w->bytes, start, coded, error);
    g_byte_array_set_size(w->bytes, start);
    return false;
}

bool nerv_network_write_huffman(const NervModel *model, const float *params, uint32_t bits, NervBitWriter *w,
                                GError **error)
{
    return write_huffman(model, params, NULL, bits, w, error);
}

/* By the shorter one of codings 0 and 1. */
static bool write_shorter(const NervModel *model, const float *params, const uint16_t *codes, uint32_t bits,
                          NervBitWriter *w, GError **error)
{
    NervBitWriter other;
    const guint start = w->bytes->len;
    if (!nerv_network_write_steps(model, params, codes, NULL, w, error))
        return false;
    nerv_writer_init(&other);
    const bool ok = write_adaptive(model, params, codes, bits, &other, error);
    if (ok && other.bytes->len < w->bytes->len - start) {
        g_byte_array_set_size(w->bytes, start);
        nerv_write_bytes(w, other.bytes->data, other.bytes->len);
    }
    nerv_writer_clear(&other);
    return ok;
}

/* By the coding that they were quantised for. */
static bool write_lattice(const NervModel *model, const NervStoredTensor *tensors, NervLattice coding,
                          uint32_t bits, NervBitWriter *w, GError **error)
{
    g_autofree float *params = NULL;
    g_autofree uint16_t *codes = NULL;
    if (!nerv_lattice_flatten(model, tensors, &params, coding == NERV_LATTICE_HUFFMAN ? NULL : &codes, error))
        return false;
    if (coding == NERV_LATTICE_HUFFMAN)
        return write_huffman(model, params, tensors, bits, w, error);
    if (coding == NERV_LATTICE_ADAPTIVE)
        return write_adaptive(model, params, codes, bits, w, error);
    return bits ? write_shorter(model, params, codes, bits, w, error)
                : nerv_network_write_steps(model, params, codes, NULL, w, error);
}

static bool write_stored(const NervModel *model, const NervStoredTensor *tensors, NervBitWriter *w,
                         GError **error)
{
    const guint start = w->bytes->len;
    const guint coded = begin_unit(model, CODING_STORED, 0, w);
    NervRangeEncoder e;
    nerv_range_encode_begin(&e, w->bytes);
    if (!nerv_stored_write(model, tensors, &e, error)) {
        g_byte_array_set_size(w->bytes, start);
        return false;
    }
    nerv_range_encode_end(&e);
    return end_unit(model, w->bytes, start, coded, error);
}

bool nerv_network_write_stored(const NervModel *model, const NervStoredTensor *tensors, NervBitWriter *w,
                               GError **error)
{
    for (uint32_t i = 0; i < model->n_params; i++)
        if (!nerv_stored_check(&model->params[i], &tensors[i], error))
            return false;
    uint32_t bits;
    const NervLattice lattice = nerv_lattice_coding(model, tensors, &bits);
    if (lattice != NERV_LATTICE_NONE)
        return write_lattice(model, tensors, lattice, bits, w, error);
    g_autofree NervStoredTensor *codes = g_new0(NervStoredTensor, model->n_params);
    g_autofree NervStoredTensor *best = g_memdup2(tensors, model->n_params * sizeof(*tensors));
    bool ok = true;
    for (uint32_t i = 0; ok && i < model->n_params; i++) {
        ok = nerv_lattice_codes(&model->params[i], &tensors[i], &codes[i], error);
        if (codes[i].codes)
            best[i] = codes[i];
    }
    ok = ok && write_stored(model, best, w, error);
    for (uint32_t i = 0; i < model->n_params; i++)
        nerv_stored_clear(&codes[i]);
    return ok;
}

bool nerv_network_steps_bits(const NervModel *model, const float *params, const uint16_t *steps,
                             NervPredictions *predictions, const gint *cancel, double *bits, GError **error)
{
    NervRangeEncoder e;
    nerv_range_count_begin(&e);
    if (!check_params(model, params, error) || !nerv_tensors_check_steps(model, steps, error) ||
        !nerv_tensors_write(model, params, steps, predictions, cancel, &e, error))
        return false;
    *bits = nerv_range_counted(&e);
    return true;
}

/* The head's fields, and the coded weights behind them. */
typedef struct {
    uint32_t coding, bits;
    const uint8_t *data;
    size_t bytes;
} Coded;

/* After the last weight: exactly the padding that the writer adds. */
static bool ends_properly(const Coded *coded, size_t used, int64_t n_weights)
{
    if (coded->bytes != MAX(used, least_coded_bytes(n_weights)))
        return false;
    for (size_t i = used; i < coded->bytes; i++)
        if (coded->data[i] != 0)
            return false;
    return true;
}

/* Where weights go: tensor i to dst + offset[i] bytes, or behind the one before where there are no offsets; and what the coding says of the tensors to `stored`, if
 * that is not NULL. */
typedef struct {
    void *dst;
    const size_t *offset;
    NervStoredTensor *stored;
} Target;

static bool read_adaptive_tensor(State *s, NervRangeDecoder *d, const NervParam *param, const Rows *rows,
                                 float *x, NervStoredTensor *kept, GError **error)
{
    g_autofree uint16_t *codes = kept ? g_try_new(uint16_t, (gsize)rows->n_rows) : NULL;
    if (kept && !codes) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for a network's steps");
        return false;
    }
    return read_rows(s, d, rows, x, codes) &&
           (!kept || nerv_lattice_keep_steps(param, NERV_LATTICE_ADAPTIVE, codes, kept, error));
}

static bool read_adaptive(const NervModel *model, NervRangeDecoder *d, uint32_t bits, const Target *t,
                          GError **error)
{
    State s;
    float *x = t->dst;
    state_init(&s);
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *param = &model->params[i];
        const Rows rows = rows_of(param, bits, &s);
        if (t->offset)
            x = (float *)(void *)((uint8_t *)t->dst + t->offset[i]);
        state_begin_tensor(&s);
        if (!read_adaptive_tensor(&s, d, param, &rows, x, t->stored ? &t->stored[i] : NULL, error))
            return false;
        x += rows.n_rows * rows.row_len;
    }
    return true;
}

/* *used: bytes that belong to the weights. False without an error: they are damaged. */
static bool read_coding(const NervModel *model, const Coded *coded, const Target *t, size_t *used,
                        GError **error)
{
    NervRangeDecoder d;
    bool ok;
    if (coded->coding == CODING_HUFFMAN)
        return nerv_minmax_read(model, coded->bits, coded->data, coded->bytes, t->dst, t->offset, t->stored,
                                used, error);
    nerv_range_decode_begin(&d, coded->data, coded->bytes);
    if (coded->coding == CODING_CONTEXT)
        ok = nerv_tensors_read(model, &d, t->dst, t->offset, t->stored, error);
    else if (coded->coding == CODING_STORED)
        ok = nerv_stored_read(model, &d, t->dst, t->offset, t->stored, error);
    else
        ok = read_adaptive(model, &d, coded->bits, t, error);
    *used = d.pos - 3;
    return ok && !nerv_range_decode_overrun(&d);
}

static bool read_weights(const NervModel *model, const Coded *coded, const Target *target, GError **error)
{
    size_t used = 0;
    GError *inner = NULL;
    if (read_coding(model, coded, target, &used, &inner) && ends_properly(coded, used, model->n_weights))
        return true;
    if (inner)
        g_propagate_error(error, inner);
    else
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "network unit: the coded weights are damaged");
    return false;
}

static NervModel *read_head(const uint8_t *payload, size_t bytes, const NervClip *clip, int64_t max_weights,
                            Coded *coded, GError **error)
{
    NervBitReader r;
    nerv_reader_init(&r, payload, bytes);
    NervModel *model = nerv_model_read(&r, clip, error);
    if (!model)
        return NULL;
    const uint64_t coding = nerv_read_varint(&r);
    if (!r.failed && coding > CODING_STORED) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED,
                    "weight coding %" G_GUINT64_FORMAT ", this decoder knows up to %d", coding,
                    CODING_STORED);
        goto error;
    }
    *coded = (Coded){ .coding = (uint32_t)coding };
    if (coding != CODING_CONTEXT && coding != CODING_STORED)
        coded->bits = (uint32_t)nerv_read_range(&r, 2, 8);
    nerv_read_bytes(&r, nerv_read_range(&r, 0, bytes)); /* extension */
    if (r.failed) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "network unit: a field is missing or out of range");
        goto error;
    }
    const size_t left = coded->bytes = nerv_reader_left(&r);
    if (model->n_weights > max_weights) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                    "the network has %" G_GINT64_FORMAT
                    " parameters, the memory limit allows %" G_GINT64_FORMAT ": raise max-memory",
                    model->n_weights, max_weights);
        goto error;
    }
    if (left < least_coded_bytes(model->n_weights)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA,
                    "network unit: %zu bytes cannot hold %" G_GINT64_FORMAT " parameters", left,
                    model->n_weights);
        goto error;
    }
    coded->data = nerv_read_bytes(&r, left);
    return model;

error:
    nerv_model_free(model);
    return NULL;
}

NervModel *nerv_network_read(const uint8_t *payload, size_t bytes, const NervClip *clip, int64_t max_weights,
                             float **params, GError **error)
{
    return nerv_network_read_stored(payload, bytes, clip, max_weights, params, NULL, error);
}

static void free_stored(NervStoredTensor *stored, uint32_t n)
{
    for (uint32_t i = 0; stored && i < n; i++)
        nerv_stored_clear(&stored[i]);
    g_free(stored);
}

NervModel *nerv_network_read_stored(const uint8_t *payload, size_t bytes, const NervClip *clip,
                                    int64_t max_weights, float **params, NervStoredTensor **stored,
                                    GError **error)
{
    Coded coded;
    Target target = { 0 };
    *params = NULL;
    NervModel *model = read_head(payload, bytes, clip, max_weights, &coded, error);
    if (!model)
        return NULL;
    float *weights = g_try_new(float, (gsize)model->n_weights);
    if (!weights)
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                    "no memory for a network of %" G_GINT64_FORMAT " parameters", model->n_weights);
    target.dst = weights;
    if (stored) {
        *stored = NULL;
        target.stored = g_new0(NervStoredTensor, model->n_params); /* a hundred or two at most */
    }
    if (weights && read_weights(model, &coded, &target, error)) {
        *params = weights;
        if (stored)
            *stored = target.stored;
        return model;
    }
    free_stored(target.stored, model->n_params);
    g_free(weights);
    nerv_model_free(model);
    return NULL;
}

NervModel *nerv_network_read_to(const uint8_t *payload, size_t bytes, const NervClip *clip,
                                const NervModel *like, void *dst, const size_t *offset, GError **error)
{
    Coded coded;
    NervModel *model = read_head(payload, bytes, clip, like->n_weights, &coded, error);
    if (!model)
        return NULL;
    if (!nerv_model_alike(model, like))
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "the network is not like the one before");
    else if (read_weights(model, &coded, &(Target){ dst, offset, NULL }, error))
        return model;
    nerv_model_free(model);
    return NULL;
}
