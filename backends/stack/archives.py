"""Archives of `ar`: which members they hold; standard library only.

Layout: ar(5) as GNU binutils write it: a magic of 8 bytes, then members with headers of 60
bytes, each at an even offset. Long names stand in a member called `//`. A thin archive holds
the names of files beside it, not their bytes; the kernel's built-in.a and lib.a are thin.
"""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from typing import BinaryIO, Final

from kdash.backends.stack.facts import ObjectError

MAGIC: Final = b"!<arch>\n"
THIN_MAGIC: Final = b"!<thin>\n"
_HEADER: Final = 60
_LONGEST_NAMES: Final = 64 << 20  # bytes of the table of long names
_MOST_MEMBERS: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Member:
    """One file in an archive."""

    label: str  # its name; "name:2" for the second of that name
    offset: int  # of its bytes in the archive; 0 in a thin one
    size: int  # bytes
    path: str = ""  # thin archives: the file meant


def members(path: str) -> tuple[Member, ...]:
    """The members of an archive, the tables of names and symbols left out.

    Raises:
        ObjectError: it is no archive, or a damaged one.
        OSError: it can't be read.
    """
    with open(path, "rb") as file:
        magic = file.read(len(MAGIC))
        if magic not in (MAGIC, THIN_MAGIC):
            raise ObjectError("not an archive")
        return tuple(_labelled(_walk(file, os.fstat(file.fileno()).st_size, magic, path)))


def _walk(file: BinaryIO, end: int, magic: bytes, path: str) -> list[Member]:
    thin = magic == THIN_MAGIC
    found: list[Member] = []
    names = b""
    at = len(MAGIC)
    while at < end:
        file.seek(at)
        header = file.read(_HEADER)
        name, size = _header(header, at)
        inside = not thin or name in ("/", "//", "/SYM64/")
        if inside and size > end - at - _HEADER:
            raise ObjectError(f"damaged archive: the member at {at:#x} goes beyond its end")
        if name == "//":
            if size > _LONGEST_NAMES:
                raise ObjectError(f"damaged archive: {size} bytes of names")
            names = file.read(size)
        elif name not in ("/", "/SYM64/", "__.SYMDEF"):
            if len(found) == _MOST_MEMBERS:
                raise ObjectError(f"an archive with more than {_MOST_MEMBERS} members")
            full = _long_name(name, names, at)
            meant = os.path.join(os.path.dirname(path), full) if thin else ""
            found.append(Member(full, 0 if thin else at + _HEADER, size, meant))
        at += _HEADER + (size + (size & 1) if inside else 0)
    return found


def _header(header: bytes, at: int) -> tuple[str, int]:
    """Name as it stands in the header, and size."""
    if len(header) < _HEADER or header[58:60] != b"`\n":
        raise ObjectError(f"damaged archive: no member header at {at:#x}")
    digits = header[48:58].strip()
    if not digits.isdigit():
        raise ObjectError(f"damaged archive: the member at {at:#x} has no size")
    return os.fsdecode(header[:16].rstrip(b" ")), int(digits)


def _long_name(name: str, names: bytes, at: int) -> str:
    """The name a header means: `x.o/` itself, `/123` a place in the table of names."""
    if not name.startswith("/"):
        return name.removesuffix("/")
    place = name[1:].partition(":")[0]  # "/8:96" in archives nested in a thin one
    if not place.isdecimal() or int(place) >= len(names):
        raise ObjectError(f"damaged archive: the member at {at:#x} has no name")
    start = int(place)
    stop = names.find(b"\n", start)
    whole = names[start : stop if stop >= 0 else len(names)]
    return os.fsdecode(whole.removesuffix(b"/"))


def _labelled(found: list[Member]) -> list[Member]:
    """Each with a label of its own."""
    seen: Counter[str] = Counter()
    labelled = []
    for member in found:
        seen[member.label] += 1
        count = seen[member.label]
        label = member.label if count == 1 else f"{member.label}:{count}"
        labelled.append(Member(label, member.offset, member.size, member.path))
    return labelled
