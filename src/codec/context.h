/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Coding 1 of the network unit: indices predicted from their neighbours and coded with models chosen by the error expected there.
 * docs/bitstream.md, section "Coding 1". Integer arithmetic only. The tensors' order and the unit around them are weights.c's.
 */
#pragma once

#include "codec/field.h"
#include "codec/rangecoder.h"

#define NERV_CONTEXT_LEVELS  24 /* of the expected error: two an octave, from 1/16 */
#define NERV_CONTEXT_PHASES  3  /* of the prediction within the nearest integer */
#define NERV_CONTEXT_CLASSES 13 /* bits of a residual's magnitude */
#define NERV_STEP_SHIFTS     5  /* steps' codes may be 1, 2, 4, 8 or 16 apart */

/* What adapts from the network's first tensor to its last. */
typedef struct {
    NervProb zero[NERV_CONTEXT_LEVELS][NERV_CONTEXT_PHASES][2];
    NervProb sign[NERV_CONTEXT_LEVELS][NERV_CONTEXT_PHASES][2];
    NervProb more[NERV_CONTEXT_LEVELS][NERV_CONTEXT_CLASSES]; /* by the class that is exceeded or not */
    NervProb mantissa[NERV_CONTEXT_LEVELS][NERV_CONTEXT_CLASSES + 1][3];
    NervSymbolModel first_step, steps[NERV_STEP_SHIFTS], weights;
    NervProb zero_row[2]; /* by whether the row before was one */
    uint32_t step_mean;   /* expected step code, times 16 */
} NervContext;

typedef enum {
    NERV_PREDICT_PLAIN,  /* no prediction, the expected error by fixed weights */
    NERV_PREDICT_ERRORS, /* no prediction */
    NERV_PREDICT_ONE,    /* one set of weights */
    NERV_PREDICT_TWO,    /* two: where the expected error is below 1 and elsewhere */
} NervPredictMode;

/* How a tensor's indices and errors follow from their neighbours. */
typedef struct {
    NervPredictMode mode;
    int8_t
        values[2]
              [NERV_NEAR_VALUES]; /* in 1/64, -127..127; both the same unless the mode is NERV_PREDICT_TWO */
    uint8_t errors[NERV_NEAR_ERRORS]; /* in 1/32, 0..63 */
} NervPrediction;

#define NERV_PREDICTION_MAX_VALUE 127
#define NERV_PREDICTION_MAX_ERROR 63

void nerv_context_init(NervContext *c);
/* What was learned of indices counts for less in the tensor that begins. */
void nerv_context_begin_tensor(NervContext *c);
/* No prediction and the fixed weights. */
NervPrediction nerv_prediction_plain(void);

/* Expected error of a cell in 1/1024. */
static inline int32_t nerv_expected_error(const NervPrediction *p, const int32_t near[NERV_NEAR_ERRORS])
{
    int32_t sum = 0;
    for (int i = 0; i < NERV_NEAR_ERRORS; i++)
        sum += p->errors[i] * near[i];
    return sum * 2;
}

/* Which of two sets of weights holds there. */
static inline unsigned nerv_prediction_set(int32_t expected_error)
{
    return expected_error >= 1024;
}

/* Predicted index in 1/512, within the indices' range. */
static inline int32_t nerv_predict(const NervPrediction *p, unsigned set,
                                   const int32_t near[NERV_NEAR_VALUES])
{
    int32_t sum = 0;
    for (int i = 0; i < NERV_NEAR_VALUES; i++)
        sum += p->values[set][i] * near[i];
    return CLAMP(sum, -NERV_INDEX_MAX * 512, NERV_INDEX_MAX * 512);
}

/* Steps of a tensor's n rows. The reader: false for what no writer writes. */
void nerv_context_write_steps(NervContext *c, NervRangeEncoder *e, const uint16_t *codes, int64_t n);
bool nerv_context_read_steps(NervContext *c, NervRangeDecoder *d, uint16_t *codes, int64_t n);

void nerv_context_write_prediction(NervContext *c, NervRangeEncoder *e, const NervPrediction *p);
bool nerv_context_read_prediction(NervContext *c, NervRangeDecoder *d, NervPrediction *p);

/* The tensor's indices, in its order; those of rows with code 0 are not looked at. Ends early if the field is
 * cancelled. */
void nerv_context_write_indices(NervContext *c, NervRangeEncoder *e, NervField *f, const uint16_t *codes,
                                const NervPrediction *p, const int16_t *index);
/* The same, times their steps; all scalars are written. False if an index leaves its range or the bytes end. */
bool nerv_context_read_values(NervContext *c, NervRangeDecoder *d, NervField *f, const uint16_t *codes,
                              const NervPrediction *p, float *x);
