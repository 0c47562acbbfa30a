#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""transcode.py IN OUT.mp4|OUT.mkv [PROPERTY=VALUE...]

What transcode.c does, in Python, by encodebin: a profile names the streams' caps, and GStreamer finds nervenc, the muxer and the audio's encoder. Audio is Opus.
Properties are nervenc's. Needs python3-gi and gir1.2-gst-plugins-base-1.0.
"""
import pathlib
import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstPbutils", "1.0")
from gi.repository import GLib, Gst, GstPbutils  # noqa: E402

CONTAINERS = {".mp4": "video/quicktime,variant=iso", ".mkv": "video/x-matroska"}


def profile_for(path):
    container = GstPbutils.EncodingContainerProfile.new("nerv", None, Gst.Caps.from_string(CONTAINERS[path.suffix]), None)
    container.add_profile(GstPbutils.EncodingVideoProfile.new(Gst.Caps.from_string("video/x-nerv"), None, None, 0))
    container.add_profile(GstPbutils.EncodingAudioProfile.new(Gst.Caps.from_string("audio/x-opus"), None, None, 0))
    return container


class Transcoder:
    def __init__(self, source, target, properties):
        self.properties = properties
        self.status = 0
        self.loop = GLib.MainLoop()
        self.pipeline = Gst.Pipeline.new("transcode")
        decoder = Gst.ElementFactory.make("uridecodebin")
        self.encoder = Gst.ElementFactory.make("encodebin")
        sink = Gst.ElementFactory.make("filesink")
        decoder.set_property("uri", pathlib.Path(source).resolve().as_uri())
        # audio waits while a segment is fitted: no limits but the memory's
        for limit in ("queue-time-max", "queue-bytes-max", "queue-buffers-max"):
            self.encoder.set_property(limit, 0)
        self.encoder.set_property("profile", profile_for(target))
        sink.set_property("location", str(target))
        for element in (decoder, self.encoder, sink):
            self.pipeline.add(element)
        self.encoder.link(sink)
        decoder.connect("pad-added", self.pad_added)
        # encodebin makes its encoder when it is asked for a pad
        self.pipeline.connect("deep-element-added", self.configure)

    def configure(self, _pipeline, _bin, element):
        factory = element.get_factory()
        if factory and factory.get_name() == "nervenc":
            for name, _equals, value in self.properties:
                Gst.util_set_object_arg(element, name, value)

    def pad_added(self, _decoder, pad):
        sink = self.encoder.emit("request-pad", pad.get_current_caps())
        if sink:
            pad.link(sink)

    def on_message(self, _bus, message):
        structure = message.get_structure()
        if message.type == Gst.MessageType.ELEMENT and structure.get_name() == "nerv-progress":
            step, steps, db = (structure.get_value(k) for k in ("step", "steps", "psnr-frames"))
            print(f"\rstep {step} of {steps}, {db:.1f} dB   ", end="")
        elif message.type == Gst.MessageType.ERROR:
            print(f"\ntranscode.py: {message.parse_error()[0].message}", file=sys.stderr)
            self.status = 1
            self.loop.quit()
        elif message.type == Gst.MessageType.EOS:
            print("\ndone")
            self.loop.quit()

    def run(self):
        bus = self.pipeline.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self.on_message)
        self.pipeline.set_state(Gst.State.PLAYING)
        try:
            self.loop.run()
        finally:
            self.pipeline.set_state(Gst.State.NULL)
        return self.status


def main():
    Gst.init(None)
    if len(sys.argv) < 3 or pathlib.Path(sys.argv[2]).suffix not in CONTAINERS:
        sys.exit("usage: transcode.py IN OUT.mp4|OUT.mkv [PROPERTY=VALUE...]")
    if not pathlib.Path(sys.argv[1]).exists():
        sys.exit(f"transcode.py: {sys.argv[1]}: there is no such file")
    if not Gst.ElementFactory.find("nervenc"):
        sys.exit("transcode.py: the plugin nerv is missing; is GST_PLUGIN_PATH set?")
    properties = [argument.partition("=") for argument in sys.argv[3:]]
    encoder = Gst.ElementFactory.make("nervenc")
    for name, equals, _value in properties:
        if not equals:
            sys.exit(f"transcode.py: {name}: a property is written NAME=VALUE")
        if not encoder.find_property(name):
            sys.exit(f'transcode.py: nervenc has no property "{name}"')
    return Transcoder(sys.argv[1], pathlib.Path(sys.argv[2]), properties).run()


if __name__ == "__main__":
    sys.exit(main())
