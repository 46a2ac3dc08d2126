"""What `kdash stack check` and `import` print, and the exit status that follows."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from kdash.backends.stack.facts import FileReport
from kdash.exit_status import ExitStatus

if TYPE_CHECKING:
    from kdash.backends.stack.formats import Summary


def print_reports(reports: Iterable[FileReport], form: str) -> Summary:
    """Print reports as they come; what has come is summed up also when a signal ends it."""
    from kdash.backends.stack.formats import Summary, json_line, text_line

    started = time.monotonic()
    summary = Summary()
    line_of = {"text": text_line, "json": json_line, "summary": None}[form]
    try:
        for report in reports:
            summary.add(report)
            _narrate(report, form)
            if line_of is not None:
                for finding in report.findings:
                    print(line_of(finding))  # noqa: T201
            sys.stdout.flush()
    finally:
        seconds = time.monotonic() - started
        if form == "json":
            print(summary.json_line(seconds))  # noqa: T201
        elif form == "summary":
            print(summary.text(seconds))  # noqa: T201
        sys.stdout.flush()
    return summary


def status_of(summary: Summary) -> int:
    """The exit status of what was printed."""
    if summary.unreadable:
        return int(ExitStatus.ENVIRONMENT)
    return int(ExitStatus.FINDINGS if summary.errors else ExitStatus.OK)


def _narrate(report: FileReport, form: str) -> None:
    from kdash.backends.stack.formats import json_error_line
    from kdash.backends.stack.printable import printable

    if report.error:
        print(printable(f"{report.file}: {report.error}"), file=sys.stderr)  # noqa: T201
        if form == "json":
            print(json_error_line(report))  # noqa: T201
    elif report.frame_pointer_reason:
        text = f"{report.file}: frame pointer rules {report.frame_pointer_reason}"
        print(printable(text), file=sys.stderr)  # noqa: T201
