/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Shared by the tests of whole networks, see fits.h.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "fits.h"

FitsDevice fits_devices[FITS_N_DEVICES] = {
    { .name = "cpu-c", .level = NERV_CPU_C },         { .name = "cpu-baseline", .level = NERV_CPU_BASELINE },
    { .name = "cpu-avx2", .level = NERV_CPU_AVX2 },   { .name = "cpu-avx512", .level = NERV_CPU_AVX512 },
    { .name = "vulkan", .level = NERV_CPU_N_LEVELS },
};

/* --- devices and files --- */

static void open_device(FitsDevice *d)
{
    g_autoptr(GError) error = NULL;
    const char *named = g_getenv("NERV_CHECKOP_DEVICE");
    if (d->level == NERV_CPU_N_LEVELS)
        d->be = nerv_backend_open(named ? named : "vulkan:0", 0, &error);
    else if (d->level <= nerv_cpu_level_hardware())
        d->be = nerv_cpu_backend_new_level(2, d->level, &error);
    else
        d->missing = g_strdup("this machine has no such CPU level");
    if (error && g_error_matches(error, NERV_ERROR, NERV_ERROR_DEVICE))
        d->missing = g_strdup(error->message);
    else
        g_assert_no_error(error);
}

void fits_devices_open(void)
{
    for (size_t i = 0; i < FITS_N_DEVICES; i++)
        open_device(&fits_devices[i]);
}

void fits_devices_close(void)
{
    for (size_t i = 0; i < FITS_N_DEVICES; i++) {
        nerv_backend_free(fits_devices[i].be);
        g_free(fits_devices[i].missing);
    }
}

bool fits_missing(const FitsDevice *d)
{
    if (d->missing)
        g_test_skip(d->missing);
    return d->missing != NULL;
}

GoldenFile *fits_file(const char *name)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *base = g_strconcat(name, ".golden", NULL);
    g_autofree char *path = g_test_build_filename(G_TEST_DIST, base, NULL);
    GoldenFile *file = golden_file_read(path, &error);
    g_assert_no_error(error);
    return file;
}

/* --- options, weights, pictures --- */

/* "1,2,3" as an array of integers. */
static GVariant *int_list(const char *text)
{
    GVariantBuilder b;
    g_auto(GStrv) words = g_strsplit(text, ",", -1);
    g_variant_builder_init(&b, G_VARIANT_TYPE("ai"));
    for (char **w = words; *w; w++)
        g_variant_builder_add(&b, "i", atoi(*w));
    return g_variant_builder_end(&b);
}

GVariant *fits_options(const GoldenFile *file, const char *const *ints, const char *const *lists,
                       const char *const *strings)
{
    GVariantDict dict;
    g_variant_dict_init(&dict, NULL);
    for (; *ints; ints++)
        g_variant_dict_insert(&dict, *ints, "i", atoi(golden_option(file, *ints)));
    for (; *lists; lists++)
        g_variant_dict_insert_value(&dict, *lists, int_list(golden_option(file, *lists)));
    for (; *strings; strings++)
        g_variant_dict_insert(&dict, *strings, "s", golden_option(file, *strings));
    return g_variant_ref_sink(g_variant_dict_end(&dict));
}

float *fits_params(const GoldenFile *file, const NervModel *model, const char *prefix)
{
    float *flat = g_new(float, model->n_weights), *at = flat;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const NervParam *p = &model->params[i];
        const int64_t n = nerv_shape_count(p->shape);
        g_autofree char *name = g_strconcat(prefix, p->name, NULL);
        g_assert_true(nerv_shape_equal(golden_array(file, name)->shape, p->shape));
        memcpy(at, golden_floats(file, name, n), (size_t)n * sizeof(float));
        at += n;
    }
    return flat;
}

NervBuffer *fits_pictures(const GoldenFile *file, const char *array, NervBackend *be, int32_t first,
                          int32_t count)
{
    g_autoptr(GError) error = NULL;
    const GoldenArray *a = golden_array(file, array);
    const size_t bytes = (size_t)a->shape.w, padded = (bytes + 3) / 4 * 4;
    g_assert_cmpint(first + count, <=, a->shape.n);
    NervBuffer *buf = nerv_buffer_new(be, padded * (size_t)count, &error);
    g_assert_no_error(error);
    for (int32_t i = 0; i < count; i++) {
        const uint8_t *src = (const uint8_t *)a->data + (size_t)(first + i) * bytes;
        nerv_buffer_upload(buf, (size_t)i * padded, src, bytes, &error);
        g_assert_no_error(error);
    }
    return buf;
}

/* --- comparison --- */

double fits_difference(const float *a, const float *b, int64_t n)
{
    double worst = 0;
    for (int64_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - b[i]);
        worst = d == d ? fmax(worst, d) : INFINITY;
    }
    return worst;
}

static double max_magnitude(const float *a, int64_t n)
{
    double m = 0;
    for (int64_t i = 0; i < n; i++)
        m = fmax(m, fabs((double)a[i]));
    return m;
}

static double rms_difference(const float *a, const float *b, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sqrt(sum / (double)n);
}

void fits_expect_loss(double got, double want, uint32_t step)
{
    if (!(fabs(got - want) <= FITS_LOSS_TOLERANCE * fabs(want))) {
        g_test_message("loss of step %u: %.8g, PyTorch %.8g", step, got, want);
        g_test_fail();
    }
}

void fits_expect_gradient(const GoldenFile *file, const NervParam *param, const char *prefix,
                          const float *got)
{
    const int64_t n = nerv_shape_count(param->shape);
    g_autofree char *name = g_strconcat(prefix, param->name, NULL);
    const float *want = golden_floats(file, name, n);
    const double worst = fits_difference(got, want, n), largest = max_magnitude(want, n);
    if (!(worst <= FITS_GRADIENT_TOLERANCE * largest)) {
        g_test_message("%s: off by %.3g, largest %.3g", name, worst, largest);
        g_test_fail();
    }
}

void fits_expect_weights(const GoldenFile *file, const NervModel *model, const float *got, const float *start,
                         const char *prefix)
{
    g_autofree float *want = fits_params(file, model, prefix);
    int64_t at = 0;
    for (uint32_t i = 0; i < model->n_params; i++) {
        const int64_t n = nerv_shape_count(model->params[i].shape);
        const double off = rms_difference(got + at, want + at, n),
                     moved = rms_difference(start + at, want + at, n);
        if (!(off <= FITS_WEIGHT_TOLERANCE * moved)) {
            g_test_message("%s: off by %.3g RMS, moved by %.3g", model->params[i].name, off, moved);
            g_test_fail();
        }
        at += n;
    }
}
