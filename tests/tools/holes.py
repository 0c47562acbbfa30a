# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-denoise and nerv-inpaint on a small clip: noise is as strong as arithmetic says, filters and baselines are what they are, networks beat them.

    holes.py NERV-DENOISE NERV-INPAINT
"""
import json
import math
import os
import sys
import tempfile

from expect import check, finish, runner

WIDTH, HEIGHT, FRAMES = 48, 32, 8
denoise, inpaint = (runner(tool, "--threads=2", "--device=cpu") for tool in sys.argv[1:3])


def paint(f):
    return bytes(min(255, max(0, round(120 + 50 * math.sin((x + 2 * f) * .37 + c) * math.cos(y * .29) + 40 * math.sin((x + 2 * f) * .11 - y * .07))))
                 for y in range(HEIGHT) for x in range(WIDTH) for c in range(3))


def measure(run, directory, *arguments):
    name = os.path.join(directory, "h.json")
    run("--json=" + name, *arguments)
    with open(name, encoding="utf-8") as f:
        result = json.load(f)
    check(result["complete"] is True and all(k in result for k in ("commit", "machine", "versions")), f"{result}: not all there")
    return result["clips"][0]


def noises(directory, clip, frames):
    own = measure(denoise, directory, "--frames=8", "--density=0.02", "--sigma=12", "--ffmpeg=/nowhere/ffmpeg", "--nerv=strength=0.1",
                  "--nerv=strength=1 encoder::epochs=2", "--keep=" + directory, clip)
    check(own["frames"] == FRAMES and [n["noise"] for n in own["noises"]] == ["white", "black", "salt-pepper", "random", "gaussian"], f"{own}: other noises")
    samples = b"".join(frames)
    for noise, level in zip(own["noises"], (255, 0)):
        mse = .02 * sum((s - level) ** 2 for s in samples) / len(samples)
        want = 10 * math.log10(255 ** 2 / mse)
        check(abs(noise["noisy"] - want) < .8, f"{noise['noise']}: {noise['noisy']} dB, {want} expected")
    gaussian = own["noises"][4]["noisy"]
    check(abs(gaussian - 10 * math.log10(255 ** 2 / 144)) < .3, f"Gaussian noise of {gaussian} dB")
    for noise in own["noises"]:
        psnr = {m["method"]: m["psnr"] for m in noise["methods"]}
        check(list(psnr) == ["gaussian", "uniform", "median", "minimum", "maximum", "nervdenoise strength=0.1", "nervdenoise strength=1 encoder::epochs=2"], f"{psnr}: other methods")
        check(psnr["nervdenoise strength=0.1"] > noise["noisy"] + 4, f"{noise}: the noise stays")
        check(psnr["nervdenoise strength=0.1"] > psnr["nervdenoise strength=1 encoder::epochs=2"], f"{noise}: properties do nothing")
    mean = own["mean"]
    check(abs(mean["noisy"] - sum(n["noisy"] for n in own["noises"]) / 5) < 1e-3, f"{mean} is not the mean")
    check(sheet_size(directory, "-white.png") == (8 * 160, 3 * (HEIGHT + 4) - 4, 8 * (WIDTH + 4) - 4), "no sheet, or one of other columns")


def sheet_size(directory, end):
    """Samples across of the sheet that --keep leaves, and lines and samples before it was scaled, by its proportions."""
    names = [n for n in os.listdir(directory) if n.endswith(end)]
    check(len(names) == 1, f"{names}: not one sheet")
    with open(os.path.join(directory, names[0]), "rb") as f:
        data = f.read(24)
    across, down = int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    columns = across // (160 if end == "-white.png" else 240)
    samples = columns * (WIDTH + 4) - 4
    return across, round(down * samples / across), samples


def holes(directory, clip):
    own = measure(inpaint, directory, "--frames=8", "--nerv=epochs=60 tune=psnr quality=65", "--keep=" + directory, clip)
    check(sheet_size(directory, "-moving.png") == (5 * 240, 3 * (HEIGHT + 4) - 4, 5 * (WIDTH + 4) - 4), "no sheet, or one of other columns")
    check([m["mask"] for m in own["masks"]] == ["boxes", "moving"], f"{own}: other masks")
    for mask in own["masks"]:
        hidden = {m["method"]: m["psnr_hidden"] for m in mask["methods"]}
        known = {m["method"]: m["psnr_known"] for m in mask["methods"]}
        check(list(hidden) == ["surroundings", "nearest frame", "found elsewhere", "epochs=60 tune=psnr quality=65"], f"{hidden}: other methods")
        check(all(known[m] > 100 for m in ("surroundings", "nearest frame", "found elsewhere")), f"{known}: what is known has changed")
        check(25 < known["epochs=60 tune=psnr quality=65"] < 60, f"{known}: no network")
        check(hidden["epochs=60 tune=psnr quality=65"] > 25, f"{hidden}: the network does not know what is hidden")
        check(hidden["found elsewhere"] > hidden["surroundings"] + 3, f"{hidden}: nothing was found")
    boxes, moving = ({m["method"]: m["psnr_hidden"] for m in mask["methods"]} for mask in own["masks"])
    check(boxes["surroundings"] == boxes["nearest frame"], f"{boxes}: what no frame shows was found in one")
    check(moving["epochs=60 tune=psnr quality=65"] > moving["surroundings"] + 1.5, f"{moving}: the network does not know what is hidden")
    check(moving["found elsewhere"] > moving["nearest frame"], f"{moving}: what moves was not followed")


def refused(clip):
    for run, arguments, says in ((denoise, (), "no clip"), (denoise, ("--noises=pink", clip), "--noises"), (denoise, ("--density=1.5", clip), "--density"),
                                 (denoise, ("--frames=0", clip), "frames"), (inpaint, (), "no clip"), (inpaint, ("--masks=stars", clip), "--masks"),
                                 (inpaint, ("--frames=1", clip), "frames")):
        run(*arguments, status=2, says=says)
    denoise("--nerv=nonsense=1", "--noises=white", clip, status=1, says="nonsense")


with tempfile.TemporaryDirectory() as folder:
    all_frames = [paint(f) for f in range(FRAMES)]
    path = os.path.join(folder, "clip.rgb")
    with open(path, "wb") as file:
        file.write(b"".join(all_frames))
    source = f"filesrc location={path} ! rawvideoparse format=rgb width={WIDTH} height={HEIGHT} framerate=25/1"
    noises(folder, source, all_frames)
    holes(folder, source)
    refused(source)
finish()
