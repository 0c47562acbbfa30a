#version 450
/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * adam: one step in place (src/ops/adam.c has the formulas). One invocation: one weight. Grid: the weights, folded.
 * Bindings, all of the weights' count but the last: 0 w, 1 dw, 2 m, 3 v, 4 hyper[4] = {lr, 1-beta1^t, 1-beta2^t, unused}; w, m
 * and v are read and written.
 */
#extension GL_GOOGLE_include_directive : require
#include "lib/common.glsl"

NERV_INOUT(0, w);
NERV_IN(1, dw);
NERV_INOUT(2, m);
NERV_INOUT(3, v);
NERV_IN(4, hyper);

layout(push_constant) uniform Push {
    uint count;
    float beta1, beta2, one_minus_beta1, one_minus_beta2, eps, weight_decay;
} pc;

void main()
{
    uint id = nerv_id();
    if (id >= pc.count)
        return;
    float g = dw[id];
    float mi = pc.beta1 * m[id] + pc.one_minus_beta1 * g;
    float vi = pc.beta2 * v[id] + pc.one_minus_beta2 * g * g;
    float root = sqrt(vi) * (1.0 / sqrt(hyper[2])) + pc.eps;
    w[id] = w[id] * (1.0 - hyper[0] * pc.weight_decay) - hyper[0] / hyper[1] * mi / root;
    m[id] = mi;
    v[id] = vi;
}
