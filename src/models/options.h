/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Reading a model's options from an a{sv} dictionary: every key must be known, every value of its type and
 * range. Functions return false with NERV_ERROR_INVALID set; a missing key leaves *value as it was.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* Fails for a key that is not in `known` (NULL-terminated); the message lists what is. */
bool nerv_options_check(GVariant *options, const char *const *known, GError **error);
/* Fails for any key at all: the message names the model, the first key and, as `advice`, what to do instead. */
bool nerv_options_refuse(GVariant *options, const char *model, const char *advice, GError **error);
/* Whether there are none. */
bool nerv_options_none(GVariant *options);
/* Fails where the key "weights", which chooses a size, is there with all of `others` (NULL-terminated), which leave it nothing to choose. */
bool nerv_options_weights_count(GVariant *options, const char *const *others, GError **error);
/* Any integer type. */
bool nerv_options_int(GVariant *options, const char *key, int64_t lo, int64_t hi, int32_t *value,
                      GError **error);
/* Double or integer. */
bool nerv_options_double(GVariant *options, const char *key, double lo, double hi, double *value,
                         GError **error);
/* The string is owned by `options`. */
bool nerv_options_string(GVariant *options, const char *key, const char **value, GError **error);
/* An array of integers of any type, or one integer. *n in: capacity; out: how many, if the key is there. */
bool nerv_options_ints(GVariant *options, const char *key, int64_t lo, int64_t hi, int32_t *values,
                       uint32_t *n, GError **error);
