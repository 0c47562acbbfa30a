/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Stands in for src/vulkan in a build without Vulkan, so that callers are the same in both.
 */
#include "backend/backend.h"
#include "vulkan/validation.h"

NervBackend *nerv_vulkan_backend_new(int index, GError **error)
{
    g_set_error(error, NERV_ERROR, NERV_ERROR_DEVICE, "this libnerv was built without Vulkan");
    return NULL;
}

void nerv_vulkan_list(GString *out)
{
}

uint32_t nerv_vulkan_validation_messages(void)
{
    return 0;
}
