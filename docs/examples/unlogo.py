#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""unlogo.py IN OUT.mkv X,Y,WIDTHxHEIGHT [PROPERTY=VALUE...]

Takes a logo out of a video: what is in the box, in samples from the top left, nervinpaint fills in from the rest. The picture becomes H.264 and the sound Opus, by
encodebin. Properties are nervinpaint's, and its children's: segment-frames=64 encoder::epochs=100. Needs python3-gi and gir1.2-gst-plugins-base-1.0.
"""
import os
import pathlib
import re
import struct
import sys
import tempfile
import zlib

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstPbutils", "1.0")
from gi.repository import GLib, GObject, Gst, GstPbutils  # noqa: E402


NUMBERS = (GObject.TYPE_BOOLEAN, GObject.TYPE_UINT, GObject.TYPE_INT, GObject.TYPE_UINT64, GObject.TYPE_DOUBLE)


def write_mask(path, width, height, box):
    """A grey picture of the video's size, white where the box is."""
    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
    x, y, w, h = box
    outside, inside = bytes(width), bytes(x) + b"\xff" * w + bytes(width - x - w)
    rows = b"".join(b"\0" + (inside if y <= i < y + h else outside) for i in range(height))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 0, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def profile():
    container = GstPbutils.EncodingContainerProfile.new("unlogo", None, Gst.Caps.from_string("video/x-matroska"), None)
    container.add_profile(GstPbutils.EncodingVideoProfile.new(Gst.Caps.from_string("video/x-h264"), None, None, 0))
    container.add_profile(GstPbutils.EncodingAudioProfile.new(Gst.Caps.from_string("audio/x-opus"), None, None, 0))
    return container


def make(pipeline, *names):
    """Elements in a row, in the pipeline; first and last."""
    elements = [Gst.ElementFactory.make(name) for name in names]
    for name, element in zip(names, elements):
        if not element:
            sys.exit(f"unlogo.py: there is no element {name}; is GST_PLUGIN_PATH set?")
        pipeline.add(element)
    for before, behind in zip(elements, elements[1:]):
        before.link(behind)
    return elements


class Unlogo:
    def __init__(self, source, target, mask, properties):
        self.status = 1
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.Pipeline.new("unlogo")
        (decoder,) = make(self.pipeline, "uridecodebin")
        self.video = make(self.pipeline, "videoconvert", "deinterlace", "videoconvert", "nervinpaint")
        self.encoder, sink = make(self.pipeline, "encodebin", "filesink")
        decoder.set_property("uri", source.resolve().as_uri())
        self.video[1].set_property("fields", "top")  # as many pictures as there were
        self.video[-1].set_property("mask-location", str(mask))
        for name, _equals, value in properties:
            set_property(self.video[-1], name, value)
        # sound waits while a segment is fitted: no limits but the memory's
        for limit in ("queue-time-max", "queue-bytes-max", "queue-buffers-max"):
            self.encoder.set_property(limit, 0)
        self.encoder.set_property("profile", profile())
        sink.set_property("location", str(target))
        decoder.connect("pad-added", self.pad_added)

    def pad_added(self, _decoder, pad):
        caps = pad.get_current_caps()
        if not caps.get_structure(0).get_name().startswith("video/"):
            sink = self.encoder.emit("request-pad", caps)
            if sink:
                pad.link(sink)
        elif not self.video[0].get_static_pad("sink").is_linked():
            pad.link(self.video[0].get_static_pad("sink"))
            self.video[-1].get_static_pad("src").link(self.encoder.emit("request-pad", Gst.Caps.from_string("video/x-raw")))

    def on_message(self, _bus, message):
        structure = message.get_structure()
        if message.type == Gst.MessageType.ELEMENT and structure.get_name() == "nerv-progress":
            print(f"\rstep {structure.get_value('step')} of {structure.get_value('steps')}   ", end="")
        elif message.type == Gst.MessageType.ERROR:
            print(f"\nunlogo.py: {message.parse_error()[0].message}", file=sys.stderr)
            self.loop.quit()
        elif message.type == Gst.MessageType.EOS:
            print("\ndone")
            self.status = 0
            self.loop.quit()

    def run(self):
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self.on_message)
        self.pipeline.set_state(Gst.State.PLAYING)
        try:
            self.loop.run()
        except KeyboardInterrupt:
            print()
        finally:
            self.pipeline.set_state(Gst.State.NULL)
        return self.status


def set_property(element, name, value):
    """Its own or, as child::name, a child's. What is wrong with it, or None."""
    child, colons, rest = name.partition("::")
    if colons:
        element = element.get_by_name(child)
    spec = element.find_property(rest or name) if element else None
    if not spec:
        return f'nervinpaint has no property "{name}"'
    kind = spec.value_type
    if kind in NUMBERS or kind.is_a(GObject.TYPE_ENUM):
        try:
            Gst.Structure.from_string(f'value, v=({kind.name}){value}')
        except TypeError:
            return f'"{value}" is no value of {name}'
    Gst.util_set_object_arg(element, rest or name, value)
    return None


def size_of(source):
    try:
        info = GstPbutils.Discoverer.new(30 * Gst.SECOND).discover_uri(source.resolve().as_uri())
    except GLib.Error as e:
        sys.exit(f"unlogo.py: {source}: {e.message}")
    streams = info.get_video_streams()
    if not streams:
        sys.exit(f"unlogo.py: {source} has no picture")
    return streams[0].get_width(), streams[0].get_height()


def main():
    Gst.init(None)
    box = re.fullmatch(r"(\d+),(\d+),(\d+)x(\d+)", sys.argv[3]) if len(sys.argv) > 3 else None
    if not box or pathlib.Path(sys.argv[2]).suffix != ".mkv":
        sys.exit("usage: unlogo.py IN OUT.mkv X,Y,WIDTHxHEIGHT [PROPERTY=VALUE...]")
    source, target, box = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), tuple(map(int, box.groups()))
    if not source.exists():
        sys.exit(f"unlogo.py: {source}: there is no such file")
    if target.exists() and target.samefile(source):
        sys.exit("unlogo.py: IN and OUT are the same file")
    element = Gst.ElementFactory.make("nervinpaint")
    if not element:
        sys.exit("unlogo.py: the plugin nerv is missing; is GST_PLUGIN_PATH set?")
    properties = [argument.partition("=") for argument in sys.argv[4:]]
    for name, equals, value in properties:
        if not equals:
            sys.exit(f"unlogo.py: {name}: a property is written NAME=VALUE")
        wrong = set_property(element, name, value)
        if wrong:
            sys.exit(f"unlogo.py: {wrong}")
    width, height = size_of(source)
    if min(box[2:]) < 1 or box[0] + box[2] > width or box[1] + box[3] > height:
        sys.exit(f"unlogo.py: the box does not lie in the picture of {width}x{height}")
    with tempfile.TemporaryDirectory() as folder:
        mask = pathlib.Path(folder) / "mask.png"
        write_mask(mask, width, height, box)
        # under its own name once it is whole
        part = target.with_name(target.name + ".part")
        status = Unlogo(source, part, mask, properties).run()
    if status == 0:
        os.replace(part, target)
    elif part.exists():
        part.unlink()
    return status


if __name__ == "__main__":
    sys.exit(main())
