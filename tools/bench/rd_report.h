/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Measured rate-distortion points and what is said of them: a table, BD-rates, CSV, JSON, a plot.
 */
#pragma once

#include "json.h"
#include "rd_clip.h"

typedef struct {
    char *encoder;
    int64_t bytes; /* of the file */
    double bpp, encode_seconds, decode_fps;
    RdQuality quality;
} RdPoint;

typedef struct {
    char *name;
    const char *file_kind;
    bool is_nerv;
    GArray *points; /* of RdPoint */
} RdCurve;

/* A clip's curves, without its frames. */
typedef struct {
    char *name;
    int32_t width, height, fps_n, fps_d;
    uint32_t n_frames;
    GArray *parts;  /* of RdPart, of joined clips; NULL for one */
    GArray *curves; /* of RdCurve */
} RdResult;

RdResult *rd_result_new(const RdClip *clip);
void rd_result_free(RdResult *result);
RdCurve *rd_result_add_curve(RdResult *result, const char *name,
                             bool is_nerv); /* valid until the next is added */

void rd_print_head(const RdResult *result);
void rd_print_point(const RdResult *result, const RdCurve *curve, const RdPoint *point);
/* `results`: of RdResult *. */
void rd_print_bd_rates(const GPtrArray *results);
/* For each nerv curve but `base`: what its points lose against those of `base`, first against first and so on, in the clips' mean PSNR. */
void rd_print_losses(const GPtrArray *results, const char *base);
char *rd_csv(const GPtrArray *results);
/* Adds "clips", with the losses against the curve `base` unless that is NULL. */
void rd_json(Json *j, const GPtrArray *results, const char *base);
bool rd_plot(const char *path, const GPtrArray *results, GError **error);
