/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Seeks as GstBaseParse takes them: from absolute times to absolute times, by the
 * index of sync points instead of the base class's guess.
 */
#pragma once

#include <gst/base/gstbaseparse.h>

#include "nervindex.h"

/* Takes a seek event and returns the one to be done in its place, or itself if it is
 * not for a time or not one that can be told; NULL if it would end before it begins.
 * The index is read under the element's object lock. */
GstEvent *gst_nerv_seek_exact (GstBaseParse * parse, const NervIndex * index,
    GstEvent * event);
