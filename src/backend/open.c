/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Choosing a device by name. The only file that knows which backends there are.
 */
#include <string.h>

#include "backend/backend.h"
#include "nerv.h"

/* "vulkan:N" -> N; false if it is not of that form. */
static bool parse_index(const char *device, int *index)
{
    char *end = NULL;
    if (!g_str_has_prefix(device, "vulkan:") || !g_ascii_isdigit(device[7]))
        return false;
    const guint64 n = g_ascii_strtoull(device + 7, &end, 10);
    if (*end || n > 63)
        return false;
    *index = (int)n;
    return true;
}

static NervBackend *open_auto(uint32_t n_threads, GError **error)
{
    GError *why = NULL;
    NervBackend *be = nerv_vulkan_backend_new(-1, &why);
    if (be)
        return be;
    g_debug("no GPU through Vulkan, using the CPU: %s", why->message);
    g_clear_error(&why);
    return nerv_cpu_backend_new(n_threads, error);
}

NervBackend *nerv_backend_open(const char *device, uint32_t n_threads, GError **error)
{
    int index = -1;
    NervBackend *be = NULL;

    if (!device || !strcmp(device, "auto")) {
        const char *env = g_getenv("NERV_DEVICE");
        device = env && *env ? env : "auto";
    }
    if (!strcmp(device, "auto"))
        be = open_auto(n_threads, error);
    else if (!strcmp(device, "cpu"))
        be = nerv_cpu_backend_new(n_threads, error);
    else if (!strcmp(device, "vulkan") || parse_index(device, &index))
        be = nerv_vulkan_backend_new(index, error);
    else
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "unknown device \"%s\": use auto, cpu, vulkan or vulkan:N with N from 0 to 63", device);
    if (be)
        g_debug("device: %s", be->description);
    return be;
}

char *nerv_backend_list(void)
{
    GString *s = g_string_new(NULL);
    NervBackend *cpu = nerv_cpu_backend_new(0, NULL);
    if (cpu)
        g_string_append_printf(s, "cpu  %s\n", cpu->description);
    nerv_backend_free(cpu);
    nerv_vulkan_list(s);
    return g_string_free(s, FALSE);
}

char *nerv_list_devices(void)
{
    return nerv_backend_list();
}
