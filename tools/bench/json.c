/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * JSON, see json.h.
 */
#include <math.h>

#include "json.h"

void json_init(Json *j)
{
    j->text = g_string_new(NULL);
    j->depth = 0;
    j->first = TRUE;
}

char *json_finish(Json *j)
{
    g_string_append_c(j->text, '\n');
    return g_string_free(j->text, FALSE);
}

static void line(Json *j)
{
    if (j->depth)
        g_string_append_c(j->text, '\n');
    for (int i = 0; i < j->depth; i++)
        g_string_append(j->text, "  ");
}

static void quote(Json *j, const char *s)
{
    g_string_append_c(j->text, '"');
    for (; *s; s++) {
        if (*s == '"' || *s == '\\')
            g_string_append_printf(j->text, "\\%c", *s);
        else if ((unsigned char)*s < 0x20)
            g_string_append_printf(j->text, "\\u%04x", *s);
        else
            g_string_append_c(j->text, *s);
    }
    g_string_append_c(j->text, '"');
}

static void item(Json *j, const char *key)
{
    if (!j->first)
        g_string_append_c(j->text, ',');
    line(j);
    j->first = FALSE;
    if (key) {
        quote(j, key);
        g_string_append(j->text, ": ");
    }
}

void json_open(Json *j, const char *key, char open)
{
    item(j, key);
    g_string_append_c(j->text, open);
    j->depth++;
    j->first = TRUE;
}

void json_close(Json *j, char close)
{
    j->depth--;
    if (!j->first)
        line(j);
    if (!j->first && !j->depth)
        g_string_append_c(j->text, '\n');
    g_string_append_c(j->text, close);
    j->first = FALSE;
}

void json_string(Json *j, const char *key, const char *value)
{
    item(j, key);
    if (value)
        quote(j, value);
    else
        g_string_append(j->text, "null");
}

void json_number(Json *j, const char *key, double value)
{
    char s[G_ASCII_DTOSTR_BUF_SIZE];
    item(j, key);
    g_string_append(j->text, isfinite(value) ? g_ascii_formatd(s, sizeof s, "%.6g", value) : "null");
}

void json_integer(Json *j, const char *key, int64_t value)
{
    item(j, key);
    g_string_append_printf(j->text, "%" G_GINT64_FORMAT, value);
}

void json_boolean(Json *j, const char *key, gboolean value)
{
    item(j, key);
    g_string_append(j->text, value ? "true" : "false");
}
