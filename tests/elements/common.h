/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the element tests share: a network so small that a fit takes milliseconds, test pictures, streams made
 * once and cut up, pipelines that run to their end.
 */
#pragma once

#include <gst/check/gstcheck.h>
#include <gst/check/gstharness.h>
#include <gst/video/video.h>
#include <stdbool.h>
#include <stdint.h>

#include "codec/units.h"

/* The model of all tests, as gst-launch writes it. */
#define TINY_OPTIONS "options,stem=8,base-channels=2,widths=<4,3>,strides=<2,2>"
#define TINY_ENC     "nervenc model=nerv-mlp epochs=1 model-options=\"" TINY_OPTIONS "\""

/* Milliseconds in which a cancelled fit must be over; ten times as many in a build with sanitizers. */
gint64 cancel_limit_ms(void);

/* A nervenc with the tiny model, one epoch and segments of `segment_frames`. */
GstElement *tiny_encoder(guint segment_frames);

/* Picture number n of a moving gradient, in any of the five formats, tightly packed as GStreamer has it. */
GstBuffer *picture(const GstVideoInfo *info, guint n);
/* Info of "format,width,height,fps". */
void video_info(GstVideoInfo *info, GstVideoFormat format, gint width, gint height, gint fps_n, gint fps_d);

/* A byte stream of n 64x48 RGB frames at 25/1 in segments of `segment_frames`; offsets[i] (n + 1 of them, may be
 * NULL) is where access unit i begins. Picture i is picture(i). */
GBytes *make_stream(guint n, guint segment_frames, gsize *offsets);
/* The same of any video. */
GBytes *make_stream_of(const GstVideoInfo *info, guint n, guint segment_frames, gsize *offsets);

/* Units of a stream made by hand: a sequence header; the header of frame `index` of its segment. */
void append_sequence_unit(GByteArray *out, const NervSequence *seq);
void append_frame_unit(GByteArray *out, const NervSequence *seq, guint index);

/* A buffer of bytes [from, to) of a stream. */
GstBuffer *slice(GBytes *stream, gsize from, gsize to);

/* Decodes a whole byte stream through nervparse and nervdec: the raw buffers, in order. */
GPtrArray *decode(GBytes *stream);

/* How far `a` is from the picture `b`, of the worst component: squared differences relative to b's variance, so that 1
 * is a plain grey. What a format leaves undefined (padding, "x") does not count. */
double picture_error(const GstVideoInfo *info, GstBuffer *a, GstBuffer *b);

/* A temporary file with the stream's bytes; unlink() and g_free() it. */
char *write_temp(GBytes *stream);

/* What a pipeline did. */
typedef struct {
    bool eos;
    GError *error;     /* of the first error message */
    char *debug;       /* its debug text */
    guint warnings;    /* warning messages */
    guint progress[8]; /* progress messages by GstProgressType */
    guint elements;    /* "nerv-progress" messages */
} RunResult;

/* Runs a description to EOS or the first error, at most `seconds`, and takes it down. `setup` (may be NULL) sees
 * the pipeline before it runs, `done` while it is still up. */
typedef void (*PipelineFunc)(GstElement *pipeline, gpointer user);
void run_pipeline(const char *description, guint seconds, PipelineFunc setup, PipelineFunc done,
                  gpointer user, RunResult *result);
void run_result_clear(RunResult *result);

/* Whether the network of the pipeline's nervenc "enc" is a `way`, "residual" or "delta"; its stats have both ways, and the chosen one's bytes and PSNR. */
bool choice_of(GstElement *pipeline, const char *way);

/* The Vulkan device that is tested: NERV_CHECKOP_DEVICE, else vulkan:0. NULL where it is not there, and under the sanitizers. To be asked first thing in main(): whether
 * it is there a process of its own tries, which this function ends, since drivers do not survive the fork that each test runs in. */
const char *vulkan_device(int argc, char **argv);

/* --- frames that arrive at a sink named "sink", or playbin's --- */

GPtrArray *new_frames(void);
/* A PipelineFunc: `frames` gets a reference to each buffer. */
void collect_frames(GstElement *pipeline, gpointer frames);
bool same_content(GstBuffer *a, GstBuffer *b);

typedef struct {
    double rate;
    GstSeekFlags flags; /* besides FLUSH */
    GstSeekType start_type;
    gint64 start;
    GstSeekType stop_type;
    gint64 stop;
} SeekCall;

/* The next message of that type within half a minute, without an error before. */
void expect_message(GstBus *bus, GstMessageType type);

/* Pauses, seeks and plays to the end, without an error: the frames from the seek on. */
GPtrArray *play_from_seek(const char *description, const SeekCall *seek);
