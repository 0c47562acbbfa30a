# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-loader on small files of one video: all clips are what each file shows in sequence, and the figures are of what was asked for; other videos are refused, and
what is not exact is found out.

    loader.py NERV-LOADER
"""
import json
import os
import subprocess
import sys
import tempfile

try:
    import numpy  # noqa: F401
except ImportError:
    sys.exit(77)

from expect import check, finish, runner

run = runner(sys.executable, sys.argv[1], "--threads=2", "--rounds=2", "--batch=3")
N = 30


def launch(text):
    subprocess.run(["gst-launch-1.0", "-q", *text.split()], check=True, timeout=60)


def make_files(directory, n=N):
    source = f"videotestsrc num-buffers={n} pattern=ball ! video/x-raw,format=I420,width=64,height=48,framerate=25/1"
    paths = [os.path.join(directory, f"{n}{name}") for name in (".nerv", ".mp4", ".mjpeg")]
    launch(f"{source} ! nervenc device=cpu epochs=1 segment-frames=11 ! nervfilemux ! filesink location={paths[0]}")
    launch(f"{source} ! openh264enc gop-size=20 ! h264parse ! mp4mux ! filesink location={paths[1]}")
    launch(f"{source} ! jpegenc ! filesink location={paths[2]}")
    return paths


def figures(directory, files):
    path = os.path.join(directory, "a.json")
    out = run("--json=" + path, *files)
    with open(path, encoding="utf-8") as f:
        result = json.load(f)
    check(all(k in result for k in ("commit", "machine", "versions", "load")), f"{result}: not all there")
    check((result["frames"], result["length"], result["threads"], result["width"]) == (N, 8, 2, 64), f"{result}: another measurement")
    check([f["kind"] for f in result["files"]] == ["nerv", "h264", "jpeg"], f"{result}: kinds")
    for f in result["files"]:
        check(f["different"] == 0 and len(f["rates"]) == 2 and f["clips_per_second"] > 0, f"{f}: clips")
        check(0 < f["seconds_p50"] <= f["seconds_p95"] <= f["seconds_worst"] and f["seconds_mean"] <= f["seconds_worst"], f"{f}: seconds")
        check(f["file"] in out and f["bytes"] == os.path.getsize(os.path.join(directory, f["file"])), f"{f}: file")
    check(result["files"][0]["clips_per_second_of_first"] == 1 and result["files"][0]["has_index"], "the first is not what others are compared with")


def wrong(directory, files):
    run(status=2)
    run("--rounds=0", files[0], status=2, says="--rounds")
    run(os.path.join(directory, "none.nerv"), status=1, says="none.nerv")
    other = os.path.join(directory, "other.mkv")
    launch(f"videotestsrc num-buffers=5 ! theoraenc ! matroskamux ! filesink location={other}")
    run(other, status=1, says="other.mkv")
    text = os.path.join(directory, "other.txt")
    with open(text, "w", encoding="utf-8") as f:
        f.write("no video\n" * 1000)
    run(text, status=1, says="other.txt")
    run("--json=" + os.path.join(directory, "none", "a.json"), files[0], status=1, says="--json")
    run("--length=31", files[0], status=1, says="no clip of 31")
    run(files[0], make_files(directory, 12)[2], status=1, says="12 frames")


def found_out(directory):
    """A program stream of MPEG is sought in by its bytes, and another frame comes: that has to be said."""
    path = os.path.join(directory, "by-bytes.mpg")
    launch("videotestsrc num-buffers=150 pattern=ball ! video/x-raw,width=96,height=64,framerate=25/1 ! openh264enc gop-size=20 ! h264parse ! "
           f"mpegpsmux ! filesink location={path}")
    run(path, status=3, says="not what they are in sequence")


with tempfile.TemporaryDirectory() as d:
    made = make_files(d)
    figures(d, made)
    wrong(d, made)
    found_out(d)
finish()
