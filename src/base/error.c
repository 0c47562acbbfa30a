/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Error domain of libnerv, see error.h.
 */
#include "base/error.h"

/* By hand: the formatter would put blanks round the hyphens of G_DEFINE_QUARK's argument, and so into the name. */
GQuark nerv_error_quark(void)
{
    return g_quark_from_static_string("nerv-error-quark");
}
