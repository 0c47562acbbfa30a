# SPDX-License-Identifier: LGPL-2.1-or-later
"""Frames and clips of .nerv files in any order, as numpy arrays that libnerv writes in place (src/nerv_reader.h)."""
import contextlib
import ctypes
import fractions
import operator
import os
import threading

import numpy

from ._lib import library, take_error

_u32, _u64, _i32, _i64, _size = ctypes.c_uint32, ctypes.c_uint64, ctypes.c_int32, ctypes.c_int64, ctypes.c_size_t


class _Pixels(ctypes.Structure):
    _fields_ = [(name, _i32) for name in ("format", "width", "height", "matrix", "full_range", "h_cosited", "v_cosited")]


class _VideoInfo(ctypes.Structure):
    _fields_ = [("pixels", _Pixels)] + [(name, _u32) for name in ("primaries", "transfer", "fps_n", "fps_d", "par_n", "par_d")]


class _Settings(ctypes.Structure):
    _fields_ = [("device", ctypes.c_char_p), ("threads", _u32), ("max_memory_bytes", _u64), ("max_macs_per_frame", _u64), ("init_location", ctypes.c_char_p)]


class _Info(ctypes.Structure):
    _fields_ = [("n_frames", _u64), ("n_segments", _u32), ("video", _VideoInfo), ("same_size", ctypes.c_bool), ("has_index", ctypes.c_bool),
                ("device", ctypes.c_char * 128)]


class _Segment(ctypes.Structure):
    _fields_ = [("first_frame", _u64), ("n_frames", _u32), ("pts_ns", _i64), ("video", _VideoInfo)]


class _View(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("bytes", _size), ("element", ctypes.c_int), ("strides", _size * 5),
                ("x", _u32), ("y", _u32), ("width", _u32), ("height", _u32)]


class _Stats(ctypes.Structure):
    _fields_ = [("frames", _u64), ("runs", _u64), ("networks", _u64), ("kept_bytes", _u64), ("plans", _u64), ("max_workers", _u32)]


_MOST = 2 ** 32 - 1  # that the library's numbers hold
_ELEMENTS = {numpy.dtype("uint8"): 0, numpy.dtype("float32"): 1}
_DECLARED = {
    "nerv_reader_open": (ctypes.c_void_p, [ctypes.c_char_p, ctypes.POINTER(_Settings), ctypes.c_void_p]),
    "nerv_reader_open_bytes": (ctypes.c_void_p, [ctypes.c_void_p, ctypes.POINTER(_Settings), ctypes.c_void_p]),
    "nerv_reader_free": (None, [ctypes.c_void_p]),
    "nerv_reader_get_info": (None, [ctypes.c_void_p, ctypes.POINTER(_Info)]),
    "nerv_reader_get_segment": (ctypes.c_bool, [ctypes.c_void_p, _u32, ctypes.POINTER(_Segment), ctypes.c_void_p]),
    "nerv_reader_get_times": (ctypes.c_bool, [ctypes.c_void_p, _u64, _size, ctypes.c_void_p, ctypes.c_void_p]),
    "nerv_reader_get_stats": (None, [ctypes.c_void_p, ctypes.POINTER(_Stats)]),
    "nerv_reader_read_frames": (ctypes.c_bool, [ctypes.c_void_p, ctypes.c_void_p, _size, ctypes.POINTER(_View), ctypes.c_void_p]),
    "nerv_reader_read_clips": (ctypes.c_bool, [ctypes.c_void_p, ctypes.c_void_p, _size, _u32, _u32, ctypes.POINTER(_View), ctypes.c_void_p]),
    "g_bytes_new": (ctypes.c_void_p, [ctypes.c_char_p, _size]),
    "g_bytes_unref": (None, [ctypes.c_void_p]),
}


def _functions():
    lib = library()
    if lib.nerv_reader_free.argtypes is None:
        for name, (result, arguments) in _DECLARED.items():
            function = getattr(lib, name)
            function.restype, function.argtypes = result, arguments
    return lib


def _overlaps(array):
    """Whether elements may share bytes: each dimension has to step over all that the ones of smaller steps take."""
    end = array.itemsize
    for stride, n in sorted((s, n) for s, n in zip(array.strides, array.shape) if n > 1):
        if stride < end:
            return array.size > 0
        end += (n - 1) * stride
    return False


def _frame_numbers(numbers, what):
    given = numpy.asarray(numbers)
    if given.size and given.dtype.kind not in "iu":
        raise TypeError(f"{what} are not whole numbers" + (", but a mask: numpy.flatnonzero() gives its numbers" if given.dtype.kind == "b" else ""))
    if given.ndim != 1 or (given.size and given.min() < 0):
        raise ValueError(f"{what} are not a list of numbers from 0 on")
    return numpy.ascontiguousarray(given, dtype=numpy.uint64)


class Reader:
    """A .nerv file, or its bytes. Threads may share one, and one may close it while others read; processes, be they forked or sent a pickled one, open the file anew.

    device: "auto", "cpu", "vulkan", "vulkan:N"; threads: 0 is one per core; max_memory: bytes that networks and their evaluation may take, 0 is 2 GiB;
    max_macs_per_frame: multiplications that a frame may take, 0 is 10^12; init_location: the init file that some streams need.
    """

    def __init__(self, source, device="auto", threads=0, max_memory=0, max_macs_per_frame=0, init_location=None):
        self._source = bytes(source) if isinstance(source, (bytes, bytearray, memoryview)) else os.fspath(source)
        self._settings = (device, threads, max_memory, max_macs_per_frame, init_location)
        self._handle = self._pid = None
        self._begin()
        self._open()

    # --- life ---

    def _open(self):
        lib = _functions()
        device, threads, memory, macs, init = self._settings
        settings = _Settings(device.encode(), threads, memory, macs, os.fsencode(init) if init else None)
        error = ctypes.c_void_p()
        if isinstance(self._source, bytes):
            data = lib.g_bytes_new(self._source, len(self._source))
            handle = lib.nerv_reader_open_bytes(data, ctypes.byref(settings), ctypes.byref(error))
            lib.g_bytes_unref(data)
        else:
            handle = lib.nerv_reader_open(os.fsencode(self._source), ctypes.byref(settings), ctypes.byref(error))
        if not handle:
            raise take_error(error)
        self._handle, self._pid = handle, os.getpid()
        self._info = _Info()
        lib.nerv_reader_get_info(handle, ctypes.byref(self._info))

    def _begin(self):
        self._calls, self._idle = 0, threading.Condition()

    @contextlib.contextmanager
    def _reader(self):
        """The library's reader, which is not closed as long as somebody is in here."""
        if self._handle is not None and self._pid != os.getpid():  # forked: the threads did not come along
            self._begin()
            self._open()
        with self._idle:
            if self._handle is None:
                raise ValueError("the reader is closed")
            handle = self._handle
            self._calls += 1
        try:
            yield handle
        finally:
            with self._idle:
                self._calls -= 1
                self._idle.notify_all()

    def close(self):
        """Gives everything back, once reads of other threads have ended; closed twice is closed."""
        if self._pid != os.getpid():
            self._handle = None
            return
        with self._idle:
            handle, self._handle = self._handle, None
            self._idle.wait_for(lambda: self._calls == 0)
        if handle is not None:
            _functions().nerv_reader_free(handle)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __del__(self):
        if getattr(self, "_handle", None) is not None:
            self.close()

    def __getstate__(self):
        return self._source, self._settings

    def __setstate__(self, state):
        self.__init__(state[0], *state[1])

    # --- what is there ---

    def __len__(self):
        return self._info.n_frames

    @property
    def shape(self):
        """(frames, height, width, 3); height and width are those of the first segment, see same_size."""
        p = self._info.video.pixels
        return len(self), p.height, p.width, 3

    @property
    def same_size(self):
        """Whether all frames have that height and width; they need not where files were put behind each other."""
        return self._info.same_size

    @property
    def fps(self):
        """Frames a second as a Fraction; None where the rate is not constant."""
        v = self._info.video
        return fractions.Fraction(v.fps_n, v.fps_d) if v.fps_n else None

    @property
    def device(self):
        """The device in use, a line for people."""
        return self._info.device.decode("utf-8", "replace")

    @property
    def has_index(self):
        """Whether segments are from the file's own index."""
        return self._info.has_index

    @property
    def segments(self):
        """Ranges of frame numbers; a segment's frames have one network."""
        lib, out, error = _functions(), [], ctypes.c_void_p()
        with self._reader() as reader:
            for i in range(self._info.n_segments):
                s = _Segment()
                if not lib.nerv_reader_get_segment(reader, i, ctypes.byref(s), ctypes.byref(error)):
                    raise take_error(error)
                out.append(range(s.first_frame, s.first_frame + s.n_frames))
        return out

    def times(self, first=0, n=None):
        """Seconds at which frames first..first+n-1 are shown, float64; n None: all that follow."""
        n = len(self) - first if n is None else n
        if not (0 <= first and 0 <= n and first + n <= len(self)):
            raise ValueError(f"there are only frames 0 to {len(self) - 1}")
        out, error = numpy.empty(n, numpy.int64), ctypes.c_void_p()
        with self._reader() as reader:
            if not _functions().nerv_reader_get_times(reader, first, n, out.ctypes.data, ctypes.byref(error)):
                raise take_error(error)
        return out * 1e-9

    @property
    def stats(self):
        """A dict of counts: frames written, runs evaluated, networks unpacked, kept_bytes, plans, max_workers."""
        s = _Stats()
        with self._reader() as reader:
            _functions().nerv_reader_get_stats(reader, ctypes.byref(s))
        return {name: getattr(s, name) for name, _ in s._fields_}

    # --- frames ---

    def _view(self, sizes, letters, layout, dtype, out, crop):
        """`out`, or a new array, and the view of it: `sizes` of `letters`, which the layout puts in its own order."""
        if sorted(layout) != sorted(letters):
            raise ValueError(f"layout {layout!r} has not each of {letters} once")
        shape = tuple(sizes[letter] for letter in layout)
        if out is None:
            out = numpy.empty(shape, dtype)
        if out.shape != shape:
            raise ValueError(f"out has the shape {out.shape}, and {layout} is {shape}")
        if out.dtype not in _ELEMENTS or not out.dtype.isnative:
            raise TypeError(f"elements are uint8 or float32, not {out.dtype}")
        if not out.flags.writeable or min(out.strides) < 0:
            raise ValueError("out can't be written, or goes backwards")
        if _overlaps(out):
            raise ValueError("elements of out share memory")
        strides = dict(zip(layout, out.strides))
        size = sum((n - 1) * s for n, s in zip(out.shape, out.strides)) + out.itemsize if out.size else 0
        x, y, width, height = crop
        view = _View(out.ctypes.data, size, _ELEMENTS[out.dtype], (_size * 5)(*(strides.get(letter, 0) for letter in "NTHWC")), x, y, width, height)
        return out, view

    def _crop(self, crop):
        """(x, y, width, height) of what is wanted of each frame."""
        _, height, width, _ = self.shape
        if crop is None:
            return 0, 0, width, height
        x, y, w, h = (operator.index(v) for v in crop)
        if min(x, y) < 0 or min(w, h) < 1 or max(x, y, w, h) > _MOST:
            raise ValueError("crop is (x, y, width, height) inside the frame")
        return x, y, w, h

    def frames(self, numbers, dtype="uint8", layout="NHWC", out=None, crop=None):
        """Frames by number, in any order and as often as they stand there.

        layout: an order of N, H, W and C. dtype: "uint8", or "float32" of 0..1. out: an array of that shape, of any strides, which is
        written in place; it is returned, or a new one. crop: (x, y, width, height).
        """
        numbers, crop, error = _frame_numbers(numbers, "frames"), self._crop(crop), ctypes.c_void_p()
        # the frames are the T of one clip
        sizes = {"T": len(numbers), "H": crop[3], "W": crop[2], "C": 3}
        out, view = self._view(sizes, "THWC", layout.replace("N", "T"), dtype, out, crop)
        with self._reader() as reader:
            if not _functions().nerv_reader_read_frames(reader, numbers.ctypes.data, len(numbers), ctypes.byref(view), ctypes.byref(error)):
                raise take_error(error)
        return out

    def clips(self, starts, length, step=1, dtype="uint8", layout="NTHWC", out=None, crop=None):
        """Clips of frames start, start + step, ..; as frames(), layout being an order of N, T, H, W and C."""
        starts, crop, error = _frame_numbers(starts, "starts"), self._crop(crop), ctypes.c_void_p()
        length, step = operator.index(length), operator.index(step)
        if not (1 <= length <= _MOST and 1 <= step <= _MOST):
            raise ValueError(f"length and step are 1 to {_MOST}")
        sizes = {"N": len(starts), "T": length, "H": crop[3], "W": crop[2], "C": 3}
        out, view = self._view(sizes, "NTHWC", layout, dtype, out, crop)
        with self._reader() as reader:
            if not _functions().nerv_reader_read_clips(reader, starts.ctypes.data, len(starts), length, step, ctypes.byref(view), ctypes.byref(error)):
                raise take_error(error)
        return out

    def __getitem__(self, item):
        """A frame [H,W,3], or those of a slice or a list, uint8."""
        if isinstance(item, slice):
            return self.frames(range(*item.indices(len(self))))
        if hasattr(item, "__len__"):
            return self.frames(item)
        number = operator.index(item)
        number += len(self) if number < 0 else 0
        if not 0 <= number < len(self):
            raise IndexError(f"frame {item} of {len(self)}")
        return self.frames([number])[0]

    def batches(self, batch_size, length, step=1, starts=None, seed=None, drop_last=False, **options):
        """Goes through clips once, `batch_size` at a time: yields (starts, clips). starts: where clips begin; None: wherever one fits. seed:
        shuffles them, the same way for the same seed. drop_last: leaves a smaller last batch out. options: those of clips()."""
        clips = Clips(self, length, step, starts, **options)
        order = numpy.arange(len(clips)) if seed is None else numpy.random.default_rng(seed).permutation(len(clips))
        for at in range(0, len(order), batch_size):
            chosen = clips.starts[order[at:at + batch_size]]
            if len(chosen) == batch_size or not drop_last:
                yield chosen, self.clips(chosen, length, step, **options)


class Clips:
    """Clips of a reader, or of the file that it would open, as a sequence: what a torch.utils.data.DataLoader takes for a data set, in one process or many.

    Item i is the clip that begins at starts[i] (None: wherever one fits), [T,C,H,W] by default; with labels, one for each start, it is the pair of it and
    its label. options: those of Reader.clips().
    """

    def __init__(self, reader, length, step=1, starts=None, labels=None, dtype="float32", layout="TCHW", **options):
        self.reader = reader if isinstance(reader, Reader) else Reader(reader)
        self.length, self.step = length, step
        last = len(self.reader) - (length - 1) * step
        self.starts = _frame_numbers(range(max(last, 0)) if starts is None else starts, "starts")
        self.labels = labels
        if labels is not None and len(labels) != len(self.starts):
            raise ValueError("there is not a label for each start")
        self._options = dict(options, dtype=dtype, layout="N" + layout.replace("N", ""))

    def __len__(self):
        return len(self.starts)

    def _items(self, places):
        clips = self.reader.clips(self.starts[places], self.length, self.step, **self._options)
        return list(clips) if self.labels is None else [(clip, self.labels[i]) for clip, i in zip(clips, places)]

    def __getitem__(self, i):
        if not -len(self) <= i < len(self):
            raise IndexError(f"clip {i} of {len(self)}")
        return self._items([i % len(self)])[0]

    def __getitems__(self, places):
        """All of a batch in one call, which is how a DataLoader of PyTorch 2 asks."""
        return self._items(list(places))
