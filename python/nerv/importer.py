# SPDX-License-Identifier: LGPL-2.1-or-later
"""What nerv-import does: a checkpoint or an exported file, and keyframes from pictures or a video, become a stream."""
import os
import re
import subprocess
import sys

import numpy as np

from . import architectures, checkpoint, exported, tensors
from ._lib import NervError
from .network import Pack

FAILURES = (NervError, OSError, architectures.ImportFailure, checkpoint.CheckpointError, tensors.FileError)
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")


def _colours(text):
    """Mean and deviation of R, G and B by name, or as numbers; None for None."""
    if text is None or text in architectures.COLOURS:
        return architectures.COLOURS.get(text)
    try:
        parts = [[float(x) for x in part.split(",")] for part in text.split("/")]
    except ValueError:
        parts = []
    if [len(p) for p in parts] != [3, 3] or not min(parts[1]) > 0:
        raise architectures.ImportFailure(f"colours are {', '.join(architectures.COLOURS)} or R,G,B/R,G,B, not {text}")
    return parts


# --- keyframes ---

def decode(path, width, height):
    """Pictures of any file that GStreamer reads, one after another, height x width x 3."""
    caps = f"video/x-raw,format=RGB,width={width},height={height},pixel-aspect-ratio=1/1"
    command = ["gst-launch-1.0", "-q", "filesrc", "location=" + path, "!", "decodebin", "!", "videoconvert", "!", caps, "!", "fdsink", "fd=1"]
    row = (width * 3 + 3) // 4 * 4  # GStreamer's lines are whole words
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while True:
            data = process.stdout.read(row * height)
            if len(data) < row * height:
                break
            yield np.frombuffer(data, np.uint8).reshape(height, row)[:, :width * 3].reshape(height, width, 3)
        errors = process.stderr.read().decode("utf-8", "replace").strip()
    if process.returncode:
        raise architectures.ImportFailure(f"{path} cannot be decoded as pictures of {width} x {height}: {errors.splitlines()[0] if errors else ''}")


def pictures_of_folder(path):
    return sorted(os.path.join(path, name) for name in os.listdir(path) if name.lower().endswith(PICTURES))


def number_in(path):
    found = re.findall(r"\d+", os.path.basename(path))
    return int(found[-1]) if found else None


def folder_keyframes(path, videos, keys):
    """By keyframe: a file."""
    inside = sorted(os.path.join(path, d) for d in os.listdir(path) if os.path.isdir(os.path.join(path, d)))
    folders = inside if len(inside) == len(videos) > 1 else [path]
    files, first = {}, 0
    if len(folders) == 1:
        videos = [sum(videos)]
    for folder, n in zip(folders, videos):
        own, names = [k for k in keys if first <= k < first + n], pictures_of_folder(folder)
        by_number = {number_in(name): name for name in names}
        if len(names) == len(own):
            files.update(zip(own, names))
        elif len(names) == n:
            files.update((k, names[k - first]) for k in own)
        elif all(k - first + 1 in by_number for k in own):
            files.update((k, by_number[k - first + 1]) for k in own)
        else:
            raise architectures.ImportFailure(f"{folder} has {len(names)} pictures, and none for some of the keyframes, which are frames {own} counted from 0")
        first += n
    return files


def set_keyframes(pack, path, videos, n_frames):
    keys, (width, height) = pack.keyframes(), pack.size
    if not keys:
        return
    if not path:
        raise architectures.ImportFailure(f"the network needs its {len(keys)} keyframes: --keyframes names where they are")
    if os.path.isdir(path):
        files = folder_keyframes(path, videos, keys)
        for i, key in enumerate(keys):
            picture = next(decode(files[key], width, height), None)
            if picture is None:
                raise architectures.ImportFailure(f"{files[key]} has no picture")
            pack.set_picture(i, picture)
        return
    wanted, n = {}, 0
    for n, picture in enumerate(decode(path, width, height), 1):
        if n - 1 in keys or n <= len(keys):
            wanted[n - 1] = picture.copy()
    if n != len(keys) and n < n_frames:
        raise architectures.ImportFailure(f"{path} has {n} pictures; there are {len(keys)} keyframes and {n_frames} frames")
    for i, key in enumerate(keys):
        pack.set_picture(i, wanted[i if n == len(keys) != n_frames else key])


# --- the stream ---

def import_checkpoint(args):
    choices = architectures.Choices(args.frames, args.size, args.activation, args.out_activation, args.pe_base, args.stem, _colours(args.colours))
    net = architectures.network_of(checkpoint.load(args.checkpoint), choices)
    pack = Pack(net.width, net.height, net.n_frames, net.model, net.options, args.fps or (25, 1), net.videos)
    for name, tensor in net.tensors.items():
        pack.set(name, architectures.quantised(tensor, 8 if args.bits is None else args.bits))
    set_keyframes(pack, args.keyframes, net.videos or [net.n_frames], net.n_frames)
    return pack.finish(args.quant, args.speed), [pack], net.family, net.notes


def import_exported(args):
    for name in ("frames", "size", "keyframes", "activation", "colours"):
        if getattr(args, name) is not None:
            raise architectures.ImportFailure(f"--{name} is for checkpoints; {args.checkpoint} says it itself")
    made = exported.Stream(args.checkpoint, args.fps, args.bits or 0, args.init, args.quant, args.speed)
    for text in made.left_out:
        print(f"nerv-import: left out: {text}", file=sys.stderr)
    return made.stream, made.packs, "exported" + (f", {len(made.packs)} segments" if len(made.packs) > 1 else ""), made.notes, bool(made.left_out)


def _write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def run(args):
    """args: nerv-import's. Ends the program where it fails, and with status 3 where segments are left out."""
    partly = False
    try:
        if args.checkpoint.endswith((".npz", ".safetensors")):
            stream, packs, family, notes, partly = import_exported(args)
        else:
            stream, packs, family, notes = import_checkpoint(args)
        tensors.put(args.output, lambda name: _write(name, stream))
    except FAILURES as e:
        sys.exit("nerv-import: " + str(e).replace("init_location", "--init"))
    if not args.quiet:
        weights = sum(int(np.prod(t.shape)) for pack in packs for t in pack.tensors().values())
        print(f"{args.output}: {family}, {sum(pack.n_frames for pack in packs)} frames of {packs[0].size[0]}x{packs[0].size[1]}, {weights} weights, {len(stream)} bytes "
              f"({os.path.getsize(args.checkpoint)} in {os.path.basename(args.checkpoint)})")
        for note in notes:
            print("note: " + note)
    if partly:
        sys.exit(3)
