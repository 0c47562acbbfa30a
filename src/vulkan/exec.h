/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Executable plans of the Vulkan backend: the slots of NervBackendClass.
 */
#pragma once

#include "vulkan/device.h"

NervExec *nerv_vk_slot_exec_new(NervBackend *be, NervTape *tape, GError **error);
void nerv_vk_slot_exec_free(NervExec *exec);
bool nerv_vk_slot_exec_bind(NervExec *exec, const NervTensor *leaf, NervBuffer *buf, size_t offset,
                            GError **error);
bool nerv_vk_slot_exec_write(NervExec *exec, const NervTensor *leaf, const void *src, GError **error);
bool nerv_vk_slot_exec_read(NervExec *exec, const NervTensor *output, void *dst, GError **error);
bool nerv_vk_slot_exec_run(NervExec *exec, GError **error);
bool nerv_vk_slot_exec_wait(NervExec *exec, GError **error);
