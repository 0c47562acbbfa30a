/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What nerv.h and nerv_vulkan.h have in common of a decoder.
 */
#pragma once

#include "backend/backend.h"
#include "nerv.h"

/* On this backend, which it owns from here on, in any case; NULL, with the error set, for a NULL one. */
NervDecoder *nerv_decoder_new_on(const NervDecoderSettings *settings, NervBackend *be, GError **error);
/* As nerv_decoder_render(), to a target of nerv_exec_export(). */
bool nerv_decoder_export(NervDecoder *dec, const void *target, GError **error);
/* Valid once a frame was sent. */
const NervPixels *nerv_decoder_output(NervDecoder *dec);
