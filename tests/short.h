/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A machine that is short of memory: the program defines malloc() and its kin itself, in front of those of the C library and of a
 * sanitizer, and passes calls on but for those that are to fail. What is smaller than SHORT_LEAST_BYTES never fails: those are structures of GLib, of
 * other libraries and of this one whose number and size no stream decides, and GLib ends the process where they fail. Weights, plans, scratch, pixels
 * and coded units are larger in any stream that is worth the name, and grow with what it says.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define SHORT_LEAST_BYTES 4096

/* Makes the first-th large allocation from now on fail, and with `all` those behind it too; 0: none fails, they are only counted. Of any thread. */
void short_begin(unsigned first, bool all);
/* Ends that; returns how many large allocations there were. */
unsigned short_end(void);
/* Blocks that are allocated now, of any size. */
long short_live(void);
/* False where something else is in front of these functions (valgrind). */
bool short_works(void);
