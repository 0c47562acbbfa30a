/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What is asked of a pool of raw frames that downstream offers.
 */
#pragma once

#include <gst/gst.h>

G_BEGIN_DECLS
/* Asks for rows and planes wherever downstream likes them. A pool that changes what
 * it is asked for gets another chance, and one that can't do it stays with what the
 * base class and it agreed on. */
    gboolean gst_nerv_pool_request_video_meta (GstBufferPool * pool,
    GstCaps * caps, guint size, guint min, guint max);

G_END_DECLS
