"""The registers of a VCPU, changed ones marked, each to be set where it stands."""

from __future__ import annotations

import re
from typing import ClassVar, NamedTuple

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from kdash.backends.kvm.facts import Mode, Registers, Snapshot
from kdash.widgets.key_taker import KeyTaker
from kdash.widgets.vcpu.part import Line, LinePart, Piece
from kdash.widgets.vcpu.register_lines import register_lines

HEX = frozenset("0123456789abcdef")
EDITING = "hex digits, Enter sets, Esc leaves"
_SHOWN = re.compile(r"\b(r[a-z0-9]{1,2}|rflags|[c-gs]s|cr[0-8]|efer) +([0-9a-f]+)\b")


class Spot(NamedTuple):
    """Where the value of a register stands."""

    name: str
    line: int
    column: int
    digits: int


def spots(lines: tuple[Line, ...]) -> list[Spot]:
    """The registers that `lines` show, in order of reading."""
    return [
        Spot(found[1], number, found.start(2), len(found[2]))
        for number, line in enumerate(lines)
        for found in _SHOWN.finditer(line.text)
    ]


def overlaid(line: Line, column: int, text: str, tone: str) -> Line:
    """`line` with `text` in the cells from `column` on."""
    pieces: list[Piece] = []
    at = 0
    for piece in line.pieces:
        before = piece.text[: max(0, column - at)]
        after = piece.text[max(0, column + len(text) - at) :]
        if before:
            pieces.append(Piece(before, piece.tone))
        if at <= column < at + len(piece.text):
            pieces.append(Piece(text, tone))
        if after:
            pieces.append(Piece(after, piece.tone))
        at += len(piece.text)
    return Line(tuple(pieces), line.tone)


def mode_text(registers: Registers) -> str:
    """The mode in words: "real, 16-bit"."""
    if registers.mode is Mode.REAL:
        return "real mode"
    return f"{registers.mode.value} mode, {registers.code_bits}-bit code"


class RegisterView(LinePart, KeyTaker):
    """General, segment and control registers with the names of the bits set in them."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("h,left", "beside(-1)", "Left", show=False, id="registers.left",
                tooltip="Previous register"),
        Binding("l,right", "beside(1)", "Right", show=False, id="registers.right",
                tooltip="Next register"),
        Binding("enter", "edit", "Set", show=False, id="registers.set",
                tooltip="Set the register under the cursor: type hexadecimal digits"),
    ]  # fmt: skip

    class Edited(Message):
        """A register shall have another value."""

        def __init__(self, register: str, value: int) -> None:
            super().__init__()
            self.register = register
            self.value = value

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Registers", id=id)
        self._registers = Registers()
        self._changed: frozenset[str] = frozenset()
        self._flipped = 0
        self._lines_for: dict[tuple[int, bool], tuple[Line, ...]] = {}
        self._plain: tuple[Line, ...] = ()  # without the cursor
        self._cursor = ""  # name of a register; empty until it is moved: then the first
        self._typed = ""

    def show(self, snapshot: Snapshot, before: Registers | None = None) -> None:
        """Draw the registers of `snapshot`; `before` are those of the previous stop."""
        known = before if "rflags" in snapshot.changed else None
        flipped = known.rflags ^ snapshot.registers.rflags if known else 0
        drawn = self._registers, self._changed, self._flipped
        if self._plain and drawn == (snapshot.registers, snapshot.changed, flipped):
            return
        self._registers, self._changed = snapshot.registers, snapshot.changed
        self._flipped = flipped
        self._lines_for.clear()
        self.set_title("Registers", EDITING if self.takes_keys else mode_text(self._registers))
        self.lay_out()

    def lay_out(self) -> None:
        """Make the lines for the room there is."""
        width, height = self.room
        if width:
            lines = self._made(width, full=False)
            if len(lines) <= height and len(whole := self._made(width, full=True)) <= height:
                lines = whole
            self._plain = lines
            self.set_lines(self._with_cursor(lines))

    def _with_cursor(self, lines: tuple[Line, ...]) -> tuple[Line, ...]:
        spot = self._spot(lines)
        if spot is None or not (self.has_focus or self.takes_keys):
            return lines
        line = lines[spot.line]
        text = line.text[spot.column : spot.column + spot.digits]
        if self.takes_keys:
            text = f"{self._typed:_>{spot.digits}}"
        under = overlaid(line, spot.column, text, "focused")
        return (*lines[: spot.line], under, *lines[spot.line + 1 :])

    def _made(self, width: int, *, full: bool) -> tuple[Line, ...]:
        if (width, full) not in self._lines_for:
            self._lines_for[width, full] = register_lines(
                self._registers, self._changed, self._flipped, width, full=full
            )
        return self._lines_for[width, full]

    def lines_needed(self, width: int, *, full: bool) -> int:
        """Lines that all registers take in `width` cells."""
        return len(self._made(width, full=full))

    # -- cursor -------------------------------------------------------------------------

    def _spot(self, lines: tuple[Line, ...]) -> Spot | None:
        """The register under the cursor."""
        known = spots(lines)
        return next((one for one in known if one.name == self._cursor), known[0] if known else None)

    def _go(self, spot: Spot) -> None:
        self._cursor = spot.name
        self.lay_out()
        top, height = self.scroll_offset.y, self.size.height
        if not top <= spot.line < top + height:
            self.scroll_to(y=max(0, spot.line - height // 2), animate=False, force=True)

    def action_beside(self, by: int) -> None:
        """The register before or after this one."""
        known = spots(self._plain)
        here = self._spot(self._plain)
        if here is not None:
            self._go(known[(known.index(here) + by) % len(known)])

    def action_move(self, by: int) -> None:
        """The register above or below this one, of those there the nearest."""
        known = spots(self._plain)
        here = self._spot(self._plain)
        if here is None:
            return
        ahead = [one for one in known if (one.line - here.line) * by > 0]
        if ahead:
            line = min((abs(one.line - here.line), one.line) for one in ahead)[1]
            there = [one for one in ahead if one.line == line]
            self._go(min(there, key=lambda one: abs(one.column - here.column)))

    def action_edge(self, direction: int) -> None:
        """The first register or the last."""
        if known := spots(self._plain):
            self._go(known[0 if direction < 0 else -1])

    def copy_text(self) -> str:
        """The register under the cursor, else all of them."""
        if not self._cursor or self._cursor not in vars(self._registers):
            return super().copy_text()
        value = getattr(self._registers, self._cursor)
        number = value if isinstance(value, int) else value.selector
        return f"{self._cursor} 0x{number:x}"

    # -- setting ------------------------------------------------------------------------

    def action_edit(self) -> None:
        """Let digits set the register under the cursor."""
        spot = self._spot(self._plain)
        if spot is None:
            return
        self._go(spot)
        self.takes_keys, self._typed = True, ""
        self.set_title("Registers", EDITING)
        self.refresh_bindings()
        self.lay_out()

    def _leave(self) -> None:
        if self.takes_keys:
            self.takes_keys = False
            self.set_title("Registers", mode_text(self._registers))
            self.refresh_bindings()
            self.lay_out()

    def take_key(self, event: events.Key) -> None:
        """While a register is being set, digits belong to it."""
        typed = (event.character or "").lower()
        if event.key == "enter":
            if self._typed:
                self.post_message(self.Edited(self._cursor, int(self._typed, 16)))
            self._leave()
        elif event.key == "escape":
            self._leave()
        elif event.key == "backspace":
            self._typed = self._typed[:-1]
            self.lay_out()
        elif typed and typed in HEX:
            digits = next(one.digits for one in spots(self._plain) if one.name == self._cursor)
            if len(self._typed) < digits:
                self._typed += typed
                self.lay_out()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the register clicked; a second click sets it."""
        offset = event.get_content_offset(self)
        if offset is None:
            return
        line = offset.y + self.scroll_offset.y
        for spot in spots(self._plain):
            start = spot.column - len(spot.name) - 1
            if spot.line == line and start <= offset.x < spot.column + spot.digits:
                self._leave()
                self._go(spot)
                if event.chain == 2:
                    self.action_edit()
                return

    def on_blur(self) -> None:
        """What was half typed goes."""
        self._leave()
