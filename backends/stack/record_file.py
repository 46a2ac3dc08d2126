"""Text files that keep records for the user: a head line, then one line of JSON a record.

Files are written as a whole beside the old one and take its place at once, so that at every
moment one of both is there. A file that is not as it was written is refused and stays as it is.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_LARGEST: Final = 1 << 30  # bytes
_VERSION: Final = 1


class RecordFileError(Exception):
    """A file that does not hold the records it should; it stays as it is."""


@dataclass(frozen=True, slots=True)
class RecordKind:
    """What a file keeps, and how that is told."""

    title: str  # of the head line: "stack baseline"
    called: str  # "a baseline": what the file is, in errors
    counted: str  # "findings": what its records are
    keys: tuple[str, ...]  # of a record; their values are texts
    error: type[RecordFileError]
    private: bool = False  # for the user's eyes alone


def write_records(path: str, kind: RecordKind, records: Sequence[dict[str, str]]) -> None:
    """Write a file; at every moment it is the old one or the new one.

    Raises:
        OSError: it can't be written.
    """
    head = {"kdash": kind.title, "version": _VERSION, kind.counted: len(records)}
    number, temporary = tempfile.mkstemp(dir=os.path.dirname(path) or ".", prefix=".kdash-")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(json.dumps(head) + "\n")
            file.writelines(json.dumps(record) + "\n" for record in records)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o600 if kind.private else _mode(path))
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def _mode(path: str) -> int:
    """The permissions of the file that is replaced; those of a new file otherwise."""
    try:
        return os.stat(path).st_mode & 0o777
    except OSError:
        mask = os.umask(0)
        os.umask(mask)
        return 0o666 & ~mask


def read_records(path: str, kind: RecordKind) -> list[dict[str, str]]:
    """The records of a file.

    Raises:
        RecordFileError: the kind's own: it is something else, damaged or newer.
        OSError: it can't be read.
    """
    file = Path(path)
    if file.exists() and not file.is_file():
        raise kind.error(f"{path}: not a regular file")
    if file.stat().st_size > _LARGEST:
        raise kind.error(f"{path}: larger than {kind.called} can be")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise kind.error(f"{path}: not {kind.called} of kdash (no text)") from None
    count = _count(path, kind, lines[0] if lines else "")
    if len(lines) - 1 != count:
        there = f"{count} {kind.counted} announced, {len(lines) - 1} there"
        raise kind.error(f"{path}: damaged: {there}")
    return [_record(path, kind, at, line) for at, line in enumerate(lines[1:], 2)]


def _count(path: str, kind: RecordKind, line: str) -> int:
    head = _parsed(line)
    if head is None or head.get("kdash") != kind.title:
        raise kind.error(f"{path}: not {kind.called} of kdash")
    if head.get("version") != _VERSION:
        raise kind.error(
            f"{path}: {kind.called} of version {head.get('version')}, {_VERSION} is known"
        )
    count = head.get(kind.counted)
    if not isinstance(count, int):
        raise kind.error(f"{path}: damaged: line 1 tells no number of {kind.counted}")
    return count


def _record(path: str, kind: RecordKind, number: int, line: str) -> dict[str, str]:
    data = _parsed(line)
    if data is None or not all(isinstance(data.get(key), str) for key in kind.keys):
        raise kind.error(f"{path}: damaged: line {number} is none of its {kind.counted}")
    return {key: data[key] for key in kind.keys}


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
