# SPDX-License-Identifier: LGPL-2.1-or-later
"""waylandsink shows what nervdec decodes: on a compositor of its own, without a screen (weston), whose picture is read back and must have the decoded one in it.

Exit status: 0 as expected, 1 not, 77 where weston or waylandsink is missing.
"""
import os
import shutil
import subprocess
import sys
import tempfile
import time

WIDTH, HEIGHT = 160, 120
SECONDS = 60


def launch(*words, **more):
    return subprocess.run(["gst-launch-1.0", "-q", *" ".join(words).split()], check=True, timeout=SECONDS, **more)


def have(element):
    return subprocess.run(["gst-inspect-1.0", "--exists", element], check=False).returncode == 0


def start_weston(folder):
    log = open(os.path.join(folder, "log"), "wb")
    server = subprocess.Popen(["weston", "--backend=headless-backend.so", "--use-pixman", "--socket=nerv", "--width=640", "--height=480", "--debug"],
                              stdout=log, stderr=log)
    for _ in range(100):
        if os.path.exists(os.path.join(folder, "nerv")) or server.poll() is not None:
            break
        time.sleep(.1)
    return server if server.poll() is None and os.path.exists(os.path.join(folder, "nerv")) else None


def screenshot(folder):
    """Rows of RGB, and how long they are; None where there is none yet."""
    for name in os.listdir(folder):
        if name.endswith(".png"):
            os.unlink(os.path.join(folder, name))
    subprocess.run(["weston-screenshooter"], cwd=folder, check=False, timeout=SECONDS)
    names = [name for name in os.listdir(folder) if name.endswith(".png")]
    if not names:
        return None
    raw = os.path.join(folder, "screen.rgb")
    launch(f"filesrc location={os.path.join(folder, names[0])} ! pngdec ! videoconvert ! video/x-raw,format=RGB ! filesink location={raw}")
    with open(raw, "rb") as f:
        return f.read()


def shows(screen, picture):
    """Whether the picture is anywhere on a screen of 640 x 480."""
    row, pitch = 3 * WIDTH, 3 * 640
    at = screen.find(picture[:row])
    while at >= 0:
        if all(screen[at + y * pitch:at + y * pitch + row] == picture[y * row:(y + 1) * row] for y in range(HEIGHT)):
            return True
        at = screen.find(picture[:row], at + 1)
    return False


def main(folder):
    stream, raw = os.path.join(folder, "s.nerv"), os.path.join(folder, "p.rgb")
    launch(f"videotestsrc num-buffers=2 ! video/x-raw,format=RGB,width={WIDTH},height={HEIGHT},framerate=10/1 ! nervenc epochs=10 ! filesink location={stream}")
    launch(f"filesrc location={stream} ! nervparse ! nervdec ! video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=RGB ! filesink location={raw}")
    with open(raw, "rb") as f:
        picture = f.read()[:3 * WIDTH * HEIGHT]
    play = subprocess.Popen(["gst-launch-1.0", "-q", "filesrc", "location=" + stream, "!", "nervparse", "!", "nervdec", "!", "imagefreeze", "!",
                             "video/x-raw,framerate=10/1", "!", "waylandsink"])
    found = False
    end = time.monotonic() + SECONDS
    while not found and time.monotonic() < end and play.poll() is None:
        screen = screenshot(folder)
        found = screen is not None and shows(screen, picture)
    print("shown" if found else "the screen does not show the picture")
    play.terminate()
    play.wait()
    return 0 if found else 1


if not all(shutil.which(program) for program in ("weston", "weston-screenshooter", "gst-launch-1.0")) or not have("waylandsink") or not have("imagefreeze"):
    sys.exit(77)
with tempfile.TemporaryDirectory() as runtime:
    os.chmod(runtime, 0o700)
    os.environ.update(XDG_RUNTIME_DIR=runtime, WAYLAND_DISPLAY="nerv")
    os.environ.pop("DISPLAY", None)
    weston = start_weston(runtime)
    if not weston:
        sys.exit(77)
    try:
        status = main(runtime)
    finally:
        weston.terminate()
        weston.wait()
sys.exit(status)
