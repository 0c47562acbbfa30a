/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which network is measured: a preset or a model with options, at a frame size; and the same network widened or resized.
 */
#pragma once

#include "models/model.h"

#define BENCH_FRAMES 16 /* of the clip; no network here depends on their number */

typedef struct {
    char *model;   /* "nerv", "nerv-s", ... */
    char *options; /* "stem=64,widths=<24,16,12>,..." */
    int32_t width, height;
} BenchPreset;

/* `net` ("small", "wide") unless `model` or `options` are given; `size` is "WxH", NULL: 320x180. Clear it in either case. */
bool bench_preset_init(BenchPreset *p, const char *net, const char *model, const char *options,
                       const char *size, GError **error);
void bench_preset_clear(BenchPreset *p);

/* The options as nerv_model_new() takes them. Free with g_variant_unref(). */
GVariant *bench_preset_options(const BenchPreset *p);
NervModel *bench_preset_model(const BenchPreset *p, GError **error);

/* Model "nerv" with every width of `like` (stem, base channels, blocks) times `factor`, rounded, at least 1, and its frame size
 * times `scale`. NULL with an error if `like` is of another class or the result is not valid. */
NervModel *bench_model_scaled(const NervModel *like, double factor, double scale, GError **error);
