/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the validation layer said. With NERV_VULKAN_VALIDATION=1 in the environment every Vulkan backend loads
 * VK_LAYER_KHRONOS_validation with synchronisation validation (opening fails if the layer is not installed);
 * its warnings and errors are logged with g_warning() and counted here, so that a test can fail on any.
 */
#pragma once

#include <stdint.h>

/* Messages of severity warning or error in this process so far; 0 in a build without Vulkan. Any thread. */
uint32_t nerv_vulkan_validation_messages(void);
