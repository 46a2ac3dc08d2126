"""A stretch of guest memory; bytes that changed since the last stop are marked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kdash.widgets.vcpu.part import Line, LinePart, Piece

EMPTY = "no memory shown: try :x/64b 0x1000"


@dataclass(frozen=True, slots=True)
class Examine:
    """What to show of memory: gdb's x/NFU ADDRESS, or QEMU's xp/NFU for physical addresses."""

    address: int  # linear, or guest-physical
    count: int = 64  # values
    unit: int = 1  # bytes a value: 1, 2, 4 or 8
    form: str = "x"  # x hexadecimal, d signed, u unsigned, c character
    physical: bool = False

    @property
    def length(self) -> int:
        """Bytes to read."""
        return self.count * self.unit


def value_text(data: bytes, form: str) -> str:
    """One value in the form asked for; every value of a form and size has the same width."""
    number = int.from_bytes(data, "little", signed=form == "d")
    if form in "du":
        most = len(str((1 << 8 * len(data)) - 1))
        return f"{number:>{most}d}"
    if form == "c":
        return _character(data[0])
    return f"{number:0{2 * len(data)}x}"


def _character(code: int) -> str:
    return chr(code) if 0x20 <= code < 0x7F else "."


def memory_lines(what: Examine, data: bytes, old: bytes, width: int) -> list[Line]:
    """Lines of address, values and text; a value that differs from `old` is bold with `*`.

    Args:
        what: What was asked for.
        data: The bytes at `what.address`; fewer than asked for where memory ends.
        old: The bytes there at the previous stop, empty when nothing is to be compared.
        width: Cells there are.
    """
    digits = max(4, len(f"{what.address + max(0, len(data) - 1):x}"))
    per_value = len(value_text(bytes(what.unit), what.form)) + 1
    row = next(
        (n for n in (32, 16, 8, 4) if digits + 2 + n // what.unit * per_value + 1 + n <= width),
        max(what.unit, 4),
    )
    lines = [
        Line(
            (
                Piece(f"{what.address + start:0{digits}x}  ", "muted"),
                *_values(what, data[start : start + row], old[start : start + row], row),
                Piece(" " + "".join(map(_character, data[start : start + row])), "muted"),
            )
        )
        for start in range(0, len(data), row)
    ]
    if len(data) < what.length:
        end = what.address + len(data)
        lines.append(Line((Piece(f"no memory at 0x{end:x}", "warning"),)))
    return lines


def _values(what: Examine, data: bytes, old: bytes, row: int) -> Iterator[Piece]:
    unit = what.unit
    for place in range(0, row, unit):
        value = data[place : place + unit]
        if not value:
            yield Piece(" " * (len(value_text(bytes(unit), what.form)) + 1))
        elif old and value != old[place : place + unit]:
            yield Piece(f"{value_text(value, what.form)}*", "changed")
        else:
            yield Piece(f"{value_text(value, what.form)} ", "" if any(value) else "muted")


class MemoryView(LinePart):
    """Draws what `x` asked for."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Memory", id=id)
        self._what: Examine | None = None
        self._data = b""
        self._old = b""

    @property
    def what(self) -> Examine | None:
        """What is shown, None before the first `x`."""
        return self._what

    def show(self, what: Examine, data: bytes) -> None:
        """Draw `data`, and mark what differs from the data shown before for the same `what`."""
        self._old = self._data if what == self._what else b""
        self._what, self._data = what, data
        kind = "physical " if what.physical else ""
        note = f"{kind}{what.address:x}" if data or kind else ""
        self.set_title("Memory", note)
        self.lay_out()

    def lay_out(self) -> None:
        """Make the lines for the room there is."""
        width = self.room.width
        if not width:
            return
        if self._what is None:
            self.set_lines([Line((Piece(EMPTY, "muted"),))])
        else:
            self.set_lines(memory_lines(self._what, self._data, self._old, width))
