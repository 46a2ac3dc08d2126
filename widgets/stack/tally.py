"""Counts over the files validated so far."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from kdash.backends.stack.facts import FileReport, Level
from kdash.backends.wording import counted
from kdash.widgets.stack.entry import is_imported


@dataclass(slots=True)
class Tally:
    """What a run of the validation found, in numbers."""

    files: int = 0  # reports so far
    functions: int = 0
    unreadable: int = 0
    errors: int = 0
    warnings: int = 0
    samples: bool = False
    imported: int = 0  # findings of others, with ours beside them
    kinds: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)  # against an older run
    causes: Counter[str] = field(default_factory=Counter)  # findings of each root cause

    @property
    def findings(self) -> int:
        """Errors and warnings together."""
        return self.errors + self.warnings

    @property
    def rows(self) -> int:
        """Rows of the list: findings, those fixed since, and files that can't be read."""
        return self.findings + self.changes["fixed"] + self.unreadable

    def add(self, report: FileReport) -> None:
        """Count one more file."""
        gone = bool(report.findings) and all(one.change == "fixed" for one in report.findings)
        self.files += not gone  # what was fixed since is no file of this run
        self.functions += report.functions
        self.unreadable += bool(report.error)
        self.samples = self.samples or report.sample
        changes = [one.change for one in report.findings if one.change]
        present = report.findings
        if changes:
            self.changes.update(changes)
            present = tuple(one for one in present if one.change != "fixed")
        self.kinds.update([one.kind for one in present])
        self.causes.update([one.cause for one in present])
        self.imported += sum(map(is_imported, present))
        errors = sum(one.level is Level.ERROR for one in present)
        self.errors += errors
        self.warnings += len(present) - errors

    def outcome(self) -> str:
        """The result in words: "2 errors, 1 warning, 1 unreadable", or "no findings"."""
        parts = [
            counted(self.errors, "error") if self.errors else "",
            counted(self.warnings, "warning") if self.warnings else "",
            f"{self.unreadable} unreadable" if self.unreadable else "",
        ]
        found = ", ".join(part for part in parts if part) or "no findings"
        if not self.changes:
            return found
        return f"{found} ({self.changed()})"

    def changed(self) -> str:
        """What changed since the older run: "1 new, 2 fixed, 0 moved"."""
        return ", ".join(f"{self.changes[name]} {name}" for name in ("new", "fixed", "moved"))
