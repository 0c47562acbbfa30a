/* SPDX-License-Identifier: LGPL-2.1-or-later
 *
 * The 11-tap Gaussian of SSIM and the tiling that ssim and ssim_dx share: a workgroup does TILE x TILE
 * positions of one plane and first stages the TILE+10 square they see. The taps come from the host, which
 * normalises them in double.
 */
#ifndef NERV_WINDOW_GLSL
#define NERV_WINDOW_GLSL

#define TAPS 11
#define TILE 16
#define SEEN (TILE + TAPS - 1)

/* Tap i of 0..10, from the six that differ. */
#define WINDOW_TAP(i) pc.taps[(i) < 6 ? (i) : 10 - (i)]

#endif
