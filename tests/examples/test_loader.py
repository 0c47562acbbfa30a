# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/examples/loader: each clip of a small stream once, in batches; what is no video, or too short, is said.

    test_loader.py SCRIPT STREAM-OF-6-FRAMES
"""
import re
import subprocess
import sys

from expect import check, finish

try:
    import numpy  # noqa: F401
except ImportError:
    sys.exit(77)

SCRIPT, STREAM = sys.argv[1:3]


def run(*arguments, status=0):
    done = subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, timeout=60, check=False)
    check(done.returncode == status, f"{arguments}: {done.returncode}, {done.stderr}")
    return done.stdout if status == 0 else done.stderr


out = run(STREAM, "3", "3")
check("6 frames of 17x16" in out and "4 clips, " in out, f"{out}: sums")
starts = [[int(s) for s in line.split(", ")] for line in re.findall(r"clips at ([\d, ]+): mean 0\.\d+, motion 0\.\d+", out)]
check(sorted(sum(starts, [])) == [0, 1, 2, 3] and [len(s) for s in starts] == [3, 1], f"{out}: batches")
check("0 clips" in run(STREAM), "no clip of eight frames fits into six")
check("usage" in run(status=1) and "usage" in run(STREAM, "x", status=1) and "usage" in run(STREAM, "0", status=1), "usage")
check("no segment" in run(SCRIPT, status=1), "no video")
finish()
