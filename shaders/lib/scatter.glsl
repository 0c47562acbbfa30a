/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * A scatter of dy into dx whose sums must not depend on who comes first (warp_dx, warp_slope_dx). So they are integers: 64 bits in
 * two's complement, the low word before the high one, added word by word with atomicAdd. Whoever makes the low word wrap sees it by
 * what was there before, and takes one more to the high word; all words that anyone adds arrive once, so the sum is exact modulo
 * 2^64 in any order.
 *
 * It never leaves 64 bits. With reach(id) < 2^(e+1) for all elements of dy, which is what one of them adds to an element of dx at
 * most, rounding apart, an element of dx is at most 2^log2_terms 2^(e+1) in magnitude. In units of 2^-E with E = 61 - log2_terms - e
 * that is 2^62: half of what fits. Each contribution loses less than one unit, 2^-62 of the largest sum that could be. Where a reach is
 * a NaN or an infinity all of dx is NaN.
 *
 * Pass 0: PARTS workgroups clear the sums, and each leaves the largest reach that it saw. Pass 1: one invocation adds one
 * element of dy to four sums. Pass 2: one invocation makes one element of dx from its sum. Grid: PARTS workgroups, the elements
 * of dy, those of dx, folded. Include last, behind lib/warp.glsl, dx[M,C,H,W] as words and the scratch, `words`: PARTS, then two
 * for each element of dx. The shader has reach() and scatter() besides.
 */
#ifndef NERV_SCATTER_GLSL
#define NERV_SCATTER_GLSL

#define PARTS    128u /* VK_PARTS of src/ops/warp_common.c */
#define INFINITE 0x7f800000u
#define NOT_A_NUMBER 0x7fc00000u

/* Of element `id` of dy; not negative. */
float reach(uint id);
/* Adds its contributions, in units of 2^-e. */
void scatter(uint id, int e);

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

/* v 2^e, in two steps, as 2^e need not be a float. */
float scaled(float v, int e)
{
    return v * power_of_two(e / 2) * power_of_two(e - e / 2);
}

/* E, from the bits of the largest reach: -96 to 188. */
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
        peak = max(peak, floatBitsToUint(reach(i)) & 0x7fffffffu);
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
        scatter(id, unit_exponent(peak));
    if (pc.pass == 2u && id < pc.count_dx)
        dx[id] = finish(id, peak);
}

#endif
