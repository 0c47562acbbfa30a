/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The index unit at a file's end (docs/bitstream.md, section "Files"), which says what a walk through the whole file would find.
 */
#pragma once

#include "codec/index.h"

/* The unit of a walked or noted stream, whose bytes are all before it. NULL if it has more entries than a unit may. */
GBytes *nerv_trailer_write(const NervIndex *index);

/* Fills an index, which is emptied before, from the index units at the end of a file of `bytes`: each of the files that were put together has one. What they say is compared with the sync
 * points that are there, some of them in large files. *found is false, and the index empty, where there is none, it is not to be trusted, or there are bytes before it
 * that no index is of; the file has to be walked then. False where the callback failed. */
bool nerv_trailer_read(NervIndex *index, uint64_t bytes, NervReadFunc read, void *user, bool *found);

/* Bytes of the whole index units that `data` begins with. */
size_t nerv_trailer_bytes(const uint8_t *data, size_t size);
