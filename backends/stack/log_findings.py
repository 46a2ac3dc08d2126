"""The warnings of a build log as findings; standard library only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from kdash.backends.stack.build_log import LogWarning, read_log
from kdash.backends.stack.causes import cause_of, noreturn_cause
from kdash.backends.stack.facts import Finding
from kdash.backends.stack.fingerprints import fingerprint

ORIGIN: Final = "objtool"


def log_findings(lines: Iterable[str]) -> Iterator[Finding]:
    """What a log says, in its order."""
    return map(_finding, read_log(lines))


def _finding(warning: LogWarning) -> Finding:
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
        placed=warning.offset is not None,
        fingerprint=fingerprint(
            meaning.kind, warning.function or warning.section, (warning.message,)
        ),
    )


def _cause(warning: LogWarning) -> str:
    meaning = warning.meaning
    if meaning.kind == "missing-noreturn":
        return noreturn_cause(meaning.callee)
    return cause_of(
        meaning.kind, warning.file, warning.function or warning.section or warning.message
    )
