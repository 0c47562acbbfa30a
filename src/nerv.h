/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * libnerv's public door: encode and decode one stream of neural video. Needs GLib, knows no GStreamer.
 * An encoder or decoder belongs to one thread at a time; the functions marked "any thread" may be called from
 * another while that thread is inside the same object.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "codec/units.h"
#include "tensor/pixels.h"

G_BEGIN_DECLS

/* --- video --- */

/* What a stream shows. Code points as in ITU-T H.273, 2 = unspecified. */
typedef struct {
    NervPixels pixels;            /* size 16..8192 each way, format, matrix, range, siting */
    uint32_t primaries, transfer; /* carried, not interpreted */
    uint32_t fps_n, fps_d;        /* 0/1 = variable */
    uint32_t par_n, par_d;
} NervVideoInfo;

/* Planes of one frame in the caller's memory; see nerv_pixels_planes() for how many and their rows. */
typedef struct {
    uint8_t *data[3];
    int32_t stride[3]; /* bytes, >= the plane's row_bytes */
} NervFrame;

/* --- encoder --- */

typedef struct NervEncoder NervEncoder;

/* What the fit minimises, on R'G'B' in 0..1. */
typedef enum {
    NERV_TUNE_SSIM,   /* 0.7 mean absolute error + 0.3 (1 - SSIM): NeRV's equation 2 */
    NERV_TUNE_PSNR,   /* mean squared error */
    NERV_TUNE_MSSSIM, /* as SSIM, with the mean SSIM of up to five scales */
    NERV_TUNE_L1,     /* mean absolute error */
    NERV_TUNE_N,
} NervTune;

/* Effort: passes over the frames and the network's multiplications per pixel. */
typedef enum {
    NERV_PRESET_ULTRAFAST,
    NERV_PRESET_SUPERFAST,
    NERV_PRESET_VERYFAST,
    NERV_PRESET_FASTER,
    NERV_PRESET_FAST,
    NERV_PRESET_MEDIUM,
    NERV_PRESET_SLOW,
    NERV_PRESET_SLOWER,
    NERV_PRESET_VERYSLOW,
    NERV_PRESET_PLACEBO,
    NERV_PRESET_N,
} NervPreset;

/* How weights that are quantised after the fit are written. */
typedef enum {
    NERV_CODING_RANGE,   /* steps round zero, adaptive range coder */
    NERV_CODING_HUFFMAN, /* between minimum and maximum, one Huffman code: NeRV's own way, longer */
    NERV_CODING_N,
} NervCoding;

/* What a segment's fit begins with. */
typedef enum {
    NERV_INIT_BUILTIN, /* the built-in init that is near to the network; else, and with residuals, as the next */
    NERV_INIT_PREVIOUS, /* as warm_start says; where that is nothing, the built-in init that is near */
    NERV_INIT_NONE,     /* always random weights */
    NERV_INIT_N,
} NervInitFrom;

/* What the segment before leaves to a fit. */
typedef enum {
    NERV_WARM_START_NONE,     /* nothing */
    NERV_WARM_START_WEIGHTS,  /* halves of the last segment's, where the network has the same configuration */
    NERV_WARM_START_RESIDUAL, /* the same, and once more as a residual of them; the better one is kept */
    NERV_WARM_START_N,
} NervWarmStart;

typedef struct {
    char *model;               /* "nerv", "nerv-s", ...; not NULL */
    GVariant *model_options;   /* a{sv} or NULL */
    uint32_t segment_frames;   /* frames per segment at most, fewer where memory holds no more; 0 = 65536 */
    uint64_t max_memory_bytes; /* bound on stored frames plus the training plan; 0 = 2 GiB */
    NervPreset preset;
    uint32_t
        epochs; /* passes over a segment's frames; 0 = the preset's, and more where those are few steps */
    uint32_t batch_size; /* 1..65536; at most segment_frames are used */
    /* Seconds that the whole encode takes, from the first frame sent to the last packet; the fit then ends with the time and not with
     * the epochs. 0: no limit. See nerv_encoder_expect(). */
    double max_seconds;
    double learning_rate; /* peak; 0 = what suits the model */
    uint64_t seed;
    uint32_t bits; /* per weight, 2..8 */
    /* The paper's pipeline, all of it after a fit that knows nothing of it: neither goes with what decides a rate below (rate_weight may be
     * 0, and -1 means that then). pruning: share of the weights that become zero for the last part of the fit, 0..0.99. */
    double pruning;
    NervCoding coding;
    /* What decides a segment's rate: the first of these that is asked for. */
    uint64_t target_size_bytes; /* of each segment, whatever its duration; 0: none asked for */
    uint32_t bitrate;           /* kbit/s of the whole stream, met by each segment; 0: none asked for */
    double
        target_psnr; /* dB in R'G'B', mean of the segment's frames, with as few bytes as they take; 0: none asked for */
    /* Quantisation-aware training: the fit minimises loss + rate_weight * bits of weights per pixel of the segment, 0..1e6. 0: the
     * weights are quantised after the fit; -1: from quality, or 0 with the paper's pipeline. */
    double rate_weight;
    double quality; /* 0..100: constant quality, 10 are about 3 dB; 50 by default */
    NervTune tune;
    /* Share of the samples, 0..0.5, that the fit does not look at: it ends, within its passes or its time, where what the network makes of them has become no better for a
     * while, and takes the network that did best. For networks that are to show a video without its noise, or to guess what is missing. 0: none. */
    double held_out;
    bool masked; /* frames may come with masks, nerv_encoder_send_masked(): what they take counts as memory */
    NervInitFrom init;
    NervWarmStart warm_start; /* not of NERV_INIT_NONE */
    uint32_t
        sync_interval; /* with residuals one of so many segments in a row is a sync point at least, 1 or more */
    /* An init file (docs/bitstream.md) in place of the built-in ones; its network's layers are taken, whatever size would suit. NULL: none. */
    char *init_location;
    /* Where a fit begins with an init, fit once more with layers that are differences from it, in twice the time, and keep the better one. Decoders need the init
     * then. Not of NERV_INIT_NONE. */
    bool weight_deltas;
    char *device;     /* "auto", "cpu", "vulkan", "vulkan:N"; not NULL */
    uint32_t threads; /* 0 = one per core */
    /* Numbers of the first segment and of its first frame, where others make what comes before. The segments are those that one encoder makes of the whole, byte by
     * byte, if none depends on one before: no max_seconds, no target_psnr, and fits that begin with the same init or with none (warm_start NERV_WARM_START_NONE). */
    uint32_t first_segment;
    uint64_t first_frame;
} NervEncoderSettings;

/* Defaults of every field; strings are allocated. clear frees them. */
void nerv_encoder_settings_init(NervEncoderSettings *s);
void nerv_encoder_settings_clear(NervEncoderSettings *s);

typedef struct {
    uint32_t segment; /* segments finished */
    uint32_t frames;  /* frames of the segment being fitted, or last fitted */
    uint32_t step, n_steps;
    double loss;
    /* dB in R'G'B': of the frames' mean squared error, and the mean of the frames'. During a fit of its last steps, after it of the network as
     * it was written. */
    double psnr, psnr_frames;
    double
        held_l1; /* mean absolute error of the samples that are held out, in 0..1, over the last pass; 0 where none are, or before it is over */
    double
        weight_bits; /* estimated length of the coded weights; 0 before they are quantised, and without rate_weight */
    double steps_per_second, eta_seconds, fit_seconds;
    int64_t parameters;      /* scalars in the network */
    uint64_t network_bytes;  /* last finished segment's network unit; 0 before the first */
    uint64_t keyframe_bytes; /* its coded keyframes */
    /* The same segment's network on its own, as a residual of the one before and as differences from the init: bytes of the units' payloads, and
     * dB, the mean of the frames'. Bytes are 0 where that was not tried. */
    bool is_residual, is_delta; /* chosen */
    uint64_t whole_bytes, residual_bytes, delta_bytes;
    double whole_psnr, residual_psnr, delta_psnr;
    uint64_t peak_bytes; /* device memory */
    char device[128];    /* description of the device in use */
    char model[256];     /* nerv_model_describe() */
    /* What the last finished segment's fit began with: "none", "previous", or the name of an init, 64 hexadecimal digits (docs/bitstream.md). Empty before the
     * first. */
    char init[65];
} NervEncoderStats;

/* Called on the thread that is inside nerv_encoder_fit(), at most ten times a second and at the end. */
typedef void (*NervProgressFunc)(void *user, const NervEncoderStats *stats);

/* Validates everything that can be validated before frames come: options, model, device. The settings are copied. */
NervEncoder *nerv_encoder_new(const NervVideoInfo *info, const NervEncoderSettings *settings, GError **error);
void nerv_encoder_free(NervEncoder *enc);
void nerv_encoder_set_progress(NervEncoder *enc, NervProgressFunc func, void *user);

/* Copies one frame into the open segment. pts_ns: its presentation time. NERV_ERROR_INVALID if the segment is full. */
bool nerv_encoder_send(NervEncoder *enc, const NervFrame *frame, int64_t pts_ns, GError **error);
/* The same of a frame that is known in part. known: a plane of the frame's size, a byte a luma sample, `stride` bytes from row to row: samples of 128 and more are known, the
 * others count for nothing, and the network shows there what follows from the rest. NULL: all of it is known. NERV_ERROR_INVALID without settings.masked. */
bool nerv_encoder_send_masked(NervEncoder *enc, const NervFrame *frame, const uint8_t *known, int32_t stride,
                              int64_t pts_ns, GError **error);
/* The open segment, or the next if no frame is pending, begins at a sync point. The first of a stream does in any case. */
void nerv_encoder_force_sync(NervEncoder *enc);
/* Frames that a segment takes at most: segment_frames, or fewer where max_memory_bytes holds no more. */
uint32_t nerv_encoder_max_frames(const NervEncoder *enc);
/* Numbers segments and frames on from where `previous` stands, for a change of format in mid-stream. To be called before the
 * first send, on the thread that used `previous`. */
void nerv_encoder_continue(NervEncoder *enc, const NervEncoder *previous);
/* How many frames the whole stream will have, as far as the caller knows; 0: not at all; NERV_EXPECT_END: no more than were sent. Decides how
 * max_seconds is divided among segments: by their frames, or half of what is left to each, and the rest to the last. */
#define NERV_EXPECT_END UINT64_MAX
void nerv_encoder_expect(NervEncoder *enc, uint64_t n_frames);
/* Frames in the open segment; whether it must be fitted before the next nerv_encoder_send(). */
uint32_t nerv_encoder_pending(const NervEncoder *enc);
bool nerv_encoder_is_full(const NervEncoder *enc);

/* Fits a network to the pending frames and queues their packets: minutes of work. With no pending frames, does
 * nothing. NERV_ERROR_CANCELLED after nerv_encoder_cancel(): the pending frames are kept. */
bool nerv_encoder_fit(NervEncoder *enc, GError **error);
/* What the last segment's fit did not reach of what was asked for, a sentence; NULL if nothing. Valid until the next fit. */
const char *nerv_encoder_warning(const NervEncoder *enc);
/* Any thread: makes a running or the next nerv_encoder_fit() return within one training step. Cleared by nerv_encoder_reset(). */
void nerv_encoder_cancel(NervEncoder *enc);
/* Drops pending frames and queued packets, forgets the last network (warm_start) and clears cancellation. Numbering of frames and segments
 * goes on. */
void nerv_encoder_reset(NervEncoder *enc);
/* Any thread. */
void nerv_encoder_get_stats(NervEncoder *enc, NervEncoderStats *stats);

typedef struct {
    GBytes *data;                /* one access unit; caller unrefs */
    int64_t pts_ns, duration_ns; /* duration 0 = unknown */
    bool is_sync;
} NervPacket;

/* Takes the oldest queued packet; false if there is none. Packets come in the order of the frames sent. */
bool nerv_encoder_get(NervEncoder *enc, NervPacket *packet);

/* --- decoder --- */

typedef struct NervDecoder NervDecoder;

typedef struct {
    char *device; /* as the encoder's */
    uint32_t threads;
    uint64_t
        max_memory_bytes; /* bound on network and plan, refused before allocation; 0 = 2 GiB. What is computed ahead
                                  takes at most 96 MiB of it and is left out where they are not there. */
    /* Bound on the multiplications of one frame, refused before anything is computed; 0 = 10^12, which take some ten seconds on eight cores. */
    uint64_t max_macs_per_frame;
    char *init_location; /* an init file beside the built-in ones, for streams that need it; NULL: none */
} NervDecoderSettings;

void nerv_decoder_settings_init(NervDecoderSettings *s);
void nerv_decoder_settings_clear(NervDecoderSettings *s);

typedef struct {
    bool is_sync;      /* a sync point */
    bool info_changed; /* the sequence's video info differs from the last one's (always true for the first) */
    uint32_t index;    /* frame within the segment */
    uint64_t frame;    /* frame within the stream */
    int64_t pts_ns, duration_ns;
} NervDecodedInfo;

typedef struct {
    uint32_t segment_id;
    uint64_t frames;       /* rendered so far */
    double render_seconds; /* spent in nerv_decoder_render(): waiting for frames and copying them */
    int64_t parameters;
    uint64_t network_bytes; /* of the present segment */
    uint64_t peak_bytes;
    uint64_t concealed;         /* runs of frames that were made from one keyframe where the other was lost */
    uint64_t network_concealed; /* of those the present network's */
    uint64_t networks;          /* read so far; one that is sent again while it is here is not read again */
    uint64_t
        plans; /* made so far: one serves all networks of one configuration in succession, in one layout */
    uint64_t readbacks; /* copies from a Vulkan device to memory of the host; 0 on a CPU */
    char device[128];
    char model[256];
} NervDecoderStats;

NervDecoder *nerv_decoder_new(const NervDecoderSettings *settings, GError **error);
void nerv_decoder_free(NervDecoder *dec);

/* Parses one whole access unit; if it has a network, takes it over. Nothing is rendered. Errors: NERV_ERROR_DATA
 * (damaged; the decoder then waits for a sync point), NERV_ERROR_NEED_SYNC (a frame of a segment whose network is not
 * here), NERV_ERROR_UNSUPPORTED (version, model, an init that is not here), NERV_ERROR_MEMORY and NERV_ERROR_LIMIT (over the bounds). */
bool nerv_decoder_send(NervDecoder *dec, const uint8_t *data, size_t bytes, NervDecodedInfo *out,
                       GError **error);
/* The present sequence's info; pixels.format is the source's format. Valid after the first successful send. */
void nerv_decoder_get_info(const NervDecoder *dec, NervVideoInfo *info);
/* Output layout from now on: format, matrix, range and siting; width and height must be the stream's. The default is
 * the info's. */
bool nerv_decoder_set_output(NervDecoder *dec, const NervPixels *pixels, GError **error);
/* Evaluates the frame of the last send and writes it to `frame`. Frames that are likely to be asked for next are computed on
 * other threads or on the device meanwhile and until the next call; the bytes do not depend on it. */
bool nerv_decoder_render(NervDecoder *dec, const NervFrame *frame, GError **error);
/* Whether the present network can be evaluated between its frames: nerv and dnerv can, and dnerv-net without a stem; those on a positional
 * encoding of the time (nerv-mlp, the papers' sizes, dnerv-net with a stem) and siren and nerf cannot. */
bool nerv_decoder_has_between(const NervDecoder *dec);
/* The same, `later` frames after the frame of the last send, 0 <= later < 1; behind a segment's last frame that one stays. Nothing is computed ahead for it.
 * NERV_ERROR_UNSUPPORTED without nerv_decoder_has_between(), but for later = 0. */
bool nerv_decoder_render_at(NervDecoder *dec, double later, const NervFrame *frame, GError **error);
/* What the last send or render did in spite of a failure, a sentence; NULL if there was none. Valid until the next of them. With the device "auto" that is: the GPU was
 * lost or its memory ran out, and the CPU goes on with the same frame, or where the network is in memory only once, as the GPU had it, with the next sync point. */
const char *nerv_decoder_warning(const NervDecoder *dec);
/* Forgets the network: the next frame must be a sync point. */
void nerv_decoder_reset(NervDecoder *dec);
/* Any thread. */
void nerv_decoder_get_stats(NervDecoder *dec, NervDecoderStats *stats);

/* A list of devices for people; free with g_free(). */
char *nerv_list_devices(void);

G_END_DECLS
