"""Counts over the files validated so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from kdash.backends.stack.facts import FileReport, Level


@dataclass(slots=True)
class Tally:
    """What a run of the validation found, in numbers."""

    files: int = 0  # reports so far
    functions: int = 0
    unreadable: int = 0
    errors: int = 0
    warnings: int = 0
    samples: bool = False
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def findings(self) -> int:
        """Errors and warnings together."""
        return self.errors + self.warnings

    def add(self, report: FileReport) -> None:
        """Count one more file."""
        self.files += 1
        self.functions += report.functions
        self.unreadable += bool(report.error)
        self.samples = self.samples or report.sample
        for finding in report.findings:
            self.kinds[finding.kind] += 1
            if finding.level is Level.ERROR:
                self.errors += 1
            else:
                self.warnings += 1

    def outcome(self) -> str:
        """The result in words: "2 errors, 1 warning, 1 unreadable", or "no findings"."""
        parts = [
            count(self.errors, "error") if self.errors else "",
            count(self.warnings, "warning") if self.warnings else "",
            f"{self.unreadable} unreadable" if self.unreadable else "",
        ]
        return ", ".join(part for part in parts if part) or "no findings"


def count(number: int, noun: str) -> str:
    """A number with its noun: "1 file", "2 files"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
