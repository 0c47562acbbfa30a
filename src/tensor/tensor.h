/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What a tensor is: a shape of four dimensions N C H W (row-major, W innermost), an element type, and where
 * its values come from. A NervTensor is a name for values on a tape; memory is the plan's and the backend's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct NervNode NervNode;

typedef enum {
    NERV_F32, /* 32-bit float: everything that is differentiated */
    NERV_U8,  /* bytes: stored frames and packed output pixels */
    NERV_I32, /* 32-bit integer: indices */
} NervDType;

/* Dimensions, always in this order. Scalars are 1 1 1 1; a vector of n features is 1 n 1 1. */
typedef struct {
    int32_t n, c, h, w;
} NervShape;

typedef enum {
    NERV_TENSOR_VALUE, /* computed by a node */
    NERV_TENSOR_INPUT, /* small leaf, written by the host before a run (nerv_exec_write) */
    NERV_TENSOR_PARAM, /* persistent leaf, bound to a buffer (nerv_exec_bind): weights, moments, frames */
    NERV_TENSOR_CONST, /* leaf whose values are stored on the tape */
} NervTensorKind;

typedef struct {
    uint32_t id; /* index in the tape's list */
    NervTensorKind kind;
    NervDType dtype;
    NervShape shape;
    NervNode *node;   /* producer, NULL for a leaf */
    uint32_t slot;    /* which of the producer's outputs */
    char *name;       /* leaves and outputs, else NULL; owned by the tape */
    void *const_data; /* NERV_TENSOR_CONST: values, owned by the tape */
    bool is_output;   /* kept after the run and readable (nerv_exec_read) */
    bool no_grad;     /* never differentiated (targets, indices, learning rates) */
} NervTensor;

/* Largest number of elements of one tensor; keeps 32-bit indexing in shaders and byte counts below 2^33. */
#define NERV_MAX_ELEMENTS ((int64_t)1 << 30)

static inline NervShape nerv_shape(int32_t n, int32_t c, int32_t h, int32_t w)
{
    return (NervShape){ n, c, h, w };
}

/* Number of elements; 0 if a dimension is not positive or the product exceeds NERV_MAX_ELEMENTS. */
int64_t nerv_shape_count(NervShape s);
bool nerv_shape_equal(NervShape a, NervShape b);
/* Bytes of one element: 4 or 1. */
size_t nerv_dtype_bytes(NervDType t);
/* Bytes of the tensor's values. */
size_t nerv_tensor_bytes(const NervTensor *t);
