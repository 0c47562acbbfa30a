# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-rd on a tiny test picture: what it writes is complete and agrees with itself, lossless is infinite, failures are failures.

    rd.py NERV-RD NERV-META

Peers take part where their encoders and decoders are installed.
"""
import csv
import json
import math
import os
import struct
import subprocess
import sys
import tempfile

from expect import check, finish, runner

RD, META = sys.argv[1:3]
CLIP = "videotestsrc num-buffers=9 pattern=smpte ! video/x-raw,format={},width=64,height=48,framerate=25/1"
COLUMNS = ("clip,codec,encoder,width,height,frames,bytes,bpp,kbps,psnr_rgb,psnr_rgb_frames,psnr_yuv611,ms_ssim,"
           "encode_seconds,decode_fps,psnr_mean,psnr_parts").split(",")
run = runner(RD, "--device=cpu", "--threads=2")


def near(a, b, tolerance=1e-3):
    return abs(a - b) <= tolerance * abs(b)


def read(directory, *arguments, clips=(CLIP.format("RGB"),), n_plots=0):
    names = [os.path.join(directory, name) for name in ("rd.csv", "rd.json", "rd.png")]
    out = run(*arguments, "--csv=" + names[0], "--json=" + names[1], "--png=" + names[2], *clips)
    with open(names[0], encoding="utf-8", newline="") as f:
        rows = list(csv.DictReader(f))
    with open(names[1], encoding="utf-8") as f:
        result = json.load(f)
    with open(names[2], "rb") as f:
        png = f.read()
    check(png[:8] == b"\x89PNG\r\n\x1a\n" and struct.unpack(">II", png[16:24]) == (960, 2 * 600 * (n_plots or len(clips))), "the plot is no plot")
    check(result["complete"] is True, "the result is not complete")
    for key in ("commit", "machine", "versions", "gstreamer"):
        check(key in result, f"the JSON has no {key}")
    return rows, result, out


def check_row(row, n_frames):
    check(list(row) == COLUMNS, f"columns {list(row)}")
    size, bpp = int(row["bytes"]), float(row["bpp"])
    check((row["width"], row["height"], row["frames"]) == ("64", "48", str(n_frames)), f"{row}: another size")
    check(near(bpp, size * 8 / (64 * 48 * n_frames)) and near(float(row["kbps"]), size * 8 * 25 / n_frames / 1000), f"{row}: rate")
    check(0 < float(row["ms_ssim"]) <= 1 and float(row["encode_seconds"]) > 0 and float(row["decode_fps"]) > 0, f"{row}: measures")


def curves(directory):
    nerv = "epochs=1 model=nerv-mlp model-options=\"options,stem=16,base-channels=4,widths=<6,5>,strides=<2,2>\" seed="
    rows, result, out = read(directory, "--label=small", "--nerv=" + nerv + "1", "--nerv=" + nerv + "2", "--peers=x264",
                             "--crf=10,20,30,40", "--frames=8")
    for row in rows:
        check_row(row, 8)
    check([r["codec"] for r in rows][:2] == ["small", "small"], f"the curves are {[r['codec'] for r in rows]}")
    check("seed=2" in rows[1]["encoder"] and 0 < float(rows[0]["psnr_rgb"]) < 30, f"{rows[0]}: no picture fitted for an epoch")
    clip = result["clips"][0]
    check(clip["ms_ssim_scales"] == 3 and clip["frames"] == 8, f"{clip}: another clip")
    points = [(c["codec"], p["bytes"]) for c in clip["curves"] for p in c["points"]]
    check(points == [(r["codec"], int(r["bytes"])) for r in rows], "CSV and JSON have other points")
    if "x264: left out" in out:
        return
    x264 = [r for r in rows if r["codec"] == "x264"]
    for measure in ("bytes", "psnr_rgb", "psnr_yuv611", "ms_ssim"):
        values = [float(r[measure]) for r in x264]
        check(len(values) == 4 and values == sorted(values, reverse=True), f"x264's {measure} does not fall: {values}")
    check(float(x264[0]["psnr_yuv611"]) > 40, f"{x264[0]}: that is not crf 10")
    check([b["why_none"] for b in clip["bd_rates"]] == ["fewer than four points of finite quality"] * 2, f"BD-rates: {clip['bd_rates']}")


def lossless(directory):
    rows, result, out = read(directory, "--peers=x264", "--crf=0", clips=(CLIP.format("I420"), CLIP.format("RGB")))
    if "x264: left out" in out:
        return
    # Of a clip in 4:2:0 nothing is lost; of one in RGB, where only 4:2:0 is the same, the colours at edges are.
    check([float(r["psnr_yuv611"]) for r in rows] == [math.inf, math.inf], f"not lossless: {rows}")
    check(float(rows[0]["psnr_rgb"]) == math.inf and float(rows[0]["psnr_rgb_frames"]) == math.inf, f"not lossless: {rows[0]}")
    check(15 < float(rows[1]["psnr_rgb"]) < 60, f"RGB at half the colours' resolution: {rows[1]}")
    points = [c["curves"][0]["points"][0] for c in result["clips"]]
    check([(p["lossless"], p["psnr_yuv611"]) for p in points] == [(True, None), (False, None)], f"lossless: {points}")
    check(points[0]["psnr_rgb"] is None and points[0]["ms_ssim"] == 1, f"lossless: {points[0]}")


def written_before(directory):
    """A stream's point is the one that its encoding had, without the seconds."""
    path, options = os.path.join(directory, "a.nerv"), "model=nerv-mlp epochs=1 model-options=options,stem=16,base-channels=4,widths=<6,5>,strides=<2,2>"
    source = CLIP.format("RGB").split(" ")
    subprocess.run(["gst-launch-1.0", "-q", *source, "!", "nervenc", "device=cpu", *options.split(" "), "!", "filesink", "location=" + path],
                   check=True, timeout=60)
    rows, result, _ = read(directory, "--peers=", "--stream=" + path + ",epochs=1", "--nerv=" + options.replace("model-options=", "model-options=\"") + "\"")
    before, now = rows
    check(int(before["bytes"]) == os.path.getsize(path) == int(now["bytes"]), f"{before} and {now}: bytes")
    check(before["psnr_rgb"] == now["psnr_rgb"] and before["encoder"] == "nervenc epochs=1", f"{before} and {now}: one stream")
    point = result["clips"][0]["curves"][0]["points"][0]
    check(point["encode_seconds"] is None and before["encode_seconds"] in ("nan", ""), f"{before}: seconds that nobody measured")
    run("--peers=", "--stream=" + path + "x", CLIP.format("RGB"), status=1, says="there is no file")


def joint(directory):
    """Clips as one: each one's quality is what it is by itself, budgets are shared by frames, a bad clip is heard of."""
    options = "model=nerv-mlp seed=1 model-options=\"options,stem=16,base-channels=4,widths=<6,5>,strides=<2,2>\""
    clips = [CLIP.format("RGB").replace("smpte", pattern).replace("=9", "=" + n) for pattern, n in (("smpte", "8"), ("ball", "4"), ("snow", "4"))]
    rows, result, out = read(directory, "--joint", "--base=one", "--label=one", "--nerv=epochs=40 " + options, "--label=each",
                             "--apart=epochs=40 " + options, "--label=peer", "--nerv=epochs=1 " + options, "--peers=x264", "--crf=20", clips=clips,
                             n_plots=1)
    clip = result["clips"][0]
    check(len(result["clips"]) == 1 and [p["frames"] for p in clip["parts"]] == [8, 4, 4] and clip["frames"] == 16, f"parts {clip.get('parts')}")
    for row in rows:
        parts = [float(x) for x in row["psnr_parts"].split()]
        check(len(parts) == 3 and near(float(row["psnr_mean"]), sum(parts) / 3), f"{row}: the mean of three")
        mse = sum(n * 10 ** (-p / 10) for n, p in zip((8, 4, 4), parts)) / 16
        check(near(float(row["psnr_rgb"]), -10 * math.log10(mse)), f"{row}: PSNR of all frames")
    # by itself a clip comes out as it does in a run of its own, byte for byte but for its times
    own = [read(directory, "--peers=", "--nerv=epochs=40 " + options, clips=[c])[0][0] for c in clips]
    each = next(r for r in rows if r["codec"] == "each")
    parts = [float(x) for x in each["psnr_parts"].split()]
    check(all(near(p, float(o["psnr_rgb"]), 1e-6) for p, o in zip(parts, own)), f"{parts} are not those of {own}")
    check(abs(int(each["bytes"]) - sum(int(o["bytes"]) for o in own)) <= 3 * 16, f"{each['bytes']} bytes of {own}")
    check(len({r["psnr_mean"] for r in rows}) == len(rows), "different encodes with equal pictures")
    losses = {x["codec"]: x for x in clip["losses"]}
    check(clip["base"] == "one" and sorted(losses) == ["each", "peer"], f"losses {losses}")
    mean = {r["codec"]: float(r["psnr_mean"]) for r in rows}
    check(all(abs(x["db_lost"] - (mean["one"] - mean[k])) < 1e-4 for k, x in losses.items()), f"losses {losses} of {mean}")
    check("dB lost" in out and "1: " in out, f"no table in {out}")
    # half of the frames get half of the bytes and of the seconds
    sized = "tune=psnr model=nerv target-size-bytes=24000 max-encode-seconds=4.5 seed=1"
    rows, result, out = read(directory, "--joint", "--peers=", "--label=each", "--apart=" + sized, clips=[CLIP.format("RGB")] * 2, n_plots=1)
    check(16000 < int(rows[0]["bytes"]) < 32000 and float(rows[0]["encode_seconds"]) < 20, f"{rows[0]}: not the budget")
    run("--joint", "--peers=", CLIP.format("RGB"), status=2, says="--joint takes")
    run("--apart=epochs=1", "--peers=", CLIP.format("RGB"), status=2, says="--apart needs --joint")
    run("--base=x", "--nerv=epochs=1", "--peers=", CLIP.format("RGB"), status=2, says="--base is")
    run("--joint", "--peers=", CLIP.format("RGB"), CLIP.format("RGB").replace("=64", "=48"), status=1, says="differ in size")


def broken_off(directory):
    names = [os.path.join(directory, name) for name in ("off.csv", "off.json", "off.png")]
    nerv = "epochs=1 model=nerv-mlp model-options=\"options,stem=16,base-channels=4,widths=<6,5>,strides=<2,2>\""
    run("--peers=", "--nerv=" + nerv, "--csv=" + names[0], "--json=" + names[1], "--png=" + names[2], CLIP.format("RGB"), "nosuchelement",
        status=1, says="nosuchelement")
    with open(names[0], encoding="utf-8", newline="") as f:
        check(len(list(csv.DictReader(f))) == 1, "the point before the failure is lost")
    with open(names[1], encoding="utf-8") as f:
        check(json.load(f)["complete"] is False, "a result that was broken off says that it is complete")
    check(os.path.exists(names[2]), "no plot of what there is")


def missed():
    """What an encoder warns of is heard of."""
    run("--peers=", "--nerv=epochs=1 target-size-bytes=200", CLIP.format("RGB"), says="not the 200 asked for")


def deltas(directory):
    """A stream of differences from an init goes to a decoder that has it."""
    init, clip = os.path.join(directory, "a.init"), CLIP.format("RGB")
    learned = runner(META, "--threads=2")
    learned("--size=64x48", "--frames=9", "--updates=200", "--learner=fomaml", "--inner-steps=2", "--batch-size=2", "--windows=1", "--scales=1",
            "--outer-rate=.01", "--out=" + init, clip)
    nerv = f"--nerv=init-location=\"{init}\" tune=psnr epochs=4"
    rows, _, _ = read(directory, nerv, nerv + " weight-deltas=true", "--peers=")
    check(len(rows) == 2 and int(rows[1]["bytes"]) < int(rows[0]["bytes"]), f"{rows}: differences from what is nearly the clip are no smaller")


def wrong(directory):
    clip = CLIP.format("RGB")
    for argument in ("--threads=257", "--frames=1", "--frames=-2", "--peers=h266", "--crf=51", "--crf=1,,2", "--crf=x", "--av1-bpp=0", "--av1-bpp=.1,x",
                     "--av1-speed=11", "--preset=quick", "--tune=grain", "--device=", "--csv=" + directory,
                     "--png=" + os.path.join(directory, "none", "x.png")):
        run(argument, clip, status=2, says=argument.split("=")[0])
    run("--size=5x5", clip, status=2, says="is no size")
    run(status=2, says="there is no clip")
    run("--peers=", "--nerv=no-such-property=1", clip, status=1, says="no-such-property")
    run("--peers=", "nosuchelement", status=1, says="nosuchelement")
    run("--peers=", RD, status=1, says="nerv-rd: ")
    run("--peers=", clip.replace("=9", "=1"), status=1, says="fewer than two")


with tempfile.TemporaryDirectory() as work:
    curves(work)
    lossless(work)
    written_before(work)
    joint(work)
    broken_off(work)
    missed()
    deltas(work)
    wrong(work)
finish()
