/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Fuzz target: the reader of init files, with the input's last bytes made the hash of those before. Beyond not crashing: what is accepted is
 * finite, suits its own model, and is the same after it was written and read again.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "codec/init.h"
#include "fuzz.h"

#define MAX_WEIGHTS 100000

static NervInit *read_repaired(const uint8_t *data, size_t size)
{
    g_autofree uint8_t *copy = g_memdup2(data, size);
    GError *error = NULL;
    if (size > NERV_INIT_HASH_BYTES) {
        gsize n = NERV_INIT_HASH_BYTES;
        GChecksum *sum = g_checksum_new(G_CHECKSUM_SHA256);
        g_checksum_update(sum, copy, (gssize)(size - n));
        g_checksum_get_digest(sum, copy + size - n, &n);
        g_checksum_free(sum);
    }
    NervInit *init = nerv_init_read(copy, size, &error);
    if (!init != !!error)
        abort();
    g_clear_error(&error);
    return init;
}

static void check_again(const NervInit *init)
{
    const int64_t n = nerv_start_count(init->model);
    g_autofree float *weights = g_new(float, (gsize)init->model->n_weights);
    nerv_start_expand(init->model, init->start, NULL, weights);
    for (int64_t i = 0; i < init->model->n_weights; i++)
        if (!isfinite(weights[i]))
            abort();
    if (!nerv_init_suits(init, init->model))
        abort();
    GByteArray *file = g_byte_array_new();
    /* refused where weights are beyond what is written */
    if (nerv_init_write(init->model, init->start, &init->rates, init->provenance, file, NULL)) {
        g_autoptr(NervInit) again = nerv_init_read(file->data, file->len, NULL);
        if (!again || nerv_start_count(again->model) != n ||
            !g_str_equal(again->provenance, init->provenance) || !nerv_init_suits(again, init->model))
            abort();
    }
    g_byte_array_unref(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autoptr(NervInit) raw = nerv_init_read(data, size, NULL);
    g_autoptr(NervInit) init = read_repaired(data, size);
    if (raw && !init)
        abort();
    if (init && init->model->n_weights <= MAX_WEIGHTS) {
        check_again(init);
        fuzz_n_accepted++;
    }
    return 0;
}
