# SPDX-License-Identifier: LGPL-2.1-or-later
"""Networks of streams in files of arrays, and back: what nerv-export writes and nerv-import reads. Arrays are named as the model's tensors; where codes were stored there are
NAME.codes, NAME.minimum and NAME.scale beside the values. keyframe.N is the coded picture of frame N, picture.N the same decoded. The rest is in the metadata, texts."""
import json

import numpy as np

from .network import VIDEO, Pack, Tensor
from .tensors import FileError
from . import tensors

VERSION = "1"


def arrays_of(segment):
    """Arrays and metadata of a network.Segment."""
    arrays, stored, roles = {}, {}, {}
    for name, t in segment.tensors.items():
        arrays[name], roles[name] = t.values, t.role
        if t.codes is not None:
            arrays.update({name + ".codes": t.codes, name + ".minimum": t.minimum, name + ".scale": t.scale})
        if t.bits or t.half:
            stored[name] = {"bits": t.bits, "half": t.half}
    for frame, data in segment.keyframes.items():
        arrays[f"keyframe.{frame}"] = np.frombuffer(data, np.uint8)
    for frame, picture in segment.pictures.items():
        arrays[f"picture.{frame}"] = picture
    metadata = {"nerv": VERSION, "model": segment.model, "options": segment.options or "", "description": segment.description,
                "width": str(segment.width), "height": str(segment.height), "frames": str(segment.n_frames), "fps": "%d/%d" % segment.fps,
                "segment": str(segment.segment_id), "first_frame": str(segment.first_frame), "videos": json.dumps(segment.videos),
                "video": json.dumps(segment.video),
                "keyframes": json.dumps(sorted(segment.keyframes)), "roles": json.dumps(roles), "stored": json.dumps(stored)}
    return arrays, metadata


def _tensor(arrays, name, stored):
    how = stored.get(name, {})
    if f"{name}.codes" in arrays:
        codes, minimum, scale = (arrays[f"{name}.{k}"] for k in ("codes", "minimum", "scale"))
        return Tensor(codes.shape, codes=codes, minimum=minimum, scale=scale, bits=int(how.get("bits", 8)), half=bool(how.get("half")))
    return Tensor(arrays[name].shape, values=arrays[name], half=bool(how.get("half")))


def load(path, fps=None):
    """A Pack of what arrays_of() gave, complete."""
    arrays, meta = tensors.load(path)
    if meta.get("nerv") != VERSION:
        raise FileError(f"{path} has no network of nerv-export" + (f": version {meta['nerv']}" if "nerv" in meta else ""))
    if not meta.get("options"):
        raise FileError(f"{path}: no options make a network of this configuration: {meta.get('description')}")
    try:
        stored, videos, keys = json.loads(meta["stored"]), json.loads(meta["videos"]), json.loads(meta["keyframes"])
        own = tuple(int(x) for x in meta["fps"].split("/"))
        video = {k: int(v) for k, v in json.loads(meta.get("video", "{}")).items()}
        if not set(video) <= set(VIDEO) or not all(0 <= v < 2 ** 31 for v in video.values()):
            raise ValueError("the video's description")
        pack = Pack(int(meta["width"]), int(meta["height"]), int(meta["frames"]), meta["model"], meta["options"], fps or own, videos, video)
        for name in pack.tensors():
            if name not in arrays and name + ".codes" not in arrays:
                raise FileError(f"{path} has no tensor {name}")
            pack.set(name, _tensor(arrays, name, stored))
        for i, frame in enumerate(pack.keyframes()):
            if frame not in keys or not len(arrays[f"keyframe.{frame}"]):
                raise FileError(f"{path} has no keyframe of frame {frame}")
            pack.set_coded(i, arrays[f"keyframe.{frame}"].tobytes())
    except (KeyError, ValueError, TypeError, AttributeError) as e:
        raise FileError(f"{path} is damaged: {type(e).__name__}: {e}") from e
    return pack
