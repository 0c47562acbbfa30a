/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A writer of JSON, enough for benchmark results. Keys are given with values; commas and indentation look after themselves.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

typedef struct {
    GString *text;
    int depth;
    gboolean first;
} Json;

void json_init(Json *j);
/* The text; the caller frees it. */
char *json_finish(Json *j);

/* `key` NULL: an element of an array. open is '{' or '['. */
void json_open(Json *j, const char *key, char open);
void json_close(Json *j, char close);
void json_string(Json *j, const char *key, const char *value); /* NULL: null */
void json_number(Json *j, const char *key, double value);      /* not finite: null */
void json_integer(Json *j, const char *key, int64_t value);
void json_boolean(Json *j, const char *key, gboolean value);
