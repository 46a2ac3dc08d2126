"""`kdash stack explain`: a rule, or a function with the stack state before each instruction."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from kdash.backends.stack.rules import RULES
from kdash.commands.stack_options import add_check_options, check_options
from kdash.exit_status import ExitStatus

EXAMPLE = """examples:
  kdash stack explain                           all rules with their levels
  kdash stack explain call-without-frame        what it protects, bad and good, how to respond
  kdash stack explain drivers/x.o               the functions of an object
  kdash stack explain drivers/x.o x_probe       its code, the stack state before each instruction

A state of " is that of the line before.
exit status: 2 no such rule or function; 3 the object can't be read"""


def add_explain(commands: Any) -> None:
    """Add the command to the parsers of `kdash stack`."""
    explain = commands.add_parser(
        "explain",
        help="what a rule protects, or a function with its stack states",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    explain.add_argument(
        "subject", metavar="KIND|FILE", nargs="?", help="a kind of finding, or an object"
    )
    explain.add_argument("function", metavar="FUNCTION", nargs="?", help="a function of FILE")
    add_check_options(explain)
    explain.add_argument(
        "--format", choices=("text", "json"), default="text", help="what to print (text)"
    )


def carry_out_explain(arguments: argparse.Namespace) -> int:
    """Explain what was asked for; returns the exit status."""
    from kdash.backends.stack.rule_text import explain_rule, list_rules, rule_as_json

    subject, as_json = arguments.subject, arguments.format == "json"
    if subject is None:
        print("\n".join(map(rule_as_json, RULES)) if as_json else list_rules())  # noqa: T201
        return int(ExitStatus.OK)
    if arguments.function is None and subject in RULES:
        print(rule_as_json(subject) if as_json else explain_rule(subject))  # noqa: T201
        return int(ExitStatus.OK)
    if arguments.function is None and not _is_object(subject):
        kinds = ", ".join(RULES)
        return _complain(f"no rule '{subject}' and no such file; rules: {kinds}", ExitStatus.USAGE)
    return _explain_object(arguments, as_json)


def _is_object(path: str) -> bool:
    """Whether it is a file, or the member of an archive."""
    from kdash.backends.stack.reading import split_member

    return Path(path).is_file() or bool(split_member(path)[1])


def _explain_object(arguments: argparse.Namespace, as_json: bool) -> int:
    from kdash.backends.stack import explain_text as texts
    from kdash.backends.stack.explain import Explained
    from kdash.backends.stack.facts import ObjectError

    try:
        explained = Explained(arguments.subject, check_options(arguments))
        if arguments.function is None:
            functions = explained.functions()
            form = texts.json_of_functions if as_json else texts.text_of_functions
            print(form(functions))  # noqa: T201
        else:
            parts = explained.parts(arguments.function)
            print(texts.json_of(parts) if as_json else texts.text_of(parts))  # noqa: T201
    except ObjectError as error:
        return _complain(f"{arguments.subject}: {error}", ExitStatus.ENVIRONMENT)
    except LookupError as error:
        return _complain(str(error.args[0]), ExitStatus.USAGE)
    return int(ExitStatus.OK)


def _complain(message: str, status: ExitStatus) -> int:
    from kdash.backends.stack.printable import printable

    print(f"kdash stack explain: {printable(message)}", file=sys.stderr)  # noqa: T201
    return int(status)
