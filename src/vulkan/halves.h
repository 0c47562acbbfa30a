/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which values of a plan are kept as 16-bit floats, and which dispatches then take the variant "half" of their shader.
 * Arithmetic stays in floats, and so do leaves and outputs. Off unless NERV_VULKAN_FP16=1 (see docs/design.md). Knows
 * no op: a shader says which of its bindings may be halves.
 */
#pragma once

#include "vulkan/exec.h"

/* Fills exec->is_half and changes the shaders of exec->dispatches, for which there are no pipelines yet. Leaves all as it is
 * for a plan that updates parameters. */
void nerv_vk_halves_choose(NervVkExec *exec);
/* The tensor that a dispatch's binding means, through views; NULL for scratch and absent operands. */
const NervTensor *nerv_vk_bound(const NervVkDispatch *dispatch, uint32_t i);
