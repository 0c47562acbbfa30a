/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the three elements share: GstVideoInfo to libnerv's video info and back
 * (code points of ITU-T H.273), the caps that a sequence header stands for, and
 * how a GError of libnerv becomes an element error. Holds no state.
 */
#pragma once

#include <gst/gst.h>
#include <gst/video/video.h>

#include "nerv.h"

/* The sizes and formats that the codec takes and gives. */
#define GST_NERV_RAW_CAPS "video/x-raw, "                       \
    "format = (string) { RGB, RGBx, BGRx, I420, NV12 }, "       \
    "width = (int) [ 16, 8192 ], height = (int) [ 16, 8192 ], " \
    "framerate = (fraction) [ 0/1, 2147483647/1 ]"

/* Whole access units, one a buffer. */
#define GST_NERV_UNIT_CAPS "video/x-nerv, " \
    "stream-format = (string) byte-stream, alignment = (string) au"

GST_DEBUG_CATEGORY_EXTERN (gst_nerv_debug);

/* FALSE if the format is none of the five; those with alpha are the ones without it
 * (AYUV is I420), since all that this codec has is opaque. */
gboolean gst_nerv_pixels_from_info (const GstVideoInfo * info,
    NervPixels * pixels);
gboolean gst_nerv_video_info_from_gst (const GstVideoInfo * info,
    NervVideoInfo * nerv);

/* GST_VIDEO_FORMAT_UNKNOWN for a value that is no NervPixelFormat. */
GstVideoFormat gst_nerv_format_to_gst (gint32 format);

/* The stream's own format if the pad's peer takes it, else the first that it takes of
 * those of the stream's colour model, since another one costs a conversion that loses
 * something, else the first of all. UNKNOWN if nothing fits. */
GstVideoFormat gst_nerv_choose_format (GstPad * pad, GstVideoFormat source);

/* Posts an error that tells what the pad has and what its peer wants in place of it. */
void gst_nerv_refused (GstElement * element, GstPad * pad);

/* Sets *flag, atomically, where a RECONFIGURE event comes to the pad. The pad's own flag is cleared by whoever looks first, as a base
 * class does. */
void gst_nerv_watch_reconfigure (GstPad * pad, gint * flag);

/* In a key-unit trick mode only sync points are to be seen, even if a demuxer hands
 * on all there is. */
gboolean gst_nerv_is_skipped (const GstSegment * segment,
    const GstVideoCodecFrame * frame);

/* Ends a frame that nobody will see. The base class takes a stream of which no frame comes out for an
 * error, and so does a seek to a stream's very end: before the segment it gets an empty buffer, which it cuts away
 * itself. */
GstFlowReturn gst_nerv_skip_frame (GstVideoDecoder * decoder,
    GstVideoCodecFrame * frame);

/* Whether the clock, by what sinks say of it, is past the frame. */
static inline gboolean
gst_nerv_is_late (GstVideoDecoder * decoder, GstVideoCodecFrame * frame)
{
  return gst_video_decoder_get_max_decode_time (decoder, frame) < 0;
}

/* Whether anyone will see this frame. */
gboolean gst_nerv_in_segment (const GstSegment * segment,
    const GstVideoCodecFrame * frame);

/* nervdec's property of that name. */
GstStructure *gst_nerv_decoder_stats (const NervDecoderStats * s);

/* Frame rate, pixel aspect ratio, colorimetry and chroma siting of a stream,
 * written to an info whose format and size are set already. If the info's
 * format is of another colour model than the stream's, its own default matrix
 * and range stay. */
void gst_nerv_video_info_apply (const NervVideoInfo * nerv,
    GstVideoInfo * info);
void gst_nerv_video_info_from_sequence (const NervSequence * seq,
    NervVideoInfo * nerv);

/* Planes of a mapped frame; nothing is copied. */
void gst_nerv_frame_from_gst (const GstVideoFrame * frame, NervFrame * nerv);

/* Complete video/x-nerv caps. */
GstCaps *gst_nerv_caps_from_sequence (const NervSequence * seq);

/* Posts an error message. `error` is libnerv's (its sentence is for people);
 * `doing` says for the debug text what the element was at. */
void gst_nerv_element_error (gpointer element, const GError * error,
    const gchar * doing, const gchar * file, const gchar * function, gint line);
#define GST_NERV_ELEMENT_ERROR(el, error, doing) \
    gst_nerv_element_error (el, error, doing, __FILE__, GST_FUNCTION, __LINE__)

/* After a send or a render: posts a warning if the device failed and the CPU goes
 * on. */
void gst_nerv_report_device (gpointer element, const NervDecoder * dec);

/* In place of a buffer a shell with its time and metas, so that a pool of few buffers
 * upstream does not run dry while a segment's frames wait to be finished. */
void gst_nerv_strip_buffer (GstBuffer ** buffer);
