/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The seam between plans and devices. A backend owns buffers and executable plans; everything above talks to
 * it through these functions and everything below implements the slots of NervBackendClass. A backend and
 * what was made from it belong to one thread at a time.
 */
#pragma once

#include "graph/plan.h"

#define NERV_MAX_SLOTS 4

typedef struct NervBackend NervBackend;
typedef struct NervBuffer NervBuffer;
typedef struct NervExec NervExec;

typedef struct {
    const char *name; /* "cpu", "vulkan" */
    void (*destroy)(NervBackend *be);
    /* Buffers: zeroed, at least `bytes`, start aligned to NERV_PLAN_ALIGN. */
    NervBuffer *(*buffer_new)(NervBackend *be, size_t bytes, GError **error);
    void (*buffer_free)(NervBuffer *buf);
    bool (*upload)(NervBuffer *buf, size_t offset, const void *src, size_t bytes, GError **error);
    bool (*download)(NervBuffer *buf, size_t offset, void *dst, size_t bytes, GError **error);
    /* Executables. */
    NervExec *(*exec_new)(NervBackend *be, NervTape *tape, GError **error);
    void (*exec_free)(NervExec *exec);
    bool (*exec_bind)(NervExec *exec, const NervTensor *leaf, NervBuffer *buf, size_t offset, GError **error);
    bool (*exec_write)(NervExec *exec, const NervTensor *leaf, const void *src, GError **error);
    bool (*exec_read)(NervExec *exec, const NervTensor *output, void *dst, GError **error);
    bool (*exec_run)(NervExec *exec, GError **error);
    bool (*exec_wait)(NervExec *exec, GError **error);
    bool (*exec_set_slots)(NervExec *exec, uint32_t n_slots, GError **error);
    bool (*exec_profile)(NervExec *exec, bool on, GError **error);
    /* See nerv_exec_keep_outputs(). NULL: outputs can only be read. */
    bool (*exec_keep_outputs)(NervExec *exec, GError **error);
    bool (*exec_export)(NervExec *exec, const NervTensor *output, size_t offset, const void *target,
                        GError **error);
    bool (*exec_export_wait)(NervExec *exec, GError **error);
    /* See nerv_backend_lane_new(). NULL: runs of one exec overlap in its slots instead. */
    NervBackend *(*lane_new)(NervBackend *be, uint32_t n_threads, GError **error);
} NervBackendClass;

/* What a backend has asked of its driver so far. After an exec's first run a further one adds a submission and nothing
 * else. The CPU backend counts none. */
typedef struct {
    uint64_t submissions; /* to a queue, transfers included */
    uint64_t allocations; /* of device memory */
    uint64_t recordings;  /* of command buffers */
    uint64_t descriptors; /* sets written */
    uint64_t pipelines;   /* made */
    uint64_t readbacks;   /* copies from the device to memory of the host */
} NervBackendStats;

/* Common heads; backends embed them as their first member. */
struct NervBackend {
    const NervBackendClass *klass;
    char *description; /* for people: "CPU avx512, 2 threads", "Vulkan: NVIDIA H200 (driver 580.159)" */
    size_t live_bytes; /* device memory in use through this backend */
    size_t peak_bytes;
    size_t limit_bytes; /* bound on live_bytes, 0: none */
    const gint *cancel; /* if set and not 0 (atomic), a run stops early with NERV_ERROR_CANCELLED */
    NervBackendStats stats;
    bool is_software;     /* CPU, or a Vulkan driver that runs on one */
    bool has_failed;      /* its driver refused something or lost the device: another device may do better */
    uint32_t n_threads;   /* that a run is spread over by this library; 0 where it is not */
    NervBackend *lane_of; /* the backend that this one is a lane of, or NULL */
};
struct NervBuffer {
    NervBackend *be;
    size_t bytes;
};
struct NervExec {
    NervBackend *be;
    NervPlan *plan;
    uint32_t n_slots, slot; /* how many there are, and the one in use */
    bool keeps_outputs;
};

/* For backends: accounts `bytes` more as live, or fails with NERV_ERROR_MEMORY over the limit; and gives them
 * back. A lane's count as those of the backend that it is of. */
bool nerv_backend_reserve(NervBackend *be, size_t bytes, GError **error);
void nerv_backend_release(NervBackend *be, size_t bytes);
size_t nerv_backend_live_bytes(const NervBackend *be);
/* True, with NERV_ERROR_CANCELLED set, if the run must stop. */
bool nerv_backend_cancelled(const NervBackend *be, GError **error);

/* Opens a device.
 *   "auto"      the best hardware GPU through Vulkan (discrete before integrated), else the CPU. The
 * environment variable NERV_DEVICE, if set, replaces "auto". "cpu"       CPU backend;
 * NERV_CPU=c|baseline|avx2|avx512 masks the levels above the named one. "vulkan"    the best hardware GPU,
 * else an error;  "vulkan:N" device N of the driver's list, software included. n_threads: CPU threads, 0 =
 * one per core. Errors: NERV_ERROR_DEVICE naming what is missing, NERV_ERROR_INVALID for an unknown name.
 * Free with nerv_backend_free(). */
NervBackend *nerv_backend_open(const char *device, uint32_t n_threads, GError **error);
void nerv_backend_free(NervBackend *be);

/* Lanes: smaller backends beside one, of the same device and kernels, with threads of their own. Their runs may go on at the
 * same time as each other's and that of the backend that they are of, and give the same bytes. An exec of a lane
 * may be bound to buffers of that backend. While lanes run, such a buffer may only be read. Whatever takes or gives back
 * memory (lanes, execs, buffers) is for the thread that the backend belongs to; a lane's runs, writes and reads are for
 * any one thread. Lanes go before the backend, with nerv_backend_free(). n_threads 1..256. NERV_ERROR_UNSUPPORTED where
 * nerv_backend_has_lanes() is false: there nerv_exec_set_slots() overlaps runs. */
bool nerv_backend_has_lanes(const NervBackend *be);
NervBackend *nerv_backend_lane_new(NervBackend *be, uint32_t n_threads, GError **error);

/* A list of the devices' descriptions, one per line "cpu  CPU avx512" / "vulkan:0  llvmpipe ...". Free with
 * g_free. */
char *nerv_backend_list(void);

NervBuffer *nerv_buffer_new(NervBackend *be, size_t bytes, GError **error);
void nerv_buffer_free(NervBuffer *buf);
bool nerv_buffer_upload(NervBuffer *buf, size_t offset, const void *src, size_t bytes, GError **error);
bool nerv_buffer_download(NervBuffer *buf, size_t offset, void *dst, size_t bytes, GError **error);

/* Plans the tape for this device and makes it ready to run. The tape is not owned and must outlive the exec.
 */
NervExec *nerv_exec_new(NervBackend *be, NervTape *tape, GError **error);
void nerv_exec_free(NervExec *exec);

/* Binds a PARAM leaf to `buf` at `offset` (a multiple of NERV_PLAN_ALIGN). The buffer must outlive the exec.
 * Every PARAM leaf that the plan uses must be bound before the first run; rebinding is allowed while no run
 * is pending. */
bool nerv_exec_bind(NervExec *exec, const NervTensor *leaf, NervBuffer *buf, size_t offset, GError **error);

/* Writes an INPUT leaf's values (its whole size) for the next run. Waits for a pending run first. */
bool nerv_exec_write(NervExec *exec, const NervTensor *leaf, const void *src, GError **error);

/* Starts a run; returns before it ends where the device is asynchronous. At most one run of a slot is
 * pending; a second call waits for the first. */
bool nerv_exec_run(NervExec *exec, GError **error);
bool nerv_exec_wait(NervExec *exec, GError **error);

/* Waits, then copies an output's values (its whole size) to dst. */
bool nerv_exec_read(NervExec *exec, const NervTensor *output, void *dst, GError **error);

/* Runs in flight: an exec has one slot until it is given more, 1..NERV_MAX_SLOTS. A slot has its own values of the INPUT leaves
 * (zeros at first) and its own copy of the outputs, so that one run's outputs can be read while the next runs; everything
 * else is shared, and runs happen in the order in which they were started. write, run, wait and read mean the slot in use,
 * which is 0 at first and after set_slots. set_slots waits for all runs, keeps the slots that remain as they are,
 * and changes nothing if it fails. The CPU backend runs at once, in nerv_exec_run(). */
bool nerv_exec_set_slots(NervExec *exec, uint32_t n_slots, GError **error);
void nerv_exec_use_slot(NervExec *exec, uint32_t slot);

/* For who shows outputs on the device that makes them. From here on outputs stay there: nerv_exec_read() is refused, and
 * nerv_exec_export() starts a copy of the part of an output that begins at byte `offset` to `target`, behind the slot's last run, for which it need not be waited. What a target is the backend says:
 * Vulkan: NervVulkanFrame, see nerv_vulkan.h. One copy is under way at most, a second call waits for the first; export_wait waits until it is
 * done, and not for runs that were started behind it. keep_outputs waits for all runs. NERV_ERROR_UNSUPPORTED on the CPU, whose outputs are there for all to read. */
bool nerv_exec_keep_outputs(NervExec *exec, GError **error);
bool nerv_exec_export(NervExec *exec, const NervTensor *output, size_t offset, const void *target,
                      GError **error);
bool nerv_exec_export_wait(NervExec *exec, GError **error);

/* Clears the plan's profile and starts to time its steps, or stops to; waits for all runs first. Each step of a timed run is
 * done before the next begins, so a run may take longer than one that is not timed. A run's times are in exec->plan->profile
 * once it has been waited for. NERV_ERROR_UNSUPPORTED on a device without timestamps. */
bool nerv_exec_profile(NervExec *exec, bool on, GError **error);

/* Constructors of the backends; callers use nerv_backend_open(). index -1: best hardware GPU. */
NervBackend *nerv_cpu_backend_new(uint32_t n_threads, GError **error);
NervBackend *nerv_vulkan_backend_new(int index, GError **error);
/* Appends lines "vulkan:N  name" for nerv_backend_list(); nothing where there is no driver. */
void nerv_vulkan_list(GString *out);
