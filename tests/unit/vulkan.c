/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The Vulkan backend apart from the ops' results, which checkop compares: what it says where a driver, a device, memory or
 * a limit is missing, transfers, accounting, rebinding. The device is the one in NERV_CHECKOP_DEVICE, else vulkan:0;
 * exits with 77 (skipped) where there is none, after the tests that need none.
 */
#include <string.h>

#include "backend/backend.h"
#include "ops/ops.h"
#include "vulkan/validation.h"

static const char *device_name(void)
{
    const char *named = g_getenv("NERV_CHECKOP_DEVICE");
    return named && g_str_has_prefix(named, "vulkan") ? named : "vulkan:0";
}

static NervBackend *open_device(void)
{
    GError *error = NULL;
    NervBackend *be = nerv_backend_open(device_name(), 1, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(be->klass->name, ==, "vulkan");
    return be;
}

static void assert_says(GError **error, NervErrorCode code, const char *text)
{
    g_assert_error(*error, NERV_ERROR, (int)code);
    if (!strstr((*error)->message, text))
        g_error("\"%s\" does not say \"%s\"", (*error)->message, text);
    g_clear_error(error);
}

/* --- no device --- */

static void set_drivers(const char *path)
{
    static const char *const variables[] = { "VK_DRIVER_FILES", "VK_ICD_FILENAMES" };
    static char *saved[2];
    for (int i = 0; i < 2; i++) {
        if (path) {
            saved[i] = g_strdup(g_getenv(variables[i]));
            g_setenv(variables[i], path, TRUE);
        } else if (saved[i]) {
            g_setenv(variables[i], saved[i], TRUE);
            g_clear_pointer(&saved[i], g_free);
        } else {
            g_unsetenv(variables[i]);
        }
    }
}

/* Without a driver the error names what is missing, a list is empty, and "auto" is the CPU. */
static void test_no_driver(void)
{
    GError *error = NULL;
    GString *list = g_string_new(NULL);
    char *device = g_strdup(g_getenv("NERV_DEVICE"));
    g_unsetenv("NERV_DEVICE");
    set_drivers("/nonexistent/driver.json");
    g_assert_null(nerv_backend_open("vulkan", 1, &error));
    assert_says(&error, NERV_ERROR_DEVICE, "Vulkan");
    g_assert_null(nerv_backend_open("vulkan:0", 1, &error));
    if (!strstr(error->message, "built without Vulkan"))
        assert_says(&error, NERV_ERROR_DEVICE, "no driver found");
    g_clear_error(&error);
    nerv_vulkan_list(list);
    g_assert_cmpstr(list->str, ==, "");
    NervBackend *be = nerv_backend_open("auto", 1, &error);
    g_assert_no_error(error);
    g_assert_cmpstr(be->klass->name, ==, "cpu");
    nerv_backend_free(be);
    set_drivers(NULL);
    if (device)
        g_setenv("NERV_DEVICE", device, TRUE);
    g_free(device);
    g_string_free(list, TRUE);
}

static void test_bad_names(void)
{
    static const char *const names[] = {
        "vulkan:", "vulkan:x", "vulkan:-1", "vulkan:99999999999", "gpu", ""
    };
    for (guint i = 0; i < G_N_ELEMENTS(names); i++) {
        GError *error = NULL;
        g_assert_null(nerv_backend_open(names[i], 1, &error));
        assert_says(&error, NERV_ERROR_INVALID, names[i]);
    }
}

/* --- with a device --- */

static void test_index(void)
{
    GError *error = NULL;
    g_assert_null(nerv_backend_open("vulkan:63", 1, &error));
    assert_says(&error, NERV_ERROR_DEVICE, "no device 63");
    char *list = nerv_backend_list();
    g_assert_nonnull(strstr(list, "\nvulkan:0  "));
    g_free(list);
}

/* "vulkan" takes hardware only. */
static void test_hardware_only(void)
{
    GError *error = NULL;
    NervBackend *be = nerv_backend_open("vulkan", 1, &error);
    if (be)
        g_assert_false(be->is_software);
    else
        assert_says(&error, NERV_ERROR_DEVICE, "no hardware GPU");
    nerv_backend_free(be);
}

static void test_transfers(void)
{
    const size_t bytes = ((size_t)9 << 20) + 13; /* three parts of the staging buffer */
    NervBackend *be = open_device();
    GError *error = NULL;
    uint8_t *src = g_malloc(bytes), *dst = g_malloc(bytes);
    NervBuffer *buf = nerv_buffer_new(be, bytes, &error);
    g_assert_no_error(error);
    memset(dst, 1, bytes);
    g_assert_true(nerv_buffer_download(buf, 0, dst, bytes, &error));
    for (size_t i = 0; i < bytes; i++)
        g_assert_true(dst[i] == 0);
    for (size_t i = 0; i < bytes; i++)
        src[i] = (uint8_t)(i ^ i >> 8 ^ i >> 16);
    g_assert_true(nerv_buffer_upload(buf, 0, src, bytes, &error));
    g_assert_true(nerv_buffer_upload(buf, 1001, src, 77, &error));
    memcpy(src + 1001, src, 77);
    g_assert_true(nerv_buffer_download(buf, 0, dst, bytes, &error));
    g_assert_cmpmem(src, bytes, dst, bytes);
    g_assert_true(nerv_buffer_download(buf, bytes - 5, dst, 5, &error));
    g_assert_cmpmem(src + bytes - 5, 5, dst, 5);
    g_assert_false(nerv_buffer_download(buf, bytes - 5, dst, 6, &error));
    assert_says(&error, NERV_ERROR_INVALID, "outside");
    nerv_buffer_free(buf);
    nerv_backend_free(be);
    g_free(src);
    g_free(dst);
}

static void test_memory(void)
{
    NervBackend *be = open_device();
    GError *error = NULL;
    const size_t before = be->live_bytes;
    NervBuffer *buf = nerv_buffer_new(be, 1 << 20, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(be->live_bytes, ==, before + (1 << 20));
    nerv_buffer_free(buf);
    g_assert_cmpuint(be->live_bytes, ==, before);
    g_assert_cmpuint(be->peak_bytes, >=, before + (1 << 20));

    g_assert_null(nerv_buffer_new(be, (size_t)1 << 50, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_MEMORY);
    g_clear_error(&error);
    g_assert_cmpuint(be->live_bytes, ==, before);

    be->limit_bytes = before + (1 << 20);
    g_assert_null(nerv_buffer_new(be, (1 << 20) + 1, &error));
    assert_says(&error, NERV_ERROR_MEMORY, "limit");
    buf = nerv_buffer_new(be, 1 << 20, &error);
    g_assert_no_error(error);
    nerv_buffer_free(buf);
    nerv_backend_free(be);
}

/* Many small buffers take few allocations, keep to themselves and are zeroed again when their memory is used again. */
static void test_many(void)
{
    enum { MANY = 600 };
    NervBackend *be = open_device();
    GError *error = NULL;
    NervBuffer *bufs[MANY];
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < MANY; i++) {
            uint32_t first = 1;
            bufs[i] = nerv_buffer_new(be, 4 + 40 * i, &error);
            g_assert_no_error(error);
            g_assert_true(nerv_buffer_download(bufs[i], 40 * i, &first, 4, &error));
            g_assert_cmpuint(first, ==, 0);
            g_assert_true(nerv_buffer_upload(bufs[i], 40 * i, &i, 4, &error));
            g_assert_true(nerv_buffer_upload(bufs[i], 0, &i, 4, &error));
        }
        for (uint32_t i = 0; i < MANY; i++) {
            uint32_t ends[2] = { 0, 0 };
            g_assert_true(nerv_buffer_download(bufs[i], 0, &ends[0], 4, &error));
            g_assert_true(nerv_buffer_download(bufs[i], 40 * i, &ends[1], 4, &error));
            g_assert_cmpuint(ends[0], ==, i);
            g_assert_cmpuint(ends[1], ==, i);
        }
        for (uint32_t i = 0; i < MANY; i++)
            nerv_buffer_free(bufs[i * 7 % MANY]);
    }
    g_assert_cmpuint(be->live_bytes, <=, (4 << 20) + NERV_PLAN_ALIGN); /* the staging buffer */
    g_assert_cmpuint(be->stats.allocations, <=, 8);
    nerv_backend_free(be);
}

/* Ops that ask for what no device has. */
static int fault;

static bool faulty_infer(const NervNode *node, NervOutInfo *out, GError **error)
{
    out[0] = (NervOutInfo){ NERV_F32, node->in[0]->shape };
    return true;
}

static uint32_t faulty_dispatch(const NervNode *node, const NervVkCaps *caps, NervDispatch *out)
{
    out->shader = fault == 0 ? "no_such_shader" : "to_pixels";
    out->groups[0] = fault == 1 ? caps->max_groups[0] : 1;
    out->groups[1] = fault == 2 ? caps->max_groups[1] : 1;
    out->groups[2] = 1;
    if (fault == 1 || fault == 2)
        out->groups[fault - 1]++;
    out->n_push = fault == 3 ? NERV_MAX_PUSH + 1 : 0;
    return fault == 4 ? 0 : 1;
}

static void test_faulty_ops(void)
{
    static const char *const says[] = {
        "no_such_shader", "maxComputeWorkGroupCount[0]", "maxComputeWorkGroupCount[1]",
        "malformed",      "cannot run on Vulkan",        "cannot run on Vulkan"
    };
    NervOp op = { .name = "faulty",
                  .min_in = 1,
                  .max_in = 1,
                  .n_out = 1,
                  .infer = faulty_infer,
                  .dispatch = faulty_dispatch };
    NervBackend *be = open_device();
    const size_t before = be->live_bytes;
    for (fault = 0; fault < (int)G_N_ELEMENTS(says); fault++) {
        GError *error = NULL;
        NervTape *tape = nerv_tape_new();
        NervTensor *x = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_F32, nerv_shape(1, 1, 1, 1), "x");
        if (fault == 5)
            op.dispatch = NULL;
        nerv_tape_output(tape, nerv_tape_add(tape, &op, &x, 1, NULL, 0), "y");
        g_assert_null(nerv_exec_new(be, tape, &error));
        g_assert_nonnull(strstr(error->message, "op faulty"));
        assert_says(&error, NERV_ERROR_UNSUPPORTED, says[fault]);
        g_assert_cmpuint(be->live_bytes, ==, before);
        nerv_tape_free(tape);
    }
    nerv_backend_free(be);
}

/* A frame of one colour in each of two buffers, one bound after the other. */
static void test_rebinding(void)
{
    const NervPixels p = { .format = NERV_PIXELS_RGB, .width = 4, .height = 4 };
    NervBackend *be = open_device();
    GError *error = NULL;
    NervTape *tape = nerv_tape_new();
    NervTensor *store = nerv_tape_leaf(tape, NERV_TENSOR_PARAM, NERV_U8, nerv_shape(2, 1, 1, 48), "frames");
    NervTensor *index = nerv_tape_leaf(tape, NERV_TENSOR_INPUT, NERV_I32, nerv_shape(1, 1, 1, 1), "index");
    NervTensor *rgb = nerv_from_pixels(tape, store, index, &p);
    NervTensor *out = nerv_to_pixels(tape, rgb, &p);
    nerv_tape_output(tape, out, "out");
    nerv_tape_output(tape, rgb, "rgb");
    nerv_tape_output(tape, store, NULL);
    NervExec *exec = nerv_exec_new(be, tape, &error);
    g_assert_no_error(error);
    g_assert_false(nerv_exec_run(exec, &error));
    assert_says(&error, NERV_ERROR_INVALID, "frames");

    NervBuffer *bufs[2];
    uint8_t frames[96], got[96];
    float planes[48];
    for (int i = 0; i < 2; i++) {
        bufs[i] = nerv_buffer_new(be, 1024, &error);
        g_assert_no_error(error);
        memset(frames, 10 + 20 * i, 48);
        memset(frames + 48, 20 + 20 * i, 48);
        g_assert_true(nerv_buffer_upload(bufs[i], 512, frames, 96, &error));
    }
    for (int round = 0; round < 8; round++) {
        const int b = round / 2 % 2;
        const int32_t frame = round % 2;
        g_assert_true(nerv_exec_bind(exec, store, bufs[b], 512, &error));
        g_assert_true(nerv_exec_write(exec, index, &frame, &error));
        g_assert_true(nerv_exec_run(exec, &error));
        g_assert_true(nerv_exec_run(exec, &error)); /* waits for the first */
        g_assert_true(nerv_exec_read(exec, out, got, &error));
        for (int i = 0; i < 48; i++)
            g_assert_cmpint(got[i], ==, 10 + 20 * b + 10 * frame);
        g_assert_true(nerv_exec_read(exec, rgb, planes, &error));
        g_assert_cmpfloat(ABS(planes[47] - (10 + 20 * b + 10 * frame) / 255.0f), <, 1e-6f);
        g_assert_true(nerv_exec_read(exec, store, got, &error));
        g_assert_cmpint(got[95], ==, 20 + 20 * b);
    }
    const gint stop = 1;
    be->cancel = &stop;
    g_assert_false(nerv_exec_run(exec, &error));
    g_assert_error(error, NERV_ERROR, NERV_ERROR_CANCELLED);
    g_clear_error(&error);
    g_assert_false(nerv_exec_bind(exec, store, bufs[0], 4, &error));
    g_clear_error(&error);
    g_assert_false(nerv_exec_bind(exec, store, bufs[0], 1024, &error));
    g_clear_error(&error);
    nerv_exec_free(exec);
    nerv_buffer_free(bufs[0]);
    nerv_buffer_free(bufs[1]);
    nerv_tape_free(tape);
    nerv_backend_free(be);
}

/* Two devices open at once do not share anything. */
static void test_two(void)
{
    NervBackend *a = open_device(), *b = open_device();
    GError *error = NULL;
    NervBuffer *buf = nerv_buffer_new(a, 64, &error);
    g_assert_no_error(error);
    g_assert_cmpuint(b->live_bytes, ==, 0);
    nerv_backend_free(b);
    uint8_t byte = 3;
    g_assert_true(nerv_buffer_upload(buf, 63, &byte, 1, &error));
    byte = 0;
    g_assert_true(nerv_buffer_download(buf, 63, &byte, 1, &error));
    g_assert_cmpint(byte, ==, 3);
    nerv_buffer_free(buf);
    nerv_backend_free(a);
}

static void test_validation(void)
{
    g_assert_cmpuint(nerv_vulkan_validation_messages(), ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    NervBackend *be = nerv_backend_open(device_name(), 1, NULL);
    const bool has_device = be != NULL;
    nerv_backend_free(be);
    g_test_add_func("/vulkan/no-driver", test_no_driver);
    g_test_add_func("/vulkan/bad-names", test_bad_names);
    if (has_device) {
        g_test_add_func("/vulkan/index", test_index);
        g_test_add_func("/vulkan/hardware-only", test_hardware_only);
        g_test_add_func("/vulkan/transfers", test_transfers);
        g_test_add_func("/vulkan/memory", test_memory);
        g_test_add_func("/vulkan/many", test_many);
        g_test_add_func("/vulkan/faulty-ops", test_faulty_ops);
        g_test_add_func("/vulkan/rebinding", test_rebinding);
        g_test_add_func("/vulkan/two", test_two);
        g_test_add_func("/vulkan/validation", test_validation);
    }
    const int status = g_test_run();
    return status == 0 && !has_device ? 77 : status;
}
