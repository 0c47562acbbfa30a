# SPDX-License-Identifier: LGPL-2.1-or-later
"""Networks of streams in files of arrays, and back: what nerv-export writes and nerv-import reads.

Arrays are named as the model's tensors, and hold what is evaluated. Beside NAME stands what the stream has it as: NAME.codes, NAME.minimum and NAME.scale; or NAME.scale
alone, the quantiser's steps, of which NAME has whole multiples; or NAME.minimum and NAME.scale of zeros and minimum + scale * k. Of a network that is a residual
or differences from an init, NAME.difference has that, with its own beside it. keyframe.N is the coded picture of frame N, picture.N the same decoded; times the
frames' times where they don't follow from the rate. The rest is in the metadata, texts. In a file of several segments all these names, the metadata's too, begin with
segment0., segment1. and so on.

NAME is what counts: what stands beside it is used where it says the same, so that arrays can be changed and become a stream, of floats then.
"""
import json
import re

import numpy as np

from . import architectures, tensors
from ._lib import NervError
from .network import VIDEO, Pack, Tensor, segments
from .tensors import FileError

VERSION = "1"
DIFFERENCE = ".difference"
LOST = "has no keyframe of frame"


# --- from streams ---

def _add_tensor(name, t, arrays, stored):
    arrays[name] = t.values
    arrays.update({f"{name}.{k}": getattr(t, k) for k in ("codes", "minimum", "scale") if getattr(t, k) is not None})
    if t.bits or t.half:
        stored[name] = {"bits": t.bits, "half": t.half}


def _nominal(n, fps):
    """Times that a rate gives, from 0."""
    return np.array([i * fps[1] * 10 ** 9 // fps[0] for i in range(n)], np.int64) if fps[0] else np.zeros(n, np.int64)


def arrays_of(segment):
    """Arrays and metadata of a network.Segment."""
    arrays, stored, roles = {}, {}, {}
    for name, t in segment.tensors.items():
        _add_tensor(name, t, arrays, stored)
        roles[name] = t.role
        if segment.way != "whole":
            _add_tensor(name + DIFFERENCE, segment.coded[name], arrays, stored)
    for frame, data in segment.keyframes.items():
        arrays[f"keyframe.{frame}"] = np.frombuffer(data, np.uint8)
    for frame, picture in segment.pictures.items():
        arrays[f"picture.{frame}"] = picture
    if not np.array_equal(segment.times - segment.pts_ns, _nominal(segment.n_frames, segment.fps)):
        arrays["times"] = segment.times
    metadata = {"model": segment.model, "options": segment.options or "", "description": segment.description,
                "width": str(segment.width), "height": str(segment.height), "frames": str(segment.n_frames), "fps": "%d/%d" % segment.fps,
                "segment": str(segment.segment_id), "first_frame": str(segment.first_frame), "pts_ns": str(segment.pts_ns), "videos": json.dumps(segment.videos),
                "video": json.dumps(segment.video), "way": segment.way, "init": segment.init_hash.hex(),
                "keyframes": json.dumps(sorted(segment.keyframes)), "roles": json.dumps(roles), "stored": json.dumps(stored)}
    return arrays, {"nerv": VERSION, **metadata}


def arrays_of_all(found):
    """The same of several."""
    arrays, metadata = {}, {"nerv": VERSION, "segments": str(len(found))}
    for i, segment in enumerate(found):
        own, meta = arrays_of(segment)
        arrays.update({f"segment{i}.{k}": v for k, v in own.items()})
        metadata.update({f"segment{i}.{k}": v for k, v in meta.items() if k != "nerv"})
    return arrays, metadata


# --- into streams ---

def _parts(path):
    """Arrays and metadata of each segment, and whether it is a file of several."""
    arrays, meta = tensors.load(path)
    if not isinstance(meta, dict) or meta.get("nerv") != VERSION:
        raise FileError(f"{path} has no network of nerv-export" + (f": version {meta['nerv']}" if isinstance(meta, dict) and "nerv" in meta else ""))
    if "segments" not in meta:
        return [(arrays, meta)], False
    parts = {}
    for i, given in enumerate((arrays, meta)):
        for key, value in given.items():
            number, name = re.fullmatch(r"(?:segment(\d+)\.)?(.*)", key, re.S).groups()
            if number:
                parts.setdefault(int(number), ({}, {}))[i][name] = value
    if not parts or sorted(parts) != list(range(len(parts))) or str(len(parts)) != meta["segments"]:
        raise FileError(f"{path} has {len(parts)} segments of {meta['segments']}")
    return [parts[i] for i in range(len(parts))], True


class _Part:
    """A segment of the file, and what it is to become."""

    def __init__(self, arrays, meta, title):
        self.arrays, self.meta, self.title = arrays, meta, title
        self.floats, self.rounded, self.notes = set(), set(), []
        self.way = meta.get("way", "whole")
        if not meta.get("options"):
            raise FileError(f"{title}: no options make a network of this configuration: {meta.get('description')}")
        self.stored, self.videos, self.keys = json.loads(meta["stored"]), json.loads(meta["videos"]), json.loads(meta["keyframes"])
        self.fps = _rate(meta["fps"])
        self.n_frames = int(meta["frames"])
        self.video = {k: int(v) for k, v in json.loads(meta.get("video", "{}")).items()}
        if not set(self.video) <= set(VIDEO) or not all(0 <= v < 2 ** 31 for v in self.video.values()):
            raise ValueError("the video's description")

    def missing_keyframe(self, pack):
        return next((f for f in pack.keyframes() if f not in self.keys or not len(self.arrays.get(f"keyframe.{f}", ()))), None)

    def _tensor(self, name, role):
        how = self.stored.get(name, {})
        beside = {k: self.arrays.get(f"{name}.{k}") for k in ("minimum", "scale")}
        if name in self.floats or not any(f"{name}.{k}" in self.arrays for k in ("codes", "scale")):
            return Tensor(self.arrays[name].shape, role, values=self.arrays[name], half=bool(how.get("half")) and name not in self.floats)
        if f"{name}.codes" in self.arrays:
            codes = self.arrays[f"{name}.codes"]
            return Tensor(codes.shape, role, codes=codes, bits=int(how.get("bits", 8)), half=bool(how.get("half")), **beside)
        return Tensor(self.arrays[name].shape, role, values=self.arrays[name], **beside)

    def set_tensors(self, pack, bits):
        wanted, chosen = pack.tensors(), {}
        for name, t in wanted.items():
            own = name if self.way == "whole" else name + DIFFERENCE
            if own not in self.arrays and own + ".codes" not in self.arrays:
                raise FileError(f"{self.title} has no tensor {own}")
            chosen[name] = self._tensor(own, t.role)
        for name, t in chosen.items():
            try:
                pack.set(name, t)
            except NervError as e:
                if e.code != "INVALID" or t.codes is not None or t.scale is None:
                    raise
                self.floats.add(name)  # values that are none of the quantiser's any more
                chosen[name] = Tensor(t.shape, t.role, values=t.values)
                pack.set(name, chosen[name])
        for name, t in chosen.items():
            rounded = architectures.quantised(t, bits) if t.scale is None else t
            if rounded is not t:
                self.rounded.add(name)
                pack.set(name, rounded)

    def differs(self, segment):
        """Tensors that a stream shows other than they stand in the file."""
        return {name for name, t in segment.tensors.items()
                if name in self.arrays and name not in self.rounded and not np.array_equal(self.arrays[name], t.values)}


def _rate(text):
    n, d = (int(x) for x in text.split("/"))
    if not (0 <= n < 2 ** 31 and 0 < d < 2 ** 31):
        raise ValueError(f"a rate of {text}")
    return n, d


def _is_residual(pack, base):
    try:
        pack.set_residual(base)
    except NervError:
        return False
    return True


class Stream:
    """What became of a file: .stream, its bytes; .packs; .notes; .left_out, segments that could not be made and why."""

    def __init__(self, path, fps=None, bits=0, init=None, quant=20, speed=4):
        self.notes, self.left_out = [], []
        self._fps, self._bits, self._codec = fps, bits, (quant, speed)
        try:
            parts, self._several = _parts(path)
            self._parts = [_Part(*part, f"{path}, segment {i}" if self._several else path) for i, part in enumerate(parts)]
            self._leave_out()
            while True:
                with np.errstate(over="ignore", invalid="ignore"):  # what is too large for a float is refused as an infinite one
                    self._build()
                if not self._unlike(init):
                    break
        except (KeyError, IndexError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as e:
            raise FileError(f"{path} is damaged: {type(e).__name__}: {e}") from e
        for part in self._parts:
            if part.floats:
                some = ", ".join(sorted(part.floats)[:3]) + (f" and {len(part.floats) - 3} more" if len(part.floats) > 3 else "")
                part.notes.append(f"{some} are not what they were coded as: floats")
            self.notes += [f"{part.title}: {note}" for note in part.notes]

    def _new_pack(self, part):
        meta = part.meta
        return Pack(int(meta["width"]), int(meta["height"]), part.n_frames, meta["model"], meta["options"], self._fps or part.fps, part.videos, part.video)

    def _leave_out(self):
        """Networks that need pictures that were lost show nothing."""
        for part in list(self._parts):
            frame = part.missing_keyframe(self._new_pack(part))
            if frame is None:
                continue
            text = f"{part.title} {LOST} {frame}"
            if len(self._parts) == 1:
                raise FileError(text)
            self._parts.remove(part)
            self.left_out.append(text)

    def _place(self, part, pack, pts_ns):
        """With another rate segments follow each other; a segment by itself is at the beginning."""
        times, own = part.arrays.get("times") if not self._fps else None, int(part.meta.get("pts_ns", 0))
        if times is not None and (times.shape != (part.n_frames,) or times.dtype.kind not in "iu"):
            raise ValueError("frames' times")
        if self._several:
            pack.set_place(int(part.meta["segment"]), int(part.meta["first_frame"]), pts_ns if self._fps else own, times)
        elif times is not None:
            pack.set_place(0, 0, 0, times - own)

    def _build(self):
        packs, units, pts_ns = [], [], 0
        for part in self._parts:
            pack = self._new_pack(part)
            self._place(part, pack, pts_ns)
            pts_ns += part.n_frames * pack.fps[1] * 10 ** 9 // pack.fps[0] if pack.fps[0] else 0
            if part.way == "residual" and not (packs and _is_residual(pack, packs[-1])):
                part.way = "whole"
                part.notes.append("what its network is a residual on is not in the file: floats")
            elif part.way == "delta":
                pack.set_delta(bytes.fromhex(part.meta["init"]))
            part.set_tensors(pack, self._bits if part.way == "whole" else 0)
            for k, frame in enumerate(pack.keyframes()):
                pack.set_coded(k, part.arrays[f"keyframe.{frame}"].tobytes())
            units.append(pack.finish(*self._codec))
            packs.append(pack)
        self.packs, self.stream = packs, b"".join(units)

    def _unlike(self, init):
        """Reads the stream; whether a tensor is another than in the file, which is then to be written as floats."""
        found = False
        for part, segment in zip(self._parts, segments(self.stream, init)):
            other = part.differs(segment)
            if other and part.way != "whole":
                part.way = "whole"
                part.notes.append("what its network is differences from does not lead to it: floats")
                found = True
            elif other - part.floats:
                part.floats |= other
                found = True
        return found
