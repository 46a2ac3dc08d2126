"""The configuration file: $KDASH_CONFIG, else config.toml in $XDG_CONFIG_HOME/kdash.

What it says holds unless the command line says otherwise:

    [dashboard]
    theme = "light"                # as --theme
    ascii = false                  # as --ascii
    pane = "stack"                 # the first one; else by what is opened
    guest = "~/guests/boot.bin"    # opened where the command line names no guest
    objects = ["build/drivers"]    # the same of the stack pane; from the file's folder

    [layout]
    side_by_side = 150             # columns from which the panes stand beside each other; 0: never
    shares = [2, 1, 1]             # of the width, for VCPU, stack and entropy
    zoomed = false                 # begin with the first pane alone (z)

    [vcpu]
    animation = 10                 # steps a second of an animated guest (a), until + or - is typed

    [entropy]
    interval = 0.5                 # seconds between two samples

    [keys]
    "vcpu.step" = "f8"             # a binding and its keys, several with commas

    [stack]
    noreturn = ["journal_abort"]   # as --noreturn
    watch = 1.0                    # seconds between two looks at watched files (W)

    [stack.rules]
    unreachable = "warning"        # error, warning or off, as --rule
"""

from __future__ import annotations

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kdash.settings import Layout

VARIABLE: Final = "KDASH_CONFIG"  # the file's path; empty for none
#: What --theme knows beside the choice by the terminal; kdash.theme has their colours.
THEMES: Final = ("dark", "light", "high-contrast", "colour-blind", "ansi")
PANES: Final = ("vcpu", "stack", "entropy")
_LARGEST: Final = 1 << 16  # bytes


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
    layout: Layout = field(default_factory=Layout)  # [layout]
    animation: int | None = None  # [vcpu] animation, steps a second
    interval: float | None = None  # [entropy] interval, seconds
    watch: float | None = None  # [stack] watch, seconds
    keys: tuple[tuple[str, str], ...] = ()  # [keys]: id of a binding, and its keys
    path: Path | None = field(default=None, compare=False)  # of the file that was read
    text: str = field(default="", compare=False, repr=False)  # of that file

    @property
    def lines(self) -> Mapping[str, int]:
        """The line that each value stands in, by its name: "stack.rules.unreachable"."""
        from kdash.toml_lines import value_lines

        return {".".join(key): line for key, line in value_lines(self.text).items()}

    def wrong(self, name: str, why: str) -> ConfigurationError:
        """The error that tells what is wrong with a value, at its line."""
        from kdash.backends.stack.printable import printable

        table, _, key = name.partition(".")
        where = f"{self.path}:{self.lines.get(name, 1)}: [{table}] {key}"
        return ConfigurationError(printable(f"{where}: {why}"))


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
    from kdash.configuration_reader import Reader

    return Reader(path, data).configuration()


def _is_there(path: Path) -> bool:
    """Whether there is such a file; not where its folder is somebody else's."""
    try:
        return path.exists()
    except PermissionError:
        return False
