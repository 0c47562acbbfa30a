/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * GStreamer as the targets want it that use the elements' sources: fast to start, without plugins, and nothing that it or GLib complains of passes.
 */
#pragma once

/* Does nothing the second time. */
void fuzz_init_gst(void);
