"""Standard output as the data it is: what a user's device prints there goes to stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TextIO

# The stream of the data while `sys.stdout` is that of devices.
_data: TextIO | None = None


def stdout() -> TextIO:
    """Where the data of a command goes."""
    return sys.stdout if _data is None else _data


@contextmanager
def kept_from_devices() -> Iterator[None]:
    """Send to stderr what is printed meanwhile, by any thread, other than to `stdout()`."""
    global _data  # noqa: PLW0603 - there is one standard output
    before, _data = _data, stdout()
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        _data = before
