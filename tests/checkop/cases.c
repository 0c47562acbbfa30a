/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The list of checkop's cases. A new op adds a declaration and a line.
 */
#include "checkop.h"

const CheckCase *const check_cases[] = {
    NULL,
};
