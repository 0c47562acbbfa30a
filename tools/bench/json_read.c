/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Recursive descent over RFC 8259, see json_read.h.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "json_read.h"

#define MAX_DEPTH 64

typedef struct {
    const char *start, *at;
    int depth;
    GError **error;
} Parser;

static JsonValue *parse_value(Parser *p);

static bool fail(Parser *p, const char *what)
{
    int line = 1;
    for (const char *c = p->start; c < p->at; c++)
        line += *c == '\n';
    g_set_error(p->error, NERV_ERROR, NERV_ERROR_DATA, "line %d: %s", line, what);
    return false;
}

static void skip_space(Parser *p)
{
    p->at += strspn(p->at, " \t\r\n");
}

static bool take(Parser *p, char c)
{
    skip_space(p);
    if (*p->at != c)
        return false;
    p->at++;
    return true;
}

static void append_escape(Parser *p, GString *s)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char c = *p->at++;
    const char *known = strchr(from, c);
    if (c == 'u') {
        gunichar code = 0;
        for (int i = 0; i < 4 && g_ascii_isxdigit(*p->at); i++)
            code = code * 16 + (gunichar)g_ascii_xdigit_value(*p->at++);
        g_string_append_unichar(s, g_unichar_validate(code) && code ? code : 0xfffd);
    } else if (known && c) {
        g_string_append_c(s, to[known - from]);
    } else {
        p->at -= c == '\0';
    }
}

static char *parse_string(Parser *p)
{
    if (!take(p, '"')) {
        fail(p, "a string was expected");
        return NULL;
    }
    GString *s = g_string_new(NULL);
    while (*p->at && *p->at != '"') {
        if (*p->at == '\\') {
            p->at++;
            append_escape(p, s);
        } else {
            g_string_append_c(s, *p->at++);
        }
    }
    if (*p->at == '"') {
        p->at++;
        return g_string_free(s, FALSE);
    }
    g_string_free(s, TRUE);
    fail(p, "a string has no end");
    return NULL;
}

static bool parse_member(Parser *p, JsonValue *v)
{
    if (v->kind == JSON_OBJECT) {
        char *key = parse_string(p);
        if (!key)
            return false;
        g_ptr_array_add(v->keys, key);
        if (!take(p, ':'))
            return fail(p, "a colon was expected");
    }
    JsonValue *value = parse_value(p);
    if (value)
        g_ptr_array_add(v->values, value);
    return value != NULL;
}

static bool parse_members(Parser *p, JsonValue *v, char close)
{
    v->values = g_ptr_array_new_with_free_func((GDestroyNotify)json_value_free);
    if (v->kind == JSON_OBJECT)
        v->keys = g_ptr_array_new_with_free_func(g_free);
    if (++p->depth > MAX_DEPTH)
        return fail(p, "nested too deep");
    if (!take(p, close)) {
        do {
            if (!parse_member(p, v))
                return false;
        } while (take(p, ','));
        if (!take(p, close))
            return fail(p, "a comma or the end of an object or array was expected");
    }
    p->depth--;
    return true;
}

static bool parse_word(Parser *p, JsonValue *v)
{
    static const struct {
        const char *word;
        JsonKind kind;
        double number;
    } words[] = { { "null", JSON_NULL, NAN }, { "true", JSON_BOOLEAN, 1 }, { "false", JSON_BOOLEAN, 0 } };
    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (g_str_has_prefix(p->at, words[i].word)) {
            v->kind = words[i].kind;
            v->number = words[i].number;
            p->at += strlen(words[i].word);
            return true;
        }
    }
    if (!strchr("-0123456789", *p->at) || !*p->at)
        return fail(p, "a value was expected");
    char *end = NULL;
    v->kind = JSON_NUMBER;
    v->number = g_ascii_strtod(p->at, &end);
    if (end == p->at || !isfinite(v->number))
        return fail(p, "that is no number");
    p->at = end;
    return true;
}

static JsonValue *parse_value(Parser *p)
{
    JsonValue *v = g_new0(JsonValue, 1);
    bool ok;
    v->number = NAN;
    skip_space(p);
    if (*p->at == '{' || *p->at == '[') {
        v->kind = *p->at == '{' ? JSON_OBJECT : JSON_ARRAY;
        p->at++;
        ok = parse_members(p, v, v->kind == JSON_OBJECT ? '}' : ']');
    } else if (*p->at == '"') {
        v->kind = JSON_STRING;
        v->string = parse_string(p);
        ok = v->string != NULL;
    } else {
        ok = parse_word(p, v);
    }
    if (ok)
        return v;
    json_value_free(v);
    return NULL;
}

JsonValue *json_parse(const char *text, GError **error)
{
    Parser p = { text, text, 0, error };
    JsonValue *v = parse_value(&p);
    skip_space(&p);
    if (!v || !*p.at)
        return v;
    fail(&p, "something follows the end");
    json_value_free(v);
    return NULL;
}

void json_value_free(JsonValue *v)
{
    if (!v)
        return;
    if (v->keys)
        g_ptr_array_unref(v->keys);
    if (v->values)
        g_ptr_array_unref(v->values);
    g_free(v->string);
    g_free(v);
}

const JsonValue *json_get(const JsonValue *v, const char *key)
{
    for (guint i = 0; v && v->kind == JSON_OBJECT && i < v->values->len; i++)
        if (strcmp(g_ptr_array_index(v->keys, i), key) == 0)
            return g_ptr_array_index(v->values, i);
    return NULL;
}

const char *json_get_string(const JsonValue *v, const char *key)
{
    const JsonValue *found = json_get(v, key);
    return found && found->kind == JSON_STRING ? found->string : NULL;
}

double json_get_number(const JsonValue *v, const char *key)
{
    const JsonValue *found = json_get(v, key);
    return found && found->kind == JSON_NUMBER ? found->number : NAN;
}
