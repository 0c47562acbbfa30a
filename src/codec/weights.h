/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The network unit: a model's configuration and its weights, quantised per channel and range coded, or Huffman coded as the paper has it.
 * docs/bitstream.md, section "Network unit". All arithmetic that decides parsing is integer.
 */
#pragma once

#include "codec/stored.h"
#include "codec/tensors.h"

/* Index range of biases: they are few and each shifts a whole channel. */
#define NERV_BIAS_BITS 10
/* Every byte of coded weights stands for at most this many: the writer pads, the reader refuses to allocate for fewer. */
#define NERV_WEIGHTS_PER_BYTE 256

/* Appends the network unit's payload. `params`: model->n_weights floats in the model's order, finite and at most
 * NERV_QUANT_MAX_VALUE; otherwise NERV_ERROR_INVALID. bits: 2..8 per weight. NERV_ERROR_UNSUPPORTED if the payload would not
 * fit a unit. On errors the writer is as before. The same arguments give the same bytes. */
bool nerv_network_write(const NervModel *model, const float *params, uint32_t bits, NervBitWriter *w,
                        GError **error);

/* The same from steps that the caller has chosen, of any model and with neighbours' help (coding 1): steps has one step code (quant.h) for
 * each row of each parameter, nerv_param_steps() in the model's order, 0 for a row of zeros. What is stored are the values
 * over their steps, rounded to nearest and clipped to +-NERV_INDEX_MAX. This takes some microseconds a weight: if cancel is not NULL and becomes other than 0
 * (atomic), it soon ends with NERV_ERROR_CANCELLED. */
bool nerv_network_write_steps(const NervModel *model, const float *params, const uint16_t *steps,
                              const gint *cancel, NervBitWriter *w, GError **error);
/* The length in bits of the coded weights that this would write, by the models' own probabilities. predictions (tensors.h): NULL, or for several networks of a fit: with
 * those that are known it takes a part of the time, and says some bits more. */
bool nerv_network_steps_bits(const NervModel *model, const float *params, const uint16_t *steps,
                             NervPredictions *predictions, const gint *cancel, double *bits, GError **error);

/* The same as NeRV's authors do it (coding 2, minmax.h): 2..8 bits between each row's minimum and maximum, a Huffman code, exact zeros as
 * a symbol of their own. */
bool nerv_network_write_huffman(const NervModel *model, const float *params, uint32_t bits, NervBitWriter *w,
                                GError **error);

/* The same of tensors that were stored elsewhere, one for each parameter (coding 3, stored.h), or all in another stream by one of the codings above, by which they are
 * written again (lattice.h): nothing is rounded. NERV_ERROR_INVALID names a tensor that cannot be written. */
bool nerv_network_write_stored(const NervModel *model, const NervStoredTensor *tensors, NervBitWriter *w,
                               GError **error);

/* Reads the payload: makes the model (owned by the caller, nerv_model_free) and dequantises its weights into a new
 * array (*params, g_free). Refuses, before any allocation of their size, a network of more than max_weights scalars or
 * one whose coded bytes cannot hold it. The floats are the same on every machine. Errors: NERV_ERROR_DATA,
 * NERV_ERROR_UNSUPPORTED, NERV_ERROR_MEMORY. */
NervModel *nerv_network_read(const uint8_t *payload, size_t bytes, const NervClip *clip, int64_t max_weights,
                             float **params, GError **error);

/* The same, and what each tensor was stored as: a new array of n_params (nerv_stored_clear() for each, g_free()). Of codings other than 3 it has bits 0 and no values, but what
 * they were quantised by (lattice.h). */
NervModel *nerv_network_read_stored(const uint8_t *payload, size_t bytes, const NervClip *clip,
                                    int64_t max_weights, float **params, NervStoredTensor **stored,
                                    GError **error);

/* The same for a network whose model is nerv_model_alike() to `like` (else NERV_ERROR_INVALID), into memory that is there: tensor i
 * goes to dst + offset[i] bytes. On errors what is there then is undefined. */
NervModel *nerv_network_read_to(const uint8_t *payload, size_t bytes, const NervClip *clip,
                                const NervModel *like, void *dst, const size_t *offset, GError **error);
