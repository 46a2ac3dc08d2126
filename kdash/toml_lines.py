"""In which line of a TOML document each value stands, whatever way its key is written."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any, Final

Key = tuple[str, ...]

#: A statement that goes over lines ends in one that holds one of these (TOML 1.0.0: arrays,
#: multi-line strings).
_ENDS: Final = ("]", '"""', "'''")


def value_lines(text: str) -> dict[Key, int]:
    """The line in which the statement begins that defines each key, tables included.

    Args:
        text: a document that tomllib takes, line ends as they are in the file.

    Elements of arrays of tables share the name of the array; the first counts.
    """
    found: dict[Key, int] = {}
    table: Key = ()
    for line, statement in _statements(text):
        data = tomllib.loads(statement)
        if statement.lstrip().startswith("["):
            table = _header(data)
            paths = [table[: length + 1] for length in range(len(table))]
        else:
            paths = [(*table, *path) for path in _paths(data)]
        for path in paths:
            found.setdefault(path, line)
    return found


def first_refused(text: str) -> int:
    """The line of the first statement that Python can't take though it is TOML.

    Args:
        text: a document that tomllib refuses with a ValueError that names no line.
    """
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        end = at + 1
        try:
            while not _whole(lines, at, end):
                end += 1
        except ValueError:
            return at + 1
        at = end
    return len(lines)


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header and each key with its value, and the line it begins in."""
    lines = text.split("\n")
    at = 0
    while at < len(lines):
        end = at + 1
        while not (statement := _whole(lines, at, end)):
            end += 1
        if statement.strip() and not statement.lstrip().startswith("#"):
            yield at + 1, statement
        at = end


def _whole(lines: list[str], at: int, end: int) -> str:
    """These lines where they are a statement, a comment or empty; else nothing."""
    if end - at > 1 and end < len(lines) and not any(one in lines[end - 1] for one in _ENDS):
        return ""
    statement = "\n".join(lines[at:end]) + "\n"
    try:
        tomllib.loads(statement)
    except tomllib.TOMLDecodeError:
        if end < len(lines):
            return ""
        raise
    return statement


def _header(data: dict[str, Any]) -> Key:
    """The name of a table that a header alone defines."""
    path: Key = ()
    while data:
        ((name, inner),) = data.items()
        path += (name,)
        data = inner[0] if isinstance(inner, list) else inner
    return path


def _paths(data: dict[str, Any]) -> Iterator[Key]:
    """Every key of a statement: dotted ones with those above them, inline tables with theirs."""
    for name, inner in data.items():
        yield (name,)
        if isinstance(inner, dict):
            yield from ((name, *path) for path in _paths(inner))
