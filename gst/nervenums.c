/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The enumerations of nervenc's properties, as GLib knows them.
 */
#ifdef HAVE_CONFIG_H
#include "config.h"
#endif

#include "nervoptions.h"

GType
gst_nerv_tune_get_type (void)
{
  static GType type;
  static const GEnumValue values[] = {
    {NERV_TUNE_SSIM, "0.7 mean absolute error + 0.3 (1 - SSIM), NeRV's",
        "ssim"},
    {NERV_TUNE_PSNR, "Mean squared error", "psnr"},
    {NERV_TUNE_L1, "Mean absolute error, which single wrong samples sway least",
        "l1"},
    {NERV_TUNE_MSSSIM, "0.7 mean absolute error + 0.3 (1 - SSIM), the mean of "
          "up to five scales", "msssim"},
    {0, NULL, NULL}
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstNervTune", values));
  return type;
}

GType
gst_nerv_preset_get_type (void)
{
  static GType type;
  static const GEnumValue values[] = {
    {NERV_PRESET_ULTRAFAST, "4 epochs, 2000 multiplications a pixel at 320x180",
        "ultrafast"},
    {NERV_PRESET_SUPERFAST, "12 epochs, as many", "superfast"},
    {NERV_PRESET_VERYFAST, "20 epochs, as many", "veryfast"},
    {NERV_PRESET_FASTER, "40 epochs, as many", "faster"},
    {NERV_PRESET_FAST, "80 epochs, 3500", "fast"},
    {NERV_PRESET_MEDIUM, "150 epochs, 3500", "medium"},
    {NERV_PRESET_SLOW, "300 epochs, 5000", "slow"},
    {NERV_PRESET_SLOWER, "600 epochs, 7000", "slower"},
    {NERV_PRESET_VERYSLOW, "1200 epochs, 10000", "veryslow"},
    {NERV_PRESET_PLACEBO, "2400 epochs, 20000", "placebo"},
    {0, NULL, NULL}
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstNervPreset", values));
  return type;
}

GType
gst_nerv_coding_get_type (void)
{
  static GType type;
  static const GEnumValue values[] = {
    {NERV_CODING_RANGE, "Steps round zero, adaptive range coder", "range"},
    {NERV_CODING_HUFFMAN, "Between minimum and maximum, Huffman code: NeRV's, "
          "longer", "huffman"},
    {0, NULL, NULL}
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstNervCoding", values));
  return type;
}

GType
gst_nerv_init_get_type (void)
{
  static GType type;
  static const GEnumValue values[] = {
    {NERV_INIT_BUILTIN,
        "The built-in start, learned on other videos, where one is near to the "
          "network, else as previous", "builtin"},
    {NERV_INIT_PREVIOUS,
        "The segment before (warm-start), where that leaves nothing the "
          "built-in start", "previous"},
    {NERV_INIT_NONE, "Random weights", "none"},
    {0, NULL, NULL}
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstNervInit", values));
  return type;
}

GType
gst_nerv_warm_start_get_type (void)
{
  static GType type;
  static const GEnumValue values[] = {
    {NERV_WARM_START_NONE, "Nothing", "none"},
    {NERV_WARM_START_WEIGHTS,
        "Half the weights of the segment before, where its "
          "network has the same configuration", "weights"},
    {NERV_WARM_START_RESIDUAL,
          "The same, and once more as a residual of them, which is kept where it "
          "is better: twice the time, and segments that are no sync points",
        "residual"},
    {0, NULL, NULL}
  };

  if (g_once_init_enter (&type))
    g_once_init_leave (&type, g_enum_register_static ("GstNervWarmStart",
            values));
  return type;
}
