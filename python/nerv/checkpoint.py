# SPDX-License-Identifier: LGPL-2.1-or-later
"""PyTorch's checkpoints without PyTorch, and without running what is in them.

A .pth is a zip of a pickle and of raw storages. A pickle is a program; this reader lets it make dictionaries, lists, numbers, texts and tensors, and calls nothing
else, whatever the file asks for. Tensors become numpy's arrays. Files from before PyTorch 1.6, which are no zips, are refused.
"""
import collections
import io
import pickle
import zipfile

import numpy as np

MAX_PICKLE_BYTES = 64 << 20
STORAGES = {"FloatStorage": "<f4", "DoubleStorage": "<f8", "HalfStorage": "<f2", "ByteStorage": "u1", "CharStorage": "i1", "ShortStorage": "<i2",
            "IntStorage": "<i4", "LongStorage": "<i8", "BoolStorage": "?", "BFloat16Storage": "bfloat16"}


class CheckpointError(Exception):
    """The file is no checkpoint that can be read, and why."""


class _Function:
    """What the pickle may call; nothing can be set on it."""
    __slots__ = ("_call",)

    def __init__(self, call):
        object.__setattr__(self, "_call", call)

    def __setattr__(self, name, value):
        raise CheckpointError("the file sets attributes of functions")

    def __call__(self, *arguments):
        return self._call(*arguments)


def _integer(x, what):
    if not isinstance(x, int) or isinstance(x, bool) or not 0 <= x < 1 << 40:
        raise CheckpointError(f"{what} of a tensor is {x!r}")
    return x


def _rebuild_tensor(storage, offset, size, stride, *_):
    """An array of its own; every element lies inside the storage."""
    if not isinstance(storage, np.ndarray) or not isinstance(size, tuple) or not isinstance(stride, tuple) or len(size) != len(stride) or len(size) > 8:
        raise CheckpointError("a tensor's description is damaged")
    offset = _integer(offset, "the offset")
    size, stride = [_integer(n, "a dimension") for n in size], [_integer(n, "a stride") for n in stride]
    if 0 in size:
        return np.empty(size, storage.dtype)
    last = offset + sum((n - 1) * s for n, s in zip(size, stride))
    count = 1
    for n in size:
        count *= n
    if last >= len(storage) or count > len(storage):
        raise CheckpointError("a tensor is larger than its storage")
    view = np.lib.stride_tricks.as_strided(storage[offset:], size, [s * storage.itemsize for s in stride])
    return view.copy()


def _rebuild_parameter(data, *_):
    if not isinstance(data, np.ndarray):
        raise CheckpointError("a parameter is no tensor")
    return data


ALLOWED = {("collections", "OrderedDict"): collections.OrderedDict,
           ("torch._utils", "_rebuild_tensor_v2"): _Function(_rebuild_tensor),
           ("torch._utils", "_rebuild_parameter"): _Function(_rebuild_parameter)}


class _Unpickler(pickle.Unpickler):
    def __init__(self, archive, prefix, data):
        super().__init__(io.BytesIO(data))
        self.archive, self.prefix, self.storages = archive, prefix, {}

    def find_class(self, module, name):
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        if module == "torch" and name in STORAGES:
            return name  # its dtype's name
        raise CheckpointError(f"the file asks for {module}.{name}, which no network needs: it is refused")

    def persistent_load(self, pid):
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage" or pid[1] not in STORAGES or not isinstance(pid[2], str):
            raise CheckpointError("a storage's description is damaged")
        _, kind, key, _, count = pid
        if (kind, key) not in self.storages:
            self.storages[kind, key] = self.read_storage(kind, key)
        storage = self.storages[kind, key]
        if _integer(count, "the size") > len(storage):
            raise CheckpointError(f"storage {key} is cut off")
        return storage

    def read_storage(self, kind, key):
        data = _read(self.archive, f"{self.prefix}/data/{key}")
        if kind == "BFloat16Storage":
            return (np.frombuffer(data[:len(data) // 2 * 2], "<u2").astype(np.uint32) << 16).view(np.float32)
        dtype = np.dtype(STORAGES[kind])
        return np.frombuffer(data[:len(data) // dtype.itemsize * dtype.itemsize], dtype)


def _read(archive, name):
    """A member, which is as large as it is in the file: PyTorch compresses nothing."""
    try:
        info = archive.getinfo(name)
        if info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size:
            raise CheckpointError(f"{name} is compressed, which PyTorch doesn't do")
        return archive.read(info)
    except (KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as e:
        raise CheckpointError(f"{name}: {e}") from e


def load(path):
    """What torch.save() was given, of dictionaries, lists, numbers, texts and tensors. Raises CheckpointError, OSError."""
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as e:
        raise CheckpointError(f"{path} is no zip, or is cut off; files from before PyTorch 1.6 have to be saved once more by a later one") from e
    with archive:
        pickles = [n for n in archive.namelist() if n.count("/") == 1 and n.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise CheckpointError(f"{path} is no checkpoint of PyTorch: it has {len(pickles)} members data.pkl")
        prefix = pickles[0].rsplit("/", 1)[0]
        orders = [n for n in archive.namelist() if n == prefix + "/byteorder"]
        if orders and _read(archive, orders[0]) != b"little":
            raise CheckpointError(f"{path} was written by a machine of another byte order")
        data = _read(archive, pickles[0])
        if len(data) > MAX_PICKLE_BYTES:
            raise CheckpointError(f"{path}: a pickle of {len(data)} bytes")
        try:
            return _Unpickler(archive, prefix, data).load()
        except CheckpointError:
            raise
        except Exception as e:  # a damaged pickle fails in any way there is
            raise CheckpointError(f"{path} is damaged: {type(e).__name__}: {e}") from e
