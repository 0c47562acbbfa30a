/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Frames and clips of a .nerv file in any order, written as tensors into the caller's memory: what the training of a network on video asks for. Any frame is
 * one evaluation of its segment's network, so that a clip costs its frames and nothing else, wherever it lies. No GStreamer.
 *
 *     NervReader *r = nerv_reader_open("a.nerv", NULL, &error);
 *     const uint64_t starts[] = { 70, 3 };
 *     const NervTensorView view = { .data = batch, .bytes = sizeof(batch), .element = NERV_ELEMENT_F32,
 *                                   .strides = { 8 * 3 * H * W * 4, H * W * 4, W * 4, 4, 8 * H * W * 4 } };   [N,C,T,H,W]
 *     nerv_reader_read_clips(r, starts, 2, 8, 1, &view, &error);
 *
 * Any thread may call any function of a reader but nerv_reader_free(); calls that read wait for each other, as each has all of the reader's threads. The frames' bytes
 * depend neither on the number of threads nor on what was read before; they are those that a NervDecoder of the same device gives in RGB.
 */
#pragma once

#include "nerv.h"

G_BEGIN_DECLS

typedef struct NervReader NervReader;

typedef struct {
    char *device; /* "auto", "cpu", "vulkan", "vulkan:N"; not NULL */
    uint32_t
        threads; /* 0 = one per core. A CPU computes so many runs of frames at a time, each on one thread, and a single one on all */
    /* Bound on what the reader takes, the file itself and what the caller hands in apart: half of it for networks that were unpacked, half for their evaluation. What was used longest ago goes
     * first. 0 = 2 GiB. */
    uint64_t max_memory_bytes;
    uint64_t max_macs_per_frame; /* as NervDecoderSettings has it; 0 = 10^12 */
    char *init_location; /* an init file beside the built-in ones, for streams that need it; NULL: none */
} NervReaderSettings;

/* Defaults of every field; strings are allocated. clear frees them. */
void nerv_reader_settings_init(NervReaderSettings *s);
void nerv_reader_settings_clear(NervReaderSettings *s);

/* Opens a raw .nerv file (streams that were put behind each other too), which is mapped and must not change while the reader is there. Where an index stands at its end the segments are taken from that, after a look at
 * each one's header; else unit headers are walked through. Damage is left out, up to the next unit that is whole. `settings` is copied; NULL: the defaults.
 * NERV_ERROR_INVALID (no such file, settings), NERV_ERROR_DATA (no segment in it), NERV_ERROR_UNSUPPORTED (a version that is not known), NERV_ERROR_DEVICE, NERV_ERROR_MEMORY. */
NervReader *nerv_reader_open(const char *path, const NervReaderSettings *settings, GError **error);
/* The same for bytes in memory, of which a reference is taken. */
NervReader *nerv_reader_open_bytes(GBytes *bytes, const NervReaderSettings *settings, GError **error);
void nerv_reader_free(NervReader *r);

typedef struct {
    uint64_t n_frames;
    uint32_t n_segments;
    NervVideoInfo
        video;      /* of the first segment; others may differ where streams were put behind each other */
    bool same_size; /* all segments have the first one's width and height */
    bool has_index; /* segments are from the file's own index */
    char device[128];
} NervReaderInfo;

void nerv_reader_get_info(NervReader *r, NervReaderInfo *info);

/* Frames are numbered from 0 through the file, segment by segment, as many in each as its header says. Those of a segment whose header is lost have no numbers; those
 * whose network or keyframes are lost have, and reading them is NERV_ERROR_DATA. A frame whose own unit is lost can be read: it takes its network only. */
typedef struct {
    uint64_t first_frame; /* number of its first frame in the file */
    uint32_t n_frames;
    int64_t pts_ns; /* of its first frame, on the time line of the whole file */
    NervVideoInfo video;
} NervReaderSegment;

/* Segment 0 <= i < n_segments. NERV_ERROR_INVALID. */
bool nerv_reader_get_segment(NervReader *r, uint32_t i, NervReaderSegment *out, GError **error);
/* Presentation times of frames first..first+n-1 in nanoseconds, on the time line of the whole file. NERV_ERROR_INVALID. */
bool nerv_reader_get_times(NervReader *r, uint64_t first, size_t n, int64_t *pts_ns, GError **error);

/* --- frames --- */

typedef enum {
    NERV_ELEMENT_U8,  /* R'G'B' codes 0..255 */
    NERV_ELEMENT_F32, /* the same codes over 255: 0..1 */
    NERV_ELEMENT_N,
} NervElement;

/* The caller's memory as a tensor of [clip, frame, row, column, channel], the channels red, green and blue. Element (i, t, y, x, c) is at data + i strides[0] + t strides[1] +
 * y strides[2] + x strides[3] + c strides[4]; all elements lie within data..data+bytes and no two share a byte. Strides are bytes and at least 0, of F32 multiples of 4, data then aligned to 4: any order of
 * dimensions is a choice of strides, and gaps are left as they are. */
typedef struct {
    void *data;
    size_t bytes;
    NervElement element;
    size_t strides[5];
    /* The part of the frames that is wanted: top left sample, and size; width or height 0: all that is right of or below that. It must lie inside each frame that is read. */
    uint32_t x, y, width, height;
} NervTensorView;

/* Reads n frames, in any order, each as often as it stands there: [1, n, height, width, 3]. Each run of frames is computed once, however many of its frames are asked for.
 * NERV_ERROR_INVALID (a number, the view), NERV_ERROR_DATA, NERV_ERROR_UNSUPPORTED, NERV_ERROR_MEMORY, NERV_ERROR_LIMIT, NERV_ERROR_DEVICE: then it is undefined what has been written of the frames; the
 * message names the first frame that could not be had. */
bool nerv_reader_read_frames(NervReader *r, const uint64_t *frames, size_t n, const NervTensorView *dst,
                             GError **error);
/* Reads n clips: frames starts[i], starts[i] + step, .. of `length` >= 1 frames, step >= 1: [n, length, height, width, 3]. Errors as above. */
bool nerv_reader_read_clips(NervReader *r, const uint64_t *starts, size_t n, uint32_t length, uint32_t step,
                            const NervTensorView *dst, GError **error);

typedef struct {
    uint64_t frames;      /* written */
    uint64_t runs;        /* evaluations of networks */
    uint64_t networks;    /* unpacked; those that were kept from before do not count */
    uint64_t kept_bytes;  /* of networks that are kept now */
    uint64_t plans;       /* made: one serves networks of one configuration */
    uint32_t max_workers; /* how many runs can be computed at a time */
} NervReaderStats;

void nerv_reader_get_stats(NervReader *r, NervReaderStats *stats);

G_END_DECLS
