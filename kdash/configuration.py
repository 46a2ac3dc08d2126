"""The configuration file: $KDASH_CONFIG, else config.toml in $XDG_CONFIG_HOME/kdash.

What it says holds unless the command line says otherwise:

    [stack]
    noreturn = ["journal_abort"]   # as --noreturn

    [stack.rules]
    unreachable = "warning"        # error, warning or off, as --rule
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

VARIABLE: Final = "KDASH_CONFIG"  # the file's path; empty for none
_LARGEST: Final = 1 << 20  # bytes
_AT_LINE: Final = r" \(at line (\d+), column \d+\)$"  # of tomllib's messages


@dataclass(frozen=True, slots=True)
class Configuration:
    """What the file says; what it doesn't say is as without a file."""

    rules: tuple[tuple[str, str], ...] = ()  # [stack.rules]: kind and level
    noreturn: tuple[str, ...] = ()  # [stack] noreturn


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
        return Path(named).expanduser() if named else None
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
            raise ConfigurationError(f"{path}: not a regular file")
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        why = f"{path}: {error.strerror or error}"
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


class _Reader:
    """Checks every key of one file."""

    def __init__(self, path: Path, data: bytes) -> None:
        self._path = path
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
        self._known("", data, ("stack",))
        stack = self._table("stack", data)
        self._known("stack", stack, ("rules", "noreturn"))
        rules = self._table("rules", stack)
        self._known("stack.rules", rules, tuple(RULES), "rule")
        for kind, level in rules.items():
            if level not in LEVELS:
                self._refuse(
                    "stack.rules", kind, f"{str(level)[:40]!r} is none of {', '.join(LEVELS)}"
                )
        names = stack.get("noreturn", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self._refuse("stack", "noreturn", 'not a list of names, as ["journal_abort"]')
        return Configuration(tuple(rules.items()), tuple(names))

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

    def _refuse(self, table: str, key: str, why: str) -> None:
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
