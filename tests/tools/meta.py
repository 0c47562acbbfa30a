# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-meta on drawn clips: every learner writes an init file and a log, one that was stopped goes on to the very same file, and what is wrong is
said.

    meta.py NERV-META
"""
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import zlib

from expect import check, finish, make_clip, runner

TOOL = sys.argv[1]
run = runner(TOOL, "--threads=2", "--size=48x32", "--frames=6", "--inner-steps=2", "--batch-size=2", "--held-out-steps=6", "--windows=1")


def read(path):
    with open(path, "rb") as f:
        return f.read()


def figures(directory, clips):
    for learner in ("maml", "fomaml", "reptile"):
        out, log, plot = (os.path.join(directory, learner + end) for end in (".init", ".json", ".png"))
        text = run("--learner=" + learner, "--updates=4", "--every=2", "--held-out=" + clips[0], "--out=" + out, "--json=" + log,
                   "--png=" + plot, "--provenance=drawn", *clips[1:])
        check(read(out)[:4] == b"N\xe5VI" and b"drawn; nerv-meta" in read(out), f"{learner}: no init file")
        check("held out" in text, f"{learner}: {text}")
        with open(log, encoding="utf-8") as f:
            result = json.load(f)
        check(all(k in result for k in ("commit", "machine", "versions", "device", "task")), f"{result}: not all there")
        check(result["complete"] and result["updates"] == 4 and [e["update"] for e in result["log"]] == [0, 2, 4], f"{result}: entries")
        check(all(0 < e["psnr"] < 100 for e in result["log"]) and 0 < result["psnr_drawn"] < 100, f"{result}: decibels")
        check(all(e["loss_before"] > 0 and e["loss_after"] > 0 for e in result["log"][1:]), f"{result}: losses")
        data = read(plot)
        check(data[:4] == b"\x89PNG" and zlib.crc32(data[12:29]) == int.from_bytes(data[29:33], "big"), f"{learner}: no plot")


def keyframes(directory, clips):
    """Networks with keyframes, which each window gets of its own."""
    for model in ("dnerv", "dnerv-net"):
        out, log = (os.path.join(directory, model + end) for end in (".init", ".json"))
        text = run("--model=" + model, "--size=64x48", "--frames=8", "--updates=2", "--every=1", "--held-out=" + clips[0], "--out=" + out,
                   "--json=" + log, *clips[1:])
        check(read(out)[:4] == b"N\xe5VI" and model[:5] in text, f"{model}: no init file")
        with open(log, encoding="utf-8") as f:
            result = json.load(f)
        check(result["complete"] and all(0 < e["psnr"] < 100 for e in result["log"]), f"{result}: decibels")


def goes_on(directory, clips):
    """Stopped at once, and again and again, until it is done."""
    whole, parts, state = (os.path.join(directory, name) for name in ("whole.init", "parts.init", "state"))
    run("--updates=3", "--every=1", "--out=" + whole, *clips)
    arguments = ("--updates=3", "--every=1", "--out=" + parts, "--state=" + state, "--seconds=0.001")
    for _ in range(20):
        done = subprocess.run([TOOL, "--threads=2", "--size=48x32", "--frames=6", "--inner-steps=2", "--batch-size=2", "--held-out-steps=6",
                               "--windows=1", *arguments, *clips], capture_output=True, text=True, timeout=60)
        check(done.returncode in (0, 3), f"status {done.returncode}: {done.stderr}")
        if done.returncode == 0:
            break
        arguments = (*arguments[:4], "--seconds=0.4")
    check(done.returncode == 0, "never done")
    check("goes on behind update" in done.stdout or "update 3" in done.stdout, done.stdout)
    check(read(whole) == read(parts), "in parts it is another file")
    run("--updates=4", "--every=1", "--out=" + parts, "--state=" + state, *clips, status=1, says="state of another task")
    with open(state, "wb") as f:
        f.write(b"nothing of that kind")
    run("--updates=3", "--every=1", "--out=" + parts, "--state=" + state, *clips, status=1, says="no state of nerv-meta")


def goes_from(directory, clips):
    """Another learner goes on from an init file, and gradients may be taken as they are."""
    one, two, plain, log = (os.path.join(directory, name) for name in ("whole.init", "two.init", "plain.init", "two.json"))
    run("--updates=1", "--learner=reptile", "--from=" + one, "--out=" + two, "--json=" + log, *clips)
    with open(log, encoding="utf-8") as f:
        task = json.load(f)["task"]
    check("from " + hashlib.sha256(read(one)[:-32]).hexdigest() in task, task)
    run("--updates=3", "--every=1", "--no-relative", "--out=" + plain, *clips)
    check(read(plain)[64:] != read(one)[64:] and b"plain gradients" in read(plain) and b"relative gradients" in read(one), "gradients")
    run("--updates=1", "--weights=4000", "--from=" + one, "--out=" + two, *clips, status=1, says="another network")
    run("--updates=1", "--from=" + clips[0], "--out=" + two, *clips, status=1, says="no init file")


def wrong(directory, clips):
    out = "--out=" + os.path.join(directory, "wrong.init")
    run(out, status=2, says="no clip")
    run(clips[0], status=2, says="--out")
    run(out, "--learner=sgd", clips[0], status=2, says="maml, fomaml or reptile")
    run(out, "--scales=1,0.5", clips[0], status=2, says="--scales")
    run(out, "--layers-rate=0", clips[0], status=2, says="layers-rate")
    run(out, "--inner-steps=17", clips[0], status=2, says="inner-steps")
    run(out, "--held-out=" + clips[1], *clips, status=2, says="learned from and held out")
    os.symlink(clips[1], os.path.join(directory, "other-name.y4m"))
    run(out, "--held-out=" + os.path.join(directory, "other-name.y4m"), *clips, status=2, says="learned from and held out")
    with open(os.path.join(directory, "text.y4m"), "w", encoding="utf-8") as f:
        f.write("no video\n" * 100)
    run(out, f.name, status=1, says="text.y4m: ")
    run(out, "--frames=64", clips[0], status=1, says="has 9 frames")
    run(out, os.path.join(directory, "none.y4m"), status=1, says="none.y4m: there is no such file")
    check(not os.path.exists(out[6:]), "an init file of nothing")


with tempfile.TemporaryDirectory() as d:
    files = [make_clip(d, p) for p in ("ball", "smpte", "zone-plate")]
    figures(d, files)
    keyframes(d, files)
    goes_on(d, files)
    goes_from(d, files)
    wrong(d, files)
finish()
