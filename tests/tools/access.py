# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-access on small streams: fifty frames that are decoded alone are those of the sequence, and the bytes that it counts are there.

    access.py NERV-ACCESS STREAM-WITH-RESIDUAL
"""
import json
import os
import re
import subprocess
import sys
import tempfile
import zlib

from expect import check, finish, runner

TOOL, RESIDUAL = sys.argv[1:3]
run = runner(TOOL, "--threads=2")


def encode(path, *properties):
    subprocess.run(["gst-launch-1.0", "-q", "videotestsrc", "num-buffers=21", "pattern=ball", "!",
                    "video/x-raw,format=RGB,width=64,height=48,framerate=25/1", "!", "nervenc", "device=cpu", "tune=psnr", "epochs=2",
                    *properties, "!", "filesink", "location=" + path], check=True, timeout=60)


def access(directory, path, *arguments):
    name = os.path.join(directory, "a.json")
    out = run("--json=" + name, *arguments, path)
    with open(name, encoding="utf-8") as f:
        result = json.load(f)
    check(all(k in result for k in ("commit", "machine", "versions", "device")), f"{result}: not all there")
    check(result["different"] == 0 and all(f["equal"] for f in result["frames"]), "frames differ")
    check(result["stream_bytes"] == os.path.getsize(path) and result["stream_frames"] == 21, f"{result}: another stream")
    for f in result["frames"]:
        check(0 <= f["frame"] < 21 and f["network_bytes"] + f["keyframe_bytes"] < f["bytes"] <= f["bytes_from_sync"] <= result["stream_bytes"],
              f"{f}: bytes")
        check(f["cold_seconds"] > 0 and f["warm_seconds"] > 0, f"{f}: seconds")
    return result, out


def figures(directory):
    path = os.path.join(directory, "a.nerv")
    encode(path, "model=dnerv", "model-options=options,clip-frames=4,keyframe-interval=4,widths=<8,8>,strides=<4,2>")
    result, out = access(directory, path)
    check(len(result["frames"]) == 50 and "50 of 50 frames are what they are in sequence" in out, f"not fifty in {out}")
    check({f["frame"] for f in result["frames"][:21]} == set(range(21)), "a frame twice before all came")
    # two keyframes of the six there are
    check(all(0 < f["keyframe_bytes"] < result["stream_bytes"] / 4 for f in result["frames"]), "keyframes")
    check(result["mean_bytes"] < result["mean_bytes_from_sync"], "nothing is left out")
    other, _ = access(directory, path, "--count=5", "--seed=2")
    check(len(other["frames"]) == 5 and [f["frame"] for f in other["frames"]] != [f["frame"] for f in result["frames"][:5]], "the same again")
    # a file with an index and tags
    with_index = os.path.join(directory, "index.nerv")
    subprocess.run(["gst-launch-1.0", "-q", "filesrc", "location=" + path, "!", "nervparse", "!", "taginject", "tags=title=a", "!", "nervfilemux", "!",
                    "filesink", "location=" + with_index], check=True, timeout=60)
    access(directory, with_index, "--count=5")
    # single frames, several segments, no keyframes
    encode(path, "segment-frames=8", "warm-start=none")
    result, _ = access(directory, path)
    check(result["segments"] == 3 and result["mean_keyframe_bytes"] == 0, f"{result['segments']} segments")


def replaced(directory):
    """A stream that shows frame 0's keyframe twice, the second time another picture: in sequence that one is taken, alone the first. It is found out."""
    path, bad = os.path.join(directory, "a.nerv"), os.path.join(directory, "twice.nerv")
    encode(path, "model=dnerv", "model-options=options,clip-frames=4,keyframe-interval=4,widths=<8,8>,strides=<4,2>")
    with open(path, "rb") as f:
        units = [b"N\xe5V\x9c" + u for u in f.read().split(b"N\xe5V\x9c")[1:]]
    keys = [i for i, u in enumerate(units) if u[4] == 4]

    def payload_at(unit):
        return 7 if unit[5] >> 6 == 0 else 8 + (unit[5] >> 6)

    other = bytearray(units[keys[-1]])
    check(units[keys[0]][payload_at(units[keys[0]]) + 1] == 0 and other[payload_at(other) + 1] == 20, "the keyframes are not those of frames 0 and 20")
    other[payload_at(other) + 1] = 0
    other[-4:] = zlib.crc32(other[4:-4]).to_bytes(4, "little")
    with open(bad, "wb") as f:
        f.write(b"".join(units[:keys[0] + 1] + [bytes(other)] + units[keys[0] + 1:]))
    out = run("--count=60", bad, status=3, says="frames differ")
    check("60 of 60" not in out, f"{out}: nothing differs")


def wrong(directory):
    path = os.path.join(directory, "b.nerv")
    encode(path)
    with open(path, "rb") as f:
        data = f.read()
    for name, text, says in (("cut", data[:-3], "no access unit"), ("empty", b"", "no stream"), ("late", data[data.rindex(b"N\xe5V\x9c"):], "without a network")):
        bad = os.path.join(directory, name)
        with open(bad, "wb") as f:
            f.write(text)
        run(bad, status=1, says=says)
    run(RESIDUAL, status=1, says="does not stand alone")
    run(status=2, says="there is not one file")
    run(path, path, status=2, says="there is not one file")
    run("--count=0", path, status=2, says="--count")
    run("--device=", path, status=2, says="--device")
    run(path + "x", status=1)


def inits(directory):
    """The built-in inits and a file say what they are; a delta says that it takes one."""
    out = run("--inits")
    names = re.findall(r"(\S+)\n  hash +([0-9a-f]{64})\n  network +nerv-grid \d+x\d+.*\n  frames +\d+ of \d+ x \d+\n  origin +\S+", out)
    check(len(names) >= 4 and len({h for _, h in names}) == len(names), f"{out}: inits")
    path = os.path.join(directory, "a.init")
    for name in (path, "/dev/zero"):
        if name == path:
            with open(path, "wb") as f:
                f.write(b"nothing of that kind")
        run("--inits", name, status=1, says=name + (": init: this is no init file" if name == path else ": this is no regular file"))
    fifo = os.path.join(directory, "fifo")
    os.mkfifo(fifo)
    for name in (directory, fifo):
        run("--inits", name, status=1, says=name + ": this is no regular file")
    path = os.path.join(directory, "delta.nerv")
    subprocess.run(["gst-launch-1.0", "-q", "videotestsrc", "num-buffers=32", "pattern=ball", "!",
                    "video/x-raw,format=RGB,width=320,height=180,framerate=25/1", "!", "nervenc", "device=cpu", "tune=psnr", "epochs=1",
                    "weight-deltas=true", "!", "filesink", "location=" + path], check=True, timeout=120)
    with open(path, "rb") as f:
        is_delta = any(u[4:5] == b"\x06" for u in f.read().split(b"N\xe5V\x9c"))
    check(is_delta, "no delta was chosen: try another clip")
    run(path, status=1, says="it takes an init")


with tempfile.TemporaryDirectory() as work:
    figures(work)
    replaced(work)
    wrong(work)
    inits(work)
finish()
