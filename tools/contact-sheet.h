/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A contact sheet: a few pairs of pictures, one above the other, side by side in one PNG; maps of their differences if wanted.
 */
#pragma once

#include <gst/gst.h>
#include <stdint.h>

typedef struct ContactSheet ContactSheet;

/* A sheet of n_columns pairs of width x height RGB pictures, black until set. gain > 0: below each pair how far its samples are apart, that many
 * times, up to white. */
ContactSheet *contact_sheet_new(uint32_t n_columns, uint32_t width, uint32_t height, double gain);
void contact_sheet_free(ContactSheet *sheet);
/* Copies two packed RGB pictures with rows `stride` bytes apart into a column, 0 <= column < n_columns. */
void contact_sheet_set(ContactSheet *sheet, uint32_t column, const uint8_t *above, size_t above_stride,
                       const uint8_t *below, size_t below_stride);
/* Writes the sheet to `path`, scaled to png_width pixels across (0: as it is). */
gboolean contact_sheet_write(const ContactSheet *sheet, const char *path, uint32_t png_width, GError **error);
