"""How the C library keeps memory: tables of one object are made where the last one's were."""

from __future__ import annotations

from functools import cache
from typing import Final

# glibc's malloc.h
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_KEPT: Final = 128 << 20  # bytes that are kept rather than given back between objects


@cache
def reuse_memory() -> None:
    """Keep freed memory for the next table, once for a process; elsewhere than on glibc nothing.

    A page that the kernel gives anew is cleared by it first; large objects would pay a tenth of
    their time for that.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    mallopt(_MMAP_THRESHOLD, _KEPT)
    mallopt(_TRIM_THRESHOLD, _KEPT)
