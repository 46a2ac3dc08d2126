"""Reports as text, as JSON lines and as a summary: the output of `kdash stack check`."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from kdash.backends.stack.facts import FileReport, Finding, Level
from kdash.backends.stack.printable import printable

UNNAMED = "(unnamed object)"  # a log that doesn't say which


def text_line(finding: Finding) -> str:
    """One finding as one line; control characters in names are escaped."""
    place = f"{finding.function or finding.section}+{finding.offset:#x}"
    text = f"{place}: {finding.level.value}: {finding.kind}: {finding.message}"
    if finding.verdict:
        text = f"{text} ({finding.verdict})"
    if finding.source is None:
        return printable(f"{finding.file or UNNAMED}: {text}")
    return printable(f"{finding.source.file}:{finding.source.line}: {text} [{finding.file}]")


def json_line(finding: Finding) -> str:
    """One finding as one JSON object; unknown keys are absent."""
    data: dict[str, Any] = {"file": finding.file, "section": finding.section}
    if finding.function:
        data["function"] = finding.function
    data |= {
        "offset": finding.offset,
        "address": f"{finding.address:#x}",
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
    if finding.verdict:
        data["verdict"] = finding.verdict
    return json.dumps(data)


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
        head = f"{self.files} files{unreadable}, {total} findings, {seconds:.1f} s"
        return "\n".join([head, *(f"{n:8} {kind}" for kind, n in self.findings.most_common())])


def json_error_line(report: FileReport) -> str:
    """A file that could not be validated."""
    return json.dumps({"file": report.file, "error": report.error})
