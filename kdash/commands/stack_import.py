"""`kdash stack import`: results of others, beside what our validator says."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from kdash.backends.stack.facts import CheckOptions, FileReport, ResultsError
from kdash.commands.stack_options import add_check_options, check_options
from kdash.commands.stack_output import FORMS, form_named, print_reports, status_of
from kdash.commands.stack_progress import Progress
from kdash.commands.stack_reports import jobs, standard_input
from kdash.exit_status import ExitStatus

EXAMPLE = """examples:
  make -j8 2>&1 | tee build.log; kdash stack import build.log --build-dir .
  curl -s LOG_OF_A_BOT | kdash stack import --format json
  kdash stack import scan.sarif --format text

What the file is, is told by what it holds. A finding says whether the validator agrees, where the
object is at hand. Its level is the file's, unless --rule or the configuration sets one.
exit status: as of check; 2 also for malformed SARIF or JSON lines, after what stood before"""


def add_import(commands: Any) -> None:
    """Add the command to the parsers of `kdash stack`."""
    command = commands.add_parser(
        "import",
        help="the results in a build log, SARIF or JSON lines, beside our own findings",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "log",
        metavar="FILE",
        nargs="?",
        default="-",
        help="a build log with the warnings of objtool or stacktool, a SARIF 2.1.0 log, or what"
        " check --format json printed, or a baseline; stdin unless given",
    )
    command.add_argument(
        "--build-dir", metavar="DIR", default="", help="where the paths in the file start"
    )
    add_check_options(command)
    command.add_argument("--jobs", metavar="N", type=jobs, default=1, help="worker processes (1)")
    command.add_argument("--format", choices=FORMS, default="text", help="what to print (text)")


def carry_out_import(arguments: argparse.Namespace) -> int:
    """Print what the file says; returns the exit status."""
    if arguments.build_dir and not Path(arguments.build_dir).is_dir():
        return _complain(f"--build-dir {arguments.build_dir}: no such folder", ExitStatus.USAGE)
    from kdash.backends.stack.baseline import BaselineError

    options = check_options(arguments)
    try:
        reports = _reports(arguments, options)
        form = form_named(arguments.format, options)
        progress = Progress.on(sys.stderr, [])
        summary = print_reports(progress.watch(reports) if progress else reports, form, progress)
    except BrokenPipeError:
        raise  # whoever read the output is gone
    except OSError as error:
        return _complain(f"{arguments.log}: {error.strerror}", ExitStatus.ENVIRONMENT)
    except ResultsError as error:
        return _complain(f"{_name(arguments.log)}: {error}", ExitStatus.USAGE)
    except BaselineError as error:
        return _complain(str(error), ExitStatus.USAGE)
    if not summary.files:
        text = f"no warning of objtool or stacktool in {_name(arguments.log)}"
        print(f"kdash stack import: {text}", file=sys.stderr)  # noqa: T201
    return status_of(summary)


def _reports(arguments: argparse.Namespace, options: CheckOptions) -> Iterator[FileReport]:
    from kdash.backends.stack.import_results import import_file, import_stream

    if arguments.log == "-":
        stream = standard_input("results")
        return import_stream(stream, arguments.build_dir, options, arguments.jobs)
    return import_file(arguments.log, arguments.build_dir, options, arguments.jobs)


def _name(path: str) -> str:
    from kdash.backends.stack.printable import printable

    return "stdin" if path == "-" else printable(path)


def _complain(message: str, status: ExitStatus) -> int:
    from kdash.backends.stack.printable import printable

    print(f"kdash stack import: {printable(message)}", file=sys.stderr)  # noqa: T201
    return int(status)
