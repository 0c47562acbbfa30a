/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Windows of clips, see windows.h.
 */
#include "windows.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "rd_clip.h"

#define CHANNELS 3

static void clip_free(gpointer data)
{
    WindowClip *c = data;
    for (uint32_t i = 0; i < c->n_pictures; i++)
        g_free(c->picture[i].rgb);
    g_free(c->name);
    g_free(c);
}

void windows_init(Windows *w, int32_t width, int32_t height, int32_t n_frames)
{
    *w = (Windows){ .width = width,
                    .height = height,
                    .n_frames = n_frames,
                    .clips = g_ptr_array_new_with_free_func(clip_free) };
}

void windows_clear(Windows *w)
{
    g_clear_pointer(&w->clips, g_ptr_array_unref);
}

/* --- loading --- */

/* A frame's rows without what GStreamer has between them. */
static bool copy_frame(const RdFrames *from, uint32_t i, uint8_t *dst, GError **error)
{
    GstVideoFrame frame;
    GstBuffer *buffer = g_ptr_array_index(from->frames, i);
    if (!gst_video_frame_map(&frame, &from->info, buffer, GST_MAP_READ)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "frame %u cannot be read", i);
        return false;
    }
    const size_t row = (size_t)GST_VIDEO_FRAME_WIDTH(&frame) * CHANNELS;
    const uint8_t *src = GST_VIDEO_FRAME_PLANE_DATA(&frame, 0);
    for (int y = 0; y < GST_VIDEO_FRAME_HEIGHT(&frame); y++)
        memcpy(dst + (size_t)y * row, src + (ptrdiff_t)y * GST_VIDEO_FRAME_PLANE_STRIDE(&frame, 0), row);
    gst_video_frame_unmap(&frame);
    return true;
}

static bool load_picture(WindowClip *clip, const char *what, uint32_t most_frames, int32_t width,
                         int32_t height, GError **error)
{
    WindowPicture *p = &clip->picture[clip->n_pictures];
    const size_t bytes = (size_t)width * height * CHANNELS;
    RdClip rd;
    if (!rd_clip_load(&rd, what, most_frames, width, height, error))
        return false;
    const uint32_t n = rd.rgb.frames->len;
    *p = (WindowPicture){ width, height, g_try_malloc(bytes * n) };
    bool ok = p->rgb != NULL;
    if (!ok)
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY, "no memory for %u frames of %d x %d", n, width,
                    height);
    else
        clip->n_pictures++;
    for (uint32_t i = 0; ok && i < n; i++)
        ok = copy_frame(&rd.rgb, i, p->rgb + i * bytes, error);
    clip->n_frames = (int32_t)n;
    rd_clip_clear(&rd);
    return ok;
}

bool windows_add(Windows *w, const char *what, uint32_t most_frames, const double *scales, uint32_t n_scales,
                 GError **error)
{
    WindowClip *clip = g_new0(WindowClip, 1);
    bool ok = true;
    clip->name = g_path_get_basename(what);
    for (uint32_t i = 0; ok && i < n_scales; i++)
        ok = load_picture(clip, what, most_frames, (int32_t)lrint(w->width * scales[i]),
                          (int32_t)lrint(w->height * scales[i]), error);
    if (ok && clip->n_frames < w->n_frames) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "%s has %d frames, and a window has %d", what,
                    clip->n_frames, w->n_frames);
        ok = false;
    }
    if (ok)
        g_ptr_array_add(w->clips, clip);
    else
        clip_free(clip);
    return ok;
}

/* --- cutting --- */

Window windows_draw(const Windows *w, NervRng *rng)
{
    const WindowClip *clip = g_ptr_array_index(w->clips, nerv_rng_below(rng, w->clips->len));
    Window out = { .clip = clip,
                   .picture = &clip->picture[nerv_rng_below(rng, clip->n_pictures)],
                   .mirrored = nerv_rng_below(rng, 2) };
    const uint32_t strides = 2 * (w->n_frames - 1) < clip->n_frames ? 2 : 1;
    out.stride = (int32_t)(1 + nerv_rng_below(rng, strides));
    out.first = (int32_t)nerv_rng_below(rng, (uint32_t)(clip->n_frames - out.stride * (w->n_frames - 1)));
    out.x = (int32_t)nerv_rng_below(rng, (uint32_t)(out.picture->width - w->width + 1));
    out.y = (int32_t)nerv_rng_below(rng, (uint32_t)(out.picture->height - w->height + 1));
    return out;
}

Window windows_middle(const Windows *w, uint32_t clip, double from)
{
    const WindowClip *c = g_ptr_array_index(w->clips, clip);
    const WindowPicture *p = &c->picture[0];
    return (Window){ .clip = c,
                     .picture = p,
                     .x = (p->width - w->width) / 2,
                     .y = (p->height - w->height) / 2,
                     .first = (int32_t)lrint(from * (c->n_frames - w->n_frames)),
                     .stride = 1 };
}

static size_t frame_bytes(const Windows *w)
{
    return ((size_t)w->width * w->height * CHANNELS + 3) / 4 * 4;
}

size_t windows_bytes(const Windows *w)
{
    return frame_bytes(w) * (size_t)w->n_frames;
}

static void cut_row(const uint8_t *src, uint8_t *dst, int32_t n, bool mirrored)
{
    if (!mirrored)
        memcpy(dst, src, (size_t)n * CHANNELS);
    else
        for (int32_t x = 0; x < n; x++)
            memcpy(dst + (size_t)x * CHANNELS, src + (size_t)(n - 1 - x) * CHANNELS, CHANNELS);
}

void windows_cut(const Windows *w, const Window *window, uint8_t *dst)
{
    const WindowPicture *p = window->picture;
    const size_t row = (size_t)p->width * CHANNELS, bytes = frame_bytes(w);
    for (int32_t i = 0; i < w->n_frames; i++) {
        const uint8_t *src = p->rgb + (size_t)(window->first + i * window->stride) * row * (size_t)p->height;
        for (int32_t y = 0; y < w->height; y++)
            cut_row(src + (size_t)(window->y + y) * row + (size_t)window->x * CHANNELS,
                    dst + (size_t)i * bytes + (size_t)y * (size_t)w->width * CHANNELS, w->width,
                    window->mirrored);
    }
}
