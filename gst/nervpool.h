/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Raw frames in system memory: what is asked of the pool that downstream offers, and
 * how its buffers are filled.
 */
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include "nerv.h"

/* Asks the pool of an answered query for rows and planes wherever downstream likes
 * them, if it likes them anywhere. A pool that changes what it is asked for gets
 * another chance, and one that can't do it stays with what the base class and it
 * agreed on. */
gboolean gst_nerv_pool_request_video_meta (GstQuery * query);

/* Evaluates the frame of the last send, or what is `later` frames after it, into a
 * buffer. `bytes` are those of a frame without padding. */
gboolean gst_nerv_pool_fill (NervDecoder * dec, gdouble later,
    const GstVideoInfo * info, gsize bytes, GstBuffer * buffer,
    GError ** error);
