/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Recognises video/x-nerv byte streams.
 */
#pragma once

#include <gst/gst.h>

GST_TYPE_FIND_REGISTER_DECLARE (nerv);
