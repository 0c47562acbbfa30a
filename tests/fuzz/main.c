/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Runs a fuzz target without libFuzzer: on each file given, and on each file in each directory given. Inputs are copies of
 * exactly their size, so that a sanitizer sees the first byte read beyond. A file whose name begins with "ok" must be
 * accepted. --mutate=N runs the target on N inputs more, made of those files with a generator that --seed=S starts: flipped bits,
 * changed, inserted and removed bytes, files cut and spliced. The slowest input's time and the most memory the process had are
 * printed. Exit status 1 if a file was not accepted, if there was nothing to run, or if an input took a second.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "base/rng.h"
#include "bench/machine.h"
#include "fuzz.h"

#define MAX_CHANGES 8
#define MAX_RUN     64 /* bytes inserted, removed or overwritten at once */
#define MAX_MS      1000.

static unsigned n_inputs;
static double slowest_ms; /* of this process's threads: other work does not count */
static GPtrArray *files;  /* of GBytes */

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void run_input(const void *data, size_t size)
{
    uint8_t *exact = malloc(size);
    if (size > 0)
        memcpy(exact, data, size);
    const double start = cpu_ms();
    LLVMFuzzerTestOneInput(exact, size);
    slowest_ms = MAX(slowest_ms, cpu_ms() - start);
    free(exact);
    n_inputs++;
}

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
    const unsigned before = fuzz_n_accepted;
    g_ptr_array_add(files, g_bytes_new_take(contents, size));
    run_input(contents, size);
    if (g_str_has_prefix(name, "ok") && fuzz_n_accepted == before) {
        g_printerr("%s: a seed that should be accepted was not\n", path);
        return false;
    }
    return true;
}

static int by_name(gconstpointer a, gconstpointer b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In order of their names, so that a seed means the same mutations everywhere. */
static bool run_path(const char *path)
{
    GDir *dir = g_dir_open(path, 0, NULL);
    const char *name;
    bool ok = true;
    if (!dir)
        return run_file(path);
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func(g_free);
    while ((name = g_dir_read_name(dir)))
        g_ptr_array_add(paths, g_build_filename(path, name, NULL));
    g_dir_close(dir);
    g_ptr_array_sort(paths, by_name);
    for (guint i = 0; i < paths->len; i++)
        ok &= run_file(g_ptr_array_index(paths, i));
    return ok;
}

/* --- mutations --- */

static size_t place(NervRng *rng, size_t n)
{
    return n > 0 ? nerv_rng_below(rng, (uint32_t)n) : 0;
}

/* Half from the same file at another place, half from any. */
static void splice(GByteArray *a, NervRng *rng)
{
    gsize size;
    GBytes *other = g_ptr_array_index(files, place(rng, files->len));
    const uint8_t *data = g_bytes_get_data(other, &size);
    const size_t at = place(rng, a->len), from = place(rng, size);
    g_byte_array_set_size(a, (guint)at);
    g_byte_array_append(a, data + from, (guint)(size - from));
}

static void insert(GByteArray *a, NervRng *rng)
{
    const size_t at = place(rng, a->len), n = 1 + place(rng, MAX_RUN), tail = a->len - at;
    const uint8_t value = (uint8_t)nerv_rng_below(rng, 256);
    const bool same = nerv_rng_below(rng, 2);
    g_byte_array_set_size(a, (guint)(a->len + n));
    memmove(a->data + at + n, a->data + at, tail);
    for (size_t i = 0; i < n; i++)
        a->data[at + i] = same ? value : (uint8_t)nerv_rng_below(rng, 256);
}

static void change(GByteArray *a, NervRng *rng)
{
    static const uint8_t edges[] = { 0, 1, 0x7f, 0x80, 0xfe, 0xff };
    const uint32_t kind = nerv_rng_below(rng, 16);
    const size_t at = place(rng, a->len), left = a->len - at, run = 1 + place(rng, MAX_RUN);
    if (kind == 0)
        g_byte_array_set_size(a, (guint)at);
    else if (kind == 1)
        splice(a, rng);
    else if (kind == 2)
        insert(a, rng);
    else if (left == 0)
        return;
    else if (kind == 3)
        g_byte_array_remove_range(a, (guint)at, (guint)MIN(left, run));
    else if (kind == 4)
        memset(a->data + at, edges[place(rng, sizeof edges)], MIN(left, run));
    else if (kind < 8)
        a->data[at] = edges[place(rng, sizeof edges)];
    else if (kind < 11)
        a->data[at] = (uint8_t)nerv_rng_below(rng, 256);
    else
        a->data[at] ^= (uint8_t)(1u << nerv_rng_below(rng, 8));
}

static void run_mutations(int n, uint64_t seed)
{
    NervRng rng;
    GByteArray *a = g_byte_array_new();
    nerv_rng_init(&rng, seed);
    for (int i = 0; i < n && files->len > 0; i++) {
        gsize size;
        const uint8_t *data = g_bytes_get_data(g_ptr_array_index(files, place(&rng, files->len)), &size);
        g_byte_array_set_size(a, 0);
        g_byte_array_append(a, data, (guint)size);
        for (size_t k = 1 + place(&rng, MAX_CHANGES); k > 0; k--)
            change(a, &rng);
        run_input(a->data, a->len);
    }
    g_byte_array_unref(a);
}

static bool write_json(const char *file, const char *program, int n_mutations, gint64 seed, double mib)
{
    g_autofree char *target = g_path_get_basename(program);
    g_autoptr(GError) error = NULL;
    Json j;
    json_init(&j);
    json_open(&j, NULL, '{');
    bench_describe_machine(&j, NERV_SOURCE_DIR, NERV_VERSION);
    json_string(&j, "target", target);
    json_integer(&j, "inputs", n_inputs);
    json_integer(&j, "mutated", n_mutations);
    json_integer(&j, "seed", seed);
    json_integer(&j, "accepted", fuzz_n_accepted);
    json_number(&j, "slowest_ms", slowest_ms);
    json_number(&j, "peak_mib", mib);
    json_close(&j, '}');
    g_autofree char *text = json_finish(&j);
    if (g_file_set_contents(file, text, -1, &error))
        return true;
    g_printerr("%s\n", error->message);
    return false;
}

int main(int argc, char **argv)
{
    g_autofree char *json = NULL;
    int n_mutations = 0;
    gint64 seed = 1;
    const GOptionEntry options[] = {
        { "mutate", 0, 0, G_OPTION_ARG_INT, &n_mutations, "Inputs to make of the files", "N" },
        { "seed", 0, 0, G_OPTION_ARG_INT64, &seed, "Where their generator starts (default 1)", "S" },
        { "json", 0, 0, G_OPTION_ARG_FILENAME, &json, "Write what is printed and the machine there", "FILE" },
        { NULL, 0, 0, 0, NULL, NULL, NULL },
    };
    g_autoptr(GOptionContext) context = g_option_context_new("FILE... - run a fuzz target on files");
    g_autoptr(GError) error = NULL;
    g_option_context_add_main_entries(context, options, NULL);
    if (!g_option_context_parse(context, &argc, &argv, &error)) {
        g_printerr("%s\n", error->message);
        return 2;
    }
    struct rusage usage;
    bool ok = true;
    files = g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
    for (int i = 1; i < argc; i++)
        ok &= run_path(argv[i]);
    run_mutations(n_mutations, (uint64_t)seed);
    g_ptr_array_unref(files);
    getrusage(RUSAGE_SELF, &usage);
    g_print("%u inputs, %u accepted; the slowest took %.1f ms, memory at most %.1f MiB\n", n_inputs,
            fuzz_n_accepted, slowest_ms, (double)usage.ru_maxrss / 1024);
    if (json)
        ok &= write_json(json, argv[0], n_mutations, seed, (double)usage.ru_maxrss / 1024);
    return ok && n_inputs > 0 && slowest_ms < MAX_MS ? 0 : 1;
}
