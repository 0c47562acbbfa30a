#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""embed.py [FRAMES]

What embed.c does, in Python: pictures into nervenc by appsrc, access units out of appsink, and back through nervdec. Needs python3-gi and
gir1.2-gst-plugins-base-1.0.
"""
import math
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp  # noqa: E402,F401  (GstApp gives appsrc and appsink their methods)

WIDTH, HEIGHT, FPS = 160, 90, 25


def draw(n):
    """A disc that moves over a gradient, as RGBx."""
    x0, y0 = WIDTH * (.5 + .3 * math.cos(n * .1)), HEIGHT * (.5 + .3 * math.sin(n * .1))
    out = bytearray()
    for y in range(HEIGHT):
        for x in range(WIDTH):
            if math.hypot(x - x0, y - y0) < 14.5:
                out += bytes((230, 80, 40, 255))
            else:
                out += bytes((x * 200 // WIDTH, y * 200 // HEIGHT, 100, 255))
    return bytes(out)


def start(description, caps=None):
    pipeline = Gst.parse_launch(f"appsrc name=in format=time block=true max-buffers=64 ! {description} ! appsink name=out sync=false")
    source = pipeline.get_by_name("in")
    if caps:
        source.set_caps(Gst.Caps.from_string(caps))
    pipeline.set_state(Gst.State.PLAYING)
    return pipeline, source, pipeline.get_by_name("out")


def samples(pipeline, sink):
    while sample := sink.pull_sample():
        yield sample
    message = pipeline.get_bus().pop_filtered(Gst.MessageType.ERROR)
    pipeline.set_state(Gst.State.NULL)
    if message:
        sys.exit(f"embed.py: {message.parse_error()[0].message}")


def psnr(a, b):
    total = sum((p - q) ** 2 for i, (p, q) in enumerate(zip(a, b)) if i % 4 != 3)
    return 10 * math.log10(255 ** 2 * WIDTH * HEIGHT * 3 / max(total, 1))


def encode(pictures):
    pipeline, source, sink = start("nervenc preset=faster segment-frames=32", f"video/x-raw,format=RGBx,width={WIDTH},height={HEIGHT},framerate={FPS}/1")
    for n, picture in enumerate(pictures):
        buffer = Gst.Buffer.new_wrapped(picture)
        buffer.pts = n * Gst.SECOND // FPS
        buffer.duration = Gst.SECOND // FPS
        source.push_buffer(buffer)
    source.end_of_stream()
    units = list(samples(pipeline, sink))
    for i, sample in enumerate(units):
        if not sample.get_buffer().has_flags(Gst.BufferFlags.DELTA_UNIT):
            print(f"segment at frame {i}: a network of about {sample.get_buffer().get_size()} bytes")
    print(f"{len(units)} access units, {sum(s.get_buffer().get_size() for s in units)} bytes")
    return units


def decode(units):
    pipeline, source, sink = start("nervdec ! video/x-raw,format=RGBx")
    for sample in units:
        source.push_sample(sample)
    source.end_of_stream()
    for sample in samples(pipeline, sink):
        buffer = sample.get_buffer()
        yield buffer.extract_dup(0, buffer.get_size())


def main():
    Gst.init(None)
    n_frames = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    wanted = [draw(n) for n in range(n_frames)]
    got = [psnr(a, b) for a, b in zip(decode(encode(wanted)), wanted)]
    print(f"{len(got)} pictures, {sum(got) / max(len(got), 1):.1f} dB")
    return 0 if len(got) == n_frames else 1


if __name__ == "__main__":
    sys.exit(main())
