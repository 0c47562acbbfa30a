/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Runs a fuzz target without libFuzzer: on each file given, and on each file in each directory given. Inputs are copies of
 * exactly their size, so that a sanitizer sees the first byte read beyond. A file whose name begins with "ok" must be
 * accepted. Exit status 1 if one was not, or if there was nothing to run.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

static unsigned n_inputs;

static bool run_file(const char *path)
{
    g_autofree char *name = g_path_get_basename(path);
    char *contents;
    gsize size;
    GError *error = NULL;
    if (!g_file_get_contents(path, &contents, &size, &error)) {
        g_printerr("%s\n", error->message);
        g_error_free(error);
        return false;
    }
    uint8_t *exact = malloc(size);
    if (size > 0)
        memcpy(exact, contents, size);
    g_free(contents);
    const unsigned before = fuzz_n_accepted;
    LLVMFuzzerTestOneInput(exact, size);
    free(exact);
    n_inputs++;
    if (g_str_has_prefix(name, "ok") && fuzz_n_accepted == before) {
        g_printerr("%s: a seed that should be accepted was not\n", path);
        return false;
    }
    return true;
}

static bool run_path(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;
    bool ok = true;
    if (!dir)
        return run_file(path);
    while ((name = g_dir_read_name(dir))) {
        g_autofree char *file = g_build_filename(path, name, NULL);
        ok &= run_file(file);
    }
    g_dir_close(dir);
    return ok;
}

int main(int argc, char **argv)
{
    bool ok = true;
    for (int i = 1; i < argc; i++)
        ok &= run_path(argv[i]);
    g_print("%u inputs, %u accepted\n", n_inputs, fuzz_n_accepted);
    return ok && n_inputs > 0 ? 0 : 1;
}
