# SPDX-License-Identifier: LGPL-2.1-or-later
"""libnerv by ctypes: where it is, and its errors as exceptions.

The environment variable NERV_LIBRARY names the library's file, NERV_BUILD a build folder; without them it is what the package was installed with, or the system's libnerv.so.0.
"""
import ctypes
import functools
import glob
import os

CODES = ("INVALID", "UNSUPPORTED", "MEMORY", "DEVICE", "DATA", "NEED_SYNC", "CANCELLED", "LIMIT")
ARGUMENTS = ("max-memory", "max-macs-per-frame", "init-location")  # the elements' names, in errors, of what are arguments here


class NervError(Exception):
    """What libnerv says went wrong. `code` is the name of its NervErrorCode ("DATA", ..), or None where the error is another library's."""

    def __init__(self, message, code=None):
        super().__init__(message)
        self.code = code


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
    """The library, loaded once, as a ctypes.CDLL; GLib's functions are found through it as well. Its calls let other Python threads run. NervError where it is not to be had."""
    failure = None
    for name in _candidates():
        try:
            lib = ctypes.CDLL(name)
            # GLib's, which libnerv brings
            lib.g_error_free.argtypes = [ctypes.c_void_p]
            lib.g_error_free.restype = None
            lib.nerv_error_quark.argtypes = []
            lib.nerv_error_quark.restype = ctypes.c_uint32
        except (OSError, AttributeError) as e:
            failure = e
            continue
        return lib
    raise NervError(f"libnerv can't be loaded: {failure} (NERV_LIBRARY names its file, NERV_BUILD a build folder)")


def take_error(err_pointer):
    """A NervError of a GError *, which is freed: `err_pointer` is a c_void_p that a call was given by reference. Not raised."""
    lib = library()
    if not err_pointer:
        return NervError("libnerv failed and does not say why")
    error = _GError.from_address(err_pointer.value)
    code = None
    if error.domain == lib.nerv_error_quark() and 0 <= error.code < len(CODES):
        code = CODES[error.code]
    message = (error.message or b"").decode("utf-8", "replace")
    for name in ARGUMENTS:
        message = message.replace(name, name.replace("-", "_"))
    lib.g_error_free(err_pointer)
    err_pointer.value = None
    return NervError(message, code)
