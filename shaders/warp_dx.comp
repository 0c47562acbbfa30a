#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * warp_dx: the gradient of warp in its picture, a scatter whose sums must not depend on who comes first. So they are integers:
 * 64 bits in two's complement, the low word before the high one, added word by word with atomicAdd. Whoever makes the low word wrap
 * sees it by what was there before, and takes one more to the high word; all words that anyone adds arrive once, so the
 * sum is exact modulo 2^64 in any order.
 *
 * It never leaves 64 bits. With |dy| < 2^(e+1) for all dy, and the weights of one element of dy adding up to 1, rounding apart,
 * an element of dx is at most 2^log2_terms 2^(e+1) in magnitude. In units of 2^-E with E = 61 - log2_terms - e that is 2^62: half
 * of what fits. Each contribution loses less than one unit, 2^-62 of the largest sum that could be. Where dy holds a NaN or an
 * infinity all of dx is NaN.
 *
 * Pass 0: PARTS workgroups clear the sums, and each leaves the largest |dy| that it saw. Pass 1: one invocation adds one
 * element of dy to four sums. Pass 2: one invocation makes one element of dx from its sum. Grid: PARTS workgroups, the
 * elements of dy, those of dx, folded. Bindings: 0 dy[N,C,H,W], 1 flow[N,2,H,W], 2 dx[M,C,H,W], 3 scratch: PARTS words,
 * then two for each element of dx.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"
#include "lib/warp.glsl"

#define PARTS    128u /* VK_PARTS of src/ops/warp.c */
#define INFINITE 0x7f800000u
#define NOT_A_NUMBER 0x7fc00000u

NERV_IN(0, dy);
NERV_IN(1, flow);
NERV_OUT_UINT(2, dx);
NERV_INOUT_UINT(3, words);

shared uint peaks[NERV_LOCAL];

/* The largest value of the workgroup; the same in all invocations. */
uint workgroup_max(uint value)
{
    uint i = gl_LocalInvocationIndex;
    peaks[i] = value;
    barrier();
    for (uint n = NERV_LOCAL / 2u; n > 0u; n /= 2u) {
        if (i < n)
            peaks[i] = max(peaks[i], peaks[i + n]);
        barrier();
    }
    return peaks[0];
}

float power_of_two(int k)
{
    return uintBitsToFloat(uint(127 + k) << 23);
}

/* E, from the bits of the largest |dy|: -96 to 188. Multiplied by in two steps, as 2^E need not be a float. */
int unit_exponent(uint peak)
{
    return 61 - int(pc.log2_terms) - (int(peak >> 23) - 127);
}

void prepare()
{
    uint stride = nerv_id_count(), peak = 0u;
    for (uint i = nerv_id(); i < 2u * pc.count_dx; i += stride)
        words[PARTS + i] = 0u;
    for (uint i = nerv_id(); i < pc.count; i += stride)
        peak = max(peak, floatBitsToUint(dy[i]) & 0x7fffffffu);
    peak = workgroup_max(peak);
    if (gl_LocalInvocationIndex == 0)
        words[nerv_group()] = peak;
}

/* Adds v, in units and |v| < 2^63, to the sum of element `at` of dx. The parts of a float are exact. */
void add(uint at, float v)
{
    float magnitude = abs(v);
    uint high = uint(magnitude * power_of_two(-32));
    uint low = uint(magnitude - float(high) * power_of_two(32));
    if (v < 0.0) {
        low = 0u - low;
        high = ~high + (low == 0u ? 1u : 0u);
    }
    if (low != 0u && atomicAdd(words[PARTS + 2u * at], low) > ~low)
        high++;
    if (high != 0u)
        atomicAdd(words[PARTS + 2u * at + 1u], high);
}

void scatter(uint id, uint peak)
{
    uint plane = pc.h * pc.w, pixel = id % plane, n = id / plane / pc.channels;
    uint displacement = n * 2u * plane + pixel;
    Between along = between(float(pixel % pc.w) + flow[displacement], pc.w);
    Between down = between(float(pixel / pc.w) + flow[displacement + plane], pc.h);
    uint at = picture(n, id / plane % pc.channels) + down.line * pc.w + along.line, below = at + down.step * pc.w;
    int e = unit_exponent(peak);
    float v = dy[id] * power_of_two(e / 2) * power_of_two(e - e / 2);
    float left = (1.0 - along.f) * v, right = along.f * v;
    add(at, (1.0 - down.f) * left);
    add(at + along.step, (1.0 - down.f) * right);
    add(below, down.f * left);
    add(below + along.step, down.f * right);
}

uint finish(uint id, uint peak)
{
    uint low = words[PARTS + 2u * id], high = words[PARTS + 2u * id + 1u];
    bool negative = high >> 31 != 0u;
    if (negative) {
        low = 0u - low;
        high = ~high + (low == 0u ? 1u : 0u);
    }
    int e = unit_exponent(peak);
    float v = float(high) * power_of_two(32) + float(low);
    v = v * power_of_two(-(e / 2)) * power_of_two(e / 2 - e);
    return peak < INFINITE ? floatBitsToUint(negative ? -v : v) : NOT_A_NUMBER;
}

void main()
{
    if (pc.pass == 0u) {
        prepare();
        return;
    }
    uint id = nerv_id(), peak = workgroup_max(words[gl_LocalInvocationIndex]);
    if (pc.pass == 1u && id < pc.count && peak < INFINITE)
        scatter(id, peak);
    if (pc.pass == 2u && id < pc.count_dx)
        dx[id] = finish(id, peak);
}
