# SPDX-License-Identifier: LGPL-2.1-or-later
"""libnerv for Python, by ctypes."""
