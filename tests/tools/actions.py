# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-actions on a few tiny clips: each codec has its line, of as many bytes as were asked for where it can, and what is counted adds up. Skipped (77) without PyTorch or x264enc.

    actions.py NERV-ACTIONS
"""
import json
import os
import subprocess
import sys
import tempfile

from expect import check, finish, make_clip, runner

run = runner(sys.executable, sys.argv[1])
if subprocess.run(["gst-inspect-1.0", "--exists", "x264enc"], check=False).returncode != 0:
    sys.exit(77)
if subprocess.run([sys.executable, "-c", "import numpy, torch"], capture_output=True, check=False).returncode != 0:
    run("a", status=77, says="torch" if subprocess.run([sys.executable, "-c", "import numpy"], check=False).returncode == 0 else "numpy")
    sys.exit(77)

with tempfile.TemporaryDirectory() as d:
    clip, path = make_clip(d, "smpte"), os.path.join(d, "a.json")
    out = run("--size=32", "--train=1", "--test=1", "--bytes=400", "--seconds=3", "--segment-clips=8", "--epochs=1", "--batch=4", "--seeds=2", "--threads=2", "--json=" + path, clip)
    with open(path, encoding="utf-8") as f:
        result = json.load(f)
    check(all(k in result for k in ("commit", "machine", "versions", "torch")), f"{result}: not all there")
    check([line["codec"] for line in result["lines"]] == ["raw", "nerv", "dnerv", "h264"], f"{result}: lines")
    check(len(result["classes"]) == 8 and result["seeds"] == 2, f"{result}: other classes or seeds")
    for line in result["lines"]:
        check(len(line["accuracies"]) == 2 and all(a in (0, .125, .25, .375, .5, .625, .75, .875, 1) for a in line["accuracies"]), f"{line}: accuracies of eight clips")
        check(line["codec"] in out, f"{out}: no {line['codec']}")
        check(line["codec"] == "raw" or (line["psnr"] > 10 and 0 < line["bytes"] < 16 * 400 * 3), f"{line}: bytes and dB")
    check(result["lines"][0]["psnr"] is None, "raw clips are not exact")
    run("--bytes=a", clip, status=2, says="--bytes")
    run("--batch=1", clip, status=2, says="out of range")
finish()
