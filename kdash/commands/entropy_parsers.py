"""The parsers of `kdash entropy` and the commands below it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

from kdash.commands.argument_parser import Parser
from kdash.commands.entropy_parser import sample_count, seconds_between

ONCE_EPILOG = """\
further commands:
  kdash entropy watch        a line for each sample
  kdash entropy model        the Linux 4.3 model: test vectors, or event by event
  kdash entropy health       statistical tests of a file or of a live source
  kdash entropy contention   what readers that share a lock cost each other
  kdash entropy export       metrics for Prometheus, served or written

examples:
  kdash entropy
  kdash entropy --format json | jq .meaning
  kdash entropy --hwrng
  kdash entropy --check || echo "the generator needs attention"

Alerts: not seeded, getrandom would block, no reseed for 180 s (known at once where a dashboard of
this user has seen the last one, else with --for), hardware source lost, machine forked, stream
failing its tests, readers starving (up to 5.5).
Exit status: 0, 1 with --check and an alert, 2 usage, 3 when nothing can be read.
"""
WATCH_EPILOG = """\
example:
  kdash entropy watch --interval 5 --format json >> entropy.log
  kdash entropy watch --callers
  kdash entropy watch --random-events --format json | jq .random_events.pools

Ends after --count samples, or with SIGINT (130), SIGTERM (143), SIGHUP (129).
"""


def once_parser() -> Parser:
    """`kdash entropy`."""
    parser = Parser(
        "entropy", "Tell the facts about the generator once.", ONCE_EPILOG, formats=True
    )
    parser.add_argument(
        "--hwrng", action="store_true", help="measure the raw hardware source too (root)"
    )
    parser.add_argument(
        "--for",
        type=seconds_between,
        metavar="S",
        dest="watched",
        help="look for S seconds, or until an alert: a missed reseed shows after 180",
    )
    parser.add_argument("--check", action="store_true", help="exit with status 1 on an alert")
    parser.add_argument(
        "command",
        nargs="?",
        choices=("watch", "model", "health", "contention", "export"),
        help=argparse.SUPPRESS,
    )
    return parser


def watch_parser() -> Parser:
    """`kdash entropy watch`."""
    parser = Parser("entropy watch", "Print a line for each sample.", WATCH_EPILOG, formats=True)
    parser.add_argument(
        "--interval",
        type=seconds_between,
        default=1.0,
        metavar="S",
        help="seconds between samples (1)",
    )
    parser.add_argument("--count", type=sample_count, metavar="N", help="end after N samples")
    parser.add_argument(
        "--callers",
        action="store_true",
        help="tell who calls getrandom (root; makes a trace instance of its own in tracefs)",
    )
    parser.add_argument(
        "--random-events",
        action="store_true",
        help="add up credits, debits and spills of the pools (root; kernels 3.6 to 5.17)",
    )
    return parser


def _model_parser() -> Parser:
    from kdash.commands.entropy_model import model_parser

    return model_parser()


def _contention_parser() -> Parser:
    from kdash.commands.entropy_contention import contention_parser

    return contention_parser()


def _health_parser() -> Parser:
    from kdash.commands.entropy_health import health_parser

    return health_parser()


def _export_parser() -> Parser:
    from kdash.commands.entropy_export import export_parser

    return export_parser()


#: The commands below `kdash entropy`.
PARSERS: Final[dict[str, Callable[[], Parser]]] = {
    "watch": watch_parser,
    "model": _model_parser,
    "health": _health_parser,
    "contention": _contention_parser,
    "export": _export_parser,
}
