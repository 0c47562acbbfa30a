# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the tests of tools share: expectations that are counted, and runs of a tool with what they are expected to say."""
import os
import subprocess
import sys

_failures = 0


def check(ok, what):
    """Goes on in any case."""
    global _failures
    if not ok:
        _failures += 1
        print("FAILED:", what)


def runner(*command, with_errors=True):
    """A function that runs the command with more arguments, and checks its exit status and that it says something; it returns its standard
    output, and what it printed of errors behind it."""
    def run(*arguments, status=0, says=""):
        r = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
        out = r.stdout + r.stderr
        check(r.returncode == status, f"status {r.returncode} instead of {status} for {arguments}: {out[-600:]}")
        check(says in out, f"nothing says '{says}' for {arguments}: {out[-600:]}")
        return out if with_errors else r.stdout
    return run


def make_clip(directory, pattern):
    """Nine frames of 96x64 of videotestsrc's pattern; the file's name."""
    path = os.path.join(directory, pattern + ".y4m")
    subprocess.run(["gst-launch-1.0", "-q", "videotestsrc", "num-buffers=9", "pattern=" + pattern, "!",
                    "video/x-raw,format=I420,width=96,height=64,framerate=25/1", "!", "y4menc", "!", "filesink", "location=" + path],
                   check=True, timeout=60)
    return path


def finish():
    """Ends the test."""
    print("all as expected" if _failures == 0 else f"{_failures} failed")
    sys.exit(_failures != 0)
