/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * What every shader shares: the workgroup's shape, the one-dimensional id of an invocation or workgroup in a
 * grid that had to be folded, and the macro that declares an operand. The host's half is src/ops/dispatch.h.
 * Include it right after #version and the extensions. A shader that wants another workgroup size than
 * NERV_LOCAL = 128 (the least that Vulkan guarantees) defines NERV_LOCAL first; it then passes the same
 * number to nerv_dispatch_elements().
 */
#ifndef NERV_COMMON_GLSL
#define NERV_COMMON_GLSL

#ifdef NERV_HALF
#extension GL_EXT_shader_16bit_storage : require
#endif

#ifndef NERV_LOCAL
#define NERV_LOCAL 128
#endif

layout(local_size_x = NERV_LOCAL, local_size_y = 1, local_size_z = 1) in;

/* NERV_IN(0, x): binding 0 is read as float x[]; NERV_OUT writes, NERV_INOUT does both. The _UINT forms see
 * the same bytes as 32-bit words (packed U8, I32 bits). */
#define NERV_IN(slot, name) \
    layout(std430, set = 0, binding = slot) restrict readonly buffer name##_block { float name[]; }
#define NERV_OUT(slot, name) \
    layout(std430, set = 0, binding = slot) restrict writeonly buffer name##_block { float name[]; }
#define NERV_INOUT(slot, name) \
    layout(std430, set = 0, binding = slot) restrict buffer name##_block { float name[]; }
#define NERV_IN_UINT(slot, name) \
    layout(std430, set = 0, binding = slot) restrict readonly buffer name##_block { uint name[]; }
#define NERV_OUT_UINT(slot, name) \
    layout(std430, set = 0, binding = slot) restrict writeonly buffer name##_block { uint name[]; }
#define NERV_INOUT_UINT(slot, name) \
    layout(std430, set = 0, binding = slot) restrict buffer name##_block { uint name[]; }

/* Operands that a plan computes, whose form is the device's business: floats, or 16-bit floats in the variant "half", which
 * computes with floats all the same. Written as y[i] = NERV_VALUE(v), read as float(x[i]). At the start of a line, for
 * compile.py tells the host which bindings they are. */
#ifdef NERV_HALF
#define NERV_VALUE float16_t
#else
#define NERV_VALUE float
#endif
#define NERV_VALUE_IN(slot, name) \
    layout(std430, set = 0, binding = slot) restrict readonly buffer name##_block { NERV_VALUE name[]; }
#define NERV_VALUE_OUT(slot, name) \
    layout(std430, set = 0, binding = slot) restrict writeonly buffer name##_block { NERV_VALUE name[]; }

/* The workgroup's number in a grid folded over x and y. Numbers past the wanted count occur in the last row: test
 * the bound before use (uniformly for the workgroup, so that barriers stay legal). */
uint nerv_group()
{
    return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
}

/* The invocation's number; one per element. Below 2^31 for the tensors that a tape admits. Test it against
 * the count. */
uint nerv_id()
{
    return nerv_group() * NERV_LOCAL + gl_LocalInvocationIndex;
}

/* Invocations in the grid: the stride of a loop in which each takes several elements. */
uint nerv_id_count()
{
    return gl_NumWorkGroups.x * gl_NumWorkGroups.y * NERV_LOCAL;
}

uint nerv_div_up(uint a, uint b)
{
    return (a + b - 1u) / b;
}

#endif
