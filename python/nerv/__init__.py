# SPDX-License-Identifier: LGPL-2.1-or-later
"""Neural video for Python, by libnerv.

    import nerv
    with nerv.Reader("a.nerv") as video:
        batch = video.clips([0, 100, 37], length=8, dtype="float32", layout="NCTHW")
"""
from ._lib import NervError
from .reader import Clips, Reader

__all__ = ["Clips", "NervError", "Reader"]
