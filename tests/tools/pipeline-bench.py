# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-pipeline-bench on a tiny file: what it writes is complete, seeks end on the right pictures, failures are failures.

    pipeline-bench.py NERV-PIPELINE-BENCH

H.264 and AV1 take part where their encoders and decoders are installed.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile

from expect import check, finish, runner

BENCH = sys.argv[1]
run = runner(BENCH, "--device=cpu")


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
    # Each seek less the parsing that was measured beside it: near the difference of the medians, and the median of the rounds.
    rounds = codecs[0]["rounds_seek_frame_times_without_parse"]
    check(len(rounds) == 5, f"{len(rounds)} rounds")
    without = codecs[0]["seek_frame_times_without_parse"]
    check(without == statistics.median(rounds), f"{without} is not the median of {rounds}")
    whole = codecs[0]["seek_frame_times"]
    check(min(rounds) < whole + 1, f"{rounds} frame times without the network, {whole} with it")
    check("network_parse_seconds" not in codecs[-1] or len(codecs) == 1, "another codec parses networks")


def wrong_pictures(directory):
    """The second of three networks is damaged: a seek into its segment ends on a picture of the third's."""
    path = os.path.join(directory, "damaged.nerv")
    subprocess.run(["gst-launch-1.0", "-q", "videotestsrc", "num-buffers=12", "!", "video/x-raw,format=I420,width=64,height=36", "!", "nervenc",
                    "device=cpu", "model=nerv-mlp", "epochs=1", "segment-frames=4", "model-options=options,stem=8,base-channels=2,widths=<4,3>,strides=<2,2>",
                    "!", "filesink", "location=" + path], check=True, timeout=60)
    run("--no-peers", path)
    with open(path, "rb") as f:
        stream = bytearray(f.read())
    middle = len(stream) // 2
    stream[middle:middle + 8] = bytes(b ^ 0x55 for b in stream[middle:middle + 8])
    with open(path, "wb") as f:
        f.write(stream)
    result = os.path.join(directory, "damaged.json")
    run("--no-peers", "--json=" + result, path, status=3, says="ended on wrong pictures")
    with open(result, encoding="utf-8") as f:
        check(json.load(f)["codecs"][0]["seeks_to_the_wrong_picture"] > 0, "the wrong pictures are not in the result")


def wrong_arguments(directory):
    for argument in ("--threads=-1", "--threads=257", "--segment-frames=-1", "--segment-frames=65537", "--frames=1", "--frames=-5",
                     "--rounds=4", "--rounds=0", "--seeks=0", "--seeks=17", "--device=", "--json=" + directory,
                     "--json=" + os.path.join(directory, "none", "x.json")):
        out = run("--no-peers", argument, status=2, says=argument.split("=")[0])
        check("fitting" not in out, f"{argument}: a file is made")
    for size in ("large", "5x5", "64x36x2", "64", "-64x36", "99999x36"):
        run("--no-peers", "--size=" + size, status=2, says="is no size")


with tempfile.TemporaryDirectory() as directory:
    measured(os.path.join(directory, "result.json"))
    not_nerv = os.path.join(directory, "x.nerv")
    with open(not_nerv, "wb") as noise:
        noise.write(b"this is no stream" * 100)
    run("--no-peers", not_nerv, status=1, says="nerv-pipeline-bench: ")
    run("--no-peers", os.path.join(directory, "none.nerv"), status=1, says="none.nerv")
    wrong_pictures(directory)
    wrong_arguments(directory)
    run("--no-peers", "--size=64x36", "--frames=4", "--model=abacus", status=1, says="abacus")
    run("a.nerv", "b.nerv", status=2, says="one file at a time")
finish()
