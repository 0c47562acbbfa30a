#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""An HNeRV checkpoint imported and measured beside PyTorch: every frame that nervdec shows against PyTorch's from the same weights, the files' sizes, frames a second of both in
turns, and what the authors' dequantisation in half precision changes. Wants python3-torch, python3-gi and the plugin; NERV_BUILD is the build folder.

    NERV_BUILD=build GST_PLUGIN_PATH=build/gst tools/peers/bench_import.py CHECKPOINT.pth --json=import-hnerv.json
"""
import argparse
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time

import gi
import numpy as np
import torch

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path[:0] = [HERE, os.path.join(ROOT, "python")]
from authors_torch import HNeRV  # noqa: E402
from nerv import architectures, checkpoint  # noqa: E402

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp  # noqa: E402, F401

WARM = 2  # frames that are left out of a time


def parse_arguments():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("checkpoint")
    p.add_argument("--json", help="results go there as well")
    p.add_argument("--rounds", type=int, default=7)
    p.add_argument("--frames", type=int, default=18, help="of a round, besides the first two")
    p.add_argument("--step", type=int, default=1, help="compare every so many frames (default all)")
    p.add_argument("--half-step", type=int, default=8, help="and with halves every so many of these (default 8)")
    p.add_argument("--threads", type=int, default=os.cpu_count(), help="PyTorch's (default one per core, as nervdec's)")
    return p.parse_args()


def half_values(entry):
    """As the authors' training program dequantises: product and sum in the format of minimum and scale."""
    kind = entry["min"].dtype
    product = (entry["scale"] * entry["quant"].astype(kind)).astype(kind)
    return (entry["min"] + product).astype(kind).astype(np.float32)


def tensor(values):
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def float_values(entry):
    return entry["min"].astype(np.float32) + entry["scale"].astype(np.float32) * entry["quant"].astype(np.float32)


class Peer:
    """PyTorch's network of a checkpoint, dequantised by a function."""

    def __init__(self, stored, values):
        net = architectures.network_of(stored, architectures.Choices())
        o = net.options
        channels = int(o["grids"].split("x")[1])
        self.net = HNeRV(channels, o["widths"], o["strides"], o["kernels"][1:])
        self.net.load_state_dict({k: tensor(values(v)) for k, v in stored["model"].items()})
        self.embed = tensor(values(stored["embed"]))
        self.size = (net.height, net.width, 3)

    def frame(self, i):
        with torch.no_grad():
            return self.net(self.embed[i:i + 1])[0]

    def codes(self, i):
        return torch.floor(self.frame(i).clamp(0, 1) * 255 + .5).to(torch.uint8).permute(1, 2, 0).numpy()

    def seconds(self, n):
        """Of a frame, on all threads."""
        for i in range(WARM):
            self.frame(i)
        start = time.perf_counter()
        for i in range(WARM, WARM + n):
            self.frame(i)
        return (time.perf_counter() - start) / n


class Player:
    """nervdec's pictures of a file, pulled one after another."""

    def __init__(self, path):
        self.pipeline = Gst.parse_launch(f"filesrc location={path} ! nervparse ! nervdec name=dec device=cpu ! video/x-raw,format=RGB ! "
                                         "appsink name=sink sync=false max-buffers=1")
        self.sink = self.pipeline.get_by_name("sink")
        self.pipeline.set_state(Gst.State.PLAYING)

    def next(self):
        sample = self.sink.emit("pull-sample")
        if not sample:
            raise SystemExit("nervdec gave no picture")
        return sample.get_buffer()

    def close(self):
        self.pipeline.set_state(Gst.State.NULL)


def play_seconds(path, n):
    player = Player(path)
    for _ in range(WARM):
        player.next()
    start = time.perf_counter()
    for _ in range(n):
        player.next()
    seconds = (time.perf_counter() - start) / n
    player.close()
    return seconds


def histogram(differences, counts):
    counts += np.bincount(differences.ravel(), minlength=256)


def about(counts, **more):
    """Of differences of codes."""
    n, at = int(counts.sum()), np.arange(256)
    mse = float((counts * at * at).sum()) / n
    return {"largest": int(at[counts > 0].max()), "samples": n, "different": int(n - counts[0]),
            "psnr": None if mse == 0 else round(10 * np.log10(255 * 255 / mse), 2), **more}


def compare(path, peer, half, n_frames, step, half_step):
    """nervdec against PyTorch, and PyTorch in float against PyTorch with weights rounded to halves."""
    ours, halves = np.zeros(256, np.int64), np.zeros(256, np.int64)
    worst, player, compared = [], Player(path), 0
    for i in range(n_frames):
        buffer = player.next()
        if i % step:
            continue
        got = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), np.uint8).reshape(peer.size).astype(np.int16)
        want = peer.codes(i).astype(np.int16)
        difference = np.abs(got - want)
        worst.append(int(difference.max()))
        histogram(difference, ours)
        if compared % half_step == 0:
            histogram(np.abs(half.codes(i).astype(np.int16) - want), halves)
        compared += 1
    player.close()
    return about(ours, frames=compared, frames_alike=worst.count(0)), about(halves, frames=-(-compared // half_step))


def measure(path, peer, rounds, n):
    ours, its = [], []
    for _ in range(rounds):
        ours.append(play_seconds(path, n))
        its.append(peer.seconds(n))
    return {"rounds": rounds, "frames_a_round": n, "nervdec_fps": round(1 / statistics.median(ours), 3), "torch_fps": round(1 / statistics.median(its), 3),
            "nervdec_over_torch": round(statistics.median(b / a for a, b in zip(ours, its)), 3)}


def output(*command):
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()


def field_of(path, key):
    with open(path, encoding="utf-8") as f:
        return next((line.split(":", 1)[1].strip() for line in f if line.startswith(key)), None)


def machine():
    dirty = "-dirty" if output("git", "status", "--porcelain", "--untracked-files=no") else ""
    u = platform.uname()
    return {"date": datetime.datetime.now(datetime.timezone.utc).isoformat(), "commit": output("git", "rev-parse", "HEAD") + dirty,
            "machine": {"cpu": field_of("/proc/cpuinfo", "model name"), "cores": os.cpu_count(), "memory": field_of("/proc/meminfo", "MemTotal"),
                        "system": f"{u.system} {u.release.split('-')[0]} {u.machine}"},
            "versions": {"torch": torch.__version__, "numpy": np.__version__, "gstreamer": Gst.version_string().split()[-1]},
            "device": "cpu", "threads": torch.get_num_threads(), "load_average": os.getloadavg()[0]}


def main():
    args = parse_arguments()
    Gst.init(None)
    torch.set_num_threads(args.threads)
    result, stored = machine(), checkpoint.load(args.checkpoint)
    peer, half = Peer(stored, float_values), Peer(stored, half_values)
    with tempfile.TemporaryDirectory() as d:
        path = os.path.join(d, "a.nerv")
        subprocess.run([os.path.join(ROOT, "tools", "nerv-import"), args.checkpoint, "-o", path], check=True)
        codes = sum(v["quant"].size for v in stored["model"].values()) + stored["embed"]["quant"].size
        height, width, _ = peer.size
        sizes = {"checkpoint": os.path.getsize(args.checkpoint), "nerv": os.path.getsize(path)}
        result.update(file=os.path.basename(args.checkpoint), width=width, height=height, frames=len(peer.embed), weights=codes, bytes=sizes,
                      bytes_ratio=round(sizes["nerv"] / sizes["checkpoint"], 4), bits_per_weight=round(sizes["nerv"] * 8 / codes, 3))
        result["speed"] = measure(path, peer, args.rounds, args.frames)
        result["against_torch"], result["half_dequantisation_in_torch"] = compare(path, peer, half, len(peer.embed), args.step, args.half_step)
    text = json.dumps(result, indent=2)
    print(text)
    if args.json:
        with open(args.json, "w", encoding="utf-8") as f:
            f.write(text + "\n")
    sys.exit(result["against_torch"]["largest"] > 1)


if __name__ == "__main__":
    main()
