/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A clip's pictures as packed R'G'B' of 8 bits, one behind the other, through a pipeline and back.
 */
#pragma once

#include "json.h"
#include "rd_clip.h"

typedef struct {
    const RdClip *clip;
    int32_t width, height;
    uint32_t n;
    size_t bytes; /* of one: 3 width height */
    uint8_t *rgb; /* n of them, as the clip has them */
} Pictures;

/* `clip` must outlive it. */
bool pictures_init(Pictures *p, const RdClip *clip, GError **error);
void pictures_clear(Pictures *p);
/* Prints which clip they are of, and opens an object of the results that says so. */
void pictures_describe(const Pictures *p, Json *j);
/* Room for as many, g_free(). */
uint8_t *pictures_room(const Pictures *p);

/* Runs `chain`, elements from raw video to raw video, on rgb, which is as p->rgb, and reads what comes out into out. alpha: NULL, or a byte for each pixel with which they go in as
 * RGBA. file: a name for what is in between. */
bool pictures_run(const Pictures *p, const uint8_t *rgb, const uint8_t *alpha, const char *chain,
                  const char *file, uint8_t *out, GError **error);
/* Reads a file of so many pictures, rows padded as GStreamer has them or not at all. */
bool pictures_read(const Pictures *p, const char *file, uint8_t *out, GError **error);
/* dB of the mean squared error of all pictures. */
double pictures_psnr(const Pictures *p, const uint8_t *rgb);
/* One frame of what several methods make of a clip, side by side. */
typedef struct {
    const Pictures *p;
    uint32_t frame;
    GPtrArray *columns; /* of GBytes */
} PicturesSheet;

void pictures_sheet_init(PicturesSheet *s, const Pictures *p, uint32_t frame);
void pictures_sheet_clear(PicturesSheet *s);
/* A column more: its frame of those pictures. */
void pictures_sheet_add(PicturesSheet *s, const uint8_t *rgb);
/* CLIP-WHAT.png in the folder: in each column the frame as it was, what was added, and how far they are apart, that many times; scaled to `width` samples
 * a column. */
bool pictures_sheet_write(const PicturesSheet *s, const char *folder, const char *what, double gain,
                          uint32_t width, GError **error);
