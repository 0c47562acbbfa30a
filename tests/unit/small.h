/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A small network on grids, of two blocks: a part of what is in it is of its time, a part is not.
 */
#pragma once

#include "models/model.h"

/* grids: nerv-grid's option, of three grids, e.g. "3x4/2x2/1x2". Free with nerv_model_free(). */
static inline NervModel *small_grid_new(const char *grids, int32_t width, int32_t height, int32_t n_frames)
{
    const NervClip clip = { width, height, n_frames };
    GError *error = NULL;
    g_autofree char *text = g_strdup_printf(
        "{'grids': <'%s'>, 'strides': <[4, 2]>, 'widths': <[10, 8]>, 'kernels': <[1, 3]>}", grids);
    g_autoptr(GVariant) options = g_variant_ref_sink(g_variant_new_parsed(text));
    NervModel *model = nerv_model_new("nerv-grid", options, &clip, &error);
    g_assert_no_error(error);
    return model;
}
