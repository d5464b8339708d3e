"""Settings of the C library's allocator that stop a storm of page faults at every step."""

from __future__ import annotations

import ctypes
import platform

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEEP_BYTES = 1 << 30


def keep_freed_memory() -> bool:
    """Have glibc keep freed buffers for the next step; return whether it does.

    By default large buffers are mapped afresh and returned at once, so that every step faults in its
    activations page by page.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(_M_MMAP_THRESHOLD, _KEEP_BYTES) and mallopt(_M_TRIM_THRESHOLD, _KEEP_BYTES))


def return_freed_memory() -> None:
    """Give what a finished run freed back to the system: a worker trains many, each of other sizes."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
