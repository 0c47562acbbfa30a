# SPDX-License-Identifier: LGPL-2.1-or-later
"""Neural video for Python, by libnerv.

    import nerv
    with nerv.Reader("a.nerv") as video:
        batch = video.clips([0, 100, 37], length=8, dtype="float32", layout="NCTHW")
"""
from ._lib import NervError

__all__ = ["Clips", "NervError", "Reader"]


def __getattr__(name):
    """What takes numpy is loaded where it is asked for."""
    if name in ("Clips", "Reader"):
        from . import reader
        return getattr(reader, name)
    raise AttributeError(f"module 'nerv' has no attribute '{name}'")
