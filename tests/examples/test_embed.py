# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/examples/embed in C and Python: as many pictures come back as went in, and near them.

    test_embed.py PROGRAM SCRIPT
"""
import re
import subprocess
import sys

from expect import check, finish


def embed(command, n):
    done = subprocess.run([*command, str(n)], capture_output=True, text=True, timeout=120, check=False)
    check(done.returncode == 0 and not done.stderr, f"{command}: {done.returncode}, {done.stderr}")
    units = re.search(r"(\d+) access units, (\d+) bytes", done.stdout)
    pictures = re.search(r"(\d+) pictures, ([\d.]+) dB", done.stdout)
    check(units and pictures, f"{command}: {done.stdout}")
    check(int(units[1]) == n and int(pictures[1]) == n, f"{command}: {done.stdout}")
    check(done.stdout.count("segment at frame") == (n + 31) // 32, f"{command}: {done.stdout}")
    check(float(pictures[2]) > 28, f"{command}: {pictures[2]} dB")
    check(int(units[2]) < n * 160 * 90 * 4 / 10, f"{command}: {units[2]} bytes")


program, script = sys.argv[1:3]
embed([program], 40)
embed([sys.executable, script], 12)
for arguments in ("0", "x"):
    wrong = subprocess.run([program, arguments], capture_output=True, text=True, timeout=20, check=False)
    check(wrong.returncode == 1 and "usage" in wrong.stderr, f"{arguments}: {wrong.stderr}")
finish()
