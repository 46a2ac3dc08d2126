"""Lines of source files, found where line tables say or beside the guest's file.

What names them comes from the guest's file: only regular files of a sensible size are read,
no link is followed in the last part of a path, and nothing ever waits for a pipe or a device.
"""

from __future__ import annotations

import os
import stat
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

#: Bytes of a source file.
LARGEST: Final = 4 << 20
#: Files kept.
KEPT: Final = 16
_LONGEST_LINE: Final = 400


class _File(NamedTuple):
    path: str = ""
    lines: tuple[str, ...] = ()


class SourceFiles:
    """Lines of source files by name.

    Args:
        beside: folders to look in, beside those where the files were compiled.
    """

    def __init__(self, beside: Sequence[Path] = ()) -> None:
        self._beside = beside
        self._files: OrderedDict[tuple[str, str], _File] = OrderedDict()

    def line(self, folder: str, name: str, number: int) -> str:
        """Line `number`, from 1, of a file compiled in `folder`; empty: not at hand."""
        lines = self._file(folder, name).lines
        return lines[number - 1] if 1 <= number <= len(lines) else ""

    def path(self, folder: str, name: str) -> str:
        """Where that file is; empty: not at hand."""
        return self._file(folder, name).path

    def _file(self, folder: str, name: str) -> _File:
        key = folder, name
        found = self._files.get(key)
        if found is None:
            found = self._files[key] = self._read(folder, name)
            while len(self._files) > KEPT:
                self._files.popitem(last=False)
        self._files.move_to_end(key)
        return found

    def _read(self, folder: str, name: str) -> _File:
        for path in self._candidates(folder, name):
            data = read_regular(path)
            if data is not None:
                text = data.decode("utf-8", "replace").expandtabs(8)
                lines = tuple(line[:_LONGEST_LINE] for line in text.splitlines())
                return _File(str(path.absolute()), lines)
        return _File()

    def _candidates(self, folder: str, name: str) -> Iterator[Path]:
        yield Path(folder) / name if folder.startswith("/") else Path("/", name)
        for place in self._beside:
            yield place / name.lstrip("/")
            yield place / Path(name).name


def read_regular(path: Path) -> bytes | None:
    """What is in a regular file of at most LARGEST bytes; None: anything else, or no file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        found = os.fstat(fd)
        if not stat.S_ISREG(found.st_mode) or not 0 < found.st_size <= LARGEST:
            return None
        return os.read(fd, LARGEST)
    except OSError:
        return None
    finally:
        os.close(fd)
