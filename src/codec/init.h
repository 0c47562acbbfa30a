/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Init files: a learned start (models/start.h) on its way from the meta-learner to encoders and decoders (docs/bitstream.md, "Init files"). The
 * SHA-256 at the file's end names the init: who knows it by that name has these very floats.
 */
#pragma once

#include "base/bits.h"
#include "models/start.h"
#include "train/trainer.h"

#define NERV_INIT_HASH_BYTES 32
/* Of what is said of an init's origin, in UTF-8. */
#define NERV_INIT_MAX_PROVENANCE 65535
/* Of a file, and of the weights of the network that it is written as. */
#define NERV_INIT_MAX_BYTES   ((size_t)64 << 20)
#define NERV_INIT_MAX_WEIGHTS ((int64_t)64 << 20)

/* Of a fit that begins with a start. */
typedef struct {
    double learning_rate; /* peak; 0: the model's */
    double layers_rate;   /* NervTrainSettings's */
    uint32_t
        full_steps; /* a fit of fewer steps has a learning rate that is as much lower, so that it keeps what was learned; 0: not */
} NervInitRates;

typedef struct {
    NervModel *model; /* the configuration, for a reference clip */
    float *start;     /* nerv_start_count(model) */
    NervInitRates rates;
    char *provenance;
    uint8_t hash[NERV_INIT_HASH_BYTES];
} NervInit;

void nerv_init_free(NervInit *init);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NervInit, nerv_init_free)

/* Appends a file. start: nerv_start_count(model) floats, of which indices of 8 bits are kept, of biases 11, of maps 16: nerv_init_read() says what became of them. The
 * provenance is UTF-8 without zeros. NERV_ERROR_INVALID for what is out of range, and `out` is as before. */
bool nerv_init_write(const NervModel *model, const float *start, const NervInitRates *rates,
                     const char *provenance, GByteArray *out, GError **error);

/* What is read is copied. NERV_ERROR_DATA where the hash is not that of the file or what it says is out of range, NERV_ERROR_UNSUPPORTED for files of
 * another version, NERV_ERROR_MEMORY. */
NervInit *nerv_init_read(const uint8_t *data, size_t bytes, GError **error);
/* From a file; its errors are NERV_ERROR_INVALID and name it. */
NervInit *nerv_init_load(const char *path, GError **error);

/* An init's rates, for a fit of a model that it suits: its steps are of as many frames as the reference clip has, and more frames take more. */
NervInitRates nerv_init_rates(const NervInit *init, const NervModel *model);
/* Puts the rates of a fit of n_steps, 0: it is not known of how many, in place of a model's own. */
void nerv_init_tune(const NervInitRates *rates, uint64_t n_steps, NervTrainSettings *train);

/* Whether the model's layers and the channels of its grids are the init's; frames, size and rows of grids are the model's. */
bool nerv_init_suits(const NervInit *init, const NervModel *model);
/* What the init has for the i-th parameter of a model that it suits, as many floats as that has; NULL for grids, and for what each video has of its own. */
const float *nerv_init_layer(const NervInit *init, const NervModel *model, uint32_t i);
/* Of a fit of n_steps, 0: it is not known of how many, the part of a learned tensor that it should begin with, 0..1; the rest of it is as drawn. A short fit needs all of
 * it. A long one is held back by it (Ash and Adams 2020): features that are sharp already move less. */
double nerv_init_kept(uint64_t n_steps);
/* Mixes `weights`, of a fit of n_steps that begin with a start, with those that nerv_model_init_params() draws from the seed: all but grids. */
bool nerv_init_loosen(const NervModel *model, uint64_t n_steps, uint64_t seed, float *weights,
                      GError **error);
/* The start as weights of a model that it suits, model->n_weights floats: grids as maps of the footage. flows: as nerv_patches_run() has them. */
bool nerv_init_begin(const NervInit *init, NervBackend *be, const NervModel *model,
                     const NervFootage *footage, const float *flows, float *weights, GError **error);

/* The hash in hexadecimal digits; g_free(). */
char *nerv_init_name(const uint8_t hash[NERV_INIT_HASH_BYTES]);
