/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the tests of whole networks against PyTorch share: the devices, a model out of a file's options, its weights out of arrays,
 * and how near is near enough.
 */
#pragma once

#include "backend/backend.h"
#include "cpu/cpu.h"
#include "golden_file.h"
#include "models/model.h"

#define FITS_FORWARD_TOLERANCE  1e-4 /* absolute, of values in 0..1 */
#define FITS_LOSS_TOLERANCE     1e-3 /* relative */
#define FITS_GRADIENT_TOLERANCE 1e-3 /* relative to the tensor's largest */
#define FITS_WEIGHT_TOLERANCE   2e-2 /* RMS, relative to how far the fit moved the tensor */

typedef struct {
    const char *name;
    NervCpuLevel level; /* NERV_CPU_N_LEVELS: Vulkan */
    NervBackend *be;
    char *missing; /* why there is no backend */
} FitsDevice;

#define FITS_N_DEVICES 5
extern FitsDevice fits_devices[FITS_N_DEVICES];

void fits_devices_open(void);
void fits_devices_close(void);
/* Whether there is no such device here; then the test is skipped. */
bool fits_missing(const FitsDevice *d);

/* The file NAME.golden beside the tests. */
GoldenFile *fits_file(const char *name);
/* Model options from the file's options of the same names: integers, lists of them, strings. The arguments end in NULL. */
GVariant *fits_options(const GoldenFile *file, const char *const *ints, const char *const *lists,
                       const char *const *strings);
/* The model's parameters out of the arrays prefix + name, one after the other. */
float *fits_params(const GoldenFile *file, const NervModel *model, const char *prefix);
/* `count` pictures of an U8 array from `first` on, each padded to 4 bytes, as a buffer. */
NervBuffer *fits_pictures(const GoldenFile *file, const char *array, NervBackend *be, int32_t first,
                          int32_t count);

/* Largest difference of two arrays; a NaN counts as infinite. */
double fits_difference(const float *a, const float *b, int64_t n);
void fits_expect_loss(double got, double want, uint32_t step);
/* Against the array prefix + the parameter's name. */
void fits_expect_gradient(const GoldenFile *file, const NervParam *param, const char *prefix,
                          const float *got);
/* Weights after a fit: off by little against how far PyTorch's fit moved them, from `start`. */
void fits_expect_weights(const GoldenFile *file, const NervModel *model, const float *got, const float *start,
                         const char *prefix);
