#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the golden vector of MAML with PyTorch (Debian's python3-torch); the tests need no PyTorch.

A network of two stages on temporal grids, which begin as maps of the frames' patches: all frames of a clip are seen in each of a few steps of gradient
descent, each tensor with a rate of its own, and once more behind them; the gradient of that last loss in the beginning and in the
rates, through the steps (create_graph=True), and without what goes through their gradients. Stages are guided by the frame in their sizes. Double
precision from values that are floats. Layout of a file: make_golden.py.

Usage: make_golden_meta.py          writes meta.golden beside itself
"""
import os

import numpy as np
import torch
from torch.nn import functional as F

from make_golden import HERE, four, make_frames, write

WIDTH, HEIGHT, FRAMES = 29, 21, 4
BASE = (3, 4)
STRIDES = (4, 2)
WIDTHS = (5, 4)
GRIDS = ((2, 3), (3, 2))  # rows and channels in front of each block
STEPS, RATE, SPATIAL = 3, 0.4, 0.7
SIDE = 4  # coefficients of a patch each way, at most


def shapes():
    """Of the values at the beginning, by the parameters' names in their order."""
    out, channels = {}, 0
    for i, ((_, c), w, s) in enumerate(zip(GRIDS, WIDTHS, STRIDES)):
        out[f"grid{i}"] = (c, 1 + 3 * min(cell(i), SIDE) ** 2 * (2 if GRIDS[i][0] > 1 else 1), 1, 1)
        out[f"block{i}.weight"] = (w * s * s, channels + c) + ((3, 3) if i else (1, 1))
        out[f"block{i}.bias"] = (w * s * s,)
        channels = w
    out["head.weight"], out["head.bias"] = (3, channels, 3, 3), (3,)
    for i, w in enumerate(WIDTHS):
        out[f"stage{i}.weight"], out[f"stage{i}.bias"] = (3, w, 1, 1), (3,)
    return out


def cell(i):
    """Samples across of one of the grid's cells."""
    return int(np.prod(STRIDES[i:]))


def patches(frames, i):
    """What a grid is a map of, [rows, features, h, w]: 1, and the cosine transforms of three colours in each cell, of the frames round each row's time."""
    s, rows = cell(i), GRIDS[i][0]
    side = min(s, SIDE)
    rgb = frames.astype(np.float64) / 255
    planes = np.stack([rgb.mean(axis=3) - 0.5, rgb[..., 2] - rgb[..., 1], rgb[..., 0] - rgb[..., 1]], axis=1)
    h, w = BASE[0] * cell(0) // s, BASE[1] * cell(0) // s
    planes = np.pad(planes, ((0, 0), (0, 0), (0, h * s - HEIGHT), (0, w * s - WIDTH)), mode="edge")
    k, x = np.arange(side)[:, None], np.arange(s)[None]
    basis = np.where(k > 0, np.sqrt(2), 1) * np.cos(np.pi * (x + 0.5) * k / s) / s
    blocks = planes.reshape(FRAMES, 3, h, s, w, s)
    parts = np.einsum("fchywx,ky,lx->fcklhw", blocks, basis, basis)
    parts *= (4 * (1 + k + k.T))[None, None, :, :, None, None] * np.array([1, 3, 3])[None, :, None, None, None, None]
    parts = parts.reshape(FRAMES, 3 * side * side, h, w)
    if rows > 1:
        parts = np.concatenate([parts, parts - parts.mean(axis=0)], axis=1)
    at_row = np.arange(FRAMES) * (rows - 1) / (FRAMES - 1)
    near = np.maximum(0, 1 - np.abs(at_row[None] - np.arange(rows)[:, None]))
    means = np.einsum("rf,fphw->rphw", near / near.sum(axis=1, keepdims=True), parts)
    return torch.from_numpy(np.concatenate([np.ones((rows, 1, h, w)), means], axis=1))


def whole(start, seen):
    """Grids as maps; other tensors as they are."""
    return {k: F.conv2d(seen[k], v) if k in seen else v for k, v in start.items()}


def at(grid, index):
    p = index * (len(grid) - 1) / (FRAMES - 1)
    k = min(int(p), len(grid) - 1)
    return grid[k] + (p - k) * (grid[min(k + 1, len(grid) - 1)] - grid[k])


def loss(w, target):
    """The frames' error, and the mean of the stages' in their sizes."""
    x, stages = None, []
    for i, s in enumerate(STRIDES):
        own = torch.stack([at(w[f"grid{i}"], f) for f in range(FRAMES)])
        x = own if x is None else torch.cat([x, own], dim=1)
        x = F.conv2d(x, w[f"block{i}.weight"], w[f"block{i}.bias"], padding=1 if i else 0)
        x = F.gelu(F.pixel_shuffle(x, s))
        stages.append(x)
    rgb = torch.sigmoid(F.conv2d(x, w["head.weight"], w["head.bias"], padding=1))[:, :, :HEIGHT, :WIDTH]
    frame = F.mse_loss(rgb, target)
    guidance = 0
    for i, stage in enumerate(stages):
        s = stages[-1].shape[3] // stage.shape[3]
        small = F.avg_pool2d(target, s)
        own = F.conv2d(stage, w[f"stage{i}.weight"], w[f"stage{i}.bias"])[:, :, :small.shape[2], :small.shape[3]]
        guidance = guidance + F.mse_loss(own, small)
    return frame, frame + SPATIAL * guidance / len(stages)


def learn(start, rates, seen, target, second_order):
    """Losses in front of the steps and behind them, and gradients."""
    w, before = whole(start, seen), None
    for _ in range(STEPS):
        frame, objective = loss(w, target)
        before = frame.item() if before is None else before
        grads = torch.autograd.grad(objective, list(w.values()), create_graph=second_order)
        w = {k: v - RATE * (v.shape[2] * v.shape[3] if k.startswith("grid") else 1) * rates[k] * g
             for (k, v), g in zip(w.items(), grads)}
    frame, objective = loss(w, target)
    grads = torch.autograd.grad(objective, list(start.values()) + list(rates.values()))
    return before, frame.item(), grads


def main():
    torch.set_num_threads(1)
    torch.manual_seed(5)
    rng = np.random.default_rng(2025)
    frames = make_frames(FRAMES, WIDTH, HEIGHT, rng)
    target = torch.from_numpy(frames).permute(0, 3, 1, 2).double() / 255
    start, rates = {}, {}
    for name, shape in shapes().items():
        fan = np.prod(shape[1:]) if len(shape) > 1 else 4
        bound = 0.15 if name.startswith("grid") else fan ** -0.5
        start[name] = torch.empty(shape).uniform_(-bound, bound).double().requires_grad_()
        rates[name] = torch.empty(1).uniform_(0.5, 1.5).double().requires_grad_()
    seen = {f"grid{i}": patches(frames, i) for i in range(len(GRIDS))}
    before, after, grads = learn(start, rates, seen, target, True)
    _, same, first = learn(start, rates, seen, target, False)
    assert abs(after - same) < 1e-12
    n = len(start)
    arrays = [("frames", frames.reshape(FRAMES, 1, 1, -1)), ("losses", four(np.array([before, after], np.float32))),
              ("rates", four(torch.cat(list(rates.values())).detach().numpy())),
              ("rate-gradients", four(torch.cat(grads[n:]).numpy()))]
    arrays += [("start." + k, four(v.detach().numpy())) for k, v in start.items()]
    arrays += [("grad." + k, four(g.numpy())) for k, g in zip(start, grads)]
    arrays += [("first." + k, four(g.numpy())) for k, g in zip(start, first)]
    print(before, after, [float((g - f).abs().max() / g.abs().max()) for g, f in zip(grads[:n], first)])
    write(os.path.join(HERE, "meta.golden"),
          dict(width=WIDTH, height=HEIGHT, frames=FRAMES, steps=STEPS, rate=RATE, spatial=SPATIAL,
               grids="/".join(f"{r}x{c}" for r, c in GRIDS), strides=list(STRIDES), widths=list(WIDTHS)), arrays)


if __name__ == "__main__":
    main()
