# SPDX-License-Identifier: LGPL-2.1-or-later
"""Where libnerv is, and its errors as exceptions."""
import ctypes
import functools
import glob
import os


class NervError(Exception):
    """What a GError says: a sentence for people."""


class _GError(ctypes.Structure):
    _fields_ = [("domain", ctypes.c_uint32), ("code", ctypes.c_int), ("message", ctypes.c_char_p)]


def _candidates():
    """NERV_LIBRARY, a file; NERV_BUILD, a build folder; beside where this package is installed; the system's."""
    if os.environ.get("NERV_LIBRARY"):
        return [os.environ["NERV_LIBRARY"]]
    if os.environ.get("NERV_BUILD"):
        return [os.path.join(os.environ["NERV_BUILD"], "src", "libnerv.so.0")]
    packages = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    lib, version = os.path.split(os.path.dirname(packages))
    own = glob.glob(lib + "/libnerv.so.0") + glob.glob(lib + "/*/libnerv.so.0") if version.startswith("python3") else []
    return own + ["libnerv.so.0"]


@functools.lru_cache(maxsize=None)
def library():
    """The library, loaded once, as a ctypes.CDLL; GLib's functions are found through it as well."""
    failure = None
    for name in _candidates():
        try:
            lib = ctypes.CDLL(name)
        except OSError as e:
            failure = e
            continue
        lib.g_error_free.argtypes = [ctypes.c_void_p]
        lib.g_error_free.restype = None
        return lib
    raise NervError(f"libnerv cannot be loaded ({failure}): NERV_LIBRARY names its file, NERV_BUILD a build folder")


def take_error(err_pointer):
    """The exception of a GError *, a ctypes.c_void_p, which is freed; the caller raises it."""
    if not err_pointer:
        return NervError("it failed without saying why")
    message = ctypes.cast(err_pointer, ctypes.POINTER(_GError)).contents.message.decode("utf-8", "replace")
    library().g_error_free(err_pointer)
    return NervError(message)
