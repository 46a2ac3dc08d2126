"""The warnings of stacktool and objtool in the log of a kernel build; standard library only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from kdash.backends.stack.facts import Level, PathStep
from kdash.backends.stack.log_messages import OTHER, Meaning, meaning

LONGEST_LINE: Final = 16 << 10  # characters looked at; build logs hold command lines of any length

_COLOURS: Final = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_WARNING: Final = re.compile(
    r"(?:^|\s)(?:(?P<file>[^\s:]+): )?(?P<level>warning|error): (?:objtool|stacktool): ?"
    r"(?P<rest>.*)"
)
#: The line of the first patches: `stacktool: FILE: TEXT`.
_FIRST: Final = re.compile(r"(?:^|\s)(?:objtool|stacktool): (?P<file>[^\s:]+\.o): (?P<rest>.*)")
_PLACE: Final = re.compile(
    r"(?P<name>[^\s()+:]+)(?:\(\))?\+0x(?P<offset>[0-9a-f]+)"
    r"(?: \((?P<section>\.[^\s+]+)\+0x(?P<address>[0-9a-f]+)\))?:\s*(?P<text>.*)"
)
_WHOLE_FUNCTION: Final = re.compile(r"(?P<name>[^\s()]+)\(\):? (?P<text>.*)")
_WHOLE_SECTION: Final = re.compile(r"(?P<name>\.[^\s:+]+): (?P<text>.*)")
#: The place at the end: `can't decode instruction at .text:0x1c`.
_PLACE_BEHIND: Final = re.compile(r"instruction at (?P<name>\.[^\s:+]+):0x(?P<offset>[0-9a-f]+)")
#: A line of objtool --backtrace: the way to the warning before it.
_BACKTRACE: Final = re.compile(r"\((?P<edge>branch|alt|alt end)\)|<=== \((?P<end>\w+)\)")
_EDGES: Final = {"branch": "branch", "alt": "alternative", "alt end": "alternative"}


@dataclass(frozen=True, slots=True)
class LogWarning:
    """One warning as the log has it."""

    line: int  # of the log, from 1
    file: str  # the object; "" where the log doesn't name it
    level: Level
    message: str  # without its place
    meaning: Meaning
    function: str = ""
    section: str = ""
    offset: int | None = None  # bytes from the function's start, else from the section's
    address: int | None = None  # bytes from the section's start
    path: tuple[PathStep, ...] = ()  # by --backtrace; from the warning back to the entry


def read_log(lines: Iterable[str]) -> Iterator[LogWarning]:
    """The warnings in a log, in its order, each once.

    Lines that a mailer folded are put together; prefixes of bots and timestamps are ignored.
    """
    seen: set[LogWarning] = set()
    for warning in _with_paths(_unfolded(lines)):
        known = replace(warning, line=0)
        if known not in seen:
            seen.add(known)
            yield warning


def _unfolded(lines: Iterable[str]) -> Iterator[LogWarning]:
    waiting: LogWarning | None = None  # its message may go on in the next line
    for number, raw in enumerate(lines, 1):
        if waiting is None and not _names_a_tool(raw):
            continue  # most lines of a build
        line = _COLOURS.sub("", raw[:LONGEST_LINE]).rstrip()
        warning = _warning(number, line)
        if waiting is not None:
            longer = None if warning else _joined(waiting, line)
            yield longer or waiting
            waiting = None
        if warning is None:
            continue
        if warning.meaning.kind == OTHER and not _BACKTRACE.search(warning.message):
            waiting = warning
        else:
            yield warning
    if waiting is not None:
        yield waiting


def _joined(warning: LogWarning, line: str) -> LogWarning | None:
    """The warning with the text of the next line, where that gives it a meaning."""
    text = f"{warning.message} {line.strip()}".strip()
    found = meaning(text)
    return None if found.kind == OTHER else replace(warning, message=text, meaning=found)


def _names_a_tool(line: str) -> bool:
    return "objtool" in line or "stacktool" in line


def _warning(number: int, line: str) -> LogWarning | None:
    if not _names_a_tool(line):
        return None
    match = _WARNING.search(line) or _FIRST.search(line)
    if match is None:
        return None
    level = Level(match.groupdict().get("level") or "warning")
    return _placed(number, match["file"] or "", level, match["rest"].strip())


def _placed(number: int, file: str, level: Level, rest: str) -> LogWarning:
    if place := _PLACE.match(rest):
        name, text = place["name"], place["text"]
        address = int(place["address"], 16) if place["address"] else None
        is_section = name.startswith(".")
        offset = int(place["offset"], 16)
        return LogWarning(
            number,
            file,
            level,
            text,
            meaning(text),
            "" if is_section else name,
            name if is_section else place["section"] or "",
            offset,
            offset if is_section else address,
        )
    if whole := _WHOLE_FUNCTION.match(rest):
        text = rest if "next function" in rest or "missing" in rest else whole["text"]
        return LogWarning(number, file, level, text, meaning(text), whole["name"])
    if whole := _WHOLE_SECTION.match(rest):
        return LogWarning(
            number, file, level, whole["text"], meaning(whole["text"]), "", whole["name"]
        )
    if behind := _PLACE_BEHIND.search(rest):
        offset = int(behind["offset"], 16)
        return LogWarning(
            number, file, level, rest, meaning(rest), "", behind["name"], offset, offset
        )
    return LogWarning(number, file, level, rest, meaning(rest))


def _with_paths(warnings: Iterable[LogWarning]) -> Iterator[LogWarning]:
    """Lines of --backtrace as the path of the warning before them."""
    current: LogWarning | None = None
    for warning in warnings:
        step = _BACKTRACE.search(warning.message)
        if step is None or current is None:
            if current is not None:
                yield current
            current = warning
        elif warning.offset is not None:
            edge = _EDGES.get(step["edge"] or "", "fallthrough")
            added = PathStep(warning.offset, warning.function or warning.section, edge)
            current = replace(current, path=(added, *current.path))
    if current is not None:
        yield current
