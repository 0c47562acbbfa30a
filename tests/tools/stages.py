# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-stages on a tiny test picture: each step does what it says, what is written is complete, failures are failures.

    stages.py NERV-STAGES
"""
import json
import os
import sys
import tempfile

from expect import check, finish, runner

STAGES = sys.argv[1]
CLIP = "videotestsrc num-buffers=9 pattern=smpte ! video/x-raw,format=RGB,width=66,height=48,framerate=25/1"
NET = ["--model-options=stem=16,base-channels=4,widths=<12,10>,strides=<2,2>", "--epochs=20"]
run = runner(STAGES, "--device=cpu", "--threads=2")


def measured(directory):
    path = os.path.join(directory, "stages.json")
    run(*NET, "--bits=8,3", "--rate-weights=0.001,0.1", "--learned-bits=6", "--pruning=.6", "--frames=8", "--json=" + path, CLIP)
    with open(path, encoding="utf-8") as f:
        result = json.load(f)
    check(result["complete"] is True and result["frames"] == 8, f"{result['complete']}, {result['frames']} frames")
    for key in ("commit", "machine", "versions", "gstreamer", "model", "parameters"):
        check(key in result, f"the JSON has no {key}")
    stages = result["stages"]
    want = [(fit, coding, bits) for fit in ("plain", "pruned")
            for coding, bits in [("float", 32)] + [(c, b) for b in (8, 3) for c in ("published", "fixed", "huffman", "range")]]
    check([(s["fit"], s["coding"], s.get("bits")) for s in stages] == want + [("quantised", "context", None)] * 2 + [("quantised", "context", 6)], f"stages: {stages}")
    by = {(s["fit"], s["coding"], s.get("bits", s.get("rate_weight"))): s for s in stages}
    n = result["parameters"]
    for s in stages:
        check(s["file"] == (s["coding"] not in ("float", "published", "fixed")), f"{s}: file or not")
        check(abs(s["bpp"] - s["bytes"] * 8 / (66 * 48 * 8)) < 1e-3 and 5 < s["psnr_rgb"] < 60 and 5 < s["psnr_rgb_frames"] < 60, f"{s}")
        # All but the head's few weights, the biases and the rounding down.
        check(.5 < s["zeros"] < .6 if s["fit"] == "pruned" else s["zeros"] < .01, f"{s}: zeros")
    for fit in ("plain", "pruned"):
        stage = {key[1:]: s for key, s in by.items() if key[0] == fit}
        check(stage["float", 32]["bytes"] > stage["fixed", 8]["bytes"] > stage["fixed", 3]["bytes"], f"{fit}: lengths of floats and integers")
        check(abs(stage["huffman", 8]["psnr_rgb"] - stage["float", 32]["psnr_rgb"]) < .5, f"{fit}: 8 bits are not floats")
        check(stage["huffman", 3]["psnr_rgb"] < stage["huffman", 8]["psnr_rgb"], f"{fit}: 3 bits are 8")
        for bits in (8, 3):
            fixed, huffman = stage["fixed", bits], stage["huffman", bits]
            check(fixed["psnr_rgb"] == huffman["psnr_rgb"], f"{fit}, {bits} bits: a code changes the picture")
            check(.25 * huffman["bytes"] < stage["published", bits]["bytes"] < huffman["bytes"], f"{fit}, {bits} bits: the authors' count")
            check(huffman["bytes"] < fixed["bytes"] + 2**bits, f"{fit}, {bits} bits: {huffman['bytes']} coded, {fixed['bytes']} of fixed length")
    check(4 * n <= by["plain", "float", 32]["bytes"] < 4 * n + 1000, "32 bits a weight")
    six = by["quantised", "context", 6]
    check(six["bytes"] < 1.1 * by["quantised", "context", 0.001]["bytes"], "6 learned bits are fewer than 8")
    check(six["psnr_rgb"] > by["plain", "float", 32]["psnr_rgb"] - 1.5, "6 learned bits cost more than 1.5 dB")
    check(by["pruned", "huffman", 8]["bytes"] < .75 * by["plain", "huffman", 8]["bytes"], "pruning saves no bytes")
    check(by["quantised", "context", .1]["bytes"] < by["quantised", "context", .001]["bytes"], "the rate's weight weighs nothing")


def wrong(directory):
    for argument in ("--bits=9", "--bits=8,,4", "--learned-bits=9", "--bits=x", "--rate-weights=-1", "--pruning=1", "--prune-at=2", "--tune=vmaf", "--epochs=0",
                     "--batch-size=0", "--learning-rate=11", "--frames=1", "--threads=257", "--device=", "--json=" + directory):
        run(argument, CLIP, status=2, says=argument.split("=")[0])
    run("--size=5x5", CLIP, status=2, says="is no size")
    run(status=2, says="not one clip")
    run(CLIP, CLIP, status=2, says="not one clip")
    run("nosuchelement", status=1, says="nosuchelement")
    run("--model=none", CLIP, status=1, says="unknown model")
    run("--net=none", CLIP, status=1, says="no preset")


with tempfile.TemporaryDirectory() as work:
    measured(work)
    wrong(work)
finish()
