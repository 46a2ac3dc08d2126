"""What changed between two runs, printed as text or JSON lines."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from kdash.backends.stack.facts import CheckOptions, FileReport, Finding, Level
from kdash.backends.wording import counted
from kdash.commands.stack_progress import Progress
from kdash.commands.unbroken import unbroken
from kdash.exit_status import ExitStatus

if TYPE_CHECKING:
    from kdash.backends.stack.compare import Comparison

FORMS_OF_CHANGES: Final = ("text", "json", "sarif", "summary")
SHOWN: Final = ("new", "fixed", "moved")


class Changes:
    """Takes the reports of both runs and prints what changed.

    Args:
        form: One of FORMS_OF_CHANGES; SARIF has also what stayed the same, as its reader may ask.
        options: How the newer run is validated.
    """

    def __init__(self, form: str, options: CheckOptions) -> None:
        self._form = form
        self._options = options
        self._unreadable = 0
        self._new_errors = 0
        self._comparison: Comparison | None = None

    @property
    def status(self) -> int:
        """The exit status of what was printed."""
        if self._unreadable:
            return int(ExitStatus.ENVIRONMENT)
        return int(ExitStatus.FINDINGS if self._new_errors else ExitStatus.OK)

    def take_older(self, reports: Iterable[FileReport], paths: list[str]) -> None:
        """Take the older run.

        Args:
            reports: Its reports.
            paths: What is validated for them; none where they are read.
        """
        from kdash.backends.stack.compare import Comparison

        found: list[Finding] = []
        with _progress(paths) as done:
            for report in reports:
                self._note(report)
                found += report.findings
                done(report.file, len(found))
        self._comparison = Comparison(found)

    def take_newer(self, reports: Iterable[FileReport], paths: list[str], *, whole: bool) -> None:
        """Take the newer run and print; what is known is printed also when a signal ends it.

        Args:
            reports: Its reports.
            paths: What is validated for them; none where they are read.
            whole: Whether what this run has no report on is gone, and so is what was found there.
        """
        from kdash.backends.stack.compare import changes, looked_at

        comparison = self._comparison
        assert comparison is not None
        newer: list[FileReport] = []
        fixed: list[FileReport] = []
        findings = 0
        elsewhere = 0  # findings of the older run in objects that this one did not look at
        complete = False
        try:
            with _progress(paths) as done:
                for report in reports:
                    self._note(report)
                    newer.append(comparison.classified(report))
                    findings += len(report.findings)
                    done(report.file, findings)
            newer = [comparison.settled_report(report) for report in newer]
            fixed = comparison.fixed(None if whole else looked_at(newer))
            elsewhere = _count(comparison.fixed()) - _count(fixed)
            complete = True
        finally:
            if self._form == "sarif":
                self._print_sarif([*newer, *fixed], complete)
            for report in (*newer, *fixed):
                with unbroken():
                    self._print(report)
                    sys.stdout.flush()
            counts = changes((*newer, *fixed))
            numbers = {change: counts[change] for change in (*SHOWN, "same")}
            if self._form == "json":
                summary = {"changes": numbers} | ({"elsewhere": elsewhere} if elsewhere else {})
                print(json.dumps({"summary": summary}))  # noqa: T201
            else:
                told = ", ".join(f"{number} {change}" for change, number in numbers.items())
                if elsewhere:
                    told += f"; {counted(elsewhere, 'finding')} of objects not checked here"
                summed = self._form == "summary"
                print(told, file=sys.stdout if summed else sys.stderr)
            sys.stdout.flush()

    def _print_sarif(self, reports: list[FileReport], complete: bool) -> None:
        from kdash.backends.stack.formats import Summary
        from kdash.backends.stack.sarif import SarifForm

        form = SarifForm(self._options)
        print(*form.head(), sep="\n")  # noqa: T201
        for report in reports:
            for line in form.of(report):
                print(line)  # noqa: T201
        print(*form.tail(Summary(), 0.0, complete=complete), sep="\n")  # noqa: T201

    def _note(self, report: FileReport) -> None:
        if report.error:
            from kdash.backends.stack.printable import printable

            self._unreadable += 1
            print(printable(f"{report.file}: {report.error}"), file=sys.stderr)  # noqa: T201

    def _print(self, report: FileReport) -> None:
        from kdash.backends.stack.formats import json_line, text_line
        from kdash.backends.stack.printable import printable

        for finding in report.findings:
            self._new_errors += finding.change == "new" and finding.level is Level.ERROR
            if finding.change not in SHOWN or self._form in ("sarif", "summary"):
                continue
            if self._form == "json":
                print(json_line(finding))  # noqa: T201
            else:
                was = printable(f" (was {finding.was})") if finding.was else ""
                print(f"{finding.change}: {text_line(finding)}{was}")  # noqa: T201


@contextmanager
def _progress(paths: list[str]) -> Iterator[Callable[[str, int], None]]:
    """What is to be called for every file of a run, with the number of findings."""
    progress = Progress.on(sys.stderr, paths)
    try:
        yield progress.done if progress else lambda _file, _findings: None
    finally:
        if progress:
            progress.end()


def _count(reports: Iterable[FileReport]) -> int:
    return sum(len(report.findings) for report in reports)
