/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Random numbers, see rng.h.
 */
#include "base/rng.h"

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void nerv_rng_init(NervRng *rng, uint64_t seed)
{
    for (int i = 0; i < 4; i++)
        rng->s[i] = splitmix64(&seed);
}

uint64_t nerv_rng_u64(NervRng *rng)
{
    uint64_t *s = rng->s;
    const uint64_t result = rotl(s[1] * 5, 7) * 9;
    const uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

uint32_t nerv_rng_below(NervRng *rng, uint32_t n)
{
    return (uint32_t)(((nerv_rng_u64(rng) >> 32) * (uint64_t)n) >> 32);
}

float nerv_rng_uniform(NervRng *rng, float lo, float hi)
{
    const float u = (float)(nerv_rng_u64(rng) >> 40) * 0x1p-24f, x = lo + (hi - lo) * u;
    return x < hi ? x : lo; /* the sum may round up to hi */
}
