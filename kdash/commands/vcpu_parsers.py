"""The parsers of `kdash vcpu` and the commands below it."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Final

from kdash.commands.argument_parser import Parser
from kdash.commands.vcpu_arguments import count, seconds, span
from kdash.commands.vcpu_guest import add_guest_options, add_recording_options
from kdash.commands.vcpu_help import CAPS_EPILOG, DESCRIPTION, EPILOG, RUN_EPILOG, TRACE_EPILOG
from kdash.commands.vcpu_stops import add_options as add_stop_options

GDB_DANGER: Final = "--let-others-control-the-guest"


def main_parser() -> Parser:
    """`kdash vcpu`: names the commands below it."""
    parser = Parser("vcpu", DESCRIPTION, EPILOG)
    parser.usage = "kdash vcpu run | trace | caps ..."
    parser.add_argument("command", choices=tuple(PARSERS), help=argparse.SUPPRESS)
    return parser


def run_parser() -> Parser:
    """`kdash vcpu run`."""
    parser = guest_parser("vcpu run", "Run a guest to its end.", RUN_EPILOG)
    parser.add_argument("--format", choices=("text", "json"), default="text",
        help="what to print at the end (text)")  # fmt: skip
    parser.add_argument("--record", metavar="FILE",
        help="keep every step there, for kdash FILE to go through")  # fmt: skip
    add_recording_options(parser)
    parser.add_argument("--raw-exits", action="store_true", help="count what KVM_RUN returned")
    parser.add_argument("--quiet", action="store_true", help="no exits on stderr")
    parser.add_argument("--gdb", type=gdb_address, metavar="HOST:PORT",
        help="wait for gdb there and let it run the guest (host: 127.0.0.1)")  # fmt: skip
    parser.add_argument(GDB_DANGER, action="store_true", dest="others",
        help="--gdb where other machines reach it: who connects has the guest")  # fmt: skip
    return parser


def trace_parser() -> Parser:
    """`kdash vcpu trace`."""
    parser = guest_parser("vcpu trace", "Run a guest step by step.", TRACE_EPILOG)
    parser.add_argument("--exits", action="store_true", help="exits alone, at full speed")
    return parser


def caps_parser() -> Parser:
    """`kdash vcpu caps`."""
    parser = Parser("vcpu caps", "List KVM's capabilities with name, number, value.", CAPS_EPILOG)
    parser.add_argument("--format", choices=("text", "json"), default="text",
        help="what to print (text)")  # fmt: skip
    return parser


def guest_parser(name: str, description: str, epilog: str) -> Parser:
    """The options that say what guest to run and how long."""
    parser = Parser(name, description, epilog)
    add = parser.add_argument
    add(
        "guest",
        nargs="?",
        metavar="GUEST",
        help="executable, boot image or flat binary; the sample unless given",
    )
    add_guest_options(parser)
    add("--timeout", type=seconds, metavar="S", help="end the run after so many seconds")
    add("--max-steps", type=count, metavar="N", help="step by step, at most N instructions")
    add("--dump", type=span, action="append", default=[], metavar="ADDR:LEN",
        help="print memory at the end; repeatable")  # fmt: skip
    add_stop_options(parser)
    return parser


def gdb_address(text: str) -> tuple[str, int]:
    """HOST:PORT, :PORT or PORT."""
    from kdash.commands.host_port import host_port

    return host_port(text)


#: The commands below `kdash vcpu`.
PARSERS: Final[dict[str, Callable[[], Parser]]] = {
    "run": run_parser,
    "trace": trace_parser,
    "caps": caps_parser,
}
