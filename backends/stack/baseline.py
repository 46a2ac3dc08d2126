"""Baselines: the findings that were there when somebody accepted them; standard library only.

A baseline is a text file that is kept beside the sources: a head line, then one line of JSON a
finding, sorted, so that its differences can be reviewed.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from kdash.backends.stack.facts import FileReport, Finding, Level

_FORMAT: Final = {"kdash": "stack baseline", "version": 1}
_LARGEST: Final = 1 << 30  # bytes


class BaselineError(Exception):
    """A file that is no baseline, or a damaged one; the file stays as it is."""


@dataclass(frozen=True, slots=True, order=True)
class Accepted:
    """One finding of a baseline."""

    file: str  # base name of the object
    function: str  # or section
    kind: str
    fingerprint: str
    message: str

    @property
    def finding(self) -> Finding:
        """What was accepted, as far as is known: it has no offset."""
        from kdash.backends.stack.rules import RULES

        rule = RULES.get(self.kind)
        level = rule.level if rule else Level.ERROR
        function, section = self.function, ""
        if function.startswith("."):
            function, section = "", function
        return Finding(
            *(self.file, section, function, 0, 0, self.kind, level, self.message),
            fingerprint=self.fingerprint,
        )


@dataclass(slots=True)
class Baseline:
    """What is accepted, and how often each was met since."""

    accepted: tuple[Accepted, ...] = ()
    covered: int = 0  # findings met that are accepted
    _left: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._left = Counter(one.fingerprint for one in self.accepted)

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is accepted; each acceptance covers one finding."""
        if self._left[finding.fingerprint] <= 0:
            return False
        self._left[finding.fingerprint] -= 1
        self.covered += 1
        return True

    def new_in(self, report: FileReport) -> tuple[Finding, ...]:
        """The findings of a report that are not accepted."""
        return tuple(one for one in report.findings if not self.covers(one))

    @property
    def fixed(self) -> tuple[Accepted, ...]:
        """What is accepted and was not met."""
        left = Counter(self._left)
        found = []
        for one in self.accepted:
            if left[one.fingerprint] > 0:
                left[one.fingerprint] -= 1
                found.append(one)
        return tuple(found)


def accept(findings: Iterable[Finding]) -> Baseline:
    """A baseline that accepts these findings."""
    return Baseline(
        tuple(
            sorted(
                Accepted(
                    os.path.basename(one.file),
                    one.function or one.section,
                    one.kind,
                    one.fingerprint,
                    one.message,
                )
                for one in findings
            )
        )
    )


def write_baseline(path: str, baseline: Baseline) -> None:
    """Write a baseline; at every moment the file is the old one or the new one.

    Raises:
        OSError: it can't be written.
    """
    folder = os.path.dirname(path) or "."
    number, temporary = tempfile.mkstemp(dir=folder, prefix=".kdash-baseline-")
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(json.dumps({**_FORMAT, "findings": len(baseline.accepted)}) + "\n")
            file.writelines(json.dumps(_line(one)) + "\n" for one in baseline.accepted)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode(path))
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


def _line(one: Accepted) -> dict[str, str]:
    return {
        "file": one.file,
        "function": one.function,
        "kind": one.kind,
        "fingerprint": one.fingerprint,
        "message": one.message,
    }


def read_baseline(path: str) -> Baseline:
    """Read a baseline.

    Raises:
        BaselineError: it is none, or a damaged or newer one.
        OSError: it can't be read.
    """
    file = Path(path)
    if file.exists() and not file.is_file():
        raise BaselineError(f"{path}: not a regular file")
    if file.stat().st_size > _LARGEST:
        raise BaselineError(f"{path}: larger than any baseline")
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise BaselineError(f"{path}: not a baseline of kdash (no text)") from None
    count = _count(path, lines[0] if lines else "")
    if len(lines) - 1 != count:
        raise BaselineError(f"{path}: damaged: {count} findings announced, {len(lines) - 1} there")
    return Baseline(tuple(_accepted(path, at, line) for at, line in enumerate(lines[1:], 2)))


def _count(path: str, line: str) -> int:
    head = _parsed(line)
    if head is None or head.get("kdash") != _FORMAT["kdash"]:
        raise BaselineError(f"{path}: not a baseline of kdash")
    if head.get("version") != _FORMAT["version"]:
        raise BaselineError(f"{path}: a baseline of version {head.get('version')}, 1 is known")
    count = head.get("findings")
    if not isinstance(count, int):
        raise BaselineError(f"{path}: damaged: line 1 tells no number of findings")
    return count


def _accepted(path: str, number: int, line: str) -> Accepted:
    data = _parsed(line)
    names = ("file", "function", "kind", "fingerprint", "message")
    if data is None or not all(isinstance(data.get(name), str) for name in names):
        raise BaselineError(f"{path}: damaged: line {number} is no finding")
    return Accepted(*(data[name] for name in names))


def _parsed(line: str) -> dict[str, Any] | None:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None
