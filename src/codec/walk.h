/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * An index out of a stream's unit headers, for files that bring none.
 */
#pragma once

#include "codec/index.h"

/* Walks unit headers through a stream of `bytes`, jumping over networks, into an index that is emptied before. Stops without index->complete if that
 * would take too much reading. False where the callback failed. */
bool nerv_walk(NervIndex *index, uint64_t bytes, NervReadFunc read, void *user);
