"""Checks every key of a configuration file, and names the line of what can't be."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final, NoReturn

from kdash.backends.stack.printable import printable
from kdash.backends.stack.rules import LEVELS, RULES
from kdash.configuration import PANES, THEMES, Configuration, ConfigurationError
from kdash.settings import Layout
from kdash.toml_lines import Key, first_refused, value_lines

_AT_LINE: Final = r" \(at line (\d+), column \d+\)$"  # of tomllib's messages
_INTERVALS: Final = (0.25, 60.0)  # seconds between two samples of the entropy pane
_WATCHES: Final = (0.25, 60.0)  # seconds between two looks at watched files
_ANIMATIONS: Final = (1, 10_000)  # steps a second, as the keys go
_COLUMNS: Final = (144, 1000)  # of a terminal with three panes beside each other
_LEAST: Final = 48  # columns of a pane that shows what it is for
_SHARES: Final = (1, 9)
_DEEPEST: Final = 10  # tables and arrays in each other; what is known has three
_BITS: Final = 64  # of a number (TOML 1.0.0, "Integer")
_NAME: Final = re.compile(r"[^\s\x00-\x20\x7f-\x9f]{1,1024}")  # of a symbol


class Reader:
    """The text of one file."""

    def __init__(self, path: Path, data: bytes) -> None:
        """Decode it; editors of other systems write a byte order mark.

        Raises:
            ConfigurationError: It is no text.
        """
        self._path = path
        try:
            self._text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise ConfigurationError(f"{path}:{line}: no text in UTF-8") from None

    def configuration(self) -> Configuration:
        """The file's contents.

        Raises:
            ConfigurationError: What is wrong, and in which line.
        """
        data = self._parsed()
        self._bounded(data)
        self._known((), data, ("dashboard", "layout", "vcpu", "entropy", "keys", "stack"))
        return Configuration(
            **self._stack(self._table((), "stack", data)),
            **self._dashboard(self._table((), "dashboard", data)),
            layout=self._layout(self._table((), "layout", data)),
            **self._rate(data, "vcpu", "animation", _ANIMATIONS, "steps a second"),
            **self._rate(data, "entropy", "interval", _INTERVALS, "seconds"),
            keys=tuple(self._keys(self._table((), "keys", data)).items()),
            path=self._path,
            text=self._text,
        )

    def _parsed(self) -> dict[str, Any]:
        try:
            return tomllib.loads(self._text)
        except tomllib.TOMLDecodeError as error:
            found = re.search(_AT_LINE, str(error))
            line = int(found[1]) if found else self._text.count("\n") + 1
            message = re.sub(_AT_LINE, "", str(error)).removesuffix(" (at end of document)")
            raise ConfigurationError(printable(f"{self._path}:{line}: {message}")) from None
        except RecursionError:
            raise ConfigurationError(f"{self._path}: nested too deeply") from None
        except ValueError:  # Python's limit, which comes without a place
            line = first_refused(self._text)
            raise ConfigurationError(f"{self._path}:{line}: a number of too many digits") from None

    def _bounded(self, data: dict[str, Any]) -> None:
        """Refuse what TOML allows and nobody means: Python's own limits would end the program."""
        level: list[tuple[Key, Any]] = [((), data)]
        for _ in range(_DEEPEST):
            inner: list[tuple[Key, Any]] = []
            for at, value in level:
                if isinstance(value, dict):
                    inner += (((*at, name), one) for name, one in value.items())
                elif isinstance(value, list):
                    inner += ((at, one) for one in value)
                elif isinstance(value, int) and value.bit_length() > _BITS:
                    self._refuse(at, f"a number of more than {_BITS} bits")
            level = inner
        if level:
            raise ConfigurationError(f"{self._path}: nested too deeply")

    # -- tables -------------------------------------------------------------------------

    def _dashboard(self, table: dict[str, Any]) -> dict[str, Any]:
        """The values of [dashboard]."""
        at = ("dashboard",)
        self._known(at, table, ("theme", "ascii", "pane", "guest", "objects"))
        for name, words in (("theme", THEMES), ("pane", PANES)):
            self._one_of(at, name, table, words)
        self._truth(at, "ascii", table)
        guest = table.get("guest")
        if guest is not None and not _is_path(guest):
            self._refuse((*at, "guest"), "not the path of a file")
        objects = table.get("objects", [])
        if not isinstance(objects, list) or not all(_is_path(one) for one in objects):
            self._refuse((*at, "objects"), 'not a list of paths, as ["build/drivers"]')
        values = {name: table.get(name) for name in ("theme", "ascii", "pane")}
        return values | {
            "guest": self._place(guest) if guest else None,
            "objects": tuple(self._place(one) for one in objects),
        }

    def _place(self, path: str) -> Path:
        """A path of the file: from its folder, not from where kdash is started."""
        # ~ of nobody known stays as it is: no such file then.
        return self._path.parent.absolute() / os.path.expanduser(path)  # noqa: PTH111

    def _layout(self, table: dict[str, Any]) -> Layout:
        """How the panes share the screen."""
        usual = Layout()
        self._known(("layout",), table, ("side_by_side", "shares", "zoomed"))
        self._truth(("layout",), "zoomed", table)
        columns = table.get("side_by_side", usual.side_by_side)
        least, most = _COLUMNS
        if not _is_within(columns, (least, most), whole=True) and columns != 0:
            why = f"no number of columns from {least} to {most}, nor 0 for never"
            self._refuse(("layout", "side_by_side"), why)
        shares = table.get("shares", list(usual.shares))
        fit = isinstance(shares, list) and len(shares) == len(PANES)
        if not fit or not all(_is_within(one, _SHARES, whole=True) for one in shares):
            few, many = _SHARES
            why = f"not {len(PANES)} whole numbers from {few} to {many}, as [2, 1, 1]"
            self._refuse(("layout", "shares"), why)
        if columns and (narrow := columns * min(shares) // sum(shares)) < _LEAST:
            why = (
                f"a pane would have {narrow} of {columns} columns, {_LEAST} show what it is for;"
                f" side_by_side = {-(-_LEAST * sum(shares) // min(shares))} gives it that"
            )
            self._refuse(("layout", "shares"), why)
        return Layout(columns, tuple(shares), table.get("zoomed", False))

    def _stack(self, table: dict[str, Any]) -> dict[str, Any]:
        """The values of [stack] and [stack.rules]."""
        self._known(("stack",), table, ("rules", "noreturn", "watch"))
        rules = self._table(("stack",), "rules", table)
        self._known(("stack", "rules"), rules, tuple(RULES), "rule")
        for kind in rules:
            self._one_of(("stack", "rules"), kind, rules, LEVELS)
        names = table.get("noreturn", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            self._refuse(("stack", "noreturn"), 'not a list of names, as ["journal_abort"]')
        for name in names:
            if not _NAME.fullmatch(name):
                self._refuse(("stack", "noreturn"), f"{name[:40]!r} is no name of a function")
        watch = self._number(("stack", "watch"), table, _WATCHES, "seconds")
        return {"rules": tuple(rules.items()), "noreturn": tuple(names), "watch": watch}

    def _rate(
        self,
        data: dict[str, Any],
        name: str,
        key: str,
        limits: tuple[float, float],
        unit: str,
    ) -> dict[str, Any]:
        """The value of a table that has a rate alone."""
        table = self._table((), name, data)
        self._known((name,), table, (key,))
        return {key: self._number((name, key), table, limits, unit)}

    def _keys(self, table: dict[str, Any]) -> dict[str, str]:
        """The keys of bindings by id, which may be written with or without quotation marks."""
        found: dict[str, str] = {}
        for name, value in table.items():
            inner = value if isinstance(value, dict) else {"": value}
            for word, keys in inner.items():
                at = ("keys", name, word) if word else ("keys", name)
                if not isinstance(keys, str) or not keys.strip():
                    self._refuse(at, 'not the names of keys, as "f8,ctrl+s"')
                binding = f"{name}.{word}".rstrip(".")
                if binding in found:
                    self._refuse(at, f"{binding} has its keys already")
                found[binding] = keys
        return found

    # -- values -------------------------------------------------------------------------

    def _table(self, at: Key, name: str, above: dict[str, Any]) -> dict[str, Any]:
        table = above.get(name, {})
        if not isinstance(table, dict):
            self._refuse((*at, name), "a table is needed")
        return dict(table)

    def _known(
        self, at: Key, data: dict[str, Any], names: tuple[str, ...], what: str = "key"
    ) -> None:
        for name in data:
            if name not in names:
                self._refuse((*at, name), f"no such {what}; one of: {', '.join(names)}")

    def _one_of(self, at: Key, key: str, values: dict[str, Any], words: tuple[str, ...]) -> None:
        value = values.get(key, words[0])
        if value not in words:
            self._refuse((*at, key), f"{str(value)[:40]!r} is none of {', '.join(words)}")

    def _truth(self, at: Key, key: str, values: dict[str, Any]) -> None:
        if not isinstance(values.get(key, False), bool):
            self._refuse((*at, key), "neither true nor false")

    def _number(
        self, at: Key, table: dict[str, Any], limits: tuple[float, float], unit: str
    ) -> float | None:
        value = table.get(at[-1])
        whole = isinstance(limits[0], int)
        if value is None:
            return None
        if not _is_within(value, limits, whole=whole):
            kind = "whole number" if whole else "number"
            self._refuse(at, f"no {kind} of {unit} from {limits[0]:,} to {limits[1]:,.0f}")
        return int(value) if whole else float(value)

    def _refuse(self, at: Key, why: str) -> NoReturn:
        table = ".".join(at[:-1]) if at[0] != "keys" else "keys"
        where = f"[{table}] {'.'.join(at[1:]) if table == 'keys' else at[-1]}" if table else at[0]
        place = f"{self._path}:{value_lines(self._text).get(at, 1)}"
        raise ConfigurationError(printable(f"{place}: {where}: {why}"))


def _is_within(value: object, limits: tuple[float, float], *, whole: bool) -> bool:
    """Whether this is a number between the limits, a whole one where that is needed."""
    kinds = int if whole else int | float
    if isinstance(value, bool) or not isinstance(value, kinds):
        return False
    return limits[0] <= value <= limits[1]


def _is_path(value: object) -> bool:
    return isinstance(value, str) and bool(value) and "\0" not in value
