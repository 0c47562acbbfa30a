#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The PyTorch peer of nerv-bench: times the same network's training step and decoding, and plain convolutions.

A training step is forward, loss, backward and Adam on --batch frames; decoding is the forward pass under no_grad. A
convolution's gradients are what autograd calls for it, asked for one of them only.
With --serve it obeys lines on standard input, so that nerv-bench can take turns with it in one call:
    train SECONDS | decode SECONDS | conv_forward N CIN COUT H W K SECONDS | conv_dx ... | conv_dw ... | quit
and answers each with one line of JSON. Without, it measures all once and prints one JSON object.
"""
import argparse
import json
import os
import sys
import time

import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from dnerv_torch import PAPER, DNeRV, Moved, cut  # noqa: E402
from nerv_torch import NeRV, nerv_loss  # noqa: E402

CONV_SHAPES = [  # n, cin, cout, h, w, k
    (1, 96, 96, 180, 320, 3), (1, 24, 96, 180, 320, 3), (1, 24, 24, 180, 320, 3), (1, 48, 192, 90, 160, 3),
    (1, 16, 64, 180, 320, 3), (1, 128, 512, 45, 80, 3),
]


def integers(text):
    return [int(x) for x in text.split(",")]


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--width", type=int, default=320)
    p.add_argument("--height", type=int, default=180)
    p.add_argument("--model", choices=("nerv", "dnerv"), default="nerv")
    p.add_argument("--stem", type=int, default=64)
    p.add_argument("--base-channels", type=int, default=8)
    p.add_argument("--widths", type=integers, default=[24, 16, 12])
    p.add_argument("--strides", type=integers, default=[5, 2, 2])
    p.add_argument("--kernels", type=integers, default=None)
    p.add_argument("--activation", default="gelu")
    p.add_argument("--out-activation", default="tanh01")
    p.add_argument("--pe-base", type=float, default=1.25)
    p.add_argument("--pe-levels", type=int, default=40)
    p.add_argument("--videos", type=integers, default=[16], help="dnerv: frames of each")
    p.add_argument("--clip", type=int, default=8, help="dnerv: frames of an evaluation")
    p.add_argument("--interval", type=int, default=16, help="dnerv: frames from one keyframe to the next")
    p.add_argument("--row-frames", type=int, default=2, help="dnerv without a stem: frames for each row of the grid")
    p.add_argument("--flow-frames", type=int, default=8, help="dnerv on grids: frames for each row of the flow")
    p.add_argument("--middle-frames", type=int, default=32, help="dnerv on grids: frames for each row of the second grid")
    p.add_argument("--middle-channels", type=int, default=0, help="dnerv on grids: channels of the second grid")
    p.add_argument("--content", type=int, default=64, help="dnerv: channels of the keyframes' features")
    p.add_argument("--parts", type=lambda text: tuple(text.split(",")), default=PAPER, help="dnerv: what the network has")
    p.add_argument("--batch", type=int, default=1, help="frames of a training step")
    p.add_argument("--threads", type=int, default=0, help="0: PyTorch's default")
    p.add_argument("--device", default="cpu", help="cpu or cuda")
    p.add_argument("--seconds", type=float, default=3.0, help="of each measurement")
    p.add_argument("--serve", action="store_true")
    return p.parse_args()


class Bench:
    """What is timed; of what network is a subclass's."""

    def __init__(self, args):
        self.device = torch.device(args.device)
        torch.manual_seed(1)
        self.step = 0

    def sync(self):
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def optimise(self, loss):
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()

    def measure(self, work, seconds):
        """Seconds of one call of work(), which runs for about `seconds` and at least three times."""
        work()
        self.sync()
        n, start = 0, time.perf_counter()
        while n < 3 or time.perf_counter() - start < seconds:
            work()
            self.sync()
            n += 1
        return (time.perf_counter() - start) / n

    def train(self, seconds):
        return {"seconds": self.measure(self.train_step, seconds)}

    def decode(self, seconds):
        return {"seconds": self.measure(self.decode_run, seconds) / self.run_frames}

    def conv(self, way, n, cin, cout, h, w, k, seconds):
        """way: forward (with bias), dx (gradient to the input) or dw (to the weights)."""
        pad = (k - 1) // 2
        x = torch.rand(n, cin, h, w, device=self.device) * 2 - 1
        dy = torch.rand(n, cout, h, w, device=self.device) * 2 - 1
        conv = torch.nn.Conv2d(cin, cout, k, padding=pad).to(self.device)
        weight = conv.weight.detach()

        def gradient(mask):
            return torch.ops.aten.convolution_backward(dy, x, weight, None, [1, 1], [pad, pad], [1, 1], False, [0, 0], 1, mask)

        work = {"forward": lambda: conv(x), "dx": lambda: gradient([True, False, False]),
                "dw": lambda: gradient([False, True, False])}[way]
        with torch.no_grad():
            s = self.measure(work, seconds)
        return {"seconds": s, "gmacs": n * cin * cout * k * k * h * w / s * 1e-9}


class NervBench(Bench):
    run_frames = 1

    def __init__(self, args):
        super().__init__(args)
        self.n_frames = 16
        self.net = NeRV(args.width, args.height, args.stem, args.base_channels, args.widths, args.strides, args.kernels,
                        args.activation, args.out_activation, args.pe_base, args.pe_levels).to(self.device)
        self.adam = torch.optim.Adam(self.net.parameters(), lr=5e-4, betas=(0.5, 0.999))
        t = torch.arange(self.n_frames) / self.n_frames
        self.encoding = self.net.encode(t).to(self.device)
        self.frames = torch.randint(0, 256, (self.n_frames, 3, args.height, args.width), dtype=torch.uint8).to(self.device)
        self.batch = min(args.batch, self.n_frames)

    def train_step(self):
        i = self.step * self.batch % (self.n_frames - self.batch + 1)
        self.step += 1
        target = self.frames[i:i + self.batch].float() / 255
        self.optimise(nerv_loss(self.net(self.encoding[i:i + self.batch]), target))

    def decode_run(self):
        i = self.step % self.n_frames
        self.step += 1
        with torch.no_grad():
            self.net(self.encoding[i:i + 1])


class DnervBench(Bench):
    """A step is a clip; a decoded frame is its part of one. Keyframes are pictures here as well, and not coded."""

    def __init__(self, args):
        super().__init__(args)
        on_grids = "grids" in args.parts
        self.clips = cut(args.videos, args.clip, args.interval, None if args.stem else args.row_frames,
                         args.middle_frames if on_grids else None, args.flow_frames if on_grids else None)
        self.run_frames = args.clip
        last = self.clips[-1]
        if on_grids:
            self.net = Moved(args.width, args.height, args.clip, args.base_channels, args.widths, args.strides, args.parts,
                             last.rows.stop, last.flow.stop, last.middle.stop, args.middle_channels).to(self.device)
        else:
            self.net = DNeRV(args.width, args.height, args.clip, args.interval, args.stem, args.base_channels, args.content, args.widths,
                             args.strides, args.parts, last.rows.stop, args.pe_base, args.pe_levels).to(self.device)
        self.adam = torch.optim.Adam(self.net.parameters(), lr=5e-4, betas=(0.9, 0.999))
        self.frames = torch.randint(0, 256, (sum(args.videos), 3, args.height, args.width), dtype=torch.uint8).to(self.device)

    def next_clip(self):
        clip = self.clips[self.step % len(self.clips)]
        self.step += 1
        return clip, self.frames[[clip.start, clip.end]].float() / 255

    def train_step(self):
        clip, keys = self.next_clip()
        target = self.frames[self.net.at(clip)].float() / 255
        self.optimise(nerv_loss(self.net(clip, keys), target))

    def decode_run(self):
        with torch.no_grad():
            self.net(*self.next_clip())


def about(args, bench):
    return {"torch": torch.__version__, "threads": torch.get_num_threads(), "device": args.device,
            "parameters": sum(p.numel() for p in bench.net.parameters())}


def serve(args, bench):
    print(json.dumps(about(args, bench)), flush=True)
    for line in sys.stdin:
        words = line.split()
        if not words or words[0] == "quit":
            break
        if words[0].startswith("conv_"):
            answer = bench.conv(words[0][5:], *map(int, words[1:7]), float(words[7]))
        else:
            answer = {"train": bench.train, "decode": bench.decode}[words[0]](float(words[1]))
        print(json.dumps(answer), flush=True)


def main():
    args = parse_arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    bench = {"nerv": NervBench, "dnerv": DnervBench}[args.model](args)
    if args.serve:
        serve(args, bench)
        return
    result = about(args, bench)
    result["train"] = bench.train(args.seconds)
    result["decode"] = bench.decode(args.seconds)
    result["conv2d"] = [dict(zip(("n", "cin", "cout", "h", "w", "k"), s), way=way, **bench.conv(way, *s, args.seconds / 4))
                        for s in CONV_SHAPES for way in ("forward", "dx", "dw")]
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
