# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-seek on small files in every container: two hundred random seeks each, all exact; and that it finds out a file whose seeks are not.

    seek.py NERV-SEEK
"""
import json
import os
import subprocess
import sys
import tempfile

from expect import check, finish, runner

TOOL = sys.argv[1]
run = runner(TOOL)
N = 60
MUXERS = {
    "raw.nerv": "",
    "plain.mp4": "! nervmp4mux",
    "faststart.mp4": "! nervmp4mux faststart=true",
    "fragmented.mp4": "! nervmp4mux fragment-duration=300",
    "plain.mkv": "! nervmkvmux",
    "streamable.mkv": "! nervmkvmux streamable=true",
}


def launch(text):
    subprocess.run(["gst-launch-1.0", "-q", *text.split()], check=True, timeout=60)


def make_files(directory):
    stream = os.path.join(directory, "raw.nerv")
    launch(f"videotestsrc num-buffers={N} pattern=ball ! video/x-raw,format=RGB,width=64,height=48,framerate=30000/1001 ! "
           f"nervenc device=cpu tune=psnr epochs=1 segment-frames=11 ! filesink location={stream}")
    for name, mux in MUXERS.items():
        if mux:
            launch(f"filesrc location={stream} ! nervparse {mux} ! filesink location={os.path.join(directory, name)}")
    return [os.path.join(directory, name) for name in MUXERS]


def exact(directory, files):
    path = os.path.join(directory, "seek.json")
    out = run("--json=" + path, *files)
    with open(path, encoding="utf-8") as f:
        result = json.load(f)
    check(all(k in result for k in ("commit", "machine", "versions")), f"{result}: not all there")
    check(result["seeks"] == 200 and [f["file"] for f in result["files"]] == list(MUXERS), f"{result}: other files")
    for f in result["files"]:
        check(f["frames"] == N and f["different"] == 0, f"{f}: frames")
        check(0 < f["median_seconds"] <= f["worst_seconds"] and f["mean_seconds"] <= f["worst_seconds"], f"{f}: seconds")
        check(f["file"] in out, f"{f['file']} is not in {out}")
    check(result["files"][0]["mean_of_first"] == 1, "the first is not what others are compared with")


def wrong(directory, files):
    run(status=2, says="no file")
    run("--count=0", files[0], status=2, says="count")
    run(os.path.join(directory, "none.mp4"), status=1, says="none.mp4")
    with open(os.path.join(directory, "text.mkv"), "w", encoding="utf-8") as f:
        f.write("no video\n" * 100)
    run(f.name, status=1, says="text.mkv")


def found_out(directory):
    """A program stream of MPEG is sought in by its bytes, and another frame is shown: that has to be said."""
    path = os.path.join(directory, "by-bytes.mpg")
    launch("videotestsrc num-buffers=150 pattern=ball ! video/x-raw,width=96,height=64,framerate=25/1 ! openh264enc gop-size=20 ! h264parse ! "
           f"mpegpsmux ! filesink location={path}")
    out = run("--count=40", path, status=3, says="seeks showed another frame")
    check("sought at" in out, f"which frames? {out}")


with tempfile.TemporaryDirectory() as d:
    made = make_files(d)
    exact(d, made)
    wrong(d, made)
    found_out(d)
finish()
