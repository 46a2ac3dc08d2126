"""The options that say by which rules objects are validated, on top of the configuration file."""

from __future__ import annotations

import argparse
from typing import Final

from kdash.backends.stack.facts import CheckOptions
from kdash.backends.stack.rules import LEVELS, RULES

BUILDS: Final = {
    "retpoline": "the kernel is built with retpolines: report other indirect branches",
    "rethunk": "the kernel is built with return thunks: report other returns",
    "sls": "report returns and indirect jumps without an int3 behind them",
    "ibt": "report addresses of code without ENDBR",
}


def add_check_options(parser: argparse.ArgumentParser) -> None:
    """Add them to a parser."""
    parser.add_argument(
        "--frame-pointer",
        choices=("auto", "on", "off"),
        default="auto",
        help="whether the frame pointer rules apply (auto: told by the object)",
    )
    parser.add_argument(
        "--noreturn",
        metavar="NAME",
        action="append",
        default=[],
        help="a function that never returns, besides the known ones; may be repeated",
    )
    parser.add_argument(
        "--uaccess",
        action="store_true",
        help="follow stac and clac: report calls and returns with user memory open (SMAP)",
    )
    for kind, text in BUILDS.items():
        parser.add_argument(f"--{kind}", action="store_true", help=text)
    parser.add_argument(
        "--rule",
        metavar="KIND=LEVEL",
        action="append",
        default=[],
        type=_rule_level,
        help="report a kind as error, warning or off; may be repeated; it beats [stack.rules] of"
        " the configuration file",
    )


def check_options(arguments: argparse.Namespace) -> CheckOptions:
    """What the configuration file and the command line say; the latter wins.

    Raises:
        ConfigurationError: the file is malformed, or can't be read.
    """
    from kdash.configuration import read_configuration

    configuration = read_configuration()
    return CheckOptions(
        arguments.frame_pointer,
        (*configuration.noreturn, *arguments.noreturn),
        (*configuration.rules, *arguments.rule),
        tuple(kind for kind in BUILDS if getattr(arguments, kind)),
        arguments.uaccess,
    )


def _rule_level(text: str) -> tuple[str, str]:
    kind, _, level = text.partition("=")
    if kind not in RULES:
        raise argparse.ArgumentTypeError(f"no rule '{kind}'; one of: {', '.join(RULES)}")
    if level not in LEVELS:
        raise argparse.ArgumentTypeError(f"level '{level}' of {kind}; one of: {', '.join(LEVELS)}")
    return kind, level
