"""Writes the findings that the Stack pane shows into a file of the user's."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from kdash.backends.stack.facts import FileReport, Finding
from kdash.backends.wording import counted
from kdash.widgets.pane import CommandError
from kdash.widgets.stack.entry import Entry

FORMATS = ("text", "json", "sarif", "annotations")
SUFFIXES = {".json": "json", ".jsonl": "json", ".sarif": "sarif"}


def export(rows: Sequence[Entry], words: Sequence[str]) -> str:
    """Write rows to a file that is not there yet; what was written.

    Args:
        rows: The rows shown, in order.
        words: The file, and a format unless its name tells.

    Raises:
        CommandError: The words mean nothing, or the file can't be written.
    """
    if not 1 <= len(words) <= 2:
        raise CommandError(
            "export: give a file, and text, json, sarif or annotations if no suffix tells"
        )
    path = Path(words[0]).expanduser()
    form = words[1] if len(words) > 1 else SUFFIXES.get(path.suffix, "text")
    if form not in FORMATS:
        raise CommandError(f"export: {form!r} is not one of {', '.join(FORMATS)}")
    findings = [row.finding for row in rows if row.finding is not None]
    if not findings:
        raise CommandError("export: no finding is shown")
    _write(path, _text(form, findings, rows))
    return f"{counted(len(findings), 'finding')} written to {path} as {form}"


def _text(form: str, findings: Sequence[Finding], rows: Sequence[Entry]) -> str:
    if form == "annotations":
        from kdash.backends.stack.suppressions import annotations_for

        notes = {
            row.finding.fingerprint: row.verdict.note
            for row in rows
            if row.finding is not None and row.verdict is not None
        }
        return annotations_for(findings, notes)
    if form == "sarif":
        return _sarif(findings, rows)
    from kdash.backends.stack.formats import Summary, json_line, text_line

    line_of = json_line if form == "json" else text_line
    lines = [line_of(finding) for finding in findings]
    if form == "json":
        summary = Summary()
        summary.files = len({finding.file for finding in findings})
        summary.findings.update(finding.kind for finding in findings)
        lines.append(summary.json_line(0.0))
    return "\n".join(lines) + "\n"


def _sarif(findings: Sequence[Finding], rows: Sequence[Entry]) -> str:
    """A SARIF log in which findings that the user accepts are suppressed."""
    from kdash.backends.stack.formats import Summary
    from kdash.backends.stack.sarif import SarifForm

    accepted = {
        row.finding.fingerprint: f"{row.verdict.word}: {row.verdict.note}".rstrip(": ")
        for row in rows
        if row.finding is not None and row.verdict is not None and row.settled
    }
    form = SarifForm(suppressed=accepted)
    report = FileReport("", tuple(findings))
    lines = [*form.head(), *form.of(report), *form.tail(Summary(), 0.0, complete=True)]
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    """Write a new file whole, or none."""
    try:
        file = path.open("x", encoding="utf-8", errors="backslashreplace")
    except FileExistsError:
        raise CommandError(f"export: {path} is there already; give another name") from None
    except (OSError, ValueError) as error:
        raise CommandError(f"export: {path}: {getattr(error, 'strerror', error)}") from None
    try:
        with file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        path.unlink(missing_ok=True)
        raise CommandError(f"export: {path}: {error.strerror}; nothing is left of it") from None
