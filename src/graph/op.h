/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What an op is. One `const NervOp` says everything that the runtime knows of an operation: its shape rule,
 * its reference in plain C, its threaded CPU form, its Vulkan dispatches, its gradient and the tolerance that
 * checkop allows. Backends run plans of nodes and never name an op.
 */
#pragma once

#include <glib.h>
#include "base/error.h"
#include "tensor/tensor.h"

#define NERV_MAX_IN         8
#define NERV_MAX_OUT        3
#define NERV_MAX_ATTR_BYTES 96
#define NERV_MAX_PUSH       32 /* 32-bit words of push constants: 128 bytes, Vulkan's guaranteed minimum */
#define NERV_MAX_SPEC       12
#define NERV_MAX_BIND       12
#define NERV_MAX_DISPATCH   6

typedef struct NervOp NervOp;
typedef struct NervTape NervTape;
typedef struct NervCpu NervCpu; /* cpu/cpu.h: thread pool and table of kernels */

/* One use of an op: its operands and attributes. Owned by the tape. */
struct NervNode {
    const NervOp *op;
    uint32_t n_in;
    NervTensor *in[NERV_MAX_IN];
    NervTensor *out[NERV_MAX_OUT];
    _Alignas(8) uint8_t attr[NERV_MAX_ATTR_BYTES]; /* the op's own POD struct, zero-padded */
};

#define NERV_NODE_ATTR(node, Type) ((const Type *)(const void *)(node)->attr)

/* Result of the shape rule for one output. */
typedef struct {
    NervDType dtype;
    NervShape shape;
} NervOutInfo;

/* Memory of one node in one run. An output that nobody reads is NULL and need not be computed. Pointers are
 * 64-byte aligned and, except for views into padded storage, cover exactly the tensor's bytes. */
typedef struct {
    const void *in[NERV_MAX_IN];
    void *out[NERV_MAX_OUT];
    void *scratch; /* op->cpu_scratch bytes, contents undefined */
} NervArgs;

/* One operand of a Vulkan dispatch. */
typedef enum { NERV_BIND_IN, NERV_BIND_OUT, NERV_BIND_SCRATCH } NervBindKind;
typedef struct {
    uint8_t kind;  /* NervBindKind */
    uint8_t index; /* of the input or output; 0 for scratch */
} NervBind;

/* One vkCmdDispatch. Bindings 0..n_bind-1 of set 0 are storage buffers holding the whole operand. A dead
 * output may be bound: it is then a small dummy buffer that must not be written (pass a flag in the push
 * constants; see `out_live`). Spec constants have ids 0..n_spec-1. */
typedef struct {
    const char *shader; /* file stem in shaders/, e.g. "conv2d" */
    uint32_t groups[3];
    uint32_t push[NERV_MAX_PUSH];
    uint32_t n_push;
    uint32_t spec[NERV_MAX_SPEC];
    uint32_t n_spec;
    NervBind bind[NERV_MAX_BIND];
    uint32_t n_bind;
    bool barrier_before; /* depends on an earlier dispatch of the same node */
} NervDispatch;

/* What a dispatch rule may ask of the device and of the plan. */
typedef struct {
    uint32_t max_groups[3];   /* maxComputeWorkGroupCount */
    uint32_t max_invocations; /* maxComputeWorkGroupInvocations */
    uint32_t shared_bytes;    /* maxComputeSharedMemorySize */
    uint32_t subgroup_size;
    bool is_software;            /* tile for a CPU implementation such as lavapipe */
    bool out_live[NERV_MAX_OUT]; /* outputs that somebody reads */
} NervVkCaps;

struct NervOp {
    const char *name; /* stem of its file, or stem_suffix for a gradient op: "conv2d_dx" */
    uint8_t min_in, max_in, n_out;
    /* A view has no work: output 0 is input 0 under another shape. */
    bool is_view;
    /* alias[i] = 1 + index of the input whose memory output i overwrites (Adam); 0: none. Such an input must
     * be a PARAM leaf and nothing may read it after this node. */
    uint8_t alias[NERV_MAX_OUT];

    /* The shape rule and ALL validation of operands and attributes. Fills out[0..n_out-1]. On failure sets
     * the error (NERV_ERROR_INVALID, naming the op) and returns false. Outputs' sizes are checked by the
     * tape. */
    bool (*infer)(const NervNode *node, NervOutInfo *out, GError **error);

    /* Plain C, one thread, no cleverness: the oracle that every other form is compared with. */
    void (*ref)(const NervNode *node, const NervArgs *args);

    /* Threaded form on the table of kernels; NULL: `ref` is used. Must not depend on the number of threads.
     * Runs on the calling thread and may spread work with nerv_pool_run(cpu->pool, ...). */
    void (*cpu)(const NervNode *node, const NervArgs *args, const NervCpu *cpu);
    /* Bytes of scratch that `cpu` needs; NULL: none. May depend on cpu->pool's thread count. */
    size_t (*cpu_scratch)(const NervNode *node, const NervCpu *cpu);

    /* Vulkan: writes up to NERV_MAX_DISPATCH dispatches, returns their number; 0: this device cannot run it
     * (the caller reports an error). Called once, when a plan is recorded. */
    uint32_t (*dispatch)(const NervNode *node, const NervVkCaps *caps, NervDispatch *out);
    /* Bytes of device scratch; NULL: none. */
    size_t (*vk_scratch)(const NervNode *node, const NervVkCaps *caps);

    /* Gradient rule: given dout[i] (NULL where nothing flows back), sets din[j] for every input with need[j]
     * by appending nodes to the tape. din[j] left NULL means zero. NULL rule: not differentiable; asking for
     * a gradient through it is an error that sticks to the tape. */
    void (*grad)(NervTape *tape, const NervNode *node, NervTensor *const *dout, const bool *need,
                 NervTensor **din);

    /* Merges the node with the one that feeds it, where nobody else reads what is between: rewrites `node`, whose output 0 keeps its
     * shape, and returns true; leaves it alone and returns false if that cannot be. uses[id]: how many nodes read a tensor,
     * and one more if it is an output. NULL: never. */
    bool (*fuse)(NervNode *node, const uint32_t *uses);

    /* Multiply-accumulates of one run, for benchmarks; NULL: not counted. */
    int64_t (*macs)(const NervNode *node);

    /* checkop: |a-b| <= atol + rtol*|b| elementwise against `ref`, for CPU levels and Vulkan alike. */
    float rtol, atol;
};

/* All ops, NULL-terminated; checkop fails for one that has no case (src/ops/ops.c). */
extern const NervOp *const nerv_ops[];

/* What reverse-mode differentiation itself appends (src/ops/ops.c): the sum of two gradients of one shape, and zeros. */
typedef struct {
    NervTensor *(*sum)(NervTape *tape, NervTensor *a, NervTensor *b);
    NervTensor *(*zeros)(NervTape *tape, NervShape shape);
} NervGradOps;
extern const NervGradOps nerv_grad_ops;
