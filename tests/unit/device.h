/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Which device a test runs on: the one named as its argument, where "vulkan" means what NERV_CHECKOP_DEVICE says or else the
 * first of the driver's list, software included.
 */
#pragma once

#include <glib.h>

static inline const char *test_vulkan_name(void)
{
    const char *named = g_getenv("NERV_CHECKOP_DEVICE");
    return named && g_str_has_prefix(named, "vulkan") ? named : "vulkan:0";
}

static inline const char *test_device_name(int argc, char **argv)
{
    const char *device = argc > 1 ? argv[1] : "cpu";
    return g_str_equal(device, "vulkan") ? test_vulkan_name() : device;
}
