"""`kdash stack`: validate object files, explain findings."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from kdash.backends.stack.facts import Cluster, ClusterError
from kdash.commands.argument_parser import LineParser, Parser
from kdash.commands.stack_baseline import (
    Comparison,
    add_baseline,
    carry_out_baseline,
    refused,
)
from kdash.commands.stack_compare import add_compare, carry_out_compare
from kdash.commands.stack_explain import add_explain, carry_out_explain
from kdash.commands.stack_import import add_import, carry_out_import
from kdash.commands.stack_livepatch import add_livepatch, carry_out_livepatch
from kdash.commands.stack_options import add_check_options, check_options
from kdash.commands.stack_output import FORMS, form_named, print_reports, status_of
from kdash.commands.stack_progress import Progress
from kdash.commands.stack_reports import InputError, jobs, named, reports_of_cluster, reports_on
from kdash.exit_status import ExitStatus
from kdash.targets import STACK_SUFFIXES, is_results

_CHECK_EXAMPLE = """examples:
  kdash stack check drivers/ --frame-pointer on --rule unreachable=warning --format json
  find . -name '*.ko.xz' | kdash stack check - --jobs 4 --format summary
  kdash stack check build/ --format sarif > stack.sarif

exit status: 0 clean, 1 findings of level error, 2 usage, 3 a file could not be read"""


def run(argv: list[str]) -> int:
    """Run `kdash stack ARGV` and return the exit status; files alone open the dashboard."""
    if argv and argv[0] not in COMMANDS and Path(argv[0]).exists():
        from kdash.commands.dashboard import run as open_dashboard

        return open_dashboard(argv)
    parser = stack_parser()
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as end:
        return int(end.code or 0)
    return _guarded(COMMANDS[arguments.command], arguments)


def stack_parser() -> argparse.ArgumentParser:
    """The parser of `kdash stack`, with those of the commands below it."""
    parser = Parser("stack", "Validate the stack use of x86-64 object files.", _CHECK_EXAMPLE)
    commands = parser.add_subparsers(
        dest="command", metavar="|".join(COMMANDS), required=True, parser_class=LineParser
    )
    _add_check(commands)
    add_explain(commands)
    add_import(commands)
    add_baseline(commands)
    add_compare(commands)
    add_livepatch(commands)
    return parser


def _add_check(commands: argparse._SubParsersAction[LineParser]) -> None:
    check = commands.add_parser(
        "check",
        help="validate objects and modules; folders recursively",
        epilog=_CHECK_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    check.add_argument(
        "paths",
        metavar="PATH",
        nargs="+",
        help="an object, a module (also .xz, .zst, .gz), an archive, a folder or build tree of"
        " them; - reads paths from stdin, a line each",
    )
    add_check_options(check)
    check.add_argument(
        "--jobs", metavar="N", type=jobs, default=1, help="worker processes (default: 1)"
    )
    check.add_argument(
        "--no-cache",
        action="store_true",
        help="validate everything, also what is unchanged since an earlier run",
    )
    _add_cluster_options(check)
    check.add_argument(
        "--triage",
        action="store_true",
        help="leave out what you gave the verdict false-positive, toolchain or wont-fix in the"
        " browser",
    )
    check.add_argument(
        "--baseline", metavar="FILE", help="report only what this baseline does not accept"
    )
    check.add_argument(
        "--format",
        choices=FORMS,
        default="text",
        help="a line a finding, JSON lines, a SARIF 2.1.0 log, or the counts (default: text)",
    )


def _add_cluster_options(check: argparse.ArgumentParser) -> None:
    check.add_argument(
        "--scheduler",
        metavar="ADDRESS",
        help="validate on the Dask cluster of this scheduler (tcp://HOST:PORT, tls://HOST:PORT;"
        " needs kdash[cluster]); only one you trust: it can run code on this machine",
    )
    for name, text in (
        ("ca", "certificate authority of the cluster"),
        ("cert", "certificate of this client"),
        ("key", "its key"),
    ):
        check.add_argument(f"--scheduler-{name}", metavar="FILE", default="", help=f"TLS: {text}")


# --- check


class _Ended(BaseException):
    """A signal asked the process to end."""


def _guarded(command: Callable[[argparse.Namespace], int], arguments: argparse.Namespace) -> int:
    """Carry out; when a signal ends it, what is known so far is still printed."""
    from kdash.configuration import ConfigurationError

    before = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        return command(arguments)
    except ConfigurationError as error:
        print(f"kdash stack: {error}", file=sys.stderr)  # noqa: T201
        return int(ExitStatus.ENVIRONMENT if error.unreadable else ExitStatus.USAGE)
    except InputError as error:
        print(f"kdash stack: {error}", file=sys.stderr)  # noqa: T201
        return int(ExitStatus.ENVIRONMENT)
    except ClusterError as error:
        print(f"kdash stack: {error}", file=sys.stderr)  # noqa: T201
        return int(ExitStatus.ENVIRONMENT)
    except KeyboardInterrupt:
        return int(ExitStatus.SIGINT)
    except _Ended as ended:
        return 128 + int(ended.args[0])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, _frame: object) -> NoReturn:
    raise _Ended(number)


def _check(arguments: argparse.Namespace) -> int:
    from kdash.backends.stack.printable import printable

    options = check_options(arguments)
    paths = [path for given in arguments.paths for path in named(given)]
    for path in paths:
        if not path.endswith(STACK_SUFFIXES) and is_results(Path(path)):
            told = printable(f"{path}: results, no object; kdash stack import shows them")
            print(f"kdash stack check: {told}", file=sys.stderr)  # noqa: T201
            return int(ExitStatus.USAGE)
    progress = Progress.on(sys.stderr, paths)
    if arguments.scheduler:
        files = (arguments.scheduler_ca, arguments.scheduler_cert, arguments.scheduler_key)
        reports = reports_of_cluster(paths, options, Cluster(arguments.scheduler, *files))
        reports = progress.watch(reports) if progress else reports
    else:
        kept = not arguments.no_cache
        reports = reports_on(paths, options, arguments.jobs, cache=kept, progress=progress)
    compared = triaged = None
    if arguments.baseline:
        from kdash.backends.stack.baseline import BaselineError

        try:
            compared = Comparison(arguments.baseline)
        except (BaselineError, OSError) as error:
            return refused(arguments.baseline, error, "check")
    if arguments.triage:
        from kdash.backends.stack.verdicts import VerdictError
        from kdash.commands.stack_verdicts import Triaged, refused_verdicts

        try:
            triaged = Triaged()
        except (VerdictError, OSError) as error:
            return refused_verdicts(error)
    form = form_named(arguments.format, options)
    reports = triaged.open(reports) if triaged else reports
    reports = compared.new(reports) if compared else reports
    summary = print_reports(reports, form, progress)
    for filtered in (compared, triaged):
        if filtered:
            print(f"kdash stack check: {filtered.told()}", file=sys.stderr)  # noqa: T201
    if not summary.files and not summary.unreadable:
        where = ", ".join(map(printable, arguments.paths))
        print(f"kdash stack check: no *.o, *.ko or *.a in {where}", file=sys.stderr)  # noqa: T201
    return status_of(summary)


COMMANDS: dict[str, Callable[[argparse.Namespace], int]] = {
    "check": _check,
    "explain": carry_out_explain,
    "import": carry_out_import,
    "baseline": carry_out_baseline,
    "compare": carry_out_compare,
    "livepatch": carry_out_livepatch,
}
