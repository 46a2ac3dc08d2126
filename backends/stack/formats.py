"""Reports as text, as JSON lines and as a summary: the output of `kdash stack check`.

A form of output is asked for its head once, for the lines of every report as it comes, and for its
tail at the end, which comes also when not all files were looked at.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

from kdash.backends.json_text import json_text
from kdash.backends.stack.facts import FileReport, Finding, Level
from kdash.backends.stack.printable import printable
from kdash.backends.wording import counted

UNNAMED = "(unnamed object)"  # a log that doesn't say which
REMARK = "remark"  # key of what the validator says beside another's finding


def text_line(finding: Finding) -> str:
    """One finding as one line; control characters in names are escaped."""
    place = f"{finding.place}: " if finding.place else ""
    text = f"{place}{finding.level.value}: {finding.kind}: {finding.message}"
    if finding.verdict:
        text = f"{text} ({finding.verdict})"
    if finding.source is None:
        return printable(f"{finding.file or UNNAMED}: {text}")
    return printable(f"{finding.source.file}:{finding.source.line}: {text} [{finding.file}]")


def json_line(finding: Finding) -> str:
    """One finding as one JSON object; unknown keys are absent."""
    names = {"file": finding.file, "section": finding.section, "function": finding.function}
    data: dict[str, Any] = {key: name for key, name in names.items() if name}
    if finding.placed:
        data["offset"] = finding.offset
        if finding.section:  # without it nobody knows where the function starts
            data["address"] = f"{finding.address:#x}"
    data |= {
        "kind": finding.kind,
        "level": finding.level.value,
        "message": finding.message,
    }
    texts = {"expected": finding.expected, "found": finding.found}
    data |= {key: value for key, value in texts.items() if value}
    if finding.source is not None:
        data["source"] = {"file": finding.source.file, "line": finding.source.line}
    if finding.callee:
        data["callee"] = finding.callee
    if finding.cause:
        data["cause"] = finding.cause
    if finding.path:
        data["path"] = [
            {"offset": step.offset, "text": step.text, "edge": step.edge}
            | ({"feature": step.feature} if step.feature else {})
            for step in finding.path
        ]
    if finding.related:
        data["related"] = [{"kind": r.kind, "offset": r.offset} for r in finding.related]
    data["origin"] = finding.origin
    if finding.agrees is not None:
        data["agrees"] = finding.agrees
    texts = {
        REMARK: finding.verdict,
        "fingerprint": finding.fingerprint,
        "change": finding.change,
        "was": finding.was,
    }
    data |= {key: value for key, value in texts.items() if value}
    return json_text(data)


class Summary:
    """Counts over all reports of a run."""

    def __init__(self) -> None:
        self.files = 0
        self.unreadable = 0
        self.errors = 0
        self.findings: Counter[str] = Counter()

    def add(self, report: FileReport) -> None:
        """Count one report."""
        self.files += 1
        self.unreadable += bool(report.error)
        for finding in report.findings:
            self.findings[finding.kind] += 1
            self.errors += finding.level is Level.ERROR

    def json_line(self, seconds: float) -> str:
        """The last line of the JSON output."""
        counts = {
            "files": self.files,
            "unreadable": self.unreadable,
            "findings": dict(sorted(self.findings.items())),
            "seconds": round(seconds, 3),
        }
        return json.dumps({"summary": counts})

    def text(self, seconds: float) -> str:
        """The summary for people: one line a kind, the most frequent first."""
        total = sum(self.findings.values())
        unreadable = f", {self.unreadable} unreadable" if self.unreadable else ""
        files, found = counted(self.files, "file"), counted(total, "finding")
        head = f"{files}{unreadable}, {found}, {seconds:.1f} s"
        return "\n".join([head, *(f"{n:8} {kind}" for kind, n in self.findings.most_common())])


def json_error_line(report: FileReport) -> str:
    """A file that could not be validated."""
    return json_text({"file": report.file, "error": report.error})


class Form(Protocol):
    """A form of output; its parts are lines without their ends."""

    def head(self) -> Iterable[str]:
        """What stands in front of all reports."""

    def of(self, report: FileReport) -> Iterable[str]:
        """What is printed of a report."""

    def tail(self, summary: Summary, seconds: float, *, complete: bool) -> Iterable[str]:
        """What ends the output; not complete where something ended the run early."""


class TextForm:
    """A line a finding."""

    def head(self) -> Iterable[str]:
        """Nothing."""
        return ()

    def of(self, report: FileReport) -> Iterable[str]:
        """Its findings."""
        return map(text_line, report.findings)

    def tail(self, _summary: Summary, _seconds: float, *, complete: bool) -> Iterable[str]:  # noqa: ARG002
        """Nothing."""
        return ()


class JsonForm:
    """A JSON object a finding, one a file that can't be read, and the summary."""

    def head(self) -> Iterable[str]:
        """Nothing."""
        return ()

    def of(self, report: FileReport) -> Iterable[str]:
        """Its findings, or why it could not be read."""
        return [json_error_line(report)] if report.error else map(json_line, report.findings)

    def tail(self, summary: Summary, seconds: float, *, complete: bool) -> Iterable[str]:  # noqa: ARG002
        """The counts."""
        return [summary.json_line(seconds)]


class SummaryForm:
    """The counts alone."""

    def head(self) -> Iterable[str]:
        """Nothing."""
        return ()

    def of(self, _report: FileReport) -> Iterable[str]:
        """Nothing."""
        return ()

    def tail(self, summary: Summary, seconds: float, *, complete: bool) -> Iterable[str]:  # noqa: ARG002
        """The counts."""
        return [summary.text(seconds)]
