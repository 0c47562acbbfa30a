/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reader of the golden files that make_golden.py writes; the layout is described there.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

#include "tensor/tensor.h"

typedef struct {
    NervDType dtype; /* NERV_F32 or NERV_U8 */
    NervShape shape;
    const void *data; /* inside the file's contents; floats are aligned copies */
} GoldenArray;

typedef struct {
    char *contents;
    GHashTable *options; /* name -> value, both strings */
    GHashTable *arrays;  /* name -> GoldenArray */
} GoldenFile;

/* Reads the whole file; NULL with an error that says what is wrong with it. */
GoldenFile *golden_file_read(const char *path, GError **error);
void golden_file_free(GoldenFile *g);

/* The array of this name and of the given shape's number of elements; aborts the test if there is none. */
const GoldenArray *golden_array(const GoldenFile *g, const char *name);
const float *golden_floats(const GoldenFile *g, const char *name, int64_t count);
const char *golden_option(const GoldenFile *g, const char *name);
