/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Outputs that stay on the device, and their way into images of whoever shows them. Slots of NervBackendClass; a target is a NervVulkanFrame.
 */
#pragma once

#include "vulkan/exec.h"

bool nerv_vk_slot_exec_keep_outputs(NervExec *exec, GError **error);
bool nerv_vk_slot_exec_export(NervExec *exec, const NervTensor *output, size_t offset, const void *target,
                              GError **error);
bool nerv_vk_slot_exec_export_wait(NervExec *exec, GError **error);
/* Waits, and frees what export.c has of an exec. */
void nerv_vk_export_clear(NervVkExec *exec);
