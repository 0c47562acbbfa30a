/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * libnerv's door for networks: streams of networks that were made elsewhere, and the networks of streams. Nothing is fitted or evaluated here. Plain
 * structures and pointers, so that other languages get by with a foreign function interface (python/nerv/network.py does).
 * An object belongs to one thread at a time. Errors are NERV_ERROR's; where no other code is named, NERV_ERROR_INVALID and NERV_ERROR_MEMORY.
 */
#pragma once

#include "nerv.h"

G_BEGIN_DECLS

typedef enum {
    NERV_PACK_WEIGHT, /* N C H W of a convolution, N C 1 1 of a linear layer */
    NERV_PACK_BIAS,
    NERV_PACK_GRID, /* feature maps: C channels of H x W cells at N times */
} NervPackRole;

/* One tensor of a network, row-major, the last dimension fastest. Either `values` or codes with minimum and scale: then value = minimum + scale * code, in
 * binary32 with one rounding for the product and one for the sum. Values may have what a stream's quantiser had made them with beside them, as unpacking gives it: a scale, of
 * which they are whole multiples, or a minimum and a scale, and then they are zeros and minimum + scale * k. A network all of whose tensors have one is written by the
 * coding that it comes from, in as many bytes; of others such tensors become codes, where they have 256 points at most. Floats take several times as many bytes. */
typedef struct {
    const char *name; /* the model's, "block0.weight" */
    int32_t shape[4]; /* N C H W */
    uint32_t role;    /* NervPackRole; not looked at where a tensor is given */
    uint32_t bits;    /* of a code, 1..8; 0: there are none */
    uint32_t
        mask; /* dimensions along which minimum and scale vary, 1 N, 2 C, 4 H, 8 W: with codes not those of 1, and not all others; of values as unpacking has it */
    uint32_t
        half; /* 1: minimum and scale, or with bits 0 the values, are binary16 numbers; 0: any below 2^112 */
    const float *values;  /* N C H W; where a tensor is given with codes, NULL */
    const uint8_t *codes; /* N C H W, below 2^bits; NULL with bits 0 */
    const float *minimum,
        *scale; /* as many as the dimensions of the mask have places, the last fastest; scale >= 0. NULL with plain values, the minimum also with multiples */
} NervPackTensor;

/* --- networks into streams --- */

/* One segment: a network with its frames. */
typedef struct NervPack NervPack;

/* A segment of n_frames frames, 1..65536, the first of a stream, that begins at time 0. model, options: as nervenc's properties model and model-options, the latter in GVariant's text
 * format ("{'widths': <[24, 16]>}"; NULL: none). n_videos: 0, or for dnerv as many as `videos` has numbers, the frames of each, which sum up to n_frames. */
NervPack *nerv_pack_new(const NervVideoInfo *info, uint32_t n_frames, const char *model, const char *options,
                        const int32_t *videos, uint32_t n_videos, GError **error);
void nerv_pack_free(NervPack *pack);

uint32_t nerv_pack_n_tensors(const NervPack *pack);
/* Name, shape and role of the i-th that the network wants; the name is the pack's. */
void nerv_pack_describe(const NervPack *pack, uint32_t i, NervPackTensor *out);
/* Copies a tensor. The error names it, and the shape that it should have; or says that a value is none that its scale makes. */
bool nerv_pack_set_tensor(NervPack *pack, const NervPackTensor *tensor, GError **error);

/* Where the segment is, in place of the stream's beginning: its number, that of its first frame, its time, and NULL or the time of each frame, n_frames of them. */
bool nerv_pack_set_place(NervPack *pack, uint32_t segment_id, uint64_t first_frame, int64_t pts_ns,
                         const int64_t *frame_pts_ns, GError **error);
/* Tensors are a residual on those of another segment, which is finished and whose packets come right before; or differences from the init of that hash, of
 * NERV_PACK_HASH_BYTES, which is not looked for. NERV_ERROR_INVALID if the other's network is of another configuration. */
#define NERV_PACK_HASH_BYTES 32
bool nerv_pack_set_residual(NervPack *pack, const NervPack *base, GError **error);
void nerv_pack_set_delta(NervPack *pack, const uint8_t *hash);

/* Frames of the segment that go beside the network as coded pictures, ascending; none but with dnerv. */
uint32_t nerv_pack_n_keyframes(const NervPack *pack);
uint32_t nerv_pack_keyframe(const NervPack *pack, uint32_t i);
/* Copies the picture of the i-th, in the info's layout; it is coded by AV1 when the pack is finished. */
bool nerv_pack_set_picture(NervPack *pack, uint32_t i, const NervFrame *frame, GError **error);
/* Copies a picture that is coded already, as nerv_unpack_keyframe() has it. NERV_ERROR_DATA if it is not such a picture. */
bool nerv_pack_set_coded(NervPack *pack, uint32_t i, const uint8_t *data, size_t bytes, GError **error);

/* Codes pictures, with a quantiser of 0 (lossless but for the chroma's subsampling) to 63 and libaom's speed 0..9, and writes the segment. All tensors and keyframes must be
 * there. It can be called once. NERV_ERROR_UNSUPPORTED if the network is too large for a stream. */
bool nerv_pack_finish(NervPack *pack, uint32_t quant, uint32_t speed, GError **error);
/* Takes the oldest packet that is left, the access unit of a frame; false if there is none. Written one behind the other they are a file. */
bool nerv_pack_get(NervPack *pack, NervPacket *packet);

/* --- streams into networks --- */

typedef struct NervUnpack NervUnpack;

/* How a segment's network is coded. */
typedef enum {
    NERV_UNPACK_WHOLE,    /* by itself */
    NERV_UNPACK_RESIDUAL, /* as a residual of the one before */
    NERV_UNPACK_DELTA,    /* as differences from an init */
} NervUnpackWay;

typedef struct {
    NervVideoInfo info;
    uint32_t segment_id, n_frames;
    uint64_t first_frame; /* in the stream */
    int64_t pts_ns;       /* of its first frame */
    uint32_t way;         /* NervUnpackWay */
    uint32_t n_tensors, n_keyframes;
    uint64_t network_bytes, keyframe_bytes; /* of the units' payloads, of the pictures */
    int64_t n_weights;                      /* scalars in all tensors */
    const char *model,
        *options;            /* from which nerv_pack_new() makes the same network; options NULL if none do */
    const char *description; /* one line for people */
    uint32_t n_videos;       /* that the network tells apart; 0: it does not */
    const int32_t *videos;   /* frames of each */
    uint32_t
        n_present; /* frames that are here: a network shows all, but keyframes may have gone with the others */
    const int64_t *frame_pts_ns; /* of each frame; where it is not here, what its number and the rate say */
    const uint8_t
        *init_hash; /* of NERV_PACK_HASH_BYTES, of what NERV_UNPACK_DELTA is differences from; else NULL */
} NervUnpackSegment;

/* A stream in memory, which must outlive the object: access units as they are in a file. init_location: an init file beside the built-in ones, or NULL. */
NervUnpack *nerv_unpack_new(const uint8_t *data, size_t bytes, const char *init_location, GError **error);
void nerv_unpack_free(NervUnpack *unpack);
/* Goes on to the next segment. What `out` points to, and all tensors and keyframes, are valid until the next call. False without an error at the end; NERV_ERROR_DATA for a
 * damaged stream, NERV_ERROR_UNSUPPORTED, NERV_ERROR_NEED_SYNC for a residual whose base is missing. After an error it can go on: at the next segment. */
bool nerv_unpack_next(NervUnpack *unpack, NervUnpackSegment *out, GError **error);
/* The i-th tensor as it is evaluated, `values` always; what it was stored as, codes, minimum and scale or the quantiser's, where that is the whole of it. */
void nerv_unpack_tensor(const NervUnpack *unpack, uint32_t i, NervPackTensor *out);
/* The same as it is in the stream: of a residual or of differences from an init only these. */
void nerv_unpack_coded(const NervUnpack *unpack, uint32_t i, NervPackTensor *out);
/* The i-th keyframe, coded; a keyframe that the stream lost has 0 bytes. */
void nerv_unpack_keyframe(const NervUnpack *unpack, uint32_t i, uint32_t *frame, const uint8_t **data,
                          size_t *bytes);
/* The same as the network sees it: R'G'B' in 0..1, 3 planes of height rows of width. NERV_ERROR_DATA. */
bool nerv_unpack_picture(const NervUnpack *unpack, uint32_t i, float *rgb, GError **error);

G_END_DECLS
