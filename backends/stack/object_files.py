"""Which files a list of paths means; standard library only."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from kdash.backends.stack.archives import MAGIC, THIN_MAGIC, members
from kdash.backends.stack.facts import ObjectError
from kdash.backends.stack.kbuild import is_part_of_another
from kdash.backends.stack.reading import member_path

#: Names of objects, modules and archives; modules may be compressed.
SUFFIXES: Final = (".o", ".ko", ".ko.gz", ".ko.xz", ".ko.zst", ".a")
Signature = tuple[int, int, int]  # inode, size, time of the last change in nanoseconds
_SAMPLES: Final = Path(__file__).parent / "samples"


def object_files(paths: Iterable[str]) -> Iterator[str]:
    """The files that paths mean.

    Folders stand for the objects, modules and archives below them, sorted; in a tree that the
    kernel's build made, without those that were linked from others and those for the host.
    Archives stand for their members, as `lib.a(string.o)`; the members of a thin archive are
    files, and go by their own names.

    A file that is named is taken whatever its name, and also when it isn't there: to say so is
    the validator's part. Each file comes once, by the first of its names.
    """
    seen: set[str] = set()
    for path in paths:
        found = _below(path) if os.path.isdir(path) else _inside(path)
        for file in found:
            name = os.path.normpath(file)
            if name not in seen:
                seen.add(name)
                yield file


def _below(folder: str) -> Iterator[str]:
    closed: list[str] = []
    thin: list[str] = []
    empty = True

    def note(error: OSError) -> None:
        closed.append(str(error.filename))

    for root, folders, files in os.walk(folder, onerror=note):
        folders.sort()
        for name in sorted(files):
            path = os.path.join(root, name)
            if name.endswith(".a"):
                # The members of a thin archive are, as a rule, files of the tree itself.
                if _magic(path) == THIN_MAGIC:
                    thin.append(path)
                    continue
                empty = False
                yield from _inside(path)
            elif name.endswith(SUFFIXES) and not is_part_of_another(path):
                empty = False
                yield path
        # A folder that can't be listed goes on as a path, for the validator to say why.
        yield from closed
        closed.clear()
    yield from closed
    for path in thin if empty else ():
        yield from _inside(path)


def _inside(path: str) -> Iterator[str]:
    """The members of an archive; any other path itself."""
    if _magic(path) not in (MAGIC, THIN_MAGIC):
        yield path
        return
    try:
        found = members(path)
    except (ObjectError, OSError):
        yield path  # the validator says what is wrong with it
        return
    for member in found:
        yield os.path.normpath(member.path) if member.path else member_path(path, member.label)


def _magic(path: str) -> bytes:
    """The first bytes of a regular file; nothing where it can't be read."""
    try:
        if not os.path.isfile(path):
            return b""
        with open(path, "rb") as file:
            return file.read(len(MAGIC))
    except (OSError, ValueError):
        return b""


def sample_paths() -> tuple[str, ...]:
    """The bundled objects, each with known findings."""
    return tuple(sorted(str(path) for path in _SAMPLES.glob("*.o")))


def signatures(files: Iterable[str]) -> dict[str, Signature]:
    """What tells whether a file is another one; files that are not there are left out."""
    found: dict[str, Signature] = {}
    for file in files:
        archive = file.partition("(")[0] if file.endswith(")") else file
        try:
            stat = os.stat(archive)
        except (OSError, ValueError):
            continue
        found[file] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return found
