"""The configuration file: $KDASH_CONFIG, else config.toml in $XDG_CONFIG_HOME/kdash.

What it says holds unless the command line says otherwise:

    [dashboard]
    theme = "light"                # as --theme
    ascii = false                  # as --ascii
    pane = "stack"                 # the first one; else by what is opened
    guest = "~/guests/boot.bin"    # opened where the command line names no guest
    objects = ["build/drivers"]    # the same of the stack pane; from the file's folder

    [entropy]
    interval = 0.5                 # seconds between two samples

    [keys]
    "vcpu.step" = "f8"             # a binding and its keys, several with commas

    [stack]
    noreturn = ["journal_abort"]   # as --noreturn

    [stack.rules]
    unreachable = "warning"        # error, warning or off, as --rule
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NoReturn

VARIABLE: Final = "KDASH_CONFIG"  # the file's path; empty for none
#: What --theme knows beside the choice by the terminal; kdash.theme has their colours.
THEMES: Final = ("dark", "light", "high-contrast", "colour-blind", "ansi")
PANES: Final = ("vcpu", "stack", "entropy")
INTERVALS: Final = (0.25, 60.0)  # seconds between two samples of the entropy pane
_LARGEST: Final = 1 << 20  # bytes
_AT_LINE: Final = r" \(at line (\d+), column \d+\)$"  # of tomllib's messages


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the file says; what it doesn't say is as without a file."""

    rules: tuple[tuple[str, str], ...] = ()  # [stack.rules]: kind and level
    noreturn: tuple[str, ...] = ()  # [stack] noreturn
    theme: str | None = None  # [dashboard] theme, one of THEMES
    ascii: bool | None = None  # [dashboard] ascii
    pane: str | None = None  # [dashboard] pane, one of PANES
    guest: Path | None = None  # [dashboard] guest
    objects: tuple[Path, ...] = ()  # [dashboard] objects
    interval: float | None = None  # [entropy] interval, seconds
    keys: tuple[tuple[str, str], ...] = ()  # [keys]: id of a binding, and its keys
    path: Path | None = field(default=None, compare=False)  # of the file that was read
    #: The line that each value stands in, by its name: "stack.rules.unreachable".
    lines: Mapping[str, int] = field(default_factory=dict, compare=False)

    def wrong(self, name: str, why: str) -> ConfigurationError:
        """The error that tells what is wrong with a value, at its line."""
        table, _, key = name.partition(".")
        where = f"{self.path}:{self.lines.get(name, 1)}: [{table}] {key}"
        return ConfigurationError(f"{where}: {why}")


class ConfigurationError(Exception):
    """A configuration that can't be used: one line that names file, line and what would be right.

    Args:
        message: that line.
        unreadable: whether the file can't be read at all.
    """

    def __init__(self, message: str, *, unreadable: bool = False) -> None:
        super().__init__(message)
        self.unreadable = unreadable


def configuration_path(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where the configuration file is, or would be; None where the user wants none."""
    if VARIABLE in environment:
        named = environment[VARIABLE]
        try:
            return Path(named).expanduser() if named else None
        except RuntimeError:  # "~name" of nobody
            return Path(named)
    base = environment.get("XDG_CONFIG_HOME", "")
    # The XDG base directory specification has relative paths ignored.
    folder = Path(base) if base.startswith("/") else Path("~/.config").expanduser()
    return folder / "kdash" / "config.toml"


def read_configuration(environment: Mapping[str, str] = os.environ) -> Configuration:
    """What the configuration file says.

    Raises:
        ConfigurationError: it is malformed, can't be read, or $KDASH_CONFIG names a file that is
            not there.
    """
    path = configuration_path(environment)
    try:
        if path is None or (VARIABLE not in environment and not _is_there(path)):
            return Configuration()
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "not a regular file")
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        from kdash.backends.stack.printable import printable

        why = printable(f"{path}: {error.strerror or error}")
        raise ConfigurationError(why, unreadable=True) from None
    if len(data) > _LARGEST:
        raise ConfigurationError(f"{path}: larger than any configuration")
    return _Reader(path, data).configuration()


def _is_there(path: Path) -> bool:
    """Whether there is such a file; not where its folder is somebody else's."""
    try:
        return path.exists()
    except PermissionError:
        return False


def _is_path(value: object) -> bool:
    return isinstance(value, str) and bool(value) and "\0" not in value


class _Reader:
    """Checks every key of one file."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path = path
        self._lines: dict[str, int] = {}
        try:
            self._text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise ConfigurationError(f"{path}:{line}: no text in UTF-8") from None

    def configuration(self) -> Configuration:
        """The file's contents."""
        import re
        import tomllib

        from kdash.backends.stack.rules import LEVELS, RULES

        try:
            data = tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(_AT_LINE, str(error))
            line = int(found[1]) if found else self._text.count("\n") + 1
            message = re.sub(_AT_LINE, "", str(error)).removesuffix(" (at end of document)")
            raise ConfigurationError(f"{self._path}:{line}: {message}") from None
        except RecursionError:
            raise ConfigurationError(f"{self._path}: nested too deeply") from None
        self._known("", data, ("dashboard", "entropy", "keys", "stack"))
        stack = self._table("stack", data)
        self._known("stack", stack, ("rules", "noreturn"))
        rules = self._table("rules", stack)
        self._known("stack.rules", rules, tuple(RULES), "rule")
        for kind in rules:
            self._one_of("stack.rules", kind, rules, LEVELS)
        names = stack.get("noreturn", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self._refuse("stack", "noreturn", 'not a list of names, as ["journal_abort"]')
        keys = self._keys(self._table("keys", data))
        self._note("stack", ("noreturn",) if "noreturn" in stack else ())
        self._note("stack.rules", rules)
        return Configuration(
            tuple(rules.items()),
            tuple(names),
            interval=self._interval(self._table("entropy", data)),
            keys=tuple(keys.items()),
            path=self._path,
            lines=self._lines,
            **self._dashboard(self._table("dashboard", data)),
        )

    def _dashboard(self, table: dict[str, Any]) -> dict[str, Any]:
        """The values of [dashboard]."""
        self._known("dashboard", table, ("theme", "ascii", "pane", "guest", "objects"))
        self._note("dashboard", table)
        for name, words in (("theme", THEMES), ("pane", PANES)):
            self._one_of("dashboard", name, table, words)
        if not isinstance(table.get("ascii", False), bool):
            self._refuse("dashboard", "ascii", "neither true nor false")
        guest = table.get("guest")
        if guest is not None and not _is_path(guest):
            self._refuse("dashboard", "guest", "not the path of a file")
        objects = table.get("objects", [])
        if not isinstance(objects, list) or not all(_is_path(one) for one in objects):
            self._refuse("dashboard", "objects", 'not a list of paths, as ["build/drivers"]')
        values = {name: table.get(name) for name in ("theme", "ascii", "pane")}
        return values | {
            "guest": self._place(guest) if guest else None,
            "objects": tuple(self._place(one) for one in objects),
        }

    def _place(self, path: str) -> Path:
        """A path of the file: from its folder, not from where kdash is started."""
        # ~ of nobody known stays as it is: no such file then.
        return self._path.parent.absolute() / os.path.expanduser(path)  # noqa: PTH111

    def _interval(self, table: dict[str, Any]) -> float | None:
        self._known("entropy", table, ("interval",))
        self._note("entropy", table)
        seconds = table.get("interval")
        if seconds is None:
            return None
        least, most = INTERVALS
        number = isinstance(seconds, int | float) and not isinstance(seconds, bool)
        if not number or not least <= seconds <= most:
            self._refuse("entropy", "interval", f"no number of seconds from {least} to {most:.0f}")
        return float(seconds)

    def _keys(self, table: dict[str, Any]) -> dict[str, str]:
        """The keys of bindings by id, which may be written with or without quotation marks."""
        found: dict[str, str] = {}
        for name, value in table.items():
            inner = value if isinstance(value, dict) else {"": value}
            for word, keys in inner.items():
                if not isinstance(keys, str) or not keys.strip():
                    self._refuse("keys", word or name, 'not the names of keys, as "f8,ctrl+s"')
                binding = f"{name}.{word}".rstrip(".")
                found[binding] = keys
                self._lines[f"keys.{binding}"] = self._line_of("keys", word or name)
        return found

    def _one_of(self, table: str, key: str, values: dict[str, Any], words: tuple[str, ...]) -> None:
        value = values.get(key, words[0])
        if value not in words:
            self._refuse(table, key, f"{str(value)[:40]!r} is none of {', '.join(words)}")

    def _note(self, table: str, keys: Iterable[str]) -> None:
        """Remember the lines of a table's values."""
        for key in keys:
            self._lines[f"{table}.{key}"] = self._line_of(table, key)

    def _table(self, name: str, above: dict[str, Any]) -> dict[str, Any]:
        table = above.get(name, {})
        if not isinstance(table, dict):
            self._refuse("", name, "a table is needed")
        return dict(table)

    def _known(
        self, table: str, data: dict[str, Any], names: tuple[str, ...], what: str = "key"
    ) -> None:
        for name in data:
            if name not in names:
                self._refuse(table, name, f"no such {what}; one of: {', '.join(names)}")

    def _refuse(self, table: str, key: str, why: str) -> NoReturn:
        from kdash.backends.stack.printable import printable

        where = f"[{table}] {key}" if table else key
        place = f"{self._path}:{self._line_of(table, key)}"
        raise ConfigurationError(printable(f"{place}: {where}: {why}"))

    def _line_of(self, table: str, key: str) -> int:
        """The line that a key stands in; of several, one below its table's head."""
        import re

        word = re.compile(rf"""(?:^|[\s.\["']){re.escape(key)}(?:$|[\s.\]="'])""")
        head = re.compile(rf"\s*\[+\s*{re.escape(table)}\s*\]")
        lines = self._text.splitlines()
        first = next((at for at, line in enumerate(lines) if table and head.match(line)), 0)
        order = [*range(first, len(lines)), *range(first)]
        return next((at + 1 for at in order if word.search(lines[at].partition("#")[0])), 1)
