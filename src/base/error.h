/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The one error domain of libnerv. Functions that can fail take a GError ** as their last argument, set it
 * with one of these codes and return false or NULL. Messages are sentences for people, without a newline.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

G_BEGIN_DECLS

#define NERV_ERROR (nerv_error_quark())

typedef enum {
    NERV_ERROR_INVALID,     /* the caller's argument or option is wrong; the message names it */
    NERV_ERROR_UNSUPPORTED, /* valid, but this version, build or device cannot do it */
    NERV_ERROR_MEMORY,      /* an allocation failed or a memory budget would be exceeded */
    NERV_ERROR_DEVICE,      /* no such device, no driver, or the device was lost */
    NERV_ERROR_DATA,        /* a bitstream is damaged, truncated or hostile */
    NERV_ERROR_NEED_SYNC,   /* the decoder waits for a sync point */
    NERV_ERROR_CANCELLED,   /* stopped at the caller's request */
    NERV_ERROR_LIMIT,       /* a stream asks for more than the caller allows, memory apart */
} NervErrorCode;

GQuark nerv_error_quark(void);

G_END_DECLS
