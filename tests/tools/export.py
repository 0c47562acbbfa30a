# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-export and nerv-import without PyTorch: what nervenc has fitted goes through a file of arrays and back, in as many bytes, and shows the same pictures with the same
caps: one segment, all of them, those that others need; arrays that were changed; files that are cut off.

    export.py NERV-IMPORT NERV-EXPORT SEEDS
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
from nerv.network import segments  # noqa: E402
from nerv.tensors import load, save  # noqa: E402

IMPORT, EXPORT, SEEDS = sys.argv[1:4]
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


def bytes_of(path):
    with open(path, "rb") as f:
        return f.read()


def encode(path, caps, n, *properties):
    run("gst-launch-1.0", "-q", "videotestsrc", f"num-buffers={n}", "pattern=ball", "!", caps, "!", "nervenc", "epochs=3", "device=cpu", *properties, "!", "filesink",
        "location=" + path)


def one_segment(d):
    for name, (model, caps) in SOURCES.items():
        fitted, again = os.path.join(d, "fitted.nerv"), os.path.join(d, "again.nerv")
        encode(fitted, caps, 6, "model=" + model)
        want = shown(fitted)
        check(len(want[1]) >= 6 * 64 * 48 * 3 // 2 and want[0], f"{name}: {want[0]}")
        for ending in ("npz", "safetensors"):
            out = os.path.join(d, "out." + ending)
            run(EXPORT, fitted, "-o", out)
            run(IMPORT, out, "-o", again)
            got = shown(again)
            check(got[0] == want[0], f"{name}, {ending}: {got[0]}, not {want[0]}")
            check(got[1] == want[1], f"{name}, {ending}: other pictures")
            check(os.path.getsize(again) <= 1.02 * os.path.getsize(fitted), f"{name}, {ending}: {os.path.getsize(again)} bytes of {os.path.getsize(fitted)}")
        for video in ('{"format": 77}', '{"matrix": -1}', '{"colour": 1}', '[1]', '{"par_n": 1e99}'):
            arrays, metadata = load(os.path.join(d, "out.npz"))
            save(os.path.join(d, "bad.npz"), arrays, {**metadata, "video": video})
            check("nerv-import: " in run(IMPORT, os.path.join(d, "bad.npz"), "-o", again, status=1), video)


def all_segments(d):
    """Of every coding; and seeds whose segments need the one before, or an init."""
    fitted, again, caps = os.path.join(d, "all.nerv"), os.path.join(d, "again.nerv"), SOURCES["I420"][1]
    for properties in ((), ("rate-weight=0", "bits=5"), ("coding=huffman",), ("coding=huffman", "pruning=.4"), ("model=dnerv", "warm-start=residual")):
        encode(fitted, caps, 15, "segment-frames=6", *properties)
        want = shown(fitted)
        for ending in ("npz", "safetensors"):
            out = os.path.join(d, "all." + ending)
            check("3 segments" in run(EXPORT, "--all", fitted, "-o", out), f"{properties}: segments")
            check("3 segments, 15 frames" in run(IMPORT, out, "-o", again), f"{properties}: frames")
            check(shown(again) == want, f"{properties}, {ending}: other pictures")
            check(os.path.getsize(again) <= 1.02 * os.path.getsize(fitted), f"{properties}, {ending}: {os.path.getsize(again)} bytes of {os.path.getsize(fitted)}")
        run(EXPORT, fitted, "--segment=2", "-o", out)
        run(IMPORT, out, "-o", again)
        part = shown(again)
        check(part[1] == want[1][-len(part[1]):] and len(part[1]) == len(want[1]) // 5, f"{properties}: the last segment by itself")
    for seed in ("ok-residual", "ok-delta", "ok-two-segments", "ok-grids", "ok-stored"):
        seed = os.path.join(SEEDS, "decoder", seed)
        run(EXPORT, "--all", seed, "-o", out)
        run(IMPORT, out, "-o", again)
        check(bytes_of(again) == bytes_of(seed), f"{seed}: another stream")
    seed = os.path.join(SEEDS, "decoder", "ok-variable-rate")
    run(EXPORT, seed, "-o", out)
    run(IMPORT, out, "-o", again)
    times = [segment.times - segment.times[0] for path in (seed, again) for segment in segments(bytes_of(path))]
    check(len(times) == 2 and list(times[0]) == list(times[1]) and times[0].any(), f"{times}: times")
    check("not allowed with" in run(EXPORT, "--all", "--segment=1", seed, status=2), "both")


def changed_arrays(d):
    """What stands beside an array is used where it says the same: the array counts."""
    fitted, out, again = (os.path.join(d, name) for name in ("all.nerv", "changed.npz", "again.nerv"))

    def imported(arrays, metadata, *options):
        save(out, arrays, metadata)
        text = run(IMPORT, out, "-o", again, *options)
        return text, list(segments(bytes_of(again)))

    def is_shown(got, arrays):
        return all(numpy.array_equal(t.values, arrays[f"segment{i}.{name}"]) for i, s in enumerate(got) for name, t in s.tensors.items())

    encode(fitted, SOURCES["RGB"][1], 12, "segment-frames=6")
    run(EXPORT, "--all", fitted, "-o", out)
    arrays, metadata = load(out)
    names = [k for k in arrays if k.endswith("block0.weight")]
    check(len(names) == 2, f"{names}")
    for values in (arrays[names[1]] * numpy.float32(1.01), arrays[names[1]] + arrays[names[1] + ".scale"]):
        text, got = imported({**arrays, names[1]: values}, metadata)
        check(is_shown(got, {**arrays, names[1]: values}), "a changed array is not what is shown")
        size = os.path.getsize(again)
        check(size < 2 * os.path.getsize(fitted), f"{size} bytes of {os.path.getsize(fitted)}")
    text, got = imported({**arrays, names[1]: arrays[names[1]] * numpy.float32(1.01)}, metadata)
    check("segment 1: block0.weight are not what they were coded as" in text, text)
    plain = {k: v for k, v in arrays.items() if not k.endswith(".scale")}
    text, got = imported(plain, metadata)
    floats = os.path.getsize(again)
    check(is_shown(got, arrays) and floats > 3 * os.path.getsize(fitted), f"floats: {floats} bytes")
    text, got = imported(plain, metadata, "--bits=8")
    check(os.path.getsize(again) < floats / 3 and not is_shown(got, arrays), f"8 bits: {os.path.getsize(again)} of {floats}")
    run(EXPORT, os.path.join(SEEDS, "decoder", "ok-residual"), "--all", "-o", out)
    arrays, metadata = load(out)
    changed = {**arrays, "segment0.head.bias": arrays["segment0.head.bias"] + 1}  # under the next one's residual
    text, got = imported(changed, metadata)
    check(is_shown(got, changed) and "differences from does not lead to it" in text, text)
    run(EXPORT, os.path.join(SEEDS, "decoder", "ok-residual"), "--segment=1", "-o", out)
    arrays, metadata = load(out)
    text, got = imported(arrays, metadata)
    check("a residual on is not in the file" in text and numpy.array_equal(got[0].tensors["head.bias"].values, arrays["head.bias"]), text)
    for bad in ({"segment0.frames": "x"}, {"segments": "3"}, {"segment0.pts_ns": str(2 ** 70)}, {"segment1.segment": "-1"}, {"segment0.way": "delta"}, {"segment0.fps": "25"},
                {"segment0.fps": "99999999999/1"}, {"segment0.videos": "[" * 5000}):
        run(EXPORT, fitted, "--all", "-o", out)
        arrays, metadata = load(out)
        save(out, arrays, {**metadata, **bad})
        check("nerv-import: " in run(IMPORT, out, "-o", again, status=1), f"{bad}")


def damaged_arrays(d):
    """Files that are none any more say so; what was there under the output's name stays."""
    fitted, out, bad, again = (os.path.join(d, name) for name in ("all.nerv", "whole.npz", "bad.npz", "there.nerv"))
    run(EXPORT, "--all", fitted, "-o", out)
    data = bytes_of(out)
    with open(again, "wb") as f:
        f.write(b"there")
    flipped = bytearray(data)
    flipped[data.index(max(load(out)[0].values(), key=lambda a: a.nbytes).tobytes())] ^= 255
    for damaged in (data[:100], data[:-1], b"", bytes(flipped)):
        with open(bad, "wb") as f:
            f.write(damaged)
        check("is a damaged .npz" in run(IMPORT, bad, "-o", again, status=1), f"{len(damaged)} bytes of {len(data)}")
    check("--frames is for checkpoints" in run(IMPORT, out, "-o", again, "--frames=3", status=1), "--frames of what was exported")
    check(bytes_of(again) == b"there", "an error has changed the output")
    full = os.path.join(d, "full.npz")
    os.symlink("/dev/full", full)
    text = run(EXPORT, "--all", fitted, "-o", full, status=1)
    check(full in text and "No space left" in text, text)
    check("/dev/full" in run(IMPORT, out, "-o", "/dev/full", status=1), "a full disk")
    boxed = os.path.join(d, "boxed.mkv")
    run("gst-launch-1.0", "-q", "videotestsrc", "num-buffers=2", "!", "jpegenc", "!", "matroskamux", "!", "filesink", "location=" + boxed)
    check("matroskademux ! nervparse" in run(EXPORT, boxed, status=1), "a container")


def cut_off(d):
    """What is whole of it is exported, with a warning and status 3."""
    fitted, cut, out, again = (os.path.join(d, name) for name in ("cut.nerv", "some.nerv", "cut.npz", "again.nerv"))
    encode(fitted, SOURCES["RGB"][1], 18, "segment-frames=6", "model=dnerv", "model-options=o,keyframe-interval=2")
    data = bytes_of(fitted)
    want = shown(fitted)[1]
    second = data.index(b"N\xe5V\x9c\x01", 1)  # a sequence header
    third = data.index(b"N\xe5V\x9c\x01", second + 1)

    def export(n, *options, status=3):
        with open(cut, "wb") as f:
            f.write(data[:n])
        return run(EXPORT, cut, *options, "-o", out, status=status)

    text = export(second + 100, "--all")
    check("warning" in text and "cut off" in text and "1 segments" in text, text)
    run(IMPORT, out, "-o", again)
    check(shown(again)[1] == want[:len(want) // 3], "the first segment of a file that is cut off")
    text = export(second + 100, "--segment=0")
    check("cut off" in text and "segment 0 of 1" in text, text)
    check("none of them number 1" in export(second + 100, "--segment=1", status=1), "a segment that is cut off")
    check("no whole network" in export(100, status=1), "a part of a network")
    check("no whole network" in export(0, status=1) and "empty" in export(0, "--all", status=1), "nothing")
    frames = data.rindex(b"N\xe5V\x9c\x03")  # the last frame's unit, whose keyframe is before it
    check("segment 2: 1 of its 6 frames are not in the file" in export(frames, "--all"), "a frame")
    run(IMPORT, out, "-o", again)
    check(shown(again)[1] == want, "without a frame that the network shows")
    text = export(data.index(b"N\xe5V\x9c\x03", third) + 20, "--all")
    check("segment 2: 5 of its 6 frames are not in the file" in text and "keyframes that are lost" in text, text)
    check("left out" in run(IMPORT, out, "-o", again, status=3), "a network without its keyframes")
    check(shown(again)[1] == want[:len(want) * 2 // 3], "the segments that have theirs")
    check("has no keyframe of frame" in run(IMPORT, export_one(cut, out), "-o", again, status=1), "a network without its keyframes by itself")


def export_one(path, out):
    run(EXPORT, path, "--segment=2", "-o", out, status=3)
    return out


with tempfile.TemporaryDirectory() as directory:
    one_segment(directory)
    all_segments(directory)
    changed_arrays(directory)
    damaged_arrays(directory)
    cut_off(directory)
finish()
