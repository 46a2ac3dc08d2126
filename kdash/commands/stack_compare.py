"""`kdash stack compare`: what is new, fixed or moved between two runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kdash.backends.stack.facts import CheckOptions, FileReport, ResultsError
from kdash.commands.stack_changes import FORMS_OF_CHANGES, Changes
from kdash.commands.stack_options import add_check_options, check_options
from kdash.commands.stack_reports import jobs, reports_on
from kdash.exit_status import ExitStatus
from kdash.targets import covers, is_results

EXAMPLE = """examples:
  kdash stack compare build-6.11/ build-6.12/
  kdash stack check build/ --format json > before; ...; kdash stack compare before build/
  kdash stack compare old.log new.log --format json

Each of both is an object, an archive, a folder, results (JSON lines, SARIF, a build log) or a
baseline. A finding is known again by its kind, its function and the instructions around it.
exit status: 1 when there is a new error; 2 usage, or malformed results; 3 a file that could not be
read"""


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
    command.add_argument("--jobs", metavar="N", type=jobs, default=1, help="worker processes (1)")
    command.add_argument(
        "--format", choices=FORMS_OF_CHANGES, default="text", help="what to print (text)"
    )


def carry_out_compare(arguments: argparse.Namespace) -> int:
    """Compare two runs; returns the exit status."""
    from kdash.backends.stack.baseline import BaselineError

    options = check_options(arguments)
    changes = Changes(arguments.format, options)
    for path in (arguments.old, arguments.new):
        if not Path(path).exists():
            return _complain(f"{path}: no such file or folder", ExitStatus.ENVIRONMENT)
    path = arguments.old
    try:
        changes.take_older(*_run(path, options, arguments.jobs))
        path = arguments.new
        whole = covers(Path(arguments.old), [Path(path)])
        changes.take_newer(*_run(path, options, arguments.jobs), whole=whole)
    except (ResultsError, BaselineError) as error:
        said = str(error) if isinstance(error, BaselineError) else f"{path}: {error}"
        return _complain(said, ExitStatus.USAGE)
    except BrokenPipeError:
        raise  # whoever read the output is gone
    except OSError as error:
        return _complain(f"{path}: {error.strerror or error}", ExitStatus.ENVIRONMENT)
    return changes.status


def _run(
    path: str, options: CheckOptions, processes: int
) -> tuple[Iterator[FileReport], list[str]]:
    """The reports of a run, and what is validated for them."""
    from kdash.backends.stack.import_results import read_run

    if is_results(Path(path)):
        return read_run(path), []
    return reports_on([path], options, processes), [path]


def _complain(message: str, status: ExitStatus) -> int:
    from kdash.backends.stack.printable import printable

    print(f"kdash stack compare: {printable(message)}", file=sys.stderr)  # noqa: T201
    return int(status)
