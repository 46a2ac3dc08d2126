"""Findings read from the JSON lines of an earlier `kdash stack check --format json`.

Standard library only. Keys as `formats.json_line` writes them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from kdash.backends.stack.causes import cause_of
from kdash.backends.stack.facts import (
    CHANGES,
    OWN,
    FileReport,
    Finding,
    Level,
    PathStep,
    Related,
    ResultsError,
    SourceLine,
)
from kdash.backends.stack.fingerprints import fingerprint
from kdash.backends.stack.formats import REMARK
from kdash.backends.stack.untrusted import few, flag, mapping, number, text


def json_findings(lines: Iterable[str]) -> Iterator[Finding | FileReport]:
    """Findings, and a report for each file that could not be read then.

    Raises:
        ResultsError: a line is neither; those before it have been given.
    """
    for at, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
        except (ValueError, RecursionError):
            raise ResultsError(f"line {at} is no JSON; truncated?") from None
        if not isinstance(data, dict):
            raise ResultsError(f"line {at} is no finding: it holds no object")
        if "summary" in data:
            continue
        if "error" in data:
            yield FileReport(text(data.get("file")), error=text(data["error"]) or "unreadable")
            continue
        yield _finding(data, at)


def _finding(data: dict[str, Any], at: int) -> Finding:
    data.setdefault("file", "")  # a log need not name it
    for key in ("file", "kind", "level", "message"):
        if not isinstance(data.get(key), str):
            raise ResultsError(f"line {at} is no finding: it has no '{key}'")
    level = _level(data["level"])
    if level is None:
        raise ResultsError(f"line {at}: level '{text(data['level'])}' is neither error nor warning")
    kind, message = text(data["kind"]), text(data["message"])
    function, section = text(data.get("function")), text(data.get("section"))
    offset = number(data.get("offset"))
    change = text(data.get("change"))
    return Finding(
        text(data["file"]),
        section,
        function,
        offset,
        number(data.get("address"), offset),
        kind,
        level,
        message,
        text(data.get("expected")),
        text(data.get("found")),
        text(data.get("callee")),
        _source(mapping(data.get("source"))),
        text(data.get("cause")) or cause_of(kind, function or section),
        tuple(map(_step, few(data.get("path")))),
        tuple(_related(mapping(one)) for one in few(data.get("related"))),
        text(data.get("origin")) or OWN,
        agrees=flag(data.get("agrees")),
        verdict=text(data.get(REMARK)),
        fingerprint=text(data.get("fingerprint"))
        or fingerprint(kind, function or section, (message,)),
        change=change if change in CHANGES else "",
        was=text(data.get("was")),
        placed="offset" in data,
    )


def _level(name: str) -> Level | None:
    return next((level for level in Level if level.value == name), None)


def _source(data: dict[str, Any]) -> SourceLine | None:
    file = text(data.get("file"))
    return SourceLine(file, number(data.get("line"))) if file else None


def _step(value: object) -> PathStep:
    data = mapping(value)
    return PathStep(
        number(data.get("offset")),
        text(data.get("text")),
        text(data.get("edge")),
        text(data.get("feature")),
    )


def _related(data: dict[str, Any]) -> Related:
    return Related(text(data.get("kind")), number(data.get("offset")))
