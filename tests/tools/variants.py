# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-variants on a drawn clip: each table's networks are fitted, and are others; what is wrong is said.

    variants.py NERV-VARIANTS
"""
import json
import os
import sys
import tempfile
import zlib

from expect import check, finish, make_clip, runner

run = runner(sys.argv[1], "--threads=2", "--size=80x60", "--frames=6")
TABLES = {
    "input": ["t", "positional encoding"],
    "upscaling": ["bilinear", "transposed convolution", "pixel shuffle"],
    "norm": ["instance", "none"],
    "activation": ["relu", "leaky relu", "silu", "gelu"],
    "loss": ["L2", "L1", "SSIM", "0.7 L1 + 0.3 L2", "0.7 L2 + 0.3 SSIM", "0.7 L1 + 0.3 SSIM"],
}


def weights(inputs=80, block=lambda i, o, s: (i * 9 + 1) * o * s * s):
    """Of the network for 80x60, whose base grid is 4x3."""
    n = inputs * 64 + 64 + 65 * 8 * 4 * 3
    for i, o, s in ((8, 24, 5), (24, 16, 2), (16, 12, 2)):
        n += block(i, o, s)
    return n + 12 * 3 + 3


def tables(directory, clip):
    log, plot = os.path.join(directory, "a.json"), os.path.join(directory, "a.png")
    run("--epochs=20", "--counts=2,30", "--json=" + log, "--png=" + plot, clip)
    with open(log, encoding="utf-8") as f:
        result = json.load(f)
    check(all(k in result for k in ("commit", "machine", "versions", "device")), f"{result}: not all there")
    rows = {(v["table"], v["variant"]): v for v in result["variants"]}
    check(list(rows) == [(t, v) for t, names in TABLES.items() for v in names], f"{list(rows)}: not the tables")
    count = {k: v["parameters"] for k, v in rows.items()}
    check(count["input", "t"] == weights(1), f"{count}: input")
    check(count["upscaling", "bilinear"] == weights(block=lambda i, o, s: (i * (2 * s + 1) ** 2 + 1) * o), f"{count}: bilinear")
    check(count["upscaling", "transposed convolution"] == weights(block=lambda i, o, s: (i * s * s + 1) * o), f"{count}: transposed")
    check(all(n == weights() for (t, v), n in count.items() if v not in ("t", "bilinear", "transposed convolution")), f"{count}: weights")
    paper = [rows[t, v]["psnr"] for t, v in (("input", "positional encoding"), ("norm", "none"), ("activation", "gelu"), ("loss", "0.7 L1 + 0.3 SSIM"))]
    check(len(set(paper)) == 1, f"{paper}: the paper's network is the same in all tables")
    others = [v["psnr"] for v in rows.values() if v["psnr"] != paper[0]]
    check(len(set(others)) == len(others) == len(rows) - 5, f"{others}: each variant is another network")
    # a fit of one picture's mean colour has 10 dB or so
    check(all(v["psnr"] > 12 for v in rows.values()), f"{rows}: not fitted")
    check(result["counts"] == [2, 30] and [s["size"] for s in result["sizes"]] == ["small", "medium", "large"], f"{result}: sizes")
    for size in result["sizes"]:
        check(size["psnr"][1] > size["psnr"][0] + 2, f"{size}: more epochs are not better")
    check(result["sizes"][0]["parameters"] == weights(), f"{result['sizes']}: the small one is the tables'")
    with open(plot, "rb") as f:
        data = f.read()
    check(data[:4] == b"\x89PNG" and zlib.crc32(data[12:29]) == int.from_bytes(data[29:33], "big"), "no plot")
    text = run("--tables=norm", "--epochs=1", clip)
    check("instance" in text and "relu" not in text and "medium" not in text, f"{text}: asked for one table")


def wrong(directory, clip):
    run(status=2, says="not one clip")
    run(clip, clip, status=2, says="not one clip")
    run("--tables=input,none", clip, status=2, says="none")
    run("--counts=3,2", clip, status=2, says="--counts")
    run("--epochs=0", clip, status=2, says="epochs")
    run("--size=90x60", clip, status=1, says="multiples of 20")
    run("--frames=10", clip, status=1, says="frames")
    run(os.path.join(directory, "none.y4m"), status=1, says="none.y4m")


with tempfile.TemporaryDirectory() as d:
    drawn = make_clip(d, "ball")
    tables(d, drawn)
    wrong(d, drawn)
finish()
