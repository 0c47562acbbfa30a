/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Letters of 5x7 dots for plots, so that they need no font and no library.
 */
#pragma once

#include <stdint.h>

enum { FONT_WIDTH = 5, FONT_HEIGHT = 7 };

/* The rows of a printable ASCII character, topmost first, bit 4 the leftmost dot; others look like a question mark. */
const uint8_t *font_glyph(char c);
