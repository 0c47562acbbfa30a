/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Choosing a device, and the thin calls through the seam. See backend.h.
 */
#include <string.h>

#include "backend/backend.h"
#include "cpu/cpu.h"

/* "vulkan:N" -> N; false if it is not of that form. */
static bool parse_index(const char *device, int *index)
{
    char *end = NULL;
    if (!g_str_has_prefix(device, "vulkan:") || !g_ascii_isdigit(device[7]))
        return false;
    const guint64 n = g_ascii_strtoull(device + 7, &end, 10);
    if (*end || n > 63)
        return false;
    *index = (int)n;
    return true;
}

static NervBackend *open_auto(uint32_t n_threads, GError **error)
{
    GError *why = NULL;
    NervBackend *be = nerv_vulkan_backend_new(-1, &why);
    if (be)
        return be;
    g_debug("no GPU through Vulkan, using the CPU: %s", why->message);
    g_clear_error(&why);
    return nerv_cpu_backend_new(n_threads, error);
}

NervBackend *nerv_backend_open(const char *device, uint32_t n_threads, GError **error)
{
    int index = -1;
    NervBackend *be = NULL;

    if (!device || !strcmp(device, "auto")) {
        const char *env = g_getenv("NERV_DEVICE");
        device = env && *env ? env : "auto";
    }
    if (!strcmp(device, "auto"))
        be = open_auto(n_threads, error);
    else if (!strcmp(device, "cpu"))
        be = nerv_cpu_backend_new(n_threads, error);
    else if (!strcmp(device, "vulkan") || parse_index(device, &index))
        be = nerv_vulkan_backend_new(index, error);
    else
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "unknown device \"%s\": use auto, cpu, vulkan or vulkan:N with N from 0 to 63", device);
    if (be)
        g_debug("device: %s", be->description);
    return be;
}

void nerv_backend_free(NervBackend *be)
{
    if (be)
        be->klass->destroy(be);
}

bool nerv_backend_reserve(NervBackend *be, size_t bytes, GError **error)
{
    if (be->limit_bytes && (bytes > be->limit_bytes || be->live_bytes > be->limit_bytes - bytes)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_MEMORY,
                    "%.1f MiB more than the %.1f MiB in use would exceed the limit of %.1f MiB: lower the "
                    "frame size, the model or the "
                    "batch, or raise max-memory",
                    (double)bytes / 0x1p20, (double)be->live_bytes / 0x1p20,
                    (double)be->limit_bytes / 0x1p20);
        return false;
    }
    be->live_bytes += bytes;
    be->peak_bytes = MAX(be->peak_bytes, be->live_bytes);
    return true;
}

void nerv_backend_release(NervBackend *be, size_t bytes)
{
    be->live_bytes -= bytes;
}

bool nerv_backend_cancelled(const NervBackend *be, GError **error)
{
    if (!be->cancel || !g_atomic_int_get(be->cancel))
        return false;
    g_set_error(error, NERV_ERROR, NERV_ERROR_CANCELLED, "cancelled");
    return true;
}

char *nerv_backend_list(void)
{
    GString *s = g_string_new(NULL);
    NervBackend *cpu = nerv_cpu_backend_new(0, NULL);
    if (cpu)
        g_string_append_printf(s, "cpu  %s\n", cpu->description);
    nerv_backend_free(cpu);
    nerv_vulkan_list(s);
    return g_string_free(s, FALSE);
}

NervBuffer *nerv_buffer_new(NervBackend *be, size_t bytes, GError **error)
{
    return be->klass->buffer_new(be, bytes, error);
}

void nerv_buffer_free(NervBuffer *buf)
{
    if (buf)
        buf->be->klass->buffer_free(buf);
}

static bool range_valid(const NervBuffer *buf, size_t offset, size_t bytes, GError **error)
{
    if (offset <= buf->bytes && bytes <= buf->bytes - offset)
        return true;
    g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "%zu bytes at %zu lie outside a buffer of %zu", bytes,
                offset, buf->bytes);
    return false;
}

bool nerv_buffer_upload(NervBuffer *buf, size_t offset, const void *src, size_t bytes, GError **error)
{
    return range_valid(buf, offset, bytes, error) && buf->be->klass->upload(buf, offset, src, bytes, error);
}

bool nerv_buffer_download(NervBuffer *buf, size_t offset, void *dst, size_t bytes, GError **error)
{
    return range_valid(buf, offset, bytes, error) && buf->be->klass->download(buf, offset, dst, bytes, error);
}

NervExec *nerv_exec_new(NervBackend *be, NervTape *tape, GError **error)
{
    return be->klass->exec_new(be, tape, error);
}

void nerv_exec_free(NervExec *exec)
{
    if (exec)
        exec->be->klass->exec_free(exec);
}

bool nerv_exec_bind(NervExec *exec, const NervTensor *leaf, NervBuffer *buf, size_t offset, GError **error)
{
    if (leaf->kind != NERV_TENSOR_PARAM || offset % NERV_PLAN_ALIGN || buf->be != exec->be) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "tensor %s cannot be bound there",
                    leaf->name ? leaf->name : "(unnamed)");
        return false;
    }
    return range_valid(buf, offset, nerv_tensor_bytes(leaf), error) &&
           exec->be->klass->exec_bind(exec, leaf, buf, offset, error);
}

bool nerv_exec_write(NervExec *exec, const NervTensor *leaf, const void *src, GError **error)
{
    if (leaf->kind != NERV_TENSOR_INPUT) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "tensor %s is no input",
                    leaf->name ? leaf->name : "(unnamed)");
        return false;
    }
    return exec->be->klass->exec_write(exec, leaf, src, error);
}

bool nerv_exec_run(NervExec *exec, GError **error)
{
    return exec->be->klass->exec_run(exec, error);
}

bool nerv_exec_wait(NervExec *exec, GError **error)
{
    return exec->be->klass->exec_wait(exec, error);
}

bool nerv_exec_read(NervExec *exec, const NervTensor *output, void *dst, GError **error)
{
    if (!output->is_output) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "tensor %s is no output",
                    output->name ? output->name : "(unnamed)");
        return false;
    }
    return exec->be->klass->exec_read(exec, output, dst, error);
}
