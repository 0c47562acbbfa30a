/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The functions of nerv_vulkan.h: a decoder on somebody's Vulkan device, into images of it.
 */
#include "nerv_vulkan.h"

#include "codec/decoder_internal.h"
#include "vulkan/wrap.h"

NervDecoder *nerv_decoder_new_vulkan(const NervDecoderSettings *settings, const NervVulkanDevice *device,
                                     GError **error)
{
    NervDecoder *dec = nerv_decoder_new_on(settings, nerv_vulkan_backend_wrap(device, error), error);
    if (dec) { /* the device is the caller's choice: losing it is an error */
        g_free(dec->settings.device);
        dec->settings.device = g_strdup("vulkan");
    }
    return dec;
}

bool nerv_decoder_render_vulkan(NervDecoder *dec, const NervVulkanFrame *frame, GError **error)
{
    const NervPixels *output = nerv_decoder_output(dec);
    if ((output->format != NERV_PIXELS_RGBX && output->format != NERV_PIXELS_BGRX) ||
        frame->width != (uint32_t)output->width || frame->height != (uint32_t)output->height) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "an image of %ux%u pixels for an output of %dx%d in format %d", frame->width,
                    frame->height, output->width, output->height, output->format);
        return false;
    }
    return nerv_decoder_export(dec, frame, error);
}
