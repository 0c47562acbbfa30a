/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An index of a byte stream's segments (codec/index.h) out of what a pad can be asked
 * for. Knows nothing of pads: bytes come through a callback.
 */
#pragma once

#include <gst/gst.h>

#include "codec/index.h"
#include "nerv.h"

/* Reads `size` bytes at `offset`; a shorter buffer, or EOS, means the end. */
typedef GstFlowReturn (*GstNervReadFunc) (gpointer user, guint64 offset,
    guint size, GstBuffer ** buffer);

/* nerv_walk() through a stream of `bytes`. Any other return than OK is the
 * callback's. */
GstFlowReturn gst_nerv_index_walk (NervIndex * index, guint64 bytes,
    GstNervReadFunc read, gpointer user);

/* nerv_trailer_read(): whether the index was found at the file's end. */
gboolean gst_nerv_index_read (NervIndex * index, guint64 bytes,
    GstNervReadFunc read, gpointer user, GstFlowReturn * ret);
