"""`kdash stack baseline`: accept the findings that are there, and see what changed since."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from kdash.backends.stack.facts import FileReport, Finding
from kdash.backends.wording import counted
from kdash.commands.stack_changes import FORMS_OF_CHANGES, Changes
from kdash.commands.stack_options import add_check_options, check_options
from kdash.commands.stack_reports import jobs, named, reports_on
from kdash.exit_status import ExitStatus

EXAMPLE = """examples:
  kdash stack baseline write stack.baseline drivers/
  kdash stack check --baseline stack.baseline drivers/
  kdash stack baseline diff stack.baseline drivers/

A finding is known again by its kind, its function and the instructions around it, so that a
rebuild does not make it new.
exit status: write 0; diff 1 when there is a new error; 2 usage, or a file that is no baseline;
3 a file could not be read"""


def add_baseline(commands: Any) -> None:
    """Add the command to the parsers of `kdash stack`."""
    command = commands.add_parser(
        "baseline",
        help="accept the findings that are there, or tell new ones and fixed ones",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "action", choices=("write", "diff"), help="make it, or say what changed since"
    )
    command.add_argument("baseline", metavar="FILE", help="the baseline")
    command.add_argument("paths", metavar="PATH", nargs="+", help="as of check")
    add_check_options(command)
    command.add_argument("--jobs", metavar="N", type=jobs, default=1, help="worker processes (1)")
    command.add_argument("--format", choices=FORMS_OF_CHANGES, default="text", help="of diff")


class Comparison:
    """Reports seen against a baseline.

    Raises:
        BaselineError: the file is no baseline.
        OSError: it can't be read.
    """

    def __init__(self, path: str) -> None:
        from kdash.backends.stack.baseline import read_baseline

        self._path = path
        self._baseline = read_baseline(path)
        self._checked: set[str] = set()

    def new(self, reports: Iterable[FileReport]) -> Iterator[FileReport]:
        """The reports with the findings that are not accepted."""
        from kdash.backends.stack.compare import object_name

        for report in reports:
            if not report.error:
                self._checked.add(object_name(report.file))
            yield replace(report, findings=self._baseline.new_in(report))

    def fixed(self) -> list[str]:
        """What is accepted in the files that were checked, and is there no more."""
        from kdash.backends.stack.compare import object_name

        return [
            f"{one.file}: {one.function}: {one.kind}: {one.message}"
            for one in self._baseline.fixed
            if object_name(one.file) in self._checked
        ]

    def told(self) -> str:
        """The comparison in one line."""
        from kdash.backends.stack.printable import printable

        covered, fixed = self._baseline.covered, len(self.fixed())
        told = f"{counted(covered, 'finding')} covered by {self._path}, {fixed or 'none'} fixed"
        if elsewhere := len(self._baseline.fixed) - fixed:
            told += f"; {counted(elsewhere, 'accepted finding')} of objects not checked here"
        return printable(told)


def carry_out_baseline(arguments: argparse.Namespace) -> int:
    """Write a baseline or compare with one; returns the exit status."""
    from kdash.backends.stack.baseline import BaselineError

    paths = [path for given in arguments.paths for path in named(given)]
    options = check_options(arguments)
    reports = reports_on(paths, options, arguments.jobs)
    try:
        if arguments.action == "write":
            return _write(arguments.baseline, reports)
        changes = Changes(arguments.format, options)
        return _diff(arguments.baseline, reports, paths, changes)
    except (BaselineError, OSError) as error:
        return refused(arguments.baseline, error, "baseline")


def _write(path: str, reports: Iterable[FileReport]) -> int:
    from kdash.backends.stack.baseline import accept, write_baseline

    findings: list[Finding] = []
    for report in reports:
        if report.error:
            # A baseline without this file would call its findings new later on.
            _say(f"{report.file}: {report.error}; nothing written")
            return int(ExitStatus.ENVIRONMENT)
        findings += report.findings
    write_baseline(path, accept(findings))
    _say(f"{counted(len(findings), 'finding')} accepted in {path}")
    return int(ExitStatus.OK)


def _diff(path: str, reports: Iterable[FileReport], paths: list[str], changes: Changes) -> int:
    from kdash.backends.stack.baseline import read_baseline
    from kdash.backends.stack.import_results import read_run

    read_baseline(path)  # anything else is refused
    changes.take_older(read_run(path), [])
    changes.take_newer(reports, paths, whole=False)
    return changes.status


def refused(path: str, error: Exception, command: str) -> int:
    """Say why a baseline can't be used; the exit status."""
    from kdash.backends.stack.baseline import BaselineError

    if isinstance(error, BaselineError):
        _say(str(error), command)
        return int(ExitStatus.USAGE)
    _say(f"{path}: {getattr(error, 'strerror', None) or error}", command)
    return int(ExitStatus.ENVIRONMENT)


def _say(text: str, command: str = "baseline") -> None:
    from kdash.backends.stack.printable import printable

    print(printable(f"kdash stack {command}: {text}"), file=sys.stderr)  # noqa: T201
