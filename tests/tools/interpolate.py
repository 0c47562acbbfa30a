# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-interpolate on small clips: blends are what arithmetic says, fitted frames are nerv-rd's, a cut is not asked for.

    interpolate.py NERV-INTERPOLATE NERV-RD
"""
import json
import math
import os
import random
import subprocess
import sys
import tempfile

from expect import check, finish, runner

TOOL, RD = sys.argv[1:3]
WIDTH, HEIGHT = 32, 32
run = runner(TOOL, "--threads=2")


def paint(f, seed):
    """A hill that moves over noise which does not."""
    rng = random.Random(seed)
    row = []
    for y in range(HEIGHT):
        for x in range(WIDTH):
            hill = 90 * math.exp(-((x - 8 - f) ** 2 + (y - 16) ** 2) / 30)
            row += [int(min(255, (40, 120, 90)[(c + seed) % 3] + hill + rng.randrange(12))) for c in range(3)]
    return bytes(row)


def write(directory, name, frames, rate):
    path = os.path.join(directory, name)
    with open(path, "wb") as f:
        f.write(b"".join(frames))
    return f"filesrc location={path} ! rawvideoparse format=rgb width={WIDTH} height={HEIGHT} framerate={rate}"


def psnr(pairs):
    mse = sum((x - y) ** 2 for a, b in pairs for x, y in zip(a, b)) / sum(len(a) for a, _ in pairs)
    return 10 * math.log10(255 * 255 / mse)


def blend(frames):
    return psnr([(bytes((x + y + 1) // 2 for x, y in zip(frames[i - 1], frames[i + 1])), frames[i]) for i in range(1, len(frames) - 1, 2)])


def measure(directory, *arguments):
    name = os.path.join(directory, "i.json")
    run("--json=" + name, *arguments)
    with open(name, encoding="utf-8") as f:
        result = json.load(f)
    check(result["complete"] is True and all(k in result for k in ("commit", "machine", "versions")), f"{result}: not all there")
    return result["clips"]


def figures(directory):
    frames = [paint(f, 1) for f in range(16)]
    clip, even = write(directory, "all.rgb", frames, "25/1"), write(directory, "even.rgb", frames[::2], "25/2")
    dnerv = "model=dnerv epochs=60 tune=psnr model-options=\"options,clip-frames=4,keyframe-interval=4,widths=<8,8>,strides=<4,2>\""
    nerv = "epochs=60 tune=psnr segment-frames=4"
    own, = measure(directory, "--label=d", "--nerv=" + dnerv, "--label=n", "--nerv=" + nerv, clip)
    check(own["fitted_frames"] == 8 and own["held_out_frames"] == 7, f"{own}: other frames")
    check(abs(own["blend_of_neighbours"]["psnr_rgb"] - blend(frames[:15])) < 1e-3, f"{own['blend_of_neighbours']} is not {blend(frames[:15])}")
    check([x["codec"] for x in own["networks"]] == ["d", "n"], "other networks")
    for x, properties in zip(own["networks"], (dnerv, nerv)):
        name = os.path.join(directory, "rd.json")
        subprocess.run([RD, "--peers=", "--threads=2", "--device=cpu", "--json=" + name, "--nerv=" + properties, even], check=True, stdout=subprocess.DEVNULL)
        with open(name, encoding="utf-8") as f:
            point = json.load(f)["clips"][0]["curves"][0]["points"][0]
        check(point["bytes"] == x["bytes"] and abs(point["psnr_rgb"] - x["fitted"]["psnr_rgb"]) < 1e-4, f"{x} is not nerv-rd's {point}")
        check(8 < x["between"]["psnr_rgb"] < x["fitted"]["psnr_rgb"] + 3 and x["blend_of_its_own"]["psnr_rgb"] > 8, f"{x}: no pictures")
    # between coded pictures that move little, the network with keyframes is nearly as good half-way as where it was fitted
    d = own["networks"][0]
    check(d["between"]["psnr_rgb"] > d["fitted"]["psnr_rgb"] - 6, f"{d}: half-way is nowhere")


def cut(directory):
    frames = [paint(f, 1) for f in range(9)] + [bytes(255 - b for b in paint(f, 3)) for f in range(8)]
    own, = measure(directory, write(directory, "cut.rgb", frames, "25/1"))
    check(own["fitted_frames"] == 9 and own["held_out_frames"] == 7 and own["networks"] == [], f"{own}: the cut is asked for")
    check(own["blend_of_neighbours"]["psnr_rgb"] > 25, f"{own}: blended across a cut")


def wrong(directory):
    clip = write(directory, "all.rgb", [paint(0, 1)] * 4, "25/1")
    run(status=2, says="there is no clip")
    run("--frames=2", clip, status=2, says="--frames")
    run("--device=", clip, status=2, says="--device")
    run("--json=" + directory, clip, status=2, says="--json")
    run("--nerv=no-such-property=1", clip, status=1, says="no-such-property")
    run(write(directory, "two.rgb", [paint(0, 1)] * 2, "25/1"), status=1, says="fewer than three")


with tempfile.TemporaryDirectory() as work:
    figures(work)
    cut(work)
    wrong(work)
finish()
