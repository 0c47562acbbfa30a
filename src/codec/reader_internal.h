/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the parts of the reader share: reader.c, the public door; reader_file.c, what is where in the file; reader_network.c, networks that were
 * unpacked and are kept; reader_work.c, threads that evaluate them; reader_copy.c, pictures into tensors.
 */
#pragma once

#include "base/threads.h"
#include "codec/evaluator.h"
#include "codec/index.h"
#include "codec/init.h"
#include "nerv_reader.h"

/* --- reader_file.c --- */

typedef struct {
    NervSequence sequence;
    uint64_t first;      /* number of its first frame in the file */
    NervUnit network;    /* payload inside the file; type 0: lost */
    int32_t base;        /* of a residual: place of the segment before it, in the same group; -1: none */
    GArray *keyframes;   /* NervUnit, in the stream's order; NULL: none */
    GArray *deltas;      /* NervFrameHeader of frames that are not shown at their nominal time; NULL: none */
    uint32_t last_index; /* of the last frame seen, while the file is read; UINT32_MAX: none */
    uint32_t unknown_type; /* of a unit that this version does not know and has to; 0: none */
} NervReaderPart;

/* Bytes of the file that begin with a sync point, up to the next one that is known: a segment, or more where residuals of it or unknown ones follow. */
typedef struct {
    uint64_t offset, end;
    uint64_t first; /* number of its first frame */
    uint64_t n_frames;
    int64_t shift; /* of times */
    GArray *parts; /* NervReaderPart; NULL: not read through yet. Once made it stays */
} NervReaderGroup;

/* A segment as it is told of when the file is opened. */
typedef struct {
    uint64_t first;
    int64_t shift;
    NervSequence sequence;
} NervReaderEntry;

typedef struct {
    GMappedFile *map; /* or NULL */
    GBytes *bytes;
    const uint8_t *data;
    uint64_t size;
    GArray *groups;  /* NervReaderGroup, in order */
    GArray *entries; /* NervReaderEntry, in order */
    uint64_t n_frames;
    bool has_index;
} NervReaderFile;

bool nerv_reader_file_open(NervReaderFile *f, const char *path, GBytes *bytes, GError **error);
void nerv_reader_file_clear(NervReaderFile *f);
/* The group that frame < n_frames is in, read through: a pointer that holds until the file is cleared. */
const NervReaderGroup *nerv_reader_file_group(NervReaderFile *f, uint64_t frame);
/* The place of a frame's segment in a group that is read through, and the frame's index in that. -1: it is not there, whatever an index said. */
int32_t nerv_reader_file_part(const NervReaderGroup *g, uint64_t frame, uint32_t *index);
/* When that frame is shown, on the time line of the whole file. */
int64_t nerv_reader_file_time(const NervReaderGroup *g, uint32_t part, uint32_t index);

/* --- reader_network.c --- */

/* A network and its keyframes, as evaluators take them. Immutable but for the keyring, which has its own lock. Counted references. */
typedef struct {
    gint refs; /* atomic */
    uint64_t id, used;
    NervModel *model;
    float *weights; /* model->n_weights */
    NervKeyring *keyring;
    NervBackend account; /* the keyring's memory; a head and nothing else */
    uint64_t bytes;
} NervReaderNetwork;

typedef struct {
    GMutex lock;
    GHashTable *kept; /* NervReaderNetwork by id */
    uint64_t bytes, limit, turn, n_unpacked;
} NervReaderCache;

void nerv_reader_cache_init(NervReaderCache *c, uint64_t limit);
void nerv_reader_cache_clear(NervReaderCache *c);
/* Gives up what is kept. */
void nerv_reader_cache_drop(NervReaderCache *c);

/* Bounds on one network. */
typedef struct {
    uint64_t max_bytes, max_macs_per_frame;
    const NervInit *init; /* beside the built-in ones, or NULL */
} NervReaderLimits;

/* The network of a segment of the group, kept or unpacked now; nerv_reader_network_unref(). NERV_ERROR_MEMORY beyond the limits. Any thread. */
NervReaderNetwork *nerv_reader_network_get(NervReaderCache *c, const NervReaderGroup *g, uint32_t part,
                                           const NervReaderLimits *limits, GError **error);
NervReaderNetwork *nerv_reader_network_ref(NervReaderNetwork *n);
void nerv_reader_network_unref(NervReaderNetwork *n);

/* --- reader_copy.c --- */

/* A view whose sizes were compared with its memory. */
typedef struct {
    NervTensorView view;
    size_t length; /* frames of a clip */
} NervReaderTarget;

/* NERV_ERROR_INVALID where an element of n clips of `length` frames of that size would lie outside of the view's memory. */
bool nerv_reader_target_check(const NervTensorView *view, size_t n, size_t length, uint32_t width,
                              uint32_t height, GError **error);
/* Whether a frame has the part that is wanted; then width and height are that part's. */
bool nerv_reader_target_size(const NervTensorView *view, uint32_t frame_width, uint32_t frame_height,
                             uint32_t *width, uint32_t *height);
/* Writes the wanted part of packed R G B rows as frame `at`, counted through all clips. Any thread. */
void nerv_reader_copy(const NervReaderTarget *t, size_t at, const uint8_t *rgb, uint32_t frame_width,
                      uint32_t frame_height);

/* --- reader_work.c --- */

/* A frame that is asked for, and where it goes. */
typedef struct {
    const NervReaderGroup *group;
    uint32_t part, index; /* segment of the group, frame of the segment */
    uint32_t run;         /* of the network, once that is known */
    uint64_t frame;
    size_t at;
} NervReaderItem;

typedef struct NervReaderWorkers NervReaderWorkers;

/* share: bytes for evaluation. */
NervReaderWorkers *nerv_reader_workers_new(const NervReaderSettings *settings, uint64_t share,
                                           GError **error);
void nerv_reader_workers_free(NervReaderWorkers *w);
/* Computes and writes all items, which are reordered. One caller at a time. */
bool nerv_reader_workers_run(NervReaderWorkers *w, NervReaderCache *cache, const NervInit *init,
                             NervReaderItem *items, size_t n, const NervReaderTarget *target, GError **error);
void nerv_reader_workers_stats(const NervReaderWorkers *w, NervReaderStats *stats);
const char *nerv_reader_workers_device(const NervReaderWorkers *w);
