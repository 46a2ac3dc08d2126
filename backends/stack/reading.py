"""The bytes of an object, wherever they are: a file, a compressed one, a member of an archive."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Final

from kdash.backends.stack.archives import MAGIC, THIN_MAGIC, Member, members
from kdash.backends.stack.compression import expand
from kdash.backends.stack.facts import ObjectError

_LARGEST: Final = 1 << 31  # bytes of an object file


def read_object(path: str) -> bytes:
    """Read an object.

    Args:
        path: a file, or `ARCHIVE(MEMBER)` where no file has that name (see `member_path`).

    Raises:
        ObjectError: it can't be read, or is far larger than any object.
    """
    try:
        archive, label = split_member(path)
        data = _read_member(archive, label) if label else _read_file(Path(path))
    except OSError as error:
        raise ObjectError(error.strerror or str(error)) from error
    except ValueError as error:
        raise ObjectError(f"no usable path: {error}") from error
    return expand(data)


def member_path(archive: str, label: str) -> str:
    """How a member of an archive is called: `lib.a(string.o)`, as linkers say it."""
    return f"{archive}({label})"


def split_member(path: str) -> tuple[str, str]:
    """Archive and member of a path that means one; the path and "" otherwise."""
    if not path.endswith(")") or os.path.lexists(path):
        return path, ""
    at = path.find("(")
    while at >= 0:
        if os.path.isfile(path[:at]):
            return path[:at], path[at + 1 : -1]
        at = path.find("(", at + 1)
    return path, ""


def _read_file(file: Path) -> bytes:
    if file.is_dir():
        os.listdir(file)  # why it can't be read, if that is why it stands here
    if not file.is_file():
        raise ObjectError("not a regular file" if file.exists() else "no such file")
    if file.stat().st_size > _LARGEST:
        raise ObjectError(f"larger than {_LARGEST} bytes")
    data = file.read_bytes()
    if data.startswith((MAGIC, THIN_MAGIC)):
        members(str(file))  # says what is wrong with it, if that is why it stands here
        raise ObjectError("an archive, where an object is needed")
    return data


def _read_member(archive: str, label: str) -> bytes:
    state = os.stat(archive)
    member = _labels(archive, state.st_mtime_ns, state.st_size).get(label)
    if member is None:
        raise ObjectError(f"no such member in {archive}")
    if member.path:
        return _read_file(Path(member.path))
    with open(archive, "rb") as file:
        file.seek(member.offset)
        data = file.read(member.size)
    if len(data) != member.size:
        raise ObjectError("the archive changed while it was read")
    return data


@lru_cache(maxsize=4)
def _labels(archive: str, _changed: int, _size: int) -> dict[str, Member]:
    return {member.label: member for member in members(archive)}
