/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * See gst.h.
 */
#include <gst/gst.h>
#include <stdlib.h>

#include "gst.h"
#include "nervvideo.h"

GST_DEBUG_CATEGORY(gst_nerv_debug); /* the plugin's, which is not here */

static void log_message(const char *domain, GLogLevelFlags level, const char *message, gpointer user)
{
    g_printerr("%s: %s\n", domain ? domain : "", message);
    if (level & (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING | G_LOG_LEVEL_ERROR))
        abort();
}

void fuzz_init_gst(void)
{
    if (gst_is_initialized())
        return;
    /* no plugins but what is linked, and no file of them: one is written by renaming another, even over a device */
    g_setenv("GST_REGISTRY_DISABLE", "yes", TRUE);
    g_setenv("GST_PLUGIN_SYSTEM_PATH_1_0", "", TRUE);
    g_setenv("GST_PLUGIN_PATH_1_0", "", TRUE);
    gst_registry_fork_set_enabled(FALSE);
    gst_init(NULL, NULL);
    g_log_set_default_handler(log_message, NULL);
    GST_DEBUG_CATEGORY_INIT(gst_nerv_debug, "nerv", 0, "neural video");
}
