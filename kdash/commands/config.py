"""`kdash config`: the configuration file, and what holds by it."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

from kdash.commands.argument_parser import Parser
from kdash.configuration import (
    Configuration,
    configuration_path,
)
from kdash.exit_status import ExitStatus
from kdash.settings import Settings

EPILOG = """\
examples:
  kdash config                          what holds, as a configuration file of your own begins
  kdash config > new.toml               to edit; a file that is read here must not be written
  kdash config --keys | grep vcpu       what [keys] can change
  KDASH_CONFIG=ci.toml kdash config     check another file

Exit status: 0; 2 when the file is malformed, 3 when it can't be read.
"""


def run(argv: list[str]) -> int:
    """Print what holds and return the exit status."""
    arguments = config_parser().parse_args(argv)
    from kdash.commands.dashboard import RefusedError, accepted

    try:
        configuration = accepted([])[1]
    except RefusedError as error:
        sys.stderr.write(f"kdash config: {error}\n")
        return error.status
    path = configuration_path()
    if arguments.keys:
        sys.stdout.write(as_keys(configuration))
    elif arguments.format == "json":
        sys.stdout.write(json.dumps(as_json(configuration, path)) + "\n")
    else:
        sys.stdout.write(as_toml(configuration, path))
    return ExitStatus.OK


def config_parser() -> Parser:
    """`kdash config`."""
    parser = Parser(
        "config",
        "Print what the configuration file says, and the defaults beside it.",
        EPILOG,
        formats=True,
    )
    parser.add_argument("--keys", action="store_true", help="list every binding with its keys")
    return parser


def as_json(configuration: Configuration, path: Path | None) -> dict[str, object]:
    """The object that `--format json` prints; without a file `path` is absent.

    `sources` says of each value by its name where it comes from: "default", "FILE:LINE", or
    "environment NAME".
    """
    data: dict[str, object] = {"path": str(path)} if path else {}
    values = effective(configuration)
    tables: dict[str, dict[str, object]] = {}
    for one in values:
        tables.setdefault(one.table, {})[one.key] = one.value
    stack = tables.pop("stack") | {"rules": tables.pop("stack.rules")}
    sources = {f"{one.table}.{one.key}": one.source(path) for one in values}
    return (
        data
        | {
            name: tables.get(name, {})
            for name in ("dashboard", "layout", "vcpu", "entropy", "keys")
        }
        | {
            "stack": stack,
            "sources": sources,
        }
    )


@dataclass(frozen=True, slots=True)
class Effective:
    """A value that holds."""

    table: str
    key: str
    value: object
    line: int = 0  # of the file; 0 when it does not say so
    variable: str = ""  # of the environment, that says so
    text: str = ""  # what it means, where the value does not tell

    def source(self, path: Path | None) -> str:
        """Where it comes from, in words."""
        if self.line:
            return f"{path}:{self.line}"
        return f"environment {self.variable}" if self.variable else "default"


def effective(configuration: Configuration) -> tuple[Effective, ...]:
    """Every value that holds for a dashboard without options, in the order of the file."""
    from kdash.backends.stack.rules import RULES
    from kdash.terminal import colour_count, is_ascii_alone

    lines, layout, usual = configuration.lines, configuration.layout, Settings()
    few = colour_count() <= 16 and not os.environ.get("NO_COLOR")
    locale = next((name for name in ("LC_ALL", "LC_CTYPE", "LANG") if os.environ.get(name)), "")
    alone = is_ascii_alone()
    theme = configuration.theme or ("ansi" if few else "dark")
    drawn = configuration.ascii if configuration.ascii is not None else alone
    colours = "NO_COLOR: drawn in greys" if os.environ.get("NO_COLOR") else ""
    by_locale = locale if alone and configuration.ascii is None else ""
    found = [
        Effective("dashboard", "theme", theme, variable="TERM" if few else "", text=colours),
        Effective("dashboard", "ascii", drawn, variable=by_locale),
        Effective("dashboard", "pane", configuration.pane or "vcpu"),
        Effective("dashboard", "guest", str(configuration.guest or ""), text="the sample guest"),
        Effective("dashboard", "objects", [str(one) for one in configuration.objects]),
        Effective("layout", "side_by_side", layout.side_by_side,
                  text="columns from which the panes stand beside each other; 0: never"),
        Effective("layout", "shares", list(layout.shares), text="of the width"),
        Effective("layout", "zoomed", layout.zoomed, text="begin with the first pane alone"),
        Effective("vcpu", "animation", configuration.animation or usual.animation,
                  text="steps a second"),
        Effective("entropy", "interval", configuration.interval or usual.interval, text="seconds"),
        *(Effective("keys", binding, keys) for binding, keys in configuration.keys),
        Effective("stack", "noreturn", list(configuration.noreturn)),
        Effective("stack", "watch", configuration.watch or usual.watch, text="seconds"),
    ]  # fmt: skip
    levels = dict(configuration.rules)
    for kind, rule in RULES.items():
        found.append(Effective("stack.rules", kind, levels.get(kind, rule.level.value)))
    return tuple(replace(one, line=lines.get(f"{one.table}.{one.key}", 0)) for one in found)


def as_toml(configuration: Configuration, path: Path | None) -> str:
    """A configuration file that says what holds; defaults stand in comments."""
    from kdash.backends.stack.printable import printable

    where = f"{path}" if path else "none: KDASH_CONFIG is empty"
    there = "" if path is None or path.is_file() else " (not there: these are the defaults)"
    lines = [printable(f"# {where}{there}")]
    table = ""
    for one in effective(configuration):
        if one.table != table:
            lines += [] if not table else [""]
            lines.append(f"[{one.table}]" + _HINTS.get(one.table, ""))
            table = one.table
        lines.append(_line(one))
    return "\n".join(lines) + "\n"


_HINTS = {"stack.rules": "  # error, warning or off", "keys": "  # `kdash config --keys` lists all"}


def _line(one: Effective) -> str:
    key = f'"{one.key}"' if "." in one.key else one.key
    # TOML writes texts, numbers, truth and lists as JSON does.
    text = f"{key} = {_escaped(json.dumps(one.value, ensure_ascii=False))}"
    notes = [f"line {one.line}"] if one.line else []
    notes += [f"by {one.variable}"] if one.variable and not one.line else []
    notes += [one.text] if one.text and not one.line else []
    note = f"  # {', '.join(notes)}" if notes else ""
    return f"{'' if one.line else '# '}{text}{note}"


def _escaped(text: str) -> str:
    """TOML with escapes for what a terminal would obey or not show."""
    return "".join(
        one if one.isprintable() else f"\\u{ord(one):04x}" if ord(one) < 1 << 16
        else f"\\U{ord(one):08x}"
        for one in text
    )  # fmt: skip


def as_keys(configuration: Configuration) -> str:
    """Every binding with its keys, as lines for [keys]."""
    from kdash.keymap import known_bindings

    chosen, lines = dict(configuration.keys), []
    for name, one in sorted(known_bindings().items()):
        keys = chosen.get(name, ",".join(one.keys))
        lines.append(f'{"" if name in chosen else "# "}"{name}" = {json.dumps(keys)}')
    return "\n".join(["[keys]", *lines, ""])
