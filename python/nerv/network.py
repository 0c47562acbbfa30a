# SPDX-License-Identifier: LGPL-2.1-or-later
"""Networks into streams and out of them: src/nerv_pack.h for Python, with numpy's arrays.

    pack = Pack(1280, 640, 132, "nerv-grid", {"grids": "132x16", "strides": [1, 5, 4, 4, 2, 2], ...}, fps=(25, 1))
    for name, wanted in pack.tensors().items():
        pack.set_values(name, array_of(name, wanted.shape))
    open("out.nerv", "wb").write(pack.finish())

    for segment in segments(open("out.nerv", "rb").read()):
        for name, tensor in segment.tensors.items():
            print(name, tensor.values.shape)

Errors are NervErrors that name what is wrong.
"""
import ctypes
from dataclasses import dataclass, field

import numpy as np

from ._lib import NervError, library, take_error

ROLES = ("weight", "bias", "grid")
WAYS = ("whole", "residual", "delta")
HASH_BYTES = 32
DAMAGE = ("DATA", "NEED_SYNC")  # codes of errors behind which a stream can go on
UNSPECIFIED = 2  # a code point of ITU-T H.273
LAYOUT = ("format", "matrix", "full_range", "h_cosited", "v_cosited")
VIDEO = {"format": 0, "matrix": 0, "full_range": 1, "h_cosited": 0, "v_cosited": 0, "primaries": UNSPECIFIED, "transfer": UNSPECIFIED, "par_n": 1, "par_d": 1}


class _Pixels(ctypes.Structure):
    _fields_ = [(name, ctypes.c_int32) for name in ("format", "width", "height", "matrix", "full_range", "h_cosited", "v_cosited")]


class _VideoInfo(ctypes.Structure):
    _fields_ = [("pixels", _Pixels)] + [(name, ctypes.c_uint32) for name in ("primaries", "transfer", "fps_n", "fps_d", "par_n", "par_d")]


class _Frame(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p * 3), ("stride", ctypes.c_int32 * 3)]


class _Packet(ctypes.Structure):
    _fields_ = [("data", ctypes.c_void_p), ("pts_ns", ctypes.c_int64), ("duration_ns", ctypes.c_int64), ("is_sync", ctypes.c_bool)]


class _Tensor(ctypes.Structure):
    _fields_ = [("name", ctypes.c_char_p), ("shape", ctypes.c_int32 * 4)] + [
        (name, ctypes.c_uint32) for name in ("role", "bits", "mask", "half")] + [
        (name, ctypes.c_void_p) for name in ("values", "codes", "minimum", "scale")]


class _Segment(ctypes.Structure):
    _fields_ = [("info", _VideoInfo), ("segment_id", ctypes.c_uint32), ("n_frames", ctypes.c_uint32), ("first_frame", ctypes.c_uint64),
                ("pts_ns", ctypes.c_int64), ("way", ctypes.c_uint32), ("n_tensors", ctypes.c_uint32), ("n_keyframes", ctypes.c_uint32),
                ("network_bytes", ctypes.c_uint64), ("keyframe_bytes", ctypes.c_uint64), ("n_weights", ctypes.c_int64),
                ("model", ctypes.c_char_p), ("options", ctypes.c_char_p), ("description", ctypes.c_char_p), ("n_videos", ctypes.c_uint32),
                ("videos", ctypes.POINTER(ctypes.c_int32)), ("n_present", ctypes.c_uint32), ("frame_pts_ns", ctypes.POINTER(ctypes.c_int64)),
                ("init_hash", ctypes.c_void_p)]


def _declare(lib):
    pointer, u32, size, errors = ctypes.c_void_p, ctypes.c_uint32, ctypes.c_size_t, ctypes.POINTER(ctypes.c_void_p)
    text, flag = ctypes.c_char_p, ctypes.c_bool
    for name, result, *arguments in (
            ("nerv_pack_new", pointer, ctypes.POINTER(_VideoInfo), u32, text, text, pointer, u32, errors),
            ("nerv_pack_free", None, pointer),
            ("nerv_pack_n_tensors", u32, pointer),
            ("nerv_pack_describe", None, pointer, u32, ctypes.POINTER(_Tensor)),
            ("nerv_pack_set_tensor", flag, pointer, ctypes.POINTER(_Tensor), errors),
            ("nerv_pack_set_place", flag, pointer, u32, ctypes.c_uint64, ctypes.c_int64, pointer, errors),
            ("nerv_pack_set_residual", flag, pointer, pointer, errors),
            ("nerv_pack_set_delta", None, pointer, text),
            ("nerv_pack_n_keyframes", u32, pointer),
            ("nerv_pack_keyframe", u32, pointer, u32),
            ("nerv_pack_set_picture", flag, pointer, u32, ctypes.POINTER(_Frame), errors),
            ("nerv_pack_set_coded", flag, pointer, u32, pointer, size, errors),
            ("nerv_pack_finish", flag, pointer, u32, u32, errors),
            ("nerv_pack_get", flag, pointer, ctypes.POINTER(_Packet)),
            ("nerv_unpack_new", pointer, pointer, size, text, errors),
            ("nerv_unpack_free", None, pointer),
            ("nerv_unpack_next", flag, pointer, ctypes.POINTER(_Segment), errors),
            ("nerv_unpack_tensor", None, pointer, u32, ctypes.POINTER(_Tensor)),
            ("nerv_unpack_coded", None, pointer, u32, ctypes.POINTER(_Tensor)),
            ("nerv_unpack_keyframe", None, pointer, u32, ctypes.POINTER(u32), ctypes.POINTER(pointer), ctypes.POINTER(size)),
            ("nerv_unpack_picture", flag, pointer, u32, pointer, errors),
            ("g_bytes_get_data", pointer, pointer, ctypes.POINTER(size)),
            ("g_bytes_unref", None, pointer)):
        function = getattr(lib, name)
        function.restype, function.argtypes = result, arguments
    return lib


def _lib():
    lib = library()
    return lib if lib.nerv_pack_new.argtypes else _declare(lib)


def _call(function, *arguments):
    """With room for an error, which becomes an exception; what it returns is true."""
    error = ctypes.c_void_p()
    result = function(*arguments, ctypes.byref(error))
    if not result:
        raise take_error(error)
    return result


def options_text(options):
    """A dictionary of texts, numbers and lists of integers in GVariant's text format; a text is that already."""
    def value(x):
        if isinstance(x, (list, tuple)):
            return "[" + ", ".join(str(int(v)) for v in x) + "]"
        if isinstance(x, str):
            return "'" + x.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return repr(float(x)) if isinstance(x, float) else str(int(x))
    if options is None or isinstance(options, str):
        return options
    return "{" + ", ".join(f"{value(k)}: <{value(v)}>" for k, v in options.items()) + "}"


@dataclass
class Tensor:
    """One of a network. shape: N C H W. values: floats of the shape; codes, minimum and scale (which broadcast to it) where they are stored so. Without codes a scale says what
    the values are whole multiples of, a minimum and a scale that they are zeros and minimum + scale * k: what they were quantised by."""
    shape: tuple
    role: str = "weight"
    values: np.ndarray = None
    codes: np.ndarray = None
    minimum: np.ndarray = None
    scale: np.ndarray = None
    bits: int = 0
    half: bool = False


def _contiguous(array, dtype):
    return np.ascontiguousarray(array, dtype=dtype)


class Pack:
    """A stream of one segment. options: a dictionary or GVariant's text; fps: numerator and denominator; videos: frames of each, for dnerv; video: what of
    Segment.video is to be other than R'G'B' of full range and square pixels."""

    def __init__(self, width, height, n_frames, model, options=None, fps=(25, 1), videos=(), video=None):
        self._as_parameter_ = None
        video = {**VIDEO, **(video or {})}
        info = _VideoInfo(_Pixels(width=width, height=height, **{k: video[k] for k in LAYOUT}), fps_n=fps[0], fps_d=fps[1],
                          **{k: video[k] for k in VIDEO if k not in LAYOUT})
        numbers = (ctypes.c_int32 * max(len(videos), 1))(*videos)
        text = options_text(options)
        self.size, self.n_frames, self.fps = (width, height), n_frames, fps
        self._as_parameter_ = _call(_lib().nerv_pack_new, ctypes.byref(info), n_frames, model.encode(), text.encode() if text else None, numbers,
                                    len(videos))

    def __del__(self):
        if self._as_parameter_:
            _lib().nerv_pack_free(self)

    def set_place(self, segment_id, first_frame, pts_ns, times=None):
        """Where the segment is in place of a stream's beginning; times: of each frame, nanoseconds, where they don't follow from the rate."""
        if not (0 <= segment_id < 2 ** 32 and 0 <= first_frame < 2 ** 64 and abs(pts_ns) < 2 ** 63):
            raise NervError("a segment's place is out of range", "INVALID")
        if times is not None:
            times = _contiguous(times, np.int64)
            if times.shape != (self.n_frames,):
                raise NervError(f"{times.size} times are none for {self.n_frames} frames", "INVALID")
        _call(_lib().nerv_pack_set_place, self, segment_id, first_frame, pts_ns, times.ctypes.data if times is not None else None)

    def set_residual(self, base):
        """Tensors are a residual on those of another Pack, which is finished and comes right before in the stream."""
        _call(_lib().nerv_pack_set_residual, self, base)

    def set_delta(self, init_hash):
        """Tensors are differences from the init of that hash, 32 bytes."""
        if len(init_hash) != HASH_BYTES:
            raise NervError(f"an init's hash has {HASH_BYTES} bytes", "INVALID")
        _lib().nerv_pack_set_delta(self, init_hash)

    def tensors(self):
        """Those that the network wants, by name and in its order: shapes and roles."""
        wanted = {}
        for i in range(_lib().nerv_pack_n_tensors(self)):
            t = _Tensor()
            _lib().nerv_pack_describe(self, i, ctypes.byref(t))
            wanted[t.name.decode()] = Tensor(tuple(t.shape), ROLES[t.role])
        return wanted

    def keyframes(self):
        """Numbers of the frames that go beside the network as pictures."""
        return [_lib().nerv_pack_keyframe(self, i) for i in range(_lib().nerv_pack_n_keyframes(self))]

    def set_values(self, name, values, half=False, scale=None, minimum=None):
        """A tensor of four dimensions that is stored as floats: binary32, or binary16 if they are such numbers. With a scale, and maybe a minimum, as what they were quantised by
        (see Tensor), if all of the network's tensors have one."""
        values, more, mask = _contiguous(values, np.float32), {}, 0
        if scale is not None:
            more = {k: _contiguous(v, np.float32) for k, v in (("minimum", minimum), ("scale", scale)) if v is not None}
            mask = self._mask(name, values.shape, list(more.values()))
        self._set(name, values.shape, mask=mask, half=half, values=values, **more)

    @staticmethod
    def _mask(name, shape, numbers):
        """The dimensions along which arrays of one shape vary."""
        n = numbers[0].shape
        if any(a.shape != n for a in numbers) or len(n) != 4 or len(shape) != 4 or any(k not in (1, shape[i]) for i, k in enumerate(n)):
            raise NervError(f"tensor {name}: minimum and scale of {n} are none for one of {shape}", "INVALID")
        return sum(1 << i for i, k in enumerate(n) if k > 1)

    def set_codes(self, name, codes, minimum, scale, bits=8, half=False):
        """One that is stored as codes: minimum and scale have four dimensions that broadcast to the codes'."""
        minimum, scale = np.broadcast_arrays(minimum, scale)
        mask = self._mask(name, codes.shape, [minimum, scale])
        self._set(name, codes.shape, codes=_contiguous(codes, np.uint8), minimum=_contiguous(minimum, np.float32),
                  scale=_contiguous(scale, np.float32), bits=bits, mask=mask, half=half)

    def _set(self, name, shape, bits=0, mask=0, half=False, **arrays):
        if len(shape) != 4:
            raise NervError(f"tensor {name} has {len(shape)} dimensions, not four")
        t = _Tensor(name.encode(), (ctypes.c_int32 * 4)(*shape), 0, bits, mask, half, *(
            arrays[k].ctypes.data if k in arrays else None for k in ("values", "codes", "minimum", "scale")))
        _call(_lib().nerv_pack_set_tensor, self, ctypes.byref(t))

    def set(self, name, tensor):
        """A Tensor, as it is stored."""
        if tensor.codes is not None:
            self.set_codes(name, tensor.codes, tensor.minimum, tensor.scale, tensor.bits, tensor.half)
        else:
            self.set_values(name, tensor.values, tensor.half, tensor.scale, tensor.minimum)

    def set_picture(self, i, rgb):
        """The i-th keyframe: height x width x 3 bytes."""
        rgb = _contiguous(rgb, np.uint8)
        if rgb.shape != (self.size[1], self.size[0], 3):
            raise NervError(f"a keyframe of {rgb.shape} is not {self.size[1]} x {self.size[0]} x 3")
        frame = _Frame((ctypes.c_void_p * 3)(rgb.ctypes.data), (ctypes.c_int32 * 3)(rgb.strides[0]))
        _call(_lib().nerv_pack_set_picture, self, i, ctypes.byref(frame))

    def set_coded(self, i, data):
        """The i-th keyframe as a stream had it."""
        _call(_lib().nerv_pack_set_coded, self, i, ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data))

    def finish(self, quant=20, speed=4):
        """The stream's bytes. Once only. quant, speed: keyframes' quantiser 0..63 and libaom's speed 0..9."""
        _call(_lib().nerv_pack_finish, self, quant, speed)
        units, packet, n = [], _Packet(), ctypes.c_size_t()
        while _lib().nerv_pack_get(self, ctypes.byref(packet)):
            data = _lib().g_bytes_get_data(packet.data, ctypes.byref(n))
            units.append(ctypes.string_at(data, n.value))
            _lib().g_bytes_unref(packet.data)
        return b"".join(units)


@dataclass
class Segment:
    """A network with its frames; options is None where no options make its configuration."""
    width: int
    height: int
    n_frames: int
    fps: tuple
    model: str
    options: str
    description: str
    way: str
    segment_id: int
    first_frame: int
    pts_ns: int
    network_bytes: int
    videos: list
    video: dict  # as VIDEO: NervPixels' and NervVideoInfo's numbers
    tensors: dict = field(default_factory=dict)
    keyframes: dict = field(default_factory=dict)  # by frame: the coded picture, b"" for a lost one
    coded: dict = field(default_factory=dict)  # tensors as they are in the stream: of a residual or of differences from an init only these
    init_hash: bytes = b""  # of the init that a delta is differences from
    n_present: int = 0  # frames that are in the stream
    times: np.ndarray = None  # by frame, nanoseconds
    pictures: dict = field(default_factory=dict)  # by frame: 3 x height x width of R'G'B' in 0..1, as the network sees it; if asked for


def _array(address, shape, kind):
    n = int(np.prod(shape))
    return np.ctypeslib.as_array(ctypes.cast(address, ctypes.POINTER(kind)), (n,)).reshape(shape).copy()


def _read_tensor(t):
    shape = tuple(t.shape)
    out = Tensor(shape, ROLES[t.role], _array(t.values, shape, ctypes.c_float), half=bool(t.half), bits=t.bits)
    numbers = tuple(n if t.mask >> i & 1 else 1 for i, n in enumerate(shape))
    if t.codes:
        out.codes = _array(t.codes, shape, ctypes.c_uint8)
    if t.minimum:
        out.minimum = _array(t.minimum, numbers, ctypes.c_float)
    if t.scale:
        out.scale = _array(t.scale, numbers, ctypes.c_float)
    return out


def _read_segment(unpack, s, pictures):
    info = s.info
    out = Segment(info.pixels.width, info.pixels.height, s.n_frames, (info.fps_n, info.fps_d), s.model.decode(),
                  s.options.decode() if s.options else None, s.description.decode(), WAYS[s.way], s.segment_id, s.first_frame, s.pts_ns,
                  s.network_bytes, s.videos[:s.n_videos] if s.n_videos else [],
                  {k: int(getattr(info.pixels if k in LAYOUT else info, k)) for k in VIDEO})
    for i in range(s.n_tensors):
        t = _Tensor()
        _lib().nerv_unpack_tensor(unpack, i, ctypes.byref(t))
        out.tensors[t.name.decode()] = out.coded[t.name.decode()] = _read_tensor(t)
        if s.way:
            _lib().nerv_unpack_coded(unpack, i, ctypes.byref(t))
            out.coded[t.name.decode()] = _read_tensor(t)
    out.n_present, out.times = s.n_present, np.ctypeslib.as_array(s.frame_pts_ns, (s.n_frames,)).copy()
    if s.init_hash:
        out.init_hash = ctypes.string_at(s.init_hash, HASH_BYTES)
    for i in range(s.n_keyframes):
        frame, data, n = ctypes.c_uint32(), ctypes.c_void_p(), ctypes.c_size_t()
        _lib().nerv_unpack_keyframe(unpack, i, ctypes.byref(frame), ctypes.byref(data), ctypes.byref(n))
        out.keyframes[frame.value] = ctypes.string_at(data, n.value) if n.value else b""
        if pictures and n.value:
            rgb = np.empty((3, out.height, out.width), np.float32)
            _call(_lib().nerv_unpack_picture, unpack, i, rgb.ctypes.data)
            out.pictures[frame.value] = rgb
    return out


def segments(data, init_location=None, pictures=False, on_damage=None):
    """The segments of a stream (bytes), one after another; pictures: keyframes decoded as well. Raises a NervError at damage, or calls on_damage with it and goes on behind it."""
    buffer = ctypes.create_string_buffer(data, len(data))
    unpack = _call(_lib().nerv_unpack_new, buffer, len(data), init_location.encode() if init_location else None)
    try:
        while True:
            s, error = _Segment(), ctypes.c_void_p()
            if _lib().nerv_unpack_next(unpack, ctypes.byref(s), ctypes.byref(error)):
                yield _read_segment(unpack, s, pictures)
                continue
            if not error:
                return
            failure = take_error(error)
            if on_damage is None or failure.code not in DAMAGE:
                raise failure
            on_damage(failure)
    finally:
        _lib().nerv_unpack_free(unpack)
