/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Tags in the first access unit of a .nerv file (docs/bitstream.md, section "Files").
 */
#pragma once

#include <gst/gst.h>

/* The unit of tags, NULL if the list has none that can be written. */
GBytes *gst_nerv_tags_write (const GstTagList * tags);

/* Those that an access unit begins with, NULL if there are none; what else is in
 * there, damage too, is left to others. */
GstTagList *gst_nerv_tags_read (const guint8 * data, gsize size);
