"""`kdash stack import`: the warnings of a build log, beside what our validator says."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any, TextIO

from kdash.commands.stack_output import FORMS, form_named, print_reports, status_of
from kdash.exit_status import ExitStatus

EXAMPLE = """examples:
  make -j8 2>&1 | tee build.log; kdash stack import build.log --build-dir .
  curl -s LOG_OF_A_BOT | kdash stack import --format json

A finding says whether the validator agrees, where the object is at hand; its level is the log's.
exit status: as of check"""


def add_import(commands: Any) -> None:
    """Add the command to the parsers of `kdash stack`."""
    command = commands.add_parser(
        "import",
        help="the warnings of objtool or stacktool in a build log, beside our own findings",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument(
        "log", metavar="BUILD.LOG", nargs="?", default="-", help="the log; stdin unless given"
    )
    command.add_argument(
        "--build-dir", metavar="DIR", default="", help="where the paths in the log start"
    )
    command.add_argument("--format", choices=FORMS, default="text")


def carry_out_import(arguments: argparse.Namespace) -> int:
    """Print what the log says; returns the exit status."""
    from kdash.backends.stack.import_log import import_log

    if arguments.build_dir and not Path(arguments.build_dir).is_dir():
        return _complain(f"--build-dir {arguments.build_dir}: no such folder", ExitStatus.USAGE)
    try:
        with _opened(arguments.log) as lines:
            reports = import_log(lines, arguments.build_dir)
            summary = print_reports(reports, form_named(arguments.format))
    except OSError as error:
        return _complain(f"{arguments.log}: {error.strerror}", ExitStatus.ENVIRONMENT)
    if not summary.files:
        text = f"no warning of objtool or stacktool in {_log_name(arguments.log)}"
        print(f"kdash stack import: {text}", file=sys.stderr)  # noqa: T201
    return status_of(summary)


def _opened(path: str) -> TextIO:
    """The lines of a log; bytes that are no UTF-8 stay distinguishable."""
    if path == "-":
        from io import TextIOWrapper

        return TextIOWrapper(sys.stdin.buffer, encoding="utf-8", errors="surrogateescape")
    return Path(path).open(encoding="utf-8", errors="surrogateescape")


def _log_name(path: str) -> str:
    from kdash.backends.stack.printable import printable

    return "stdin" if path == "-" else printable(path)


def _complain(message: str, status: ExitStatus) -> int:
    from kdash.backends.stack.printable import printable

    print(f"kdash stack import: {printable(message)}", file=sys.stderr)  # noqa: T201
    return int(status)
