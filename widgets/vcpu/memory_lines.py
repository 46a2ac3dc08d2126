"""Guest memory as lines of text, in the forms of gdb's x."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from kdash.widgets.vcpu.part import Line, Piece


@dataclass(frozen=True, slots=True)
class Examine:
    """What to show of memory: gdb's x/NFU ADDRESS."""

    address: int  # linear, or guest-physical where `physical`
    count: int = 64  # values
    unit: int = 1  # bytes a value: 1, 2, 4 or 8
    form: str = "x"  # x hexadecimal, d signed, u unsigned, c character
    physical: bool = False
    follow: str = ""  # the expression that gives the address anew at each stop; empty: it stays

    @property
    def length(self) -> int:
        """Bytes to read."""
        return self.count * self.unit

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + self.length


@dataclass(frozen=True, slots=True)
class Cursor:
    """The value that is marked, and what has been typed for it."""

    address: int
    typed: str | None = None  # hexadecimal digits; None: it is only marked


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


def address_digits(what: Examine, length: int) -> int:
    """Digits of every address shown."""
    return max(4, len(f"{what.address + max(0, length - 1):x}"))


def bytes_a_row(what: Examine, length: int, width: int) -> int:
    """Bytes of a line in `width` cells."""
    digits = address_digits(what, length)
    per_value = len(value_text(bytes(what.unit), what.form)) + 1
    return next(
        (n for n in (32, 16, 8, 4) if digits + 2 + n // what.unit * per_value + 1 + n <= width),
        max(what.unit, 4),
    )


def memory_lines(
    what: Examine,
    data: bytes,
    reference: tuple[int, bytes],
    width: int,
    cursor: Cursor | None = None,
) -> list[Line]:
    """Lines of address, values and text; a value that differs from before is bold with `*`.

    Args:
        what: What was asked for.
        data: The bytes at `what.address`; fewer than asked for where memory ends.
        reference: An address and the bytes there at the previous stop, to compare with.
        width: Cells there are.
        cursor: The value marked, if one is.
    """
    digits = address_digits(what, len(data))
    row = bytes_a_row(what, len(data), width)
    lines = []
    for start in range(0, len(data), row):
        part = data[start : start + row]
        lines.append(
            Line(
                (
                    Piece(f"{what.address + start:0{digits}x}  ", "muted"),
                    *_values(what, what.address + start, part, reference, row, cursor),
                    Piece(" " + "".join(map(_character, part)), "muted"),
                )
            )
        )
    if len(data) < what.length:
        end = what.address + len(data)
        lines.append(Line((Piece(f"no memory at 0x{end:x}", "warning"),)))
    return lines


def _values(  # noqa: PLR0913, PLR0917 - what a line is made of
    what: Examine,
    address: int,
    data: bytes,
    reference: tuple[int, bytes],
    row: int,
    cursor: Cursor | None,
) -> Iterator[Piece]:
    unit = what.unit
    for place in range(0, row, unit):
        value = data[place : place + unit]
        if not value:
            yield Piece(" " * (len(value_text(bytes(unit), what.form)) + 1))
            continue
        text, mark, tone = value_text(value, what.form), " ", "" if any(value) else "muted"
        if _differs(value, address + place, reference):
            mark, tone = "*", "changed"
        if cursor is not None and cursor.address == address + place:
            if cursor.typed is not None:
                text, tone = f"{cursor.typed:_<{len(text)}}", "changed"
            yield Piece(text, "focused")
            yield Piece(mark, tone)
        else:
            yield Piece(f"{text}{mark}", tone)


def extended(known: tuple[int, bytes], address: int, data: bytes) -> tuple[int, bytes]:
    """`known`, an address and the bytes there, with what it lacks of `data` at `address`.

    Where the two neither overlap nor touch, `data` alone is known from then on.
    """
    start, held = known
    if address > start + len(held) or address + len(data) < start:
        return address, data
    before = data[: max(0, start - address)]
    after = data[max(0, start + len(held) - address) :]
    return min(start, address), before + held + after


def _differs(value: bytes, address: int, reference: tuple[int, bytes]) -> bool:
    start = address - reference[0]
    known = reference[1][start : start + len(value)] if start >= 0 else b""
    return len(known) == len(value) and known != value
