# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-steps on drawn clips: fits from drawn and from learned weights, their means and plot, and what is wrong is said.

    steps.py NERV-STEPS NERV-META
"""
import json
import os
import sys
import tempfile
import zlib

from expect import check, finish, make_clip, runner

run = runner(sys.argv[1], "--threads=2", "--size=48x32", "--frames=6")
learn = runner(sys.argv[2], "--threads=2", "--size=48x32", "--frames=6", "--inner-steps=4", "--batch-size=2", "--windows=2", "--scales=1",
               "--updates=150", "--every=150", "--outer-rate=0.01", "--learning-rate=0.001", "--spatial=0", "--no-temporal")


def figures(directory, clips):
    start, log, plot = (os.path.join(directory, name) for name in ("a.init", "steps.json", "steps.png"))
    learn("--out=" + start, *clips[1:])
    text = run("--label=learned", "--init=" + start, "--steps=1,8,40", "--json=" + log, "--png=" + plot, *clips)
    with open(log, encoding="utf-8") as f:
        result = json.load(f)
    check(all(k in result for k in ("commit", "machine", "versions", "device", "model")), f"{result}: not all there")
    check(result["steps"] == [1, 8, 40] and [c["clip"] for c in result["clips"]] == [os.path.basename(c) for c in clips], f"{result}: asked for")
    check([s["start"] for s in result["starts"]] == ["drawn", "learned"] and "nerv-meta" in result["starts"][1]["provenance"], f"{result}: starts")
    drawn, learned = (m["psnr"] for m in result["mean"])
    for i in range(3):
        mean = sum(c["starts"][1]["psnr"][i] for c in result["clips"]) / len(clips)
        check(abs(mean - learned[i]) < 1e-3, f"{learned} is not the mean, {mean}")
    check(drawn[0] < drawn[1] < drawn[2], f"{drawn}: fits do not get better")
    check(learned[0] > drawn[0] + 3 and learned[1] > drawn[1] + 3, f"{learned}, {drawn}: nothing was learned")
    check(abs(result["mean"][0]["steps_to_what_drawn_has_at_last"] - 40) < 1e-6 and "learned" in text, f"{result}: steps")
    with open(plot, "rb") as f:
        data = f.read()
    check(data[:4] == b"\x89PNG" and zlib.crc32(data[12:29]) == int.from_bytes(data[29:33], "big"), "no plot")
    run("--init=" + start, "--steps=4", "--learned-rate=0.002", "--full-steps=8", "--layers-rate=0.5", "--json=" + log, clips[0])
    with open(log, encoding="utf-8") as f:
        rates = json.load(f)["starts"][1]
    check((rates["learning_rate"], rates["layers_rate"], rates["full_steps"]) == (0.002, 0.5, 8), f"{rates}: not as asked for")
    run("--init=" + start, "--steps=4", "--motion", "--json=" + log, clips[0])
    with open(log, encoding="utf-8") as f:
        names = [m["start"] for m in json.load(f)["mean"]]
    check(names == ["drawn", "drawn, motion found", "a.init"], f"{names}: not as asked for")
    return start


def wrong(directory, clips, start):
    init = "--init=" + start
    other = os.path.join(directory, "other.init")
    learn("--out=" + other, "--weights=4000", "--model=nerv", clips[0])
    run(init, status=2, says="no clip")
    run(clips[0], status=2, says="no --init")
    run(init, "--steps=10,5", clips[0], status=2, says="--steps")
    run(init, "--steps=0", clips[0], status=2, says="--steps")
    run(init, "--full-steps=-2", clips[0], status=2, says="full-steps")
    run(init, "--learned-rate=11", clips[0], status=2, says="learned-rate")
    run(init, "--frames=2000", clips[0], status=2, says="frames")
    run(init, "--init=" + other, clips[0], status=1, says="another network")
    run("--init=" + clips[0], clips[0], status=1, says="no init file")
    run(init, os.path.join(directory, "none.y4m"), status=1, says="none.y4m")


with tempfile.TemporaryDirectory() as d:
    files = [make_clip(d, p) for p in ("ball", "smpte", "zone-plate")]
    wrong(d, files, figures(d, files))
finish()
