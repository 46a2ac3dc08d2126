"""Reports printed in one of the forms, and the exit status that follows."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from kdash.backends.stack.facts import CheckOptions, FileReport
from kdash.exit_status import ExitStatus

if TYPE_CHECKING:
    from kdash.backends.stack.formats import Form, Summary
    from kdash.commands.stack_progress import Progress

FORMS: Final = ("text", "json", "sarif", "summary")


def form_named(name: str, options: CheckOptions | None = None) -> Form:
    """The form of output that is called so, one of FORMS."""
    from kdash.backends.stack.formats import JsonForm, SummaryForm, TextForm

    if name == "sarif":
        from kdash.backends.stack.sarif import SarifForm

        return SarifForm(options)
    forms: dict[str, Form] = {"text": TextForm(), "json": JsonForm(), "summary": SummaryForm()}
    return forms[name]


def print_reports(
    reports: Iterable[FileReport], form: Form, progress: Progress | None = None
) -> Summary:
    """Print reports as they come; what has come is ended in form also when a signal ends it.

    Args:
        reports: What to print.
        form: How.
        progress: Told of every file, if there is one.
    """
    from kdash.backends.stack.formats import Summary

    started = time.monotonic()
    summary = Summary()
    complete = False
    _print(form.head())
    try:
        for report in reports:
            summary.add(report)
            with progress.aside() if progress and _says(report) else nullcontext():
                _narrate(report)
                _print(form.of(report))
            if progress:
                progress.done(report.file, sum(summary.findings.values()))
        complete = True
    finally:
        if progress:
            progress.end()
        _print(form.tail(summary, time.monotonic() - started, complete=complete))
    return summary


def _says(report: FileReport) -> bool:
    """Whether anything may be printed about it."""
    return bool(report.error or report.findings or report.frame_pointer_reason)


def _print(lines: Iterable[str]) -> None:
    for line in lines:
        print(line)  # noqa: T201
    sys.stdout.flush()


def status_of(summary: Summary) -> int:
    """The exit status of what was printed."""
    if summary.unreadable:
        return int(ExitStatus.ENVIRONMENT)
    return int(ExitStatus.FINDINGS if summary.errors else ExitStatus.OK)


def _narrate(report: FileReport) -> None:
    from kdash.backends.stack.printable import printable

    if report.error:
        print(printable(f"{report.file}: {report.error}"), file=sys.stderr)  # noqa: T201
    elif report.frame_pointer_reason:
        text = f"{report.file}: frame pointer rules {report.frame_pointer_reason}"
        print(printable(text), file=sys.stderr)  # noqa: T201
