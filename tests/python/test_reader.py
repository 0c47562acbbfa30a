# SPDX-License-Identifier: LGPL-2.1-or-later
"""The package nerv on small streams: frames and clips are those that docs/examples/frame.c decodes in sequence, in every layout and type, written in place; errors
are exceptions; readers go to other processes.

    test_reader.py FRAME-PROGRAM SEEDS
"""
import gc
import multiprocessing
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time

try:
    import numpy
except ImportError:
    sys.exit(77)

import nerv
from expect import check, finish

PROGRAM, SEEDS = sys.argv[1:3]


def seed(name):
    return os.path.join(SEEDS, name)


def raises(kind, call, says=""):
    try:
        call()
    except kind as e:
        check(says in str(e), f"{e!r} does not say {says!r}")
        return e
    check(False, f"no {kind.__name__} with {says!r}")
    return None


def in_sequence(name, n, directory):
    """[n,H,W,3] by libnerv's decoder."""
    pictures = []
    for i in range(n):
        path = os.path.join(directory, "a.ppm")
        subprocess.run([PROGRAM, seed(name), str(i), path], check=True, timeout=60)
        with open(path, "rb") as f:
            magic, size, depth, data = f.read().split(b"\n", 3)
        check(magic == b"P6" and depth == b"255", f"{path}: {magic}")
        width, height = map(int, size.split())
        pictures.append(numpy.frombuffer(data, numpy.uint8).reshape(height, width, 3))
    return numpy.stack(pictures)


def frames_are_right(name, directory, threads):
    want = None
    with nerv.Reader(seed(name), device="cpu", threads=threads) as r:
        want = in_sequence(name, len(r), directory)
        check(r.shape == want.shape, f"{name}: {r.shape} is not {want.shape}")
        rng = numpy.random.default_rng(3)
        numbers = rng.integers(0, len(r), 9)
        check((r.frames(numbers) == want[numbers]).all(), f"{name}: frames in random order")
        check((r.frames(numbers, layout="CNWH") == want[numbers].transpose(3, 0, 2, 1)).all(), f"{name}: another layout")
        real = r.frames(numbers, dtype="float32", layout="NCHW")
        check(real.dtype == numpy.float32 and (real == want[numbers].transpose(0, 3, 1, 2).astype(numpy.float32) / numpy.float32(255)).all(), f"{name}: floats")
        crop = r.frames(numbers, crop=(2, 3, 7, 5))
        check((crop == want[numbers, 3:8, 2:9]).all(), f"{name}: a part")
        starts = [0, len(r) - 3, 1]
        clips = r.clips(starts, 2, step=2, layout="NCTHW")
        for i, s in enumerate(starts):
            check((clips[i] == want[[s, s + 2]].transpose(3, 0, 1, 2)).all(), f"{name}: clip {i}")
        check((r[1] == want[1]).all() and (r[-1] == want[-1]).all() and (r[1:4] == want[1:4]).all() and (r[[2, 0]] == want[[2, 0]]).all(), f"{name}: []")
        check(r.stats["frames"] > 0 and r.stats["max_workers"] == threads, f"{r.stats}: stats")
    return want


def in_place(want):
    """Into a part of an array of any strides, and nothing beside it."""
    with nerv.Reader(seed("ok-index"), device="cpu") as r:
        n, h, w, _ = r.shape
        room = numpy.full((3, 2, h + 2, w + 3, 5), 77, numpy.uint8)
        out = room[:, :, 1:h + 1, 2:w + 2, 1:4]
        check(r.clips([0, 2, 1], 2, out=out) is out, "not the array that was given")
        for i, s in enumerate((0, 2, 1)):
            check((out[i] == want[s:s + 2]).all(), f"in place: clip {i}")
        room[:, :, 1:h + 1, 2:w + 2, 1:4] = 77
        check((room == 77).all(), "something beside it was written")
        raises(ValueError, lambda: r.frames([0], out=numpy.empty((1, h, w, 4), numpy.uint8)), "shape")
        raises(TypeError, lambda: r.frames([0], dtype="float64"), "float64")
        raises(ValueError, lambda: r.frames([0], layout="NHW"), "layout")
        raises(ValueError, lambda: r.frames([0], out=numpy.empty((1, h, w, 3), numpy.uint8)[:, ::-1]), "backwards")
        read_only = numpy.empty((1, h, w, 3), numpy.uint8)
        read_only.flags.writeable = False
        raises(ValueError, lambda: r.frames([0], out=read_only), "written")
        check(r.frames([]).shape == (0, h, w, 3), "no frames")


def errors():
    with nerv.Reader(seed("ok-index")) as r:
        e = raises(nerv.NervError, lambda: r.frames([len(r)]), "of a file of")
        check(e and e.code == "INVALID", f"{e}: code")
        raises(ValueError, lambda: r.frames([-1]), "from 0 on")
        raises(TypeError, lambda: r.frames([.5]), "whole")
        raises(IndexError, lambda: r[len(r)])
        raises(ValueError, lambda: r.clips([0], 0), "1 to ")
        raises(ValueError, lambda: r.frames([0], crop=(0, 0, 0, 5)), "crop")
        raises(nerv.NervError, lambda: r.frames([0], crop=(0, 0, 1000, 5)), "no part")
    raises(ValueError, lambda: r[0], "closed")
    r.close()
    e = raises(nerv.NervError, lambda: nerv.Reader("/nowhere/a.nerv"), "/nowhere/a.nerv")
    check(e and e.code == "INVALID", f"{e}: code")
    raises(nerv.NervError, lambda: nerv.Reader(SEEDS), SEEDS + " is a directory")
    with tempfile.TemporaryDirectory() as directory:
        pipe = os.path.join(directory, "pipe")
        os.mkfifo(pipe)
        raises(nerv.NervError, lambda: nerv.Reader(pipe), "pipe is no regular file")
    e = raises(nerv.NervError, lambda: nerv.Reader(b"no video"), "no segment")
    check(e and e.code == "DATA", f"{e}: code")
    raises(nerv.NervError, lambda: nerv.Reader(seed("ok-index"), device="abacus"), "abacus")
    for limit in ("max_memory", "max_macs_per_frame"):
        with nerv.Reader(seed("ok-index"), **{limit: 1000}) as r:
            raises(nerv.NervError, lambda: r[0], limit)
    with nerv.Reader(seed("damaged")) as r:
        e = raises(nerv.NervError, lambda: r.frames(range(len(r))), "lost")
        check(e and e.code == "DATA", f"{e}: code")


def what_is_there():
    with nerv.Reader(seed("ok-two")) as r, open(seed("ok-two"), "rb") as f:
        check(r.has_index and r.same_size and len(r) == 12 and r.segments == [range(2 * i, 2 * i + 2) for i in range(6)], f"{r.segments}: segments")
        check(r.fps == nerv.reader.fractions.Fraction(25, 1001), f"{r.fps}: fps")
        times = r.times()
        check(times.shape == (12,) and (numpy.diff(times) > 0).all() and (r.times(3, 2) == times[3:5]).all(), f"{times}: times")
        raises(ValueError, lambda: r.times(-1))
        other = nerv.Reader(f.read())
        check((other[5] == r[5]).all() and "CPU" in other.device, "from memory")
        del other
        gc.collect()


def batches(want):
    with nerv.Reader(seed("ok-index")) as r:
        seen = list(r.batches(2, 2, seed=7))
        starts = numpy.concatenate([s for s, _ in seen])
        check(sorted(starts) == list(range(5)) and [len(s) for s, _ in seen] == [2, 2, 1], f"{starts}: not each once")
        check(all((clip == want[int(s):int(s) + 2]).all() for ss, clips in seen for s, clip in zip(ss, clips)), "batches")
        again = numpy.concatenate([s for s, _ in r.batches(2, 2, seed=7)])
        other = numpy.concatenate([s for s, _ in r.batches(2, 2, seed=8)])
        check((starts == again).all() and not (starts == other).all(), "seeds")
        check([s.tolist() for s, _ in r.batches(2, 2, drop_last=True, starts=[4, 0, 1])] == [[4, 0]], "drop_last")


def look(clips, places, pipe):
    try:
        pipe.send([clips[i] for i in places])
    except Exception as e:  # pylint: disable=broad-except
        pipe.send(repr(e))


def processes(want):
    clips = nerv.Clips(seed("ok-index"), 2, starts=[3, 0, 4], labels=["c", "a", "d"])
    check(len(clips) == 3 and clips[1][1] == "a" and clips[-1][1] == "d", "labels")
    first = clips[0][0]
    check(first.shape == (2, 3, *want.shape[1:3]) and first.dtype == numpy.float32, f"{first.shape}: clip")
    check(all((a[0] == b[0]).all() and a[1] == b[1] for a, b in zip(clips.__getitems__([2, 0]), [clips[2], clips[0]])), "several")
    raises(IndexError, lambda: clips[3])
    raises(ValueError, lambda: nerv.Clips(seed("ok-index"), 2, starts=[3], labels=[]), "label")
    copy = pickle.loads(pickle.dumps(clips))
    check((copy[0][0] == first).all(), "pickled")
    for way in ("fork", "spawn"):
        context = multiprocessing.get_context(way)
        here, there = context.Pipe()
        process = context.Process(target=look, args=(clips, [0, 1], there))
        process.start()
        got = here.recv() if here.poll(60) else None
        process.join()
        check(isinstance(got, list) and (got[0][0] == first).all() and got[1][1] == "a", f"{way}: {got}")
    check((clips[0][0] == first).all(), "afterwards")


def threads(want):
    with nerv.Reader(seed("ok-clips"), threads=2) as r:
        wrong = []

        def read(first):
            for i in range(40):
                number = (first + i) % len(r)
                if not (r[number] == want[number]).all():
                    wrong.append(number)
        callers = [threading.Thread(target=read, args=(i,)) for i in range(3)]
        for t in callers:
            t.start()
        for t in callers:
            t.join()
        check(not wrong, f"{wrong}: from several threads")


def closed_by_another():
    """close() waits for a read of another thread; the next one says what has become of the reader."""
    for wait in (.0, .01, .03):
        r, said = nerv.Reader(seed("ok-clips"), threads=2), []

        def read():
            try:
                while True:
                    r.clips([0, 2], 4)
            except ValueError as e:
                said.append(str(e))
        caller = threading.Thread(target=read)
        caller.start()
        time.sleep(wait)
        r.close()
        caller.join(60)
        check(said == ["the reader is closed"], f"{said}: closed by another thread")
    raises(ValueError, lambda: r[0], "closed")


def numbers_that_wrap(want):
    """None of them is cut to what the library's types hold."""
    with nerv.Reader(seed("ok-clips"), threads=1) as r:
        height, width = r.shape[1:3]
        raises(ValueError, lambda: r.clips([0], 2, step=2 ** 32 + 1), "step")
        raises(ValueError, lambda: r.frames([0], crop=(2 ** 32, 0, width, height)), "crop")
        raises(ValueError, lambda: r.times(2 ** 64 + 1, 1), "frames")
        raises(TypeError, lambda: r[1.5])
        raises(TypeError, lambda: r.frames([True, False]), "flatnonzero")
        one = numpy.zeros((height, width, 3), numpy.uint8)
        raises(ValueError, lambda: r.frames([0, 1], out=numpy.lib.stride_tricks.as_strided(one, (2, *one.shape), (0, *one.strides))), "share memory")
        gaps = numpy.zeros((2, height + 3, width, 4), numpy.uint8)[:, :height, :, :3]
        check((r.frames([0, 1], out=gaps) == want[:2]).all(), "an array with gaps")


def main():
    with tempfile.TemporaryDirectory() as directory:
        plain = frames_are_right("ok-index", directory, 1)
        clips = frames_are_right("ok-clips", directory, 2)
        frames_are_right("ok-residual", directory, 2)
    in_place(plain)
    errors()
    what_is_there()
    batches(plain)
    processes(plain)
    threads(clips)
    closed_by_another()
    numbers_that_wrap(clips)
    finish()


if __name__ == "__main__":
    main()
