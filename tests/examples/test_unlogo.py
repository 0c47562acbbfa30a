# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/examples/unlogo.py on a picture that moves behind a white box: what the box hides comes out as it was, or nearly, all else and the sound as before; what is wrong is said.

    test_unlogo.py SCRIPT
"""
import functools
import math
import os
import subprocess
import sys
import tempfile

from expect import check, finish

WIDTH, HEIGHT, N, FPS = 96, 64, 16, 25
X, Y, W, H = 40, 24, 16, 12
BOX = f"{X},{Y},{W}x{H}"


def launch(*words):
    subprocess.run(["gst-launch-1.0", "-q", *words], check=True, timeout=120)


@functools.cache
def clean(n):
    """Grey waves that move two samples a frame."""
    return bytes(round(128 + 50 * math.sin((x - 2 * n) / 7) + 40 * math.sin((y + x / 2 - n) / 5)) for y in range(HEIGHT) for x in range(WIDTH))


def original(directory):
    raw, out = os.path.join(directory, "in.gray"), os.path.join(directory, "in.mkv")
    with open(raw, "wb") as f:
        for n in range(N):
            frame = bytearray(clean(n))
            for y in range(Y, Y + H):
                frame[y * WIDTH + X:y * WIDTH + X + W] = b"\xeb" * W
            f.write(frame)
    launch("filesrc", "location=" + raw, "!", "rawvideoparse", "format=gray8", f"width={WIDTH}", f"height={HEIGHT}", f"framerate={FPS}/1", "!",
           "videoconvert", "!", "avenc_ffv1", "!", "queue", "!", "matroskamux", "name=m", "!", "filesink", "location=" + out,
           "audiotestsrc", "num-buffers=30", "samplesperbuffer=1024", "!", "audio/x-raw,rate=48000", "!", "opusenc", "!", "queue", "!", "m.")
    return out


def interlaced(directory):
    launch("videotestsrc", "num-buffers=10", "!", f"video/x-raw,width={WIDTH},height={HEIGHT},framerate=25/1", "!", "interlace", "field-pattern=1:1", "!",
           "avenc_ffv1", "!", "matroskamux", "!", "filesink", "location=" + os.path.join(directory, "interlaced.mkv"))


def frames_of(directory, path):
    raw = os.path.join(directory, "seen.gray")
    launch("filesrc", "location=" + path, "!", "matroskademux", "name=d", "d.video_0", "!", "queue", "!", "decodebin", "!", "videoconvert", "!",
           "video/x-raw,format=GRAY8", "!", "filesink", "location=" + raw)
    with open(raw, "rb") as f:
        data = f.read()
    check(len(data) == N * WIDTH * HEIGHT, f"{path}: {len(data)} bytes are not {N} frames")
    return [data[i * WIDTH * HEIGHT:(i + 1) * WIDTH * HEIGHT] for i in range(N)]


def psnr(frames, inside):
    """dB in the box, or round it."""
    errors = [(frame[y * WIDTH + x] - clean(n)[y * WIDTH + x]) ** 2 for n, frame in enumerate(frames) for y in range(HEIGHT) for x in range(WIDTH)
              if inside == (X <= x < X + W and Y <= y < Y + H)]
    return 10 * math.log10(255 ** 2 * len(errors) / max(sum(errors), 1))


def run(*arguments, status=0, says=""):
    r = subprocess.run([sys.executable, sys.argv[1], *arguments], capture_output=True, text=True, timeout=150)
    text = r.stdout + r.stderr
    check(r.returncode == status and says in text and "Traceback" not in text, f"status {r.returncode}, not {status}, for {arguments}: {text}")
    return text


with tempfile.TemporaryDirectory() as d:
    source, target = original(d), os.path.join(d, "out.mkv")
    run(source, target, BOX, "encoder::epochs=150", "encoder::device=cpu", says="done")
    before, after = frames_of(d, source), frames_of(d, target)
    check(psnr(before, True) < 13 < 45 < psnr(before, False), f"the original has {psnr(before, True)} and {psnr(before, False)} dB")
    check(psnr(after, True) > 24, f"{psnr(after, True)} dB where the box was")
    # H.264 at the rate that its encoder has by itself
    check(psnr(after, False) > 29, f"{psnr(after, False)} dB where it was not")
    sound = subprocess.run(["gst-discoverer-1.0", target], capture_output=True, text=True, check=True, timeout=60).stdout
    check("Opus" in sound and "H.264" in sound, sound)
    run(source, target, "90,24,16x12", status=1, says="does not lie in the picture")
    run(source, target, "90;24", status=1, says="usage")
    run(source, target, BOX, "epochs=3", status=1, says='no property "epochs"')
    run(source, target, BOX, "encoder::epochs", status=1, says="NAME=VALUE")
    run(source, target, BOX, "encoder::epochs=abc", status=1, says='"abc" is no value of encoder::epochs')
    size = os.path.getsize(source)
    run(source, source, BOX, status=1, says="the same file")
    check(os.path.getsize(source) == size, "the input was written to")
    run(os.path.join(d, "none.mkv"), target, BOX, status=1, says="no such file")
    run(sys.argv[1], target, BOX, status=1, says="unlogo.py: ")
    interlaced(d)
    run(os.path.join(d, "interlaced.mkv"), target, BOX, "encoder::epochs=2", says="done")
    check(sorted(os.listdir(d)) == ["in.gray", "in.mkv", "interlaced.mkv", "out.mkv", "seen.gray"], f"left behind: {os.listdir(d)}")
finish()
