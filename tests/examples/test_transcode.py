# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/examples/transcode in C and Python, and the README's line, on H.264 with AAC: what comes out has both streams, and what is heard and seen at one time in the original is
heard and seen at one time there: flashes and beeps, over the whole clip.

    test_transcode.py PROGRAM SCRIPT
"""
import array
import math
import os
import struct
import subprocess
import sys
import tempfile
import wave

from expect import check, finish

WIDTH, HEIGHT, FPS, SECONDS, RATE = 64, 48, 25, 4, 48000
FLASHES = [0.4, 1.2, 2.0, 2.8, 3.6]  # seconds, each for three frames
LENGTH = 3 / FPS
FRAME = 1 / FPS
TINY = ["epochs=30", "segment-frames=40"]


def launch(*words):
    subprocess.run(["gst-launch-1.0", "-q", *words], check=True, timeout=120)


def original(directory):
    """in.mp4: grey, white in a flash; silence, a tone in a flash."""
    video, audio, out = (os.path.join(directory, n) for n in ("in.gray", "in.wav", "in.mp4"))
    with open(video, "wb") as f:
        for n in range(FPS * SECONDS):
            lit = any(t - 1e-6 <= n / FPS < t + LENGTH - 1e-6 for t in FLASHES)
            f.write(bytes([235 if lit else 60]) * WIDTH * HEIGHT)
    with wave.open(audio, "wb") as f:
        f.setnchannels(1)
        f.setsampwidth(2)
        f.setframerate(RATE)
        for n in range(RATE * SECONDS):
            lit = any(t <= n / RATE < t + LENGTH for t in FLASHES)
            f.writeframesraw(struct.pack("<h", int(20000 * math.sin(2 * math.pi * 1000 * n / RATE)) if lit else 0))
    launch("filesrc", "location=" + video, "!", "rawvideoparse", "format=gray8", f"width={WIDTH}", f"height={HEIGHT}", f"framerate={FPS}/1", "!",
           "videoconvert", "!", "openh264enc", "bitrate=400000", "!", "h264parse", "!", "queue", "!", "mp4mux", "name=m", "!", "filesink",
           "location=" + out, "filesrc", "location=" + audio, "!", "wavparse", "!", "audioconvert", "!", "avenc_aac", "!", "aacparse", "!", "queue", "!", "m.")
    return out


def rises(times_and_levels, least):
    """Where the level goes from below `least` to above it."""
    out, high = [], False
    for time, level in times_and_levels:
        if level > least and not high:
            out.append(time)
        high = level > least
    return out


def seen_and_heard(directory, path):
    """Seconds at which flashes and beeps begin, by what a player shows and plays."""
    import gi
    gi.require_version("Gst", "1.0")
    gi.require_version("GstApp", "1.0")
    from gi.repository import Gst, GstApp  # noqa: F401
    Gst.init(None)
    pipeline = Gst.parse_launch(f"filesrc location={path} ! decodebin name=d ! video/x-raw ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! videoconvert ! "
                                "video/x-raw,format=GRAY8 ! appsink name=v sync=false d. ! audio/x-raw ! queue max-size-time=0 max-size-bytes=0 max-size-buffers=0 ! "
                                f"audioconvert ! audioresample ! audio/x-raw,format=S16LE,channels=1,rate={RATE} ! appsink name=a sync=false")
    pipeline.set_state(Gst.State.PLAYING)

    def samples(name):
        sink = pipeline.get_by_name(name)
        while sample := sink.pull_sample():
            buffer = sample.get_buffer()
            yield sample.get_segment().to_stream_time(Gst.Format.TIME, buffer.pts) / Gst.SECOND, buffer.extract_dup(0, buffer.get_size())
        message = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
        check(not message, f"{path}: {message and message.parse_error()}")

    frames = [(time, sum(data) / len(data)) for time, data in samples("v")]
    levels = []
    for time, data in samples("a"):
        values = array.array("h", data)
        step = RATE // 500
        levels += [(time + i / RATE, max(map(abs, values[i:i + step]), default=0)) for i in range(0, len(values), step)]
    pipeline.set_state(Gst.State.NULL)
    check(len(frames) == FPS * SECONDS, f"{path}: {len(frames)} frames")
    return rises(frames, 150), rises(levels, 6000)


def in_time(directory, path, before):
    """Every flash and beep is where it was, within a frame; so are they one beside the other."""
    after = seen_and_heard(directory, path)
    worst = 0
    for what, was, now in zip(("flashes", "beeps"), before, after):
        check(len(was) == len(now) == len(FLASHES), f"{path}: {what} at {now}, were at {was}")
        check(all(abs(a - b) < FRAME for a, b in zip(was, now)), f"{path}: {what} at {now}, were at {was}")
    for flash, beep, flash_was, beep_was in zip(*after, *before):
        worst = max(worst, abs((flash - beep) - (flash_was - beep_was)))
    check(worst < FRAME, f"{path}: sound and picture are {worst:.3f} s apart")
    print(f"{os.path.basename(path)}: sound and picture within {worst * 1000:.1f} ms of the original's")


def streams(path):
    text = subprocess.run(["gst-discoverer-1.0", "-v", path], capture_output=True, text=True, timeout=60, check=False).stdout
    check("video/x-nerv" in text, f"{path}: {text}")
    return text


def transcode(directory, command, source, before):
    for extension, audio in (("mp4", "mpegversion=(int)4"), ("mkv", "mpegversion=(int)4")):
        path = os.path.join(directory, "out." + extension)
        done = subprocess.run([*command, source, path, *TINY], capture_output=True, text=True, timeout=120, check=False)
        check(done.returncode == 0 and "done" in done.stdout and not done.stderr, f"{command}: {done.returncode}: {done.stdout} {done.stderr}")
        check("dB" in done.stdout, f"{command}: no progress in {done.stdout}")
        text = streams(path)
        check("audio/x-opus" in text if command[-1].endswith(".py") else audio in text, f"{path}: {text}")
        in_time(directory, path, before)
        os.unlink(path)


def line(directory, source, before):
    """README's: the original's audio as it is, in one gst-launch-1.0."""
    path = os.path.join(directory, "line.mp4")
    launch("-e", "filesrc", "location=" + source, "!", "qtdemux", "name=d", "d.video_0", "!", "queue", "!", "decodebin", "!", "videoconvert", "!", "nervenc", *TINY, "!",
           "queue", "!", "m.", "d.audio_0", "!", "queue", "max-size-time=0", "max-size-bytes=0", "max-size-buffers=0", "!", "aacparse", "!", "m.",
           "nervmp4mux", "name=m", "!", "filesink", "location=" + path)
    check("mpegversion=(int)4" in streams(path), "no AAC")
    in_time(directory, path, before)


def wrong(directory, command, source):
    for arguments, says in ((["none.mp4", "out.mp4"], "none.mp4"), ([source, "out.avi"], ".mp4"), ([source], "usage"),
                            ([source, "out.mp4", "nonsense=1"], 'no property "nonsense"'), ([source, "out.mp4", "preset"], "NAME=VALUE")):
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=60, cwd=directory, check=False)
        check(done.returncode == 1 and says in done.stderr, f"{command} {arguments}: {done.returncode}: {done.stderr}")


program, script = map(os.path.abspath, sys.argv[1:3])
with tempfile.TemporaryDirectory() as d:
    clip = original(d)
    reference = seen_and_heard(d, clip)
    check(len(reference[0]) == len(reference[1]) == len(FLASHES), f"{reference}: other flashes")
    transcode(d, [program], clip, reference)
    transcode(d, [sys.executable, script], clip, reference)
    line(d, clip, reference)
    wrong(d, [program], clip)
    wrong(d, [sys.executable, script], clip)
finish()
