#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the golden vectors of this directory with PyTorch (Debian's python3-torch); the tests need no PyTorch.

Each file holds one tiny NeRV: its frames, initial weights, forward pass, the loss and every gradient of the first
step, and two fits of ten Adam steps: one frame at a time in a given order, and all frames in every step. Everything is
computed in double precision from initial weights that are floats.

Layout of a file: a line "nerv-golden 1", one line "name type n c h w" for each array (type f32 or u8), an empty line,
then the arrays' values in that order, little-endian, without gaps. Options are lines "option name value" among them.

Usage: make_golden.py            writes gelu.golden and silu.golden beside itself
"""
import os
import sys

import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools", "peers"))
from nerv_torch import NeRV, learning_rate, nerv_loss  # noqa: E402

N_STEPS = 10
PEAK_RATE = 2e-2
WARMUP = 0.2

CONFIGS = {
    # Odd sizes: the grid is padded to 40x32 and the output cropped.
    "gelu": dict(width=37, height=29, stem=16, base_channels=4, widths=[6, 5], strides=[2, 2], kernels=[3, 3],
                 activation="gelu", out_activation="tanh01"),
    # Other kernels, another stride, no crop.
    "silu": dict(width=48, height=30, stem=16, base_channels=4, widths=[6, 5], strides=[3, 2], kernels=[1, 5],
                 activation="silu", out_activation="sigmoid"),
}


def make_frames(n, width, height, rng):
    """Something to fit: a gradient, a moving disc, noise; and black and white pixels at the ends of the range."""
    y, x = np.mgrid[0:height, 0:width]
    frames = []
    for i in range(n):
        disc = (x - width * (i + 1) / (n + 1)) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2
        base = np.stack([255 * x / width, 255 * y / height, 128 + 100 * np.sin(0.3 * x + i)], axis=2)
        base[disc] = (230, 40, 10 * i)
        base += rng.normal(0, 6, base.shape)
        base[0, :4], base[-1, -4:] = 0, 255
        frames.append(np.clip(np.rint(base), 0, 255).astype(np.uint8))
    return np.stack(frames)


def four(a):
    """A parameter in libnerv's shape: matrices [M,K,1,1], vectors [1,M,1,1]."""
    a = np.asarray(a)
    return a.reshape({1: (1, -1, 1, 1), 2: a.shape + (1, 1)}.get(a.ndim, a.shape))


def numpy_parameters(net):
    return [(k, p.detach().numpy().copy()) for k, p in net.named_parameters()]


def fit(config, initial, frames, order):
    """Ten Adam steps on the frames that order[step] lists; returns losses and final weights."""
    net = NeRV(**config).double()
    net.load_state_dict(initial)
    target = torch.from_numpy(frames).permute(0, 3, 1, 2).double() / 255
    encoding = net.encode(torch.arange(len(frames)) / len(frames)).float().double()
    adam = torch.optim.Adam(net.parameters(), lr=1.0, betas=(0.5, 0.999), eps=1e-8)
    losses = []
    for step, batch in enumerate(order):
        for group in adam.param_groups:
            group["lr"] = learning_rate(PEAK_RATE, WARMUP, step, N_STEPS)
        loss = nerv_loss(net(encoding[batch]), target[batch])
        adam.zero_grad()
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return losses, net


def make(name, config):
    rng = np.random.default_rng(20210)
    torch.manual_seed(7)
    n = 3
    frames = make_frames(n, config["width"], config["height"], rng)
    net = NeRV(**config).float().double()
    initial = {k: v.clone() for k, v in net.state_dict().items()}
    order = [int(i) for i in rng.integers(0, n, N_STEPS)]
    order[0] = 1  # not frame 0, whose encoding is all 0 and 1

    arrays = [("frames", frames.reshape(n, 1, 1, -1)), ("order", four(np.array(order, np.float32)))]
    arrays += [("w0." + k, four(v)) for k, v in numpy_parameters(net)]
    encoding = net.encode(torch.arange(n) / n).float().double()
    target = torch.from_numpy(frames).permute(0, 3, 1, 2).double() / 255
    with torch.no_grad():
        arrays.append(("forward", net(encoding).numpy()))
    loss = nerv_loss(net(encoding[order[:1]]), target[order[:1]])
    loss.backward()
    arrays.append(("loss", four([loss.item()])))
    arrays += [("grad." + k, four(p.grad.numpy())) for k, p in net.named_parameters()]
    rates = [learning_rate(PEAK_RATE, WARMUP, s, N_STEPS) for s in range(N_STEPS)]
    arrays.append(("rates", four(rates)))

    for label, batches in (("single", [[i] for i in order]), ("full", [list(range(n))] * N_STEPS)):
        losses, fitted = fit(config, initial, frames, batches)
        arrays.append((label + ".losses", four(losses)))
        arrays += [(f"{label}.w." + k, four(v)) for k, v in numpy_parameters(fitted)]
        print(name, label, " ".join(f"{x:.6f}" for x in losses))
    write(os.path.join(HERE, name + ".golden"), dict(config, peak_rate=PEAK_RATE, warmup=WARMUP), arrays)


def write(path, options, arrays):
    head = ["nerv-golden 1"]
    for key, value in options.items():
        text = ",".join(map(str, value)) if isinstance(value, list) else str(value)
        head.append(f"option {key.replace('_', '-')} {text}")
    blobs = []
    for key, a in arrays:
        kind = "u8" if a.dtype == np.uint8 else "f32"
        head.append(" ".join([key, kind] + [str(d) for d in a.shape]))
        blobs.append(a.astype("<u1" if kind == "u8" else "<f4").tobytes())
    with open(path, "wb") as f:
        f.write(("\n".join(head) + "\n\n").encode() + b"".join(blobs))
    print(path, os.path.getsize(path), "bytes")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for golden_name, golden_config in CONFIGS.items():
        make(golden_name, golden_config)
