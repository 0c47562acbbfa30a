#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes ops.golden with PyTorch (Debian's python3-torch): the ops of networks over clips of frames, one by one.

For each case the file holds the operands "CASE.name", what comes out, "CASE.y", a gradient of it, "CASE.dy", and the gradients
"CASE.grad.name" that autograd makes of that. Everything is computed in double precision from operands that are
floats. Layout of the file: make_golden.py. Pictures are the frames of clips in a row.

Usage: make_golden_ops.py            writes ops.golden beside itself
"""
import os

import numpy as np
import torch
from torch.nn import functional

from make_golden import HERE, four, write

CLIPS, FRAMES, C, H, W = 2, 8, 2, 5, 7
N = CLIPS * FRAMES


def weigh(a, ka, b, kb):
    return a * ka + b * kb


def modulate(x, sh):
    scale, shift = sh.chunk(2, dim=1)
    return x * (1 + scale) + shift


def norm(x):
    channels_first = x.view(CLIPS, FRAMES, C, H, W).transpose(1, 2)
    return torch.nn.InstanceNorm3d(C)(channels_first).transpose(1, 2).reshape(x.shape)


def temporal_mix(x, w, b):
    """A convolution of the frames of a pixel, grouped by channels, as their linear layer."""
    rows = x.view(CLIPS, FRAMES, C, H * W).transpose(1, 2).reshape(CLIPS, C * FRAMES, H * W)
    rows = rows + functional.conv1d(rows, w.reshape(C * FRAMES, FRAMES, 1), b.flatten(), groups=C)
    return rows.view(CLIPS, C, FRAMES, H * W).transpose(1, 2).reshape(x.shape)


def warp(x, flow):
    rows, columns = torch.meshgrid(torch.arange(H).double(), torch.arange(W).double(), indexing="ij")
    across = (columns + flow[:, 0]) * 2 / (W - 1) - 1
    down = (rows + flow[:, 1]) * 2 / (H - 1) - 1
    pictures = x.repeat_interleave(len(flow) // len(x), dim=0)
    return functional.grid_sample(pictures, torch.stack([across, down], dim=3), mode="bilinear", padding_mode="border",
                                  align_corners=True)


def make(name, function, operands, constants=()):
    """The arrays of one case; operands: name -> array of floats."""
    tensors = {k: torch.from_numpy(v.astype(np.float32)).double().requires_grad_(k not in constants)
               for k, v in operands.items()}
    y = function(*tensors.values())
    dy = torch.from_numpy(np.random.default_rng(1).uniform(-1, 1, y.shape).astype(np.float32)).double()
    (y * dy).sum().backward()
    arrays = [(f"{name}.{k}", four(t.detach().numpy())) for k, t in tensors.items()]
    arrays += [(f"{name}.y", y.detach().numpy()), (f"{name}.dy", dy.numpy())]
    return arrays + [(f"{name}.grad.{k}", t.grad.numpy()) for k, t in tensors.items() if k not in constants]


def main():
    rng = np.random.default_rng(2023)

    def uniform(*shape):
        return rng.uniform(-1, 1, shape)

    # Off whole coordinates, where the slope jumps.
    flow = rng.integers(-3, 3, (N, 2, H, W)) + rng.uniform(.2, .8, (N, 2, H, W))
    x = (N, C, H, W)
    arrays = make("weigh", weigh, {"a": uniform(*x), "ka": uniform(N, 1, 1, 1), "b": uniform(*x), "kb": uniform(N, 1, 1, 1)},
                  ("ka", "kb"))
    arrays += make("modulate", modulate, {"x": uniform(*x), "sh": uniform(N, 2 * C, H, W)})
    arrays += make("norm", norm, {"x": 3 + 2 * uniform(*x)})
    arrays += make("temporal_mix", temporal_mix,
                   {"x": uniform(*x), "w": uniform(C, FRAMES, FRAMES, 1), "b": uniform(1, C, FRAMES, 1)})
    arrays += make("warp", warp, {"x": uniform(CLIPS, C, H, W), "flow": flow})
    write(os.path.join(HERE, "ops.golden"), {"frames": FRAMES}, arrays)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main()
