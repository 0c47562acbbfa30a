/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The list of ops. A new op adds a declaration and a line.
 */
#include "graph/op.h"

const NervOp *const nerv_ops[] = {
    NULL,
};
