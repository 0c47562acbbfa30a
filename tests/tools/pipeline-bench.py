# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-pipeline-bench on a tiny file: what it writes is complete, seeks end on the right pictures, failures are failures.

    pipeline-bench.py NERV-PIPELINE-BENCH

H.264 and AV1 take part where their encoders and decoders are installed.
"""
import json
import os
import subprocess
import sys
import tempfile

BENCH = sys.argv[1]
failures = 0


def check(ok, what):
    global failures
    if not ok:
        failures += 1
        print("FAILED:", what)


def run(*arguments, status=0, says=""):
    r = subprocess.run([BENCH, "--device=cpu", *arguments], capture_output=True, text=True, check=False)
    out = r.stdout + r.stderr
    check(r.returncode == status, f"status {r.returncode} instead of {status} for {arguments}: {out[-600:]}")
    check(says in out, f"nothing says '{says}' for {arguments}: {out[-600:]}")
    return out


def measured(path):
    out = run("--frames=12", "--segment-frames=5", "--size=64x36", "--seeks=6", "--json=" + path)
    with open(path, encoding="utf-8") as f:
        codecs = json.load(f)["codecs"]
    check(codecs[0]["codec"] == "nerv", f"the first is {codecs[0]['codec']}")
    left_out = out.count("left out")
    check(len(codecs) + left_out == 3, f"{len(codecs)} codecs and {left_out} left out")
    for c in codecs:
        check(c["frames"] == 12, f"{c['codec']}: {c['frames']} frames of 12")
        check(c["seeks_to_the_wrong_picture"] == 0, f"{c['codec']}: {c['seeks_to_the_wrong_picture']} wrong pictures")
        check(0 < c["startup_seconds"] and 0 < c["frame_seconds"] and 0 < c["seek_seconds"] <= c["slowest_seek_seconds"], f"{c}")
        check(c["file_bytes"] > 100, f"{c['codec']}: a file of {c['file_bytes']} bytes")
        # The whole takes at least what lies between the first picture and the last.
        check(c["frames_per_s"] <= 12 / (11 * c["frame_seconds"]) * 1.2, f"{c}: faster than its frames")
    parse = codecs[0]["network_parse_seconds"]
    check(0 < parse < 10, f"the network is parsed in {parse} s")
    without = codecs[0]["seek_frame_times_without_parse"]
    expected = (codecs[0]["seek_seconds"] - parse) / codecs[0]["frame_seconds"]
    check(abs(without - expected) < 1e-3 * abs(expected) + 1e-3, f"{without} frame times, not {expected}")


with tempfile.TemporaryDirectory() as directory:
    measured(os.path.join(directory, "result.json"))
    not_nerv = os.path.join(directory, "x.nerv")
    with open(not_nerv, "wb") as noise:
        noise.write(b"this is no stream" * 100)
    run("--no-peers", not_nerv, status=1, says="nerv-pipeline-bench: ")
    run("--no-peers", os.path.join(directory, "none.nerv"), status=1, says="none.nerv")
    run("--no-peers", "--size=large", status=1, says="is no size")
    run("--no-peers", "--size=64x36", "--frames=4", "--model=abacus", status=1, says="abacus")
    run("a.nerv", "b.nerv", status=2, says="one file at a time")
print("all as expected" if failures == 0 else f"{failures} failed")
sys.exit(failures != 0)
