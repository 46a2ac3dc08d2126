"""Reports printed in one of the forms, and the exit status that follows."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import nullcontext
from typing import TYPE_CHECKING, Final

from kdash.backends.stack.facts import CheckOptions, FileReport
from kdash.backends.wording import counted
from kdash.commands.unbroken import unbroken
from kdash.exit_status import ExitStatus

if TYPE_CHECKING:
    from kdash.backends.stack.formats import Form, Summary
    from kdash.commands.stack_progress import Progress

#: Files of which it is told how the frame pointer rules were decided; of more, the numbers.
MOST_DECISIONS: Final = 3
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
        progress: What stands on the terminal meanwhile, if anything does.
    """
    from kdash.backends.stack.formats import Summary

    started = time.monotonic()
    summary = Summary()
    complete = False
    narrator = _Narrator()
    _print(form.head())
    try:
        for report in reports:
            summary.add(report)
            with progress.aside() if progress and narrator.speaks(report) else nullcontext():
                narrator.tell(report)
                _print(form.of(report))
        complete = True
    finally:
        if progress:
            progress.end()
        narrator.end()
        _print(form.tail(summary, time.monotonic() - started, complete=complete))
    return summary


def _print(lines: Iterable[str]) -> None:
    with unbroken():
        for line in lines:
            print(line)  # noqa: T201
        sys.stdout.flush()


def status_of(summary: Summary) -> int:
    """The exit status of what was printed."""
    if summary.unreadable:
        return int(ExitStatus.ENVIRONMENT)
    return int(ExitStatus.FINDINGS if summary.errors else ExitStatus.OK)


class _Narrator:
    """Tells on standard error what is no finding."""

    def __init__(self) -> None:
        self._decided: Counter[bool] = Counter()  # frame pointer rules, by auto

    def speaks(self, report: FileReport) -> bool:
        """Whether anything may be printed about a report."""
        return bool(report.error or report.findings or self._is_told(report))

    def tell(self, report: FileReport) -> None:
        """Say why a file could not be read, or how the frame pointer rules were decided."""
        if report.left_out:
            told = len(report.findings)
            some = counted(told, "finding")
            self._say(f"{report.file}: {some} told, {report.left_out:,} more left out")
        if report.error:
            self._say(f"{report.file}: {report.error}")
        elif report.frame_pointer_reason:
            if self._is_told(report):
                self._say(f"{report.file}: frame pointer rules {report.frame_pointer_reason}")
            self._decided[report.frame_pointer] += 1

    def end(self) -> None:
        """Sum up what was not told of each file."""
        if self._decided.total() > MOST_DECISIONS:
            numbers = (
                f"on in {counted(self._decided[True], 'file')}, off in {self._decided[False]:,}"
            )
            self._say(f"frame pointer rules (auto): {numbers}")

    def _is_told(self, report: FileReport) -> bool:
        return bool(report.frame_pointer_reason) and self._decided.total() < MOST_DECISIONS

    def _say(self, text: str) -> None:
        from kdash.backends.stack.printable import printable

        print(printable(text), file=sys.stderr)  # noqa: T201
