"""`kdash stack compare`: what is new, fixed or moved between two runs."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kdash.backends.stack.facts import CheckOptions, FileReport, Finding, Level, ResultsError
from kdash.commands.stack_options import add_check_options, check_options
from kdash.commands.stack_progress import Progress
from kdash.commands.stack_reports import jobs, reports_on
from kdash.exit_status import ExitStatus
from kdash.targets import is_results

if TYPE_CHECKING:
    from kdash.backends.stack.compare import Comparison

EXAMPLE = """examples:
  kdash stack compare build-6.11/ build-6.12/
  kdash stack check build/ --format json > before; ...; kdash stack compare before build/
  kdash stack compare old.log new.log --format json

Each of both is an object, an archive, a folder, results (JSON lines, SARIF, a build log) or a
baseline. A finding is known again by its kind, its function and the instructions around it.
exit status: 1 when there is a new error; 2 usage, or malformed results; 3 a file that could not be
read"""
SHOWN = ("new", "fixed", "moved")


def add_compare(commands: Any) -> None:
    """Add the command to the parsers of `kdash stack`."""
    command = commands.add_parser(
        "compare",
        help="two runs: what is new, fixed or moved",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("old", metavar="OLD", help="objects, a folder, results or a baseline")
    command.add_argument("new", metavar="NEW", help="the same, of the newer run")
    add_check_options(command)
    command.add_argument("--jobs", metavar="N", type=jobs, default=1)
    command.add_argument("--format", choices=("text", "json", "summary"), default="text")


def carry_out_compare(arguments: argparse.Namespace) -> int:
    """Compare two runs; returns the exit status."""
    from kdash.backends.stack.baseline import BaselineError

    options = check_options(arguments)
    run = _Run(arguments.format)
    for path in (arguments.old, arguments.new):
        if not Path(path).exists():
            return _complain(f"{path}: no such file or folder", ExitStatus.ENVIRONMENT)
    path = arguments.old
    try:
        run.take_older(path, _reports(path, options, arguments.jobs))
        path = arguments.new
        run.take_newer(path, _reports(path, options, arguments.jobs))
    except (ResultsError, BaselineError) as error:
        said = str(error) if isinstance(error, BaselineError) else f"{path}: {error}"
        return _complain(said, ExitStatus.USAGE)
    except OSError as error:
        return _complain(f"{path}: {error.strerror or error}", ExitStatus.ENVIRONMENT)
    return run.status


def _reports(path: str, options: CheckOptions, processes: int) -> Iterator[FileReport]:
    from kdash.backends.stack.import_results import read_run

    if is_results(Path(path)):
        return read_run(path)
    return reports_on([path], options, processes)


class _Run:
    """Takes the reports of both runs and prints what changed."""

    def __init__(self, form: str) -> None:
        self._form = form
        self._unreadable = 0
        self._new_errors = 0
        self._comparison: Comparison | None = None

    @property
    def status(self) -> int:
        """The exit status of what was printed."""
        if self._unreadable:
            return int(ExitStatus.ENVIRONMENT)
        return int(ExitStatus.FINDINGS if self._new_errors else ExitStatus.OK)

    def take_older(self, path: str, reports: Iterable[FileReport]) -> None:
        """The older run, from `path`."""
        from kdash.backends.stack.compare import Comparison

        found: list[Finding] = []
        with self._progress(path) as done:
            for report in reports:
                self._note(report)
                found += report.findings
                done(report.file, len(found))
        self._comparison = Comparison(found)

    def take_newer(self, path: str, reports: Iterable[FileReport]) -> None:
        """The newer run, from `path`; what is known of it is printed also when a signal ends it."""
        from kdash.backends.stack.compare import changes, looked_at

        comparison = self._comparison
        assert comparison is not None
        newer: list[FileReport] = []
        fixed: list[FileReport] = []
        findings = 0
        try:
            with self._progress(path) as done:
                for report in reports:
                    self._note(report)
                    newer.append(comparison.classified(report))
                    findings += len(report.findings)
                    done(report.file, findings)
            newer = [comparison.settled_report(report) for report in newer]
            whole = Path(path).is_dir() or is_results(Path(path))
            fixed = comparison.fixed(None if whole else looked_at(newer))
        finally:
            for report in (*newer, *fixed):
                self._print(report)
            counts = changes((*newer, *fixed))
            numbers = {change: counts[change] for change in (*SHOWN, "same")}
            if self._form == "json":
                print(json.dumps({"summary": {"changes": numbers}}))  # noqa: T201
            else:
                told = ", ".join(f"{number} {change}" for change, number in numbers.items())
                summed = self._form == "summary"
                print(told, file=sys.stdout if summed else sys.stderr)
            sys.stdout.flush()

    @contextmanager
    def _progress(self, path: str) -> Iterator[Callable[[str, int], None]]:
        """What is to be called for every file of a run, with the number of findings."""
        progress = Progress.on(sys.stderr, [] if is_results(Path(path)) else [path])
        try:
            yield progress.done if progress else lambda _file, _findings: None
        finally:
            if progress:
                progress.end()

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
            if finding.change not in SHOWN or self._form == "summary":
                continue
            if self._form == "json":
                print(json_line(finding))  # noqa: T201
            else:
                was = printable(f" (was {finding.was})") if finding.was else ""
                print(f"{finding.change}: {text_line(finding)}{was}")  # noqa: T201


def _complain(message: str, status: ExitStatus) -> int:
    from kdash.backends.stack.printable import printable

    print(f"kdash stack compare: {printable(message)}", file=sys.stderr)  # noqa: T201
    return int(status)
