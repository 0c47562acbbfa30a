/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Buffers for bytes, see nervindex.h.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "codec/trailer.h"
#include "codec/walk.h"
#include "nervindex.h"

G_STATIC_ASSERT (NERV_TIME_NONE == GST_CLOCK_TIME_NONE);

typedef struct
{
  GstNervReadFunc read;
  gpointer user;
  GstFlowReturn ret;
} Source;

static bool
read_buffer (void *user, uint64_t offset, size_t size, uint8_t * dst,
    size_t *got)
{
  Source *source = user;
  GstBuffer *buffer = NULL;

  *got = 0;
  source->ret = source->read (source->user, offset, size, &buffer);
  if (source->ret == GST_FLOW_EOS)
    source->ret = GST_FLOW_OK;  /* shorter than it said */
  else if (source->ret == GST_FLOW_OK)
    *got = gst_buffer_extract (buffer, 0, dst, size);
  gst_clear_buffer (&buffer);
  return source->ret == GST_FLOW_OK;
}

GstFlowReturn
gst_nerv_index_walk (NervIndex * index, guint64 bytes, GstNervReadFunc read,
    gpointer user)
{
  Source source = { read, user, GST_FLOW_OK };

  nerv_walk (index, bytes, read_buffer, &source);
  return source.ret;
}

gboolean
gst_nerv_index_read (NervIndex * index, guint64 bytes, GstNervReadFunc read,
    gpointer user, GstFlowReturn * ret)
{
  Source source = { read, user, GST_FLOW_OK };
  bool found;

  nerv_trailer_read (index, bytes, read_buffer, &source, &found);
  *ret = source.ret;
  return found;
}
