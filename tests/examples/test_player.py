# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/examples/player in C and Python, told by keys through a pipe: it pauses, seeks, steps, plays backwards and loops, and ends at the end.

    test_player.py PROGRAM SCRIPT
"""
import os
import re
import subprocess
import sys
import tempfile
import time

from expect import check, finish

SECONDS = 4


def make_file(directory):
    path = os.path.join(directory, "clip.mkv")
    subprocess.run(["gst-launch-1.0", "-q", "videotestsrc", f"num-buffers={25 * SECONDS}", "!", "video/x-raw,width=64,height=48,framerate=25/1", "!",
                    "nervenc", "epochs=1", "segment-frames=25", "!", "queue", "!", "nervmkvmux", "name=m", "!", "filesink", "location=" + path,
                    "audiotestsrc", f"num-buffers={50 * SECONDS}", "samplesperbuffer=960", "!", "audio/x-raw,rate=48000", "!", "opusenc", "!",
                    "queue", "max-size-time=0", "max-size-bytes=0", "max-size-buffers=0", "!", "m."], check=True, timeout=60)
    return path


class Session:
    """A player at work; its output is read as it comes."""

    def __init__(self, *command):
        self.player = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        os.set_blocking(self.player.stdout.fileno(), False)
        self.text = ""

    def press(self, keys):
        self.text = ""
        self.player.stdin.write(keys.encode())
        self.player.stdin.flush()

    def wait(self, pattern, seconds=10):
        """The match, in what came since the last press."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.text += (self.player.stdout.read() or b"").decode()
            found = re.findall(pattern, self.text)
            if found:
                return found[-1]
            time.sleep(.02)
        check(False, f"no '{pattern}' in {self.text!r}")
        return None

    def end(self, seconds=20):
        try:
            self.player.stdin.close()
            status = self.player.wait(seconds)
        except subprocess.TimeoutExpired:
            self.player.kill()
            status = None
        self.text += (self.player.stdout.read() or b"").decode()
        check(status == 0, f"status {status}: {self.text!r}")


def at(session, state):
    """Where it is, once it says so in that state."""
    found = session.wait(state + r" +([\d.]+) / ")
    return float(found) if found else -1.


def keys(program, path):
    s = Session(program, "--video-sink=fakesink sync=true", "--", path)
    check(at(s, "playing") < 1.5, "not the beginning")
    s.press(" ")
    s.wait("paused")
    s.press("5")
    check(abs(at(s, "paused") - SECONDS * .5) < .1, f"5 goes to {s.text!r}")
    s.press(".")
    time.sleep(.4)
    s.press(".")
    check(abs(at(s, "paused") - SECONDS * .5 - .08) < .05, f"two steps: {s.text!r}")
    s.press(">")  # more than there is
    s.wait(f"paused +{SECONDS}")
    s.press("5r ")  # backwards from the middle
    check(s.wait("playing.* -1x"), "not backwards")
    s.wait("\nend")
    s.end()
    # a round and a half, without a gap, then four times as fast to the end
    s = Session(program, "--video-sink=fakesink sync=true", "--", path)
    at(s, "playing")
    s.press("l8")
    s.wait(r"playing +3\.\d+ .*looping")
    s.press("")
    check(s.wait(r"playing +0\.\d+ .*looping"), "no second round")
    s.press("l++")
    s.wait("4x")
    s.wait("\nend")
    s.end()
    s = Session(program, "--video-sink=fakesink sync=true", "--", path)
    at(s, "playing")
    s.press("q")
    s.end()
    s = subprocess.run([program, "--video-sink=fakesink", path + "x"], capture_output=True, text=True, timeout=20, check=False, stdin=subprocess.DEVNULL)
    check(s.returncode == 1 and "player:" in s.stderr, f"{s}")


def lines(script, path):
    s = Session(sys.executable, script, path, "fakesink sync=true")
    s.wait(r"at 0\.\d+ s")
    s.press("p\nf 2\n")
    check(s.wait(r"at 2\.0\d* s"), "not at 2")
    s.press("s\n")
    check(s.wait(r"at 2\.04\d* s"), "no step")
    s.press("x y\n")
    s.wait("there is no number")
    s.press("x -2\np\n")
    s.wait("end")
    s.end()
    s = Session(sys.executable, script, path, "fakesink sync=true")
    s.wait(r"at 0\.\d+ s")
    s.press("q\n")
    s.end()


PROGRAM, SCRIPT = sys.argv[1:3]
with tempfile.TemporaryDirectory() as d:
    clip = make_file(d)
    keys(PROGRAM, clip)
    lines(SCRIPT, clip)
finish()
