"""The text of source lines: read as data, and never more of it than a screen can use."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

_LARGEST: Final = 8 << 20  # bytes of a source file
_WIDEST: Final = 200  # characters of a line


def source_text(path: str, numbers: Iterable[int]) -> dict[int, str]:
    """Lines of a file, without the blanks around them, by their numbers from 1.

    Lines that are not there or blank are left out; so are all of a file that can't be read, is
    no regular one or is larger than any source.
    """
    try:
        found = os.stat(path)
        if not stat.S_ISREG(found.st_mode) or found.st_size > _LARGEST:
            return {}
        lines = _lines(path, found.st_mtime_ns, found.st_size)
    except (OSError, ValueError):
        return {}
    texts = {n: lines[n - 1].strip() for n in numbers if 0 < n <= len(lines)}
    return {n: _decoded(text) for n, text in texts.items() if text}


def _decoded(text: bytes) -> str:
    return text[: 4 * _WIDEST].decode("utf-8", "replace").expandtabs(8)[:_WIDEST]


@lru_cache(maxsize=4)
def _lines(path: str, _changed: int, _size: int) -> list[bytes]:
    with open(path, "rb") as file:
        return file.read(_LARGEST).split(b"\n")
