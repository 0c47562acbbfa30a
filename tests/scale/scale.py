# SPDX-License-Identifier: LGPL-2.1-or-later
"""nerv-encode: what many workers make is byte by byte what one nervenc makes, by GNU parallel and by Slurm, with workers and with nerv-encode itself killed half-way.

    scale.py NERV-ENCODE NERV-SEGMENT [CLUSTER...]

CLUSTER: a command that runs another one with a Slurm cluster (slurm.sh), which is tried in place of GNU parallel then. Exit status 77: there is none.
"""
import contextlib
import glob
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

from expect import check, finish

ENCODE, SEGMENT = sys.argv[1:3]
CLUSTER = sys.argv[3:]
FRAMES, PER_SEGMENT = 60, 8
SEGMENTS = (FRAMES + PER_SEGMENT - 1) // PER_SEGMENT
PROPERTIES = ["model=nerv-mlp", "epochs=40", "model-options=options,stem=16,base-channels=6,widths=<12,8>,strides=<4,2>"]
FILTER = "videoconvert ! videoscale ! video/x-raw,width=64,height=48"
ENVIRONMENT = dict(os.environ, NERV_SEGMENT=SEGMENT)


def launch(text, *words):
    subprocess.run(["gst-launch-1.0", "-q", *text.split(), *words], check=True, timeout=120)


def make_clip(directory):
    """Real seeks: key frames are far apart, and none is where a segment begins."""
    path = os.path.join(directory, "a clip.mkv")  # with a space
    launch(f"videotestsrc num-buffers={FRAMES} pattern=ball ! video/x-raw,width=128,height=96,framerate=30000/1001 ! vp8enc keyframe-max-dist=25 ! "
           "matroskamux ! filesink", "location=" + path)
    return path


def plain(directory, clip):
    path = os.path.join(directory, "plain.nerv")
    launch("filesrc", "location=" + clip, "!", "decodebin", "!", *FILTER.split(), "!", "nervenc", f"segment-frames={PER_SEGMENT}", "warm-start=none", *PROPERTIES,
           "!", "filesink", "location=" + path)
    with open(path, "rb") as f:
        return f.read()


def command(clip, out, *options):
    return [*options, "-j2", f"-n{PER_SEGMENT}", "-f", FILTER, clip, out, *PROPERTIES]


def expect(what, out, wanted, text):
    with open(out, "rb") as f:
        check(f.read() == wanted, f"{what}: other bytes than in one go")
    check(re.search(rf"{SEGMENTS} segments, {len(wanted)} bytes, .* times as fast", text), f"{what}: {text}")
    check(not os.path.exists(out + ".work"), f"{what}: the work folder is left")
    print(f"{what}: {text.strip().splitlines()[-1]}")
    os.unlink(out)


def run(arguments, status=0, before=()):
    done = subprocess.run([*before, ENCODE, *arguments], capture_output=True, text=True, timeout=150, env=ENVIRONMENT, check=False)
    check(done.returncode == status, f"{arguments}: {done.returncode}: {done.stdout}{done.stderr}")
    return done.stdout + done.stderr


def workers(out):
    """Processes of nerv-segment that make segments of `out`."""
    found = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        try:
            with open(path, "rb") as f:
                words = f.read().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"nerv-segment") and any(w.startswith(b"--out=" + out.encode()) for w in words):
            found.append(int(path.split("/")[2]))
    return found


def segments(out):
    return len(glob.glob(glob.escape(out) + ".work/*.nerv"))


def stop(pid):
    """Whether the process is there and stands still now."""
    try:
        os.kill(pid, signal.SIGSTOP)
        for _ in range(200):
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                state = f.read().rpartition(")")[2].split()[0]
            if state in "TZX":
                return state == "T"
            time.sleep(.001)
    except OSError:
        pass
    return False


def half_way(player, out, least):
    """A worker in the middle of its segment, which it won't end: it is stopped. Once so many segments are there."""
    end = time.monotonic() + 60
    while player.poll() is None and time.monotonic() < end:
        if segments(out) >= least:
            for pid in workers(out):
                if stop(pid):
                    return pid
        time.sleep(.005)
    check(False, "nothing at work half-way")
    return None


def with_a_worker_killed(what, clip, out, wanted, options, before=()):
    player = subprocess.Popen([*before, ENCODE, *command(clip, out, *options)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT)
    worker = half_way(player, out, 2)
    if worker:
        os.kill(worker, signal.SIGKILL)
    text = player.communicate(timeout=150)[0]
    check(player.returncode == 0, f"{what}: {text}")
    expect(what, out, wanted, text)


def killed_and_started_again(clip, out, wanted):
    player = subprocess.Popen([ENCODE, *command(clip, out)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=ENVIRONMENT, start_new_session=True)
    half_way(player, out, 3)
    os.killpg(player.pid, signal.SIGKILL)
    player.communicate()
    for pid in workers(out):
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself
            os.kill(pid, signal.SIGKILL)
    check(not os.path.exists(out), "a file of some segments")
    there = segments(out)
    text = run(command(clip, out))
    check(0 < there < SEGMENTS and f"{SEGMENTS - there} of {SEGMENTS} segments to do" in text, f"{there} were there: {text}")
    expect("started again", out, wanted, text)


def wrong(directory, clip):
    out = os.path.join(directory, "wrong.nerv")
    for arguments, says in (([clip], "OUT"), ([clip, out + ".mp4"], ".nerv"), ([clip + "x", out], "no such file"), (["-n0", clip, out], "--frames"),
                            ([clip, out, "preset"], "PROPERTY=VALUE"), ([clip, out, "target-psnr=30"], "target-psnr"),
                            ([clip, out, "max-encode-seconds=3"], "max-encode-seconds"), (["--what", clip, out], "--what")):
        text = run(arguments, status=2)
        check(says in text, f"{arguments}: {text}")
    for arguments, says in (([clip, out, "presett=fast"], 'no property "presett"'), (["-f", "nosuchelement", clip, out], "nosuchelement")):
        text = run(arguments, status=2)
        check(says in text and "segments to do" not in text, f"{arguments}: {text}")
    text = run([clip, os.path.join(directory, "none", "wrong.nerv")], status=2)
    check("no such folder" in text, text)
    check(not [n for n in os.listdir(directory) if n.startswith(("wrong.nerv", "none"))], f"{os.listdir(directory)}: something is left behind")
    check(not os.path.exists(out), "a file of nothing")


with tempfile.TemporaryDirectory() as d:
    if CLUSTER:
        probe = subprocess.run([*CLUSTER, "true"], capture_output=True, text=True, timeout=100, check=False)
        if probe.returncode == 77:
            print("no Slurm: " + probe.stdout.strip())
            sys.exit(77)
        check(probe.returncode == 0, f"{probe.stdout}{probe.stderr}")
    source = make_clip(d)
    reference = plain(d, source)
    target = os.path.join(d, "it's joined.nerv")  # which shells see
    if CLUSTER:
        expect("Slurm, 2 slots", target, reference, run(command(source, target, "--slurm"), before=CLUSTER))
        with_a_worker_killed("Slurm, a worker killed", source, target, reference, ["--slurm"], before=CLUSTER)
    else:
        expect("GNU parallel, 2 slots", target, reference, run(command(source, target)))
        with_a_worker_killed("GNU parallel, a worker killed", source, target, reference, [])
        killed_and_started_again(source, target, reference)
        wrong(d, source)
finish()
