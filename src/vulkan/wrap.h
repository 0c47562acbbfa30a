/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A backend on a device that somebody else has opened and outlives it.
 */
#pragma once

#include "backend/backend.h"
#include "nerv_vulkan.h"

NervBackend *nerv_vulkan_backend_wrap(const NervVulkanDevice *device, GError **error);
