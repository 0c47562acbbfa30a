/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A reader of JSON, enough for benchmark results: a tree of values. A file that was edited by hand or cut off is refused
 * with the line of the damage.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef enum { JSON_NULL, JSON_BOOLEAN, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } JsonKind;

typedef struct JsonValue JsonValue;
struct JsonValue {
    JsonKind kind;
    double number;     /* also 0 or 1 of a boolean */
    char *string;      /* UTF-8 */
    GPtrArray *keys;   /* of an object, in the file's order: char * */
    GPtrArray *values; /* of an object or an array: JsonValue * */
};

/* The whole text as one value; NULL with an error. Free with json_value_free(). */
JsonValue *json_parse(const char *text, GError **error);
void json_value_free(JsonValue *v);

/* The value under a key; NULL if `v` is no object or has none. */
const JsonValue *json_get(const JsonValue *v, const char *key);
/* The string under a key, NULL if there is none; the number under a key, NAN if there is none. */
const char *json_get_string(const JsonValue *v, const char *key);
double json_get_number(const JsonValue *v, const char *key);
