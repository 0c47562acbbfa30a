/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The plugin "nerv": registers the elements and the typefinder.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervdec.h"
#include "nervdenoise.h"
#include "nervenc.h"
#include "nervfilemux.h"
#include "nervinpaint.h"
#include "nervmux.h"
#include "nervparse.h"
#include "nervtypefind.h"
#include "nervvideo.h"

GST_DEBUG_CATEGORY (gst_nerv_debug);

static gboolean
plugin_init (GstPlugin * plugin)
{
  gboolean ret = FALSE;

  GST_DEBUG_CATEGORY_INIT (gst_nerv_debug, "nerv", 0, "neural video");
  ret |= GST_ELEMENT_REGISTER (nervenc, plugin);
  ret |= GST_ELEMENT_REGISTER (nervdec, plugin);
  ret |= GST_ELEMENT_REGISTER (nervdenoise, plugin);
  ret |= GST_ELEMENT_REGISTER (nervinpaint, plugin);
  ret |= GST_ELEMENT_REGISTER (nervparse, plugin);
  ret |= GST_ELEMENT_REGISTER (nervfilemux, plugin);
  ret |= GST_ELEMENT_REGISTER (nervmp4mux, plugin);
  ret |= GST_ELEMENT_REGISTER (nervmkvmux, plugin);
  ret |= GST_TYPE_FIND_REGISTER (nerv, plugin);
  return ret;
}

GST_PLUGIN_DEFINE (GST_VERSION_MAJOR, GST_VERSION_MINOR, nerv,
    "Neural video: a codec whose bitstream is a neural network", plugin_init,
    PACKAGE_VERSION, "LGPL", "nerv", PACKAGE_ORIGIN)
