/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Golden files, see golden_file.h.
 */
#include <string.h>

#include "base/error.h"
#include "golden_file.h"

static void array_free(gpointer data)
{
    GoldenArray *a = data;
    g_free((void *)a->data);
    g_free(a);
}

/* "name type n c h w" and the array's values at *at. */
static bool read_array(GoldenFile *g, char **words, const char **at, const char *end)
{
    GoldenArray *a = g_new0(GoldenArray, 1);
    a->dtype = strcmp(words[1], "u8") == 0 ? NERV_U8 : NERV_F32;
    a->shape = nerv_shape(atoi(words[2]), atoi(words[3]), atoi(words[4]), atoi(words[5]));
    const size_t bytes = (size_t)nerv_shape_count(a->shape) * nerv_dtype_bytes(a->dtype);
    if (bytes == 0 || bytes > (size_t)(end - *at)) {
        g_free(a);
        return false;
    }
    a->data = g_memdup2(*at, bytes);
    *at += bytes;
    g_hash_table_insert(g->arrays, g_strdup(words[0]), a);
    return true;
}

static bool read_line(GoldenFile *g, const char *line, const char **at, const char *end)
{
    char **words = g_strsplit(line, " ", -1);
    const guint n = g_strv_length(words);
    bool ok = false;
    if (n == 3 && strcmp(words[0], "option") == 0)
        ok = g_hash_table_insert(g->options, g_strdup(words[1]), g_strdup(words[2]));
    else if (n == 6)
        ok = read_array(g, words, at, end);
    g_strfreev(words);
    return ok;
}

GoldenFile *golden_file_read(const char *path, GError **error)
{
    gsize size = 0;
    GoldenFile *g = g_new0(GoldenFile, 1);
    char **lines = NULL;
    g_autofree char *head = NULL;
    g->options = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g->arrays = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, array_free);
    if (!g_file_get_contents(path, &g->contents, &size, error))
        goto error;

    const char *blank = g_strstr_len(g->contents, (gssize)size, "\n\n");
    if (!g_str_has_prefix(g->contents, "nerv-golden 1\n") || !blank) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "%s is no golden file", path);
        goto error;
    }
    const char *at = blank + 2, *end = g->contents + size;
    head = g_strndup(g->contents, (gsize)(blank - g->contents));
    lines = g_strsplit(head, "\n", -1);
    for (guint i = 1; lines[i]; i++) {
        if (!read_line(g, lines[i], &at, end)) {
            g_set_error(error, NERV_ERROR, NERV_ERROR_DATA, "%s: bad line \"%s\"", path, lines[i]);
            goto error;
        }
    }
    g_strfreev(lines);
    return g;

error:
    g_strfreev(lines);
    golden_file_free(g);
    return NULL;
}

void golden_file_free(GoldenFile *g)
{
    if (!g)
        return;
    g_hash_table_unref(g->options);
    g_hash_table_unref(g->arrays);
    g_free(g->contents);
    g_free(g);
}

const GoldenArray *golden_array(const GoldenFile *g, const char *name)
{
    const GoldenArray *a = g_hash_table_lookup(g->arrays, name);
    if (!a)
        g_error("the golden file has no array %s", name);
    return a;
}

const float *golden_floats(const GoldenFile *g, const char *name, int64_t count)
{
    const GoldenArray *a = golden_array(g, name);
    if (a->dtype != NERV_F32 || nerv_shape_count(a->shape) != count)
        g_error("golden array %s has %d x %d x %d x %d values, not %" G_GINT64_FORMAT, name, a->shape.n,
                a->shape.c, a->shape.h, a->shape.w, count);
    return a->data;
}

const char *golden_option(const GoldenFile *g, const char *name)
{
    const char *value = g_hash_table_lookup(g->options, name);
    if (!value)
        g_error("the golden file has no option %s", name);
    return value;
}
