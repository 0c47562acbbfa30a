/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The codecs of rate-distortion curves as pipelines: what encodes one point into a file, what decodes the file.
 */
#pragma once

#include <gst/gst.h>
#include <stdbool.h>
#include <stdint.h>

#define RD_N_PEERS 3
#define RD_MAX_CRF 50 /* of x264 and x265 */

typedef struct {
    const char *preset, *tune; /* of the peers, x264's names; tune: none, psnr or ssim */
    const char *device;        /* of nervenc and nervdec */
    int32_t av1_speed;         /* svtav1enc's preset, av1enc's cpu-used */
    int32_t threads;           /* 0: each codec's default */
} RdSettings;

/* One point's pipelines; owned strings. */
typedef struct {
    bool is_nerv;
    char *encoder;         /* for people: the element and its settings */
    char *encode;          /* from the clip's frames to the bytes of a file */
    char *stream;          /* a file that is there in place of encode's, or NULL */
    char *decode;          /* from those to pictures */
    const char *file_kind; /* what the bytes are */
} RdCodec;

void rd_codec_clear(RdCodec *codec);

bool rd_preset_is_known(const char *preset);
/* 0 to RD_N_PEERS - 1, -1: no such peer. */
int rd_peer_index(const char *name);
bool rd_peer_is_av1(int peer);
const char *rd_peer_name(int peer);
/* NULL, or what is not installed. */
const char *rd_peer_missing(int peer);
/* point: a CRF up to RD_MAX_CRF, or kbit/s of AV1. The peer is not missing. */
void rd_peer_codec(RdCodec *codec, int peer, int32_t point, const RdSettings *settings);
/* nervenc's properties for a part of what they are meant for: target-size-bytes and max-encode-seconds are that share of what they were. Free with g_free(). */
char *rd_nerv_share(const char *properties, double share);
/* `properties`: nervenc's, as gst-launch-1.0 takes them; or those with which `stream` was written, for people. */
void rd_nerv_codec(RdCodec *codec, const char *properties, const char *stream, const RdSettings *settings);
