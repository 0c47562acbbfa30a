/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A picture's digest, by which two are told apart.
 */
#pragma once

#include <gst/gst.h>
#include <stdbool.h>
#include <stdint.h>

#define DIGEST 32 /* bytes of SHA-256 */

/* Of what is seen of a raw video sample: padding does not count. False with an error for what is no picture with a time. */
bool digest_sample(GstSample *sample, uint8_t digest[DIGEST], GError **error);
