#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Makes the golden vectors of D-NeRV with PyTorch (Debian's python3-torch); the tests need no PyTorch.

Each file holds one tiny network over a few videos: frames, keyframes that differ from them as coded ones do, initial weights,
every frame, and for clips in a given order, full and partial ones, the loss and every gradient of the first step and ten Adam
steps; and ten steps of a fit to the last video, which is a single partial clip. Everything is computed in double precision from
initial weights that are floats. Layout of a file: make_golden.py.

Usage: make_golden_dnerv.py          writes dnerv-paper.golden, dnerv-grid.golden and dnerv-moved.golden beside itself
"""
import os
import sys

import numpy as np
import torch

from make_golden import HERE, N_STEPS, WARMUP, four, make_frames, numpy_parameters, write

sys.path.insert(0, os.path.join(HERE, "..", "..", "tools", "peers"))
from dnerv_torch import ALL, MOVED, PAPER, Clip, DNeRV, Moved, cut  # noqa: E402
from nerv_torch import learning_rate, nerv_loss  # noqa: E402

PEAK_RATE = 4e-3
GRID_RATE = 10  # of the grid, in units of the others'
EPSILON = 1e-6  # Adam's: with less, gradients that are nothing but a float's rounding would move weights

CONFIGS = {
    # The paper's network: a clip in each interval, a positional encoding of 240 levels; odd sizes.
    "dnerv-paper": dict(width=29, height=21, clip=8, interval=8, stem=8, base_channels=4, content=6, widths=[7, 6],
                        strides=[2, 2], parts=PAPER, pe_levels=240, videos=[11, 5], loss="paper"),
    # All parts, a grid; two clips in an interval, a video of one frame, strides of several kinds.
    "dnerv-grid": dict(width=26, height=23, clip=4, interval=8, stem=0, base_channels=3, content=5, widths=[8, 6, 6],
                       strides=[3, 2, 2], parts=ALL, row_frames=2, videos=[10, 1, 3], loss="mse"),
    # On grids, as nervenc's default; frames for a flow's row that no interval is a multiple of.
    "dnerv-moved": dict(width=26, height=23, clip=2, interval=8, stem=0, base_channels=3, widths=[8, 7, 6], strides=[3, 2, 2],
                        parts=MOVED, row_frames=2, flow_frames=3, middle_frames=5, middle_channels=2, videos=[13, 1, 2],
                        loss="mse"),
}
# Where a clip's first row of each grid is.
GRIDS = {"grid": "rows", "flow": "flow", "middle": "middle"}
OF_SEVERAL = ("gains", "own")  # parts of networks of several videos


def network(config, last):
    """For videos whose last clip that is."""
    own = {k: v for k, v in config.items() if k not in ("videos", "loss", "row_frames", "flow_frames", "middle_frames")}
    if "grids" not in config["parts"]:
        return DNeRV(rows=last.rows.stop, **own).double()
    del own["stem"], own["interval"]
    if last.video.start == 0:
        own["parts"] = [p for p in own["parts"] if p not in OF_SEVERAL]
    return Moved(rows=last.rows.stop, flow_rows=last.flow.stop, middle_rows=last.middle.stop, videos=last.number + 1, **own).double()


def loud(net):
    """Flows of a pixel or two, so that they matter."""
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.startswith("flow") and ".1." in name:
                p.mul_(3)
            if name in ("grid", "middle"):
                p.mul_(10)
            if name == "flow" or name.startswith("gain"):
                p.mul_(400)
            if name.startswith("head"):
                p.mul_(0.3)
            p.copy_(p.float())


def clip_loss(config, net, clip, target, keys):
    """Of the clip's own frames."""
    out = net(clip, keys[[clip.start, clip.end]])[:len(clip.frames)]
    loss = nerv_loss if config["loss"] == "paper" else torch.nn.functional.mse_loss
    return loss(out, target[clip.frames])


def share(config, clip):
    """What a clip counts in a step: as many frames as it has."""
    return len(clip.frames) / config["clip"]


def fit(config, net, clips, target, keys):
    """An Adam step on each of the clips; returns losses."""
    adam = torch.optim.Adam([dict(params=[p], scale=GRID_RATE if k in GRIDS else 1) for k, p in net.named_parameters()],
                            lr=1.0, betas=(0.9, 0.95 if "grids" in config["parts"] else 0.999), eps=EPSILON)
    losses = []
    for step, clip in enumerate(clips):
        for group in adam.param_groups:
            group["lr"] = learning_rate(PEAK_RATE, WARMUP, step, len(clips)) * group["scale"]
        loss = clip_loss(config, net, clip, target, keys)
        adam.zero_grad()
        (loss * share(config, clip)).backward()
        adam.step()
        losses.append(loss.item())
    return losses


def last_video(net, clips):
    """The weights that the last video needs, and its clip when it is alone."""
    clip = clips[-1]
    at, n = clip.video.start, len(clip.video)
    state = {k: v[getattr(clip, GRIDS[k]).start:] if k in GRIDS else v for k, v in net.state_dict().items() if not k.startswith("gain")}
    if "own" in net.parts:
        state.update({k: v[len(v) * clip.number // net.videos:] for k, v in state.items() if k.startswith("block0.")})
    rows = [range(len(r)) for r in (clip.rows, clip.middle, clip.flow)]
    return state, Clip([f - at for f in clip.frames], 0, n - 1, range(n), *rows)


def coded(frames, rng):
    """Keyframes: coarser, and not in the frames' colours quite."""
    return np.clip(frames // 16 * 16 + 8 + rng.integers(-6, 7, frames.shape), 0, 255).astype(np.uint8)


def planes(pixels):
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).double() / 255


def make(name, config):
    rng = np.random.default_rng(20230)
    torch.manual_seed(11)
    n = sum(config["videos"])
    clips = cut(config["videos"], config["clip"], config["interval"], config.get("row_frames"),
                config.get("middle_frames"), config.get("flow_frames"))
    key_frames = sorted({k for c in clips for k in (c.start, c.end)})
    frames = make_frames(n, config["width"], config["height"], rng)
    keys = coded(frames, rng)
    target, key_planes = planes(frames), planes(keys)
    net = network(config, clips[-1])
    loud(net)
    initial = {k: v.clone() for k, v in net.state_dict().items()}
    partial = [c.video.start for c in clips].count(0) - 1  # the end of the first video
    order = [partial] + [int(i) for i in rng.integers(0, len(clips), N_STEPS - 1)]

    arrays = [("frames", frames.reshape(n, 1, 1, -1)), ("keys", keys[key_frames].reshape(len(key_frames), 1, 1, -1)),
              ("key-frames", four(np.array(key_frames, np.float32))), ("order", four(np.array(order, np.float32)))]
    arrays += [("w0." + k, four(v)) for k, v in numpy_parameters(net)]
    with torch.no_grad():
        outs = [net(c, key_planes[[c.start, c.end]])[:len(c.frames)] for c in clips]
    arrays.append(("forward", torch.cat(outs).numpy()))
    arrays += gradients(config, net, "full", clips[0], target, key_planes)
    arrays += gradients(config, net, "partial", clips[partial], target, key_planes)
    arrays.append(("rates", four([learning_rate(PEAK_RATE, WARMUP, s, N_STEPS) for s in range(N_STEPS)])))

    losses = fit(config, net, [clips[i] for i in order], target, key_planes)
    arrays.append(("steps.losses", four(losses)))
    arrays += [("steps.w." + k, four(v)) for k, v in numpy_parameters(net)]
    print(name, len(clips), "clips,", sum(p.numel() for p in net.parameters()), "weights")
    print(" ".join(f"{x:.6f}" for x in losses))

    net.load_state_dict(initial)
    state, clip = last_video(net, clips)
    alone = network(config, clip)
    alone.load_state_dict(state)
    at = clips[-1].video.start
    losses = fit(config, alone, [clip] * N_STEPS, target[at:], key_planes[at:])
    arrays.append(("last.losses", four(losses)))
    arrays += [("last.w." + k, four(v)) for k, v in numpy_parameters(alone)]
    print(" ".join(f"{x:.6f}" for x in losses))

    options = {k: v for k, v in config.items() if k != "parts"}
    without = [p for p in ALL if p not in config["parts"]] if "grids" not in config["parts"] else []
    write(os.path.join(HERE, name + ".golden"),
          dict(options, without=without or ["none"], peak_rate=PEAK_RATE, warmup=WARMUP, epsilon=EPSILON), arrays)


def gradients(config, net, label, clip, target, keys):
    net.zero_grad()
    loss = clip_loss(config, net, clip, target, keys)
    (loss * share(config, clip)).backward()
    return [(label + ".loss", four([loss.item()]))] + [(f"{label}.grad." + k, four(p.grad.numpy().copy()))
                                                       for k, p in net.named_parameters()]


if __name__ == "__main__":
    torch.set_num_threads(1)
    for golden_name, golden_config in CONFIGS.items():
        make(golden_name, golden_config)
