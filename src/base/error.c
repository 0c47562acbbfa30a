/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Error domain of libnerv, see error.h.
 */
#include "base/error.h"

G_DEFINE_QUARK(nerv - error - quark, nerv_error)
