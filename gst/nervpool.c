/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Configuration of a pool, see nervpool.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include <gst/video/gstvideopool.h>

#include "nervpool.h"

gboolean
gst_nerv_pool_request_video_meta (GstBufferPool * pool, GstCaps * caps,
    guint size, guint min, guint max)
{
  GstStructure *config = gst_buffer_pool_get_config (pool);
  GstStructure *agreed = gst_structure_copy (config);
  gboolean ok;

  gst_buffer_pool_config_add_option (config, GST_BUFFER_POOL_OPTION_VIDEO_META);
  ok = gst_buffer_pool_set_config (pool, config);
  if (!ok) {
    config = gst_buffer_pool_get_config (pool);
    if (gst_buffer_pool_config_validate_params (config, caps, size, min, max))
      ok = gst_buffer_pool_set_config (pool, config);
    else
      gst_structure_free (config);
  }
  if (!ok)
    return gst_buffer_pool_set_config (pool, agreed);
  gst_structure_free (agreed);
  return TRUE;
}
