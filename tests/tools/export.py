# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-export and nerv-import without PyTorch: what nervenc has fitted goes through a file of arrays and back, and shows the same pictures with the same caps.

    export.py NERV-IMPORT NERV-EXPORT
"""
import os
import subprocess
import sys
import tempfile

try:
    import numpy  # noqa: F401
except ImportError as failure:
    print("skipped:", failure)
    sys.exit(77)

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path[:0] = [HERE, os.path.join(HERE, "..", "..", "python")]
from expect import check, finish  # noqa: E402
from nerv.tensors import load, save  # noqa: E402

IMPORT, EXPORT = sys.argv[1:3]
SOURCES = {
    "RGB": ("nerv", "video/x-raw,format=RGB,width=64,height=48,framerate=25/1"),
    "I420": ("dnerv", "video/x-raw,format=I420,width=64,height=48,framerate=30000/1001,pixel-aspect-ratio=12/11,colorimetry=bt709,chroma-site=mpeg2"),
    "NV12": ("dnerv", "video/x-raw,format=NV12,width=64,height=48,framerate=25/1,colorimetry=bt601"),
}


def run(*command, status=0):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    check(done.returncode == status and "Traceback" not in done.stderr, f"{command}: {done.returncode}: {(done.stdout + done.stderr)[-800:]}")
    return done.stdout + done.stderr


def shown(path):
    """Bytes of all frames in nervdec's own choice of format, and its caps."""
    raw = path + ".raw"
    out = run("gst-launch-1.0", "-v", "filesrc", "location=" + path, "!", "nervparse", "!", "nervdec", "name=d", "device=cpu", "!", "filesink", "location=" + raw)
    caps = [line.partition("caps = ")[2] for line in out.splitlines() if "GstNervDec:d.GstPad:src: caps = " in line]
    with open(raw, "rb") as f:
        return caps[-1:], f.read()


with tempfile.TemporaryDirectory() as d:
    for name, (model, caps) in SOURCES.items():
        fitted, again = os.path.join(d, "fitted.nerv"), os.path.join(d, "again.nerv")
        run("gst-launch-1.0", "-q", "videotestsrc", "num-buffers=6", "pattern=ball", "!", caps, "!", "nervenc", "model=" + model, "epochs=3", "device=cpu", "!", "filesink",
            "location=" + fitted)
        want = shown(fitted)
        check(len(want[1]) >= 6 * 64 * 48 * 3 // 2 and want[0], f"{name}: {want[0]}")
        for ending in ("npz", "safetensors"):
            out = os.path.join(d, "out." + ending)
            run(EXPORT, fitted, "-o", out)
            run(IMPORT, out, "-o", again)
            got = shown(again)
            check(got[0] == want[0], f"{name}, {ending}: {got[0]}, not {want[0]}")
            check(got[1] == want[1], f"{name}, {ending}: other pictures")
        for video in ('{"format": 77}', '{"matrix": -1}', '{"colour": 1}', '[1]', '{"par_n": 1e99}'):
            arrays, metadata = load(os.path.join(d, "out.npz"))
            save(os.path.join(d, "bad.npz"), arrays, {**metadata, "video": video})
            check("nerv-import: " in run(IMPORT, os.path.join(d, "bad.npz"), "-o", again, status=1), video)
finish()
