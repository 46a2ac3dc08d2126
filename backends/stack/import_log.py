"""Findings of others, seen beside ours: warnings of a build log with the objects they are about."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from kdash.backends.stack.build_log import LogWarning, read_log
from kdash.backends.stack.causes import cause_of, noreturn_cause
from kdash.backends.stack.facts import CheckOptions, FileReport, Finding
from kdash.backends.stack.fingerprints import fingerprint

if TYPE_CHECKING:
    from kdash.backends.stack.sites import Sites

ORIGIN: Final = "objtool"
NO_OBJECT: Final = "the log does not name the object"
#: Kinds that exist with the frame pointer rules alone: the build had them on.
_FRAME_KINDS: Final = frozenset({"call-without-frame", "bp-scratch"})
_MOST_FILES: Final = 2_000_000  # looked at below a build folder


def import_log(
    lines: Iterable[str], build_dir: str = "", options: CheckOptions | None = None
) -> Iterator[FileReport]:
    """One report for every object that the log warns about, in the log's order.

    Args:
        lines: the log.
        build_dir: where the paths in the log start; the current folder otherwise.
        options: how to validate the objects at hand.
    """
    by_file: dict[str, list[LogWarning]] = {}
    for warning in read_log(lines):
        by_file.setdefault(warning.file, []).append(warning)
    places = Places(build_dir)
    for file, warnings in by_file.items():
        yield report_on(file, warnings, places, options or CheckOptions())


class Places:
    """Finds the objects that a log names."""

    def __init__(self, build_dir: str = "") -> None:
        self._root = build_dir
        self._named: dict[str, list[str]] | None = None

    def find(self, file: str) -> tuple[str, str]:
        """The path of an object, or "" and why there is none."""
        if not file:
            return "", NO_OBJECT
        path = os.path.join(self._root, file)
        if os.path.isfile(path):
            return path, ""
        if not self._root:
            return "", f"{file} is not here; --build-dir says where the build was"
        found = [one for one in self._below(os.path.basename(file)) if _ends(one, file)]
        if len(found) == 1:
            return found[0], ""
        if found:
            return "", f"{len(found)} files below {self._root} are called {file}"
        return "", f"no {file} below {self._root}"

    def _below(self, name: str) -> list[str]:
        """Files of a name below the build folder, which is read once."""
        if self._named is None:
            self._named = {}
            count = 0
            for folder, _, names in os.walk(self._root):
                for one in names:
                    if one.endswith((".o", ".ko")):
                        self._named.setdefault(one, []).append(os.path.join(folder, one))
                count += len(names)
                if count > _MOST_FILES:
                    break
        return self._named.get(name, [])


def _ends(path: str, file: str) -> bool:
    wanted = os.path.normpath(file).split(os.sep)
    return path.split(os.sep)[-len(wanted) :] == wanted


def report_on(
    file: str, warnings: list[LogWarning], places: Places, options: CheckOptions
) -> FileReport:
    """What the log says of one object, with what the validator says of it."""
    path, missing = places.find(file)
    if not path:
        return FileReport(file, tuple(_plain(one, missing) for one in warnings))
    from kdash.backends.stack.check import Checker

    if options.frame_pointer == "auto" and any(
        one.meaning.kind in _FRAME_KINDS for one in warnings
    ):
        options = replace(options, frame_pointer="on")
    ours, walk = Checker(options).examine(path)
    if walk is None:
        return replace(
            ours, error="", findings=tuple(_plain(one, f"{path}: {ours.error}") for one in warnings)
        )
    from kdash.backends.stack.sites import Sites

    sites = Sites(walk)
    findings = tuple(_beside(one, ours.findings, sites) for one in warnings)
    return replace(ours, file=file, findings=findings)


def _plain(warning: LogWarning, verdict: str = "") -> Finding:
    """What the log alone says."""
    meaning = warning.meaning
    offset = warning.offset or 0
    return Finding(
        warning.file,
        warning.section,
        warning.function,
        offset,
        warning.address if warning.address is not None else offset,
        meaning.kind,
        warning.level,
        warning.message,
        meaning.expected,
        meaning.found,
        meaning.callee,
        cause=_cause(warning),
        path=warning.path,
        origin=ORIGIN,
        verdict=verdict,
        fingerprint=fingerprint(
            meaning.kind, warning.function or warning.section, (warning.message,)
        ),
    )


def _cause(warning: LogWarning) -> str:
    meaning = warning.meaning
    if meaning.kind == "missing-noreturn":
        return noreturn_cause(meaning.callee)
    return cause_of(meaning.kind, warning.function or warning.section or warning.message)


def _beside(warning: LogWarning, ours: tuple[Finding, ...], sites: Sites) -> Finding:
    """What the log says, with what we know of the place."""
    base = _plain(warning)
    place = sites.look(warning.function, warning.section, warning.offset)
    if place is None:
        where = warning.function or warning.section
        return replace(base, verdict=f"the object has no {where}: not the one of this log")
    base = replace(
        base,
        section=place.section,
        offset=place.offset,
        address=place.address,
        source=place.source,
        disassembly=place.disassembly,
    )
    here = [one for one in ours if _same_function(one, base)]
    same = [one for one in here if one.kind == base.kind]
    if same:
        return _agreeing(base, min(same, key=lambda one: abs(one.offset - base.offset)))
    if not here:
        return replace(base, agrees=False, verdict="kdash finds nothing in this function")
    others = ", ".join(f"{one.kind} at +{one.offset:#x}" for one in here[:3])
    more = f" and {len(here) - 3} more" if len(here) > 3 else ""
    return replace(base, agrees=False, verdict=f"kdash finds {others}{more} instead")


def _same_function(one: Finding, other: Finding) -> bool:
    if one.function or other.function:
        return one.function == other.function
    return one.section == other.section and one.address == other.address


def _agreeing(base: Finding, own: Finding) -> Finding:
    there = own.offset == base.offset
    return replace(
        own if there else base,
        file=base.file,
        level=base.level,
        message=base.message,
        expected=own.expected or base.expected,
        found=own.found or base.found,
        callee=base.callee or own.callee,
        path=base.path or own.path,
        cause=own.cause,
        related=own.related,
        fingerprint=own.fingerprint,
        source=base.source or own.source,
        origin=ORIGIN,
        agrees=True,
        verdict="" if there else f"kdash finds it at +{own.offset:#x}",
    )
