#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""player.py FILE [VIDEO-SINK]

What player.c does, in short, in Python: playbin, and lines from standard input in place of keys:

    p  pause, go on      f SECONDS  go there      x RATE  play at that rate, negative: backwards
    s  a frame on        q  quit

Needs python3-gi and gir1.2-gstreamer-1.0.
"""
import os
import pathlib
import sys

import gi

gi.require_version("Gst", "1.0")
from gi.repository import GLib, Gst  # noqa: E402


class Player:
    def __init__(self, path, sink):
        self.status = 0
        self.rate = 1.
        self.loop = GLib.MainLoop()
        self.playbin = Gst.ElementFactory.make("playbin")
        self.playbin.set_property("uri", pathlib.Path(path).resolve().as_uri())
        if sink:
            self.playbin.set_property("video-sink", Gst.parse_bin_from_description(sink, True))
        self.paused = False
        self.unfinished = ""  # a line's beginning

    def position(self):
        return max(self.playbin.query_position(Gst.Format.TIME)[1], 0)

    def seek(self, position):
        flags = Gst.SeekFlags.FLUSH | Gst.SeekFlags.ACCURATE
        start, stop = (position, -1) if self.rate > 0 else (0, position)
        self.playbin.seek(self.rate, Gst.Format.TIME, flags, Gst.SeekType.SET, start, Gst.SeekType.SET, stop)

    def set_paused(self, paused):
        self.paused = paused
        self.playbin.set_state(Gst.State.PAUSED if paused else Gst.State.PLAYING)

    def obey(self, line):
        word, _, value = line.strip().partition(" ")
        if word == "q":
            self.loop.quit()
        elif word == "p":
            self.set_paused(not self.paused)
        elif word == "s":
            self.set_paused(True)
            self.playbin.send_event(Gst.Event.new_step(Gst.Format.BUFFERS, 1, 1., True, False))
        elif word in ("f", "x"):
            try:
                number = float(value)
            except ValueError:
                print(f"{line.strip()}: there is no number")
                return
            if word == "x" and number:
                self.rate = number
            self.seek(int(number * Gst.SECOND) if word == "f" else self.position())

    def on_input(self, fd, _condition):
        data = os.read(fd, 4096)
        *lines, self.unfinished = (self.unfinished + data.decode(errors="replace")).split("\n")
        for line in lines:
            self.obey(line)
        return GLib.SOURCE_CONTINUE if data else GLib.SOURCE_REMOVE

    def on_message(self, _bus, message):
        if message.type == Gst.MessageType.ERROR:
            print(f"player.py: {message.parse_error()[0].message}", file=sys.stderr)
            self.status = 1
            self.loop.quit()
        elif message.type == Gst.MessageType.ASYNC_DONE:
            print(f"at {self.position() / Gst.SECOND:.3f} s", flush=True)
        elif message.type == Gst.MessageType.EOS:
            print("end", flush=True)
            self.loop.quit()

    def run(self):
        bus = self.playbin.get_bus()
        bus.add_signal_watch()
        bus.connect("message", self.on_message)
        GLib.io_add_watch(sys.stdin.fileno(), GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP, self.on_input)
        self.playbin.set_state(Gst.State.PLAYING)
        try:
            self.loop.run()
        finally:
            self.playbin.set_state(Gst.State.NULL)
        return self.status


def main():
    Gst.init(None)
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: player.py FILE [VIDEO-SINK]")
    return Player(sys.argv[1], sys.argv[2] if len(sys.argv) == 3 else None).run()


if __name__ == "__main__":
    sys.exit(main())
