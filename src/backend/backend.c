/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The thin calls through the seam, and the accounting that backends share. See backend.h; open.c chooses a device.
 */
#include "backend/backend.h"

void nerv_backend_free(NervBackend *be)
{
    if (be)
        be->klass->destroy(be);
}

bool nerv_backend_has_lanes(const NervBackend *be)
{
    return be->klass->lane_new != NULL;
}

NervBackend *nerv_backend_lane_new(NervBackend *be, uint32_t n_threads, GError **error)
{
    if (!be->klass->lane_new) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "%s has no lanes", be->description);
        return NULL;
    }
    NervBackend *lane = be->klass->lane_new(be, n_threads, error);
    if (lane)
        lane->lane_of = be;
    return lane;
}

bool nerv_backend_reserve(NervBackend *be, size_t bytes, GError **error)
{
    if (be->lane_of)
        return nerv_backend_reserve(be->lane_of, bytes, error);
    if (be->limit_bytes && (bytes > be->limit_bytes || be->live_bytes > be->limit_bytes - bytes)) {
        g_set_error(
            error, NERV_ERROR, NERV_ERROR_MEMORY,
            "%.1f MiB more than the %.1f MiB in use would exceed the limit of %.1f MiB (max-memory): smaller "
            "frames, networks or batches take less",
            (double)bytes / 0x1p20, (double)be->live_bytes / 0x1p20, (double)be->limit_bytes / 0x1p20);
        return false;
    }
    be->live_bytes += bytes;
    be->peak_bytes = MAX(be->peak_bytes, be->live_bytes);
    return true;
}

void nerv_backend_release(NervBackend *be, size_t bytes)
{
    if (be->lane_of)
        nerv_backend_release(be->lane_of, bytes);
    else
        be->live_bytes -= bytes;
}

size_t nerv_backend_live_bytes(const NervBackend *be)
{
    return be->lane_of ? nerv_backend_live_bytes(be->lane_of) : be->live_bytes;
}

bool nerv_backend_cancelled(const NervBackend *be, GError **error)
{
    if (!be->cancel || !g_atomic_int_get(be->cancel))
        return false;
    g_set_error(error, NERV_ERROR, NERV_ERROR_CANCELLED, "cancelled");
    return true;
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
    if (leaf->kind != NERV_TENSOR_PARAM || offset % NERV_PLAN_ALIGN ||
        (buf->be != exec->be && buf->be != exec->be->lane_of)) {
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
    if (exec->keeps_outputs) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "outputs are kept on the device");
        return false;
    }
    return exec->be->klass->exec_read(exec, output, dst, error);
}

bool nerv_exec_keep_outputs(NervExec *exec, GError **error)
{
    if (exec->keeps_outputs)
        return true;
    if (!exec->be->klass->exec_keep_outputs) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_UNSUPPORTED, "%s has no images", exec->be->description);
        return false;
    }
    return exec->keeps_outputs = exec->be->klass->exec_keep_outputs(exec, error);
}

bool nerv_exec_export(NervExec *exec, const NervTensor *output, size_t offset, const void *target,
                      GError **error)
{
    if (!output->is_output || !exec->keeps_outputs || offset >= nerv_tensor_bytes(output)) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID,
                    "tensor %s is no output that is kept, or ends before byte %zu",
                    output->name ? output->name : "(unnamed)", offset);
        return false;
    }
    return exec->be->klass->exec_export(exec, output, offset, target, error);
}

bool nerv_exec_export_wait(NervExec *exec, GError **error)
{
    return !exec->keeps_outputs || exec->be->klass->exec_export_wait(exec, error);
}

bool nerv_exec_set_slots(NervExec *exec, uint32_t n_slots, GError **error)
{
    if (n_slots < 1 || n_slots > NERV_MAX_SLOTS) {
        g_set_error(error, NERV_ERROR, NERV_ERROR_INVALID, "%u slots: it must be 1 to %d", n_slots,
                    NERV_MAX_SLOTS);
        return false;
    }
    if (n_slots != exec->n_slots && !exec->be->klass->exec_set_slots(exec, n_slots, error))
        return false;
    exec->n_slots = n_slots;
    exec->slot = 0;
    return true;
}

void nerv_exec_use_slot(NervExec *exec, uint32_t slot)
{
    exec->slot = MIN(slot, exec->n_slots - 1);
}

bool nerv_exec_profile(NervExec *exec, bool on, GError **error)
{
    if (!exec->be->klass->exec_profile(exec, on, error))
        return false;
    if (on)
        nerv_plan_profile_reset(exec->plan);
    return true;
}
