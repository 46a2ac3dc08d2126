"""Baselines: the findings that were there when somebody accepted them; standard library only.

A baseline is a text file that is kept beside the sources: a head line, then one line of JSON a
finding, sorted, so that its differences can be reviewed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from typing import Final

from kdash.backends.stack.facts import FileReport, Finding, Level
from kdash.backends.stack.record_file import (
    RecordFileError,
    RecordKind,
    read_records,
    write_records,
)

ORIGIN: Final = "baseline"  # of what was accepted


class BaselineError(RecordFileError):
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
        """What was accepted; where in its function is not known."""
        from kdash.backends.stack.rules import RULES

        rule = RULES.get(self.kind)
        level = rule.level if rule else Level.ERROR
        function, section = self.function, ""
        if function.startswith("."):
            function, section = "", function
        return Finding(
            *(self.file, section, function, 0, 0, self.kind, level, self.message),
            origin=ORIGIN,
            fingerprint=self.fingerprint,
            placed=False,
        )


_KIND: Final = RecordKind(
    "stack baseline",
    "a baseline",
    "findings",
    tuple(one.name for one in fields(Accepted)),
    BaselineError,
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
        BaselineError: something else is there, which stays.
        OSError: it can't be written.
    """
    path = os.path.realpath(path)  # a link stays one
    if os.path.exists(path) and not _may_be_replaced(path):
        raise BaselineError(f"{path}: not a baseline of kdash, so it is not replaced")
    write_records(path, _KIND, [asdict(one) for one in baseline.accepted])


def _may_be_replaced(path: str) -> bool:
    """Whether a file is a baseline, of any version and state, or empty."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        head = file.readline(200)
    return not head or (head.startswith(b"{") and f'"{_KIND.title}"'.encode() in head)


def read_baseline(path: str) -> Baseline:
    """Read a baseline.

    Raises:
        BaselineError: it is none, or a damaged or newer one.
        OSError: it can't be read.
    """
    return Baseline(tuple(Accepted(**record) for record in read_records(path, _KIND)))
