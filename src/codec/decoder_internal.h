/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What the parts of the decoder share: decoder.c, which takes access units and hands out frames, decoder_vulkan.c for images, and decoder_network.c, which keeps
 * the present segment's network and the device that it is on.
 */
#pragma once

#include "codec/init.h"
#include "codec/renderer.h"

struct NervDecoder {
    NervDecoderSettings settings;
    NervInit *init; /* settings.init_location's, or NULL */
    NervBackend *be;
    char *warning; /* nerv_decoder_warning() */

    /* The present segment. */
    NervSequence sequence;
    bool have_info;        /* `sequence` describes the last segment seen, even if its network is gone */
    bool is_synced;        /* the network is that segment's; false while waiting for a sync point */
    NervFrameHeader frame; /* of the last send */
    bool frame_valid;

    /* The last network, kept through a reset; NULL: none. */
    NervModel *model;
    NervParams *params;
    NervKeyring *keyring; /* the present segment's keyframes */
    NervUnitType unit_type;
    uint8_t *unit; /* a copy of the unit's payload, to know it again; NULL: there is no memory for that */
    size_t unit_bytes;
    uint32_t unit_crc;
    uint8_t *
        image; /* room for the next one's weights as they lie in `params`: fresh memory would cost a tenth of a parse */
    NervRenderer *renderer; /* in the layout `rendered`; NULL until the first render */
    NervPixels rendered;
    bool exports; /* the renderer's frames stay on the device */

    NervPixels output;
    bool output_chosen;

    GMutex lock; /* stats */
    NervDecoderStats stats;
};

/* decoder.c */
/* On this backend, which it owns from here on, in any case; NULL, with the error set, for a NULL one. */
NervDecoder *nerv_decoder_new_on(const NervDecoderSettings *settings, NervBackend *be, GError **error);
/* As nerv_decoder_render(), to a target of nerv_exec_export(). */
bool nerv_decoder_export(NervDecoder *dec, const void *target, GError **error);
/* Valid once a frame was sent. */
const NervPixels *nerv_decoder_output(NervDecoder *dec);

/* decoder_network.c */
void nerv_decoder_sequence_info(const NervSequence *s, NervVideoInfo *info);
/* Takes over the network of a unit that begins a segment. On failure nerv_decoder_lose_network() is due. */
bool nerv_decoder_take_network(NervDecoder *dec, const NervSequence *s, const NervUnit *unit, GError **error);
/* After a segment's network could not be taken over. What only lacks its base leaves the last one as it is: that may come again. */
void nerv_decoder_lose_network(NervDecoder *dec, GError **error);
void nerv_decoder_drop_network(NervDecoder *dec);
/* Gives up what only saves time. */
void nerv_decoder_drop_spare(NervDecoder *dec);
/* Whether an error is that of a device which this library chose. */
bool nerv_decoder_may_change_device(const NervDecoder *dec, const GError *why);
/* Goes on on the CPU, with the present network if it can be had, else without one. *why, the device's error, becomes the decoder's warning. On
 * failure, for which *why then stands, the device stays. */
bool nerv_decoder_change_device(NervDecoder *dec, GError **why);
