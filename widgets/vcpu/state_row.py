"""One row of a view of state that is read on demand."""

from __future__ import annotations

from typing import NamedTuple


class StateRow(NamedTuple):
    """A value with its place and meaning; what `part` and `name` say is the row's own."""

    part: str  # the group it stands in: "debug", "x87"
    name: str
    value: str
    meaning: str = ""
    tone: str = ""  # of the value, where it stands out: muted, warning, bad
    detail: str = ""  # lines shown when the row is opened; empty: the row itself
    number: str = ""  # hexadecimal, where it has one besides its name


def gap_rows(unavailable: tuple[tuple[str, str], ...]) -> list[StateRow]:
    """A row for each part that could not be read."""
    return [StateRow("missing", part, "-", why, "warning") for part, why in unavailable]
