/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Checks of arguments, see arguments.h.
 */
#include <errno.h>
#include <glib/gstdio.h>
#include <stdio.h>
#include <unistd.h>

#include "arguments.h"
#include "base/error.h"

#define MIN_SIDE 16
#define MAX_SIDE 8192
/* of a list of counts */
#define MOST_COUNTED 1000000

bool bench_check_int(const char *option, int value, int least, int most, GError **error)
{
    if (value >= least && value <= most)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "--%s is %d to %d, not %d", option, least, most,
                value);
    return false;
}

bool bench_check_double(const char *option, double value, double least, double most, GError **error)
{
    if (value >= least && value <= most)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "--%s is %g to %g, not %g", option, least, most,
                value);
    return false;
}

bool bench_parse_counts(const char *option, const char *text, uint32_t most, double *values, uint32_t *n,
                        GError **error)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    double before = 0.;
    for (*n = 0; parts[*n]; ++*n) {
        guint64 value;
        if (*n == most || !g_ascii_string_to_unsigned(parts[*n], 10, 1, MOST_COUNTED, &value, NULL) ||
            (double)value <= before)
            break;
        before = values[*n] = (double)value;
    }
    if (*n > 0 && !parts[*n])
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "--%s is a list of at most %u ascending numbers from 1 to %d, not \"%s\"", option, most,
                MOST_COUNTED, text);
    return false;
}

bool bench_parse_size(const char *text, int32_t *width, int32_t *height, GError **error)
{
    char rest;
    if (sscanf(text, "%9dx%9d%c", width, height, &rest) == 2 && *width >= MIN_SIDE && *width <= MAX_SIDE &&
        *height >= MIN_SIDE && *height <= MAX_SIDE)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                "\"%s\" is no size; write e.g. 320x180, each from %d to %d", text, MIN_SIDE, MAX_SIDE);
    return false;
}

/* Results are written to a file beside it that is renamed: what counts is the directory. */
bool bench_check_output(const char *option, const char *path, GError **error)
{
    g_autofree char *probe = g_strconcat(path, ".XXXXXX", NULL);
    const int fd = *path ? g_mkstemp(probe) : -1, why = *path ? errno : ENOENT;
    if (fd >= 0) {
        close(fd);
        g_unlink(probe);
        if (!g_file_test(path, G_FILE_TEST_IS_DIR))
            return true;
    }
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "--%s=%s cannot be written: %s", option, path,
                g_strerror(fd >= 0 ? EISDIR : why));
    return false;
}
