/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Pools and buffers of raw frames, see nervpool.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervpool.h"
#include "nervvideo.h"

#define GST_CAT_DEFAULT gst_nerv_debug

static gboolean
add_video_meta (GstBufferPool * pool, GstCaps * caps, guint size, guint min,
    guint max)
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

gboolean
gst_nerv_pool_request_video_meta (GstQuery * query)
{
  GstBufferPool *pool = NULL;
  GstCaps *caps;
  guint size, min, max;
  gboolean ok;

  if (!gst_query_find_allocation_meta (query, GST_VIDEO_META_API_TYPE, NULL)
      || gst_query_get_n_allocation_pools (query) == 0)
    return TRUE;

  gst_query_parse_allocation (query, &caps, NULL);
  gst_query_parse_nth_allocation_pool (query, 0, &pool, &size, &min, &max);
  if (!pool)
    return TRUE;
  ok = add_video_meta (pool, caps, size, min, max);
  if (!ok)
    GST_WARNING ("%" GST_PTR_FORMAT " can't be configured", pool);
  gst_object_unref (pool);
  return ok;
}

gboolean
gst_nerv_pool_fill (NervDecoder * dec, gdouble later,
    const GstVideoInfo * info, gsize bytes, GstBuffer * buffer, GError ** error)
{
  GstVideoFrame vframe;
  NervFrame nframe;
  gboolean ok;

  /* Rows and planes of odd sizes have padding: what was in memory before must not
   * go out with the pictures. */
  if (gst_buffer_get_size (buffer) > bytes)
    gst_buffer_memset (buffer, 0, 0, -1);
  if (!gst_video_frame_map (&vframe, info, buffer, GST_MAP_WRITE)) {
    g_set_error (error, NERV_ERROR, NERV_ERROR_DEVICE,
        "a video frame can't be written");
    return FALSE;
  }
  gst_nerv_frame_from_gst (&vframe, &nframe);
  ok = nerv_decoder_render_at (dec, later, &nframe, error);
  gst_video_frame_unmap (&vframe);
  return ok;
}
