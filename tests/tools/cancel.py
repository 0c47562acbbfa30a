# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-cancel: encoding is stopped at random moments of all its phases, and none takes longer than 200 ms but one in a hundred.

    cancel.py NERV-CANCEL
"""
import json
import os
import sys
import tempfile

from expect import check, finish, runner

run = runner(sys.argv[1])
N = 22

with tempfile.TemporaryDirectory() as d:
    path = os.path.join(d, "cancel.json")
    out = run(f"--moments={N}", "--size=160x90", "--seed=1", "--verbose", "--json=" + path)
    with open(path, encoding="utf-8") as f:
        result = json.load(f)
check(all(k in result for k in ("commit", "machine", "versions")), f"{result}: not all there")
check(result["late"] <= 1 and result["without_waits"]["p99_ms"] <= result["all"]["p99_ms"] + 1e-9, out)
check(len(result["each"]) == N and result["all"]["moments"] == N, f"{len(result['each'])} moments")
for kind in "phases", "ways":
    counts = {k: v["moments"] for k, v in result[kind].items()}
    check(sum(counts.values()) == N and sum(n > 0 for n in counts.values()) >= 3, f"{kind}: {counts}")
check(len({e["nervenc"] for e in result["each"]}) >= 10, "not all settings came by")

run("--moments=0", status=2, says="moments")
run("--size=1x1", status=2, says="size")
run("--json=/nowhere/x.json", status=2, says="json")
finish()
