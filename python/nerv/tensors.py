# SPDX-License-Identifier: LGPL-2.1-or-later
"""Named arrays in files: numpy's .npz, and .safetensors, whose format is a length, a header of JSON and the arrays behind each other. Metadata are texts."""
import io
import json
import os
import struct
import zipfile
import zlib

import numpy as np

KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?"}
NAMES = {np.dtype(v): k for k, v in KINDS.items()}
META = "__metadata__"  # in a .safetensors; in an .npz an array of JSON's bytes
MAX_HEADER = 100 << 20


class FileError(Exception):
    """A file cannot be read or written, and why."""


def _save_safetensors(path, arrays, metadata):
    header, at = {META: metadata}, 0
    for name, a in arrays.items():
        header[name] = {"dtype": NAMES[a.dtype], "shape": list(a.shape), "data_offsets": [at, at + a.nbytes]}
        at += a.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(text)) + text)
        for a in arrays.values():
            f.write(a.tobytes())


def _load_safetensors(path):
    with open(path, "rb") as f:
        head = f.read(8)
        n = struct.unpack("<Q", head)[0] if len(head) == 8 else MAX_HEADER + 1
        if n > MAX_HEADER:
            raise FileError(f"{path} is no .safetensors")
        text, data = f.read(n), f.read()
    try:
        header, arrays = json.loads(text), {}
        metadata = header.pop(META, {})
        for name, t in header.items():
            begin, end = t["data_offsets"]
            dtype, shape = np.dtype(KINDS[t["dtype"]]), [int(x) for x in t["shape"]]
            if not 0 <= begin <= end <= len(data) or min(shape, default=0) < 0 or int(np.prod(shape, dtype=object)) * dtype.itemsize != end - begin:
                raise FileError(f"{path}: tensor {name} lies outside of the file, or is not of its shape")
            arrays[name] = np.frombuffer(data, dtype, count=(end - begin) // dtype.itemsize, offset=begin).reshape(shape)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
        raise FileError(f"{path} is a damaged .safetensors: {type(e).__name__}: {e}") from e
    return arrays, metadata


def _save_npz(path, arrays, metadata):
    # in memory first: a zip file that could not be written says so once more when it is thrown away
    data = io.BytesIO()
    np.savez(data, **arrays, **{META: np.frombuffer(json.dumps(metadata).encode(), np.uint8)})
    with open(path, "wb") as f:
        f.write(data.getbuffer())


def put(path, write):
    """A file under its name once write(name) has made all of it; what was there stays if it fails. OSError names the file."""
    part = path + ".part" if os.path.isfile(path) or not os.path.exists(path) else path
    try:
        write(part)
        if part != path:
            os.replace(part, path)
    except OSError as e:
        if part != path and os.path.exists(part):
            os.unlink(part)
        raise OSError(e.errno, e.strerror, path) from e


def save(path, arrays, metadata):
    """By the name's ending, under its name once it is whole. arrays: a dictionary; metadata: of texts. OSError names the file."""
    arrays = {k: np.ascontiguousarray(v) for k, v in arrays.items()}
    write = {".safetensors": _save_safetensors, ".npz": _save_npz}.get(os.path.splitext(path)[1])
    if not write:
        raise FileError(f"{path} is neither .npz nor .safetensors")
    put(path, lambda name: write(name, arrays, metadata))


def load(path):
    """Arrays and metadata. Objects of Python, which an .npz may have, are refused."""
    if not path.endswith(".npz"):
        return _load_safetensors(path)
    try:
        with np.load(path, allow_pickle=False) as f:
            arrays = {k: f[k] for k in f.files if k != META}
            if any(a.dtype.kind not in "fiub" for a in arrays.values()):
                raise ValueError("an array that is not of real numbers")
            return arrays, json.loads(f[META].tobytes()) if META in f.files else {}
    except (ValueError, OSError, KeyError, EOFError, RecursionError, NotImplementedError, zipfile.BadZipFile, zlib.error) as e:
        if isinstance(e, FileNotFoundError) or not os.path.exists(path):
            raise
        raise FileError(f"{path} is a damaged .npz: {e}") from e
