"""`kdash config`: the configuration file, and what holds by it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from kdash.configuration import (
    Configuration,
    ConfigurationError,
    configuration_path,
    read_configuration,
)
from kdash.exit_status import ExitStatus

EPILOG = """\
examples:
  kdash config                          what holds, as a configuration file of your own begins
  kdash config > ~/.config/kdash/config.toml
  KDASH_CONFIG=ci.toml kdash config     check another file

Exit status: 0; 2 when the file is malformed, 3 when it can't be read.
"""


def run(argv: list[str]) -> int:
    """Print what holds and return the exit status."""
    arguments = config_parser().parse_args(argv)
    try:
        configuration = read_configuration()
    except ConfigurationError as error:
        sys.stderr.write(f"kdash config: {error}\n")
        return ExitStatus.ENVIRONMENT if error.unreadable else ExitStatus.USAGE
    path = configuration_path()
    if arguments.format == "json":
        sys.stdout.write(json.dumps(as_json(configuration, path)) + "\n")
    else:
        sys.stdout.write(as_toml(configuration, path))
    return ExitStatus.OK


def config_parser() -> argparse.ArgumentParser:
    """`kdash config`."""
    parser = argparse.ArgumentParser(
        prog="kdash config",
        description="Print what the configuration file says, and the defaults beside it.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="what to print (text)"
    )
    return parser


def as_json(configuration: Configuration, path: Path | None) -> dict[str, object]:
    """The object that `--format json` prints; without a file `path` is absent."""
    data: dict[str, object] = {"path": str(path)} if path else {}
    rules = _levels(configuration)
    return data | {"stack": {"noreturn": list(configuration.noreturn), "rules": rules}}


def as_toml(configuration: Configuration, path: Path | None) -> str:
    """A configuration file that says what holds; defaults stand in comments."""
    from kdash.backends.stack.printable import printable

    where = f"{path}" if path else "none: KDASH_CONFIG is empty"
    there = "" if path is None or path.is_file() else " (not there: these are the defaults)"
    names = ", ".join(json.dumps(name) for name in configuration.noreturn)
    lines = [
        printable(f"# {where}{there}"),
        "[stack]",
        f"{'' if names else '# '}noreturn = [{names}]",
        "",
        "[stack.rules]  # error, warning or off",
    ]
    chosen = dict(configuration.rules)
    for kind, level in _levels(configuration).items():
        lines.append(f'{"" if kind in chosen else "# "}{kind} = "{level}"')
    return "\n".join(lines) + "\n"


def _levels(configuration: Configuration) -> dict[str, str]:
    from kdash.backends.stack.rules import RULES

    levels = {kind: rule.level.value for kind, rule in RULES.items()}
    return levels | dict(configuration.rules)
