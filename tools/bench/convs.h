/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * Single convolutions: forward, the gradient to the input and the gradient to the weights, in turns with the peer's.
 */
#pragma once

#include "backend/backend.h"
#include "json.h"
#include "ops.h"
#include "peer.h"

/* Measures the six 3x3 convolutions that NeRV networks spend their time in, `rounds` times for `seconds` each way, prints a
 * table and adds "conv2d" and "conv2d_mean" to the JSON. `quick`: one small shape instead, for tests. `peer` may be NULL. */
bool bench_convs(Json *j, NervBackend *be, BenchPeer *peer, const BenchRoof *roof, uint32_t rounds,
                 double seconds, bool quick, GError **error);
