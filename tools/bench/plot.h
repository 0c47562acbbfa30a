/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Curves drawn into a PNG: panels, bits per pixel (or what is said) on a logarithmic axis, PSNR (or what is said) on a linear one, a colour and
 * a marker per curve, a legend. Draws and writes by itself; GStreamer's pngenc packs the file.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

/* Points in the order of x; those that are not finite are left out. */
typedef struct {
    const char *name;
    const double *x, *y;
    uint32_t n;
} PlotCurve;

typedef struct {
    const char *title;
    const PlotCurve *curves;
    uint32_t n_curves;
    const char *x_title; /* NULL: of bits per pixel */
    const char *y_title; /* NULL: of PSNR */
} PlotPanel;

bool plot_write(const char *path, const PlotPanel *panels, uint32_t n_panels, GError **error);
