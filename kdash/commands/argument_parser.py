"""The argument parser of every command."""

from __future__ import annotations

import argparse
from typing import NoReturn

from kdash.exit_status import ExitStatus


class LineParser(argparse.ArgumentParser):
    """An argument parser whose complaints take one line."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and exit with status 2."""
        self.exit(ExitStatus.USAGE, f"{self.prog}: {message}; see {self.prog} --help\n")


class Parser(LineParser):
    """The parser of a command.

    Args:
        name: The command, as it is typed behind `kdash`.
        description: What it does, above its options.
        epilog: Examples and statuses, below them, as they stand.
        formats: Whether it prints data, as text or JSON.
    """

    def __init__(self, name: str, description: str, epilog: str, *, formats: bool = False) -> None:
        super().__init__(
            prog=f"kdash {name}",
            description=description,
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if formats:
            self.add_argument(
                "--format", choices=("text", "json"), default="text", help="what to print (text)"
            )
