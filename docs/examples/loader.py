#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""loader.py FILE.nerv [FRAMES [CLIPS]]

Goes once through a neural video in batches of CLIPS (8) random clips of FRAMES (8), as tensors [N,C,T,H,W] of floats, which is what trains a network; in its place
their means and how much moves in them are printed. Needs python3-numpy and the package nerv.
"""
import sys
import time

import numpy

import nerv


def main():
    arguments = sys.argv[1:] + ["8", "8"][len(sys.argv) - 2:]
    if len(arguments) != 3 or not all(a.isdigit() and int(a) > 0 for a in arguments[1:]):
        sys.exit("usage: loader.py FILE.nerv [FRAMES [CLIPS]]")
    frames, clips = map(int, arguments[1:])
    try:
        with nerv.Reader(arguments[0]) as video:
            print(f"{len(video)} frames of {video.shape[2]}x{video.shape[1]} on {video.device}")
            begin, n = time.monotonic(), 0
            for starts, batch in video.batches(clips, frames, seed=1, dtype="float32", layout="NCTHW"):
                moves = numpy.abs(numpy.diff(batch, axis=2)).mean() if frames > 1 else 0.
                print(f"clips at {', '.join(map(str, starts))}: mean {batch.mean():.3f}, motion {moves:.4f}")
                n += len(starts)
            print(f"{n} clips, {n / (time.monotonic() - begin):.1f} a second")
    except nerv.NervError as e:
        sys.exit(f"loader.py: {e}")


if __name__ == "__main__":
    main()
