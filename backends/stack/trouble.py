"""Findings that an operation makes by itself."""

from __future__ import annotations

from typing import NamedTuple


class Trouble(NamedTuple):
    """A kind of finding and its message."""

    kind: str
    message: str
