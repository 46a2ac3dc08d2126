"""The code around CS:IP: what runs next, what it will read, what the last step changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from kdash.backends.kvm.facts import (
    Instruction,
    Mode,
    Registers,
    RunState,
    Snapshot,
    SourceLine,
)
from kdash.widgets.columns import fit
from kdash.widgets.printable import printable
from kdash.widgets.vcpu.branches import taken
from kdash.widgets.vcpu.effects import effects, operands
from kdash.widgets.vcpu.headings import beside, function_of, headings, source_text
from kdash.widgets.vcpu.listing import merged
from kdash.widgets.vcpu.part import Line, LinePart, Piece
from kdash.widgets.vcpu.registers import mode_text

ROOMY = 60  # cells; from here on code bytes stand apart
SEMICOLON = " ; "
MOST = 4000  # instructions that are listed
TIGHT = 34  # cells; below this code bytes are left out
BESIDE = 64  # cells; from here on source may have a column of its own
TIGHT_BESIDE = 52  # cells beside the source; below this code bytes are left out
MOST_SOURCE = 80  # cells of that column
BAR = "│ "


class DisassemblyView(LinePart):
    """Instructions with breakpoints, the current one, branch targets, and a cursor."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "enter", "follow", "Follow", show=False, id="code.follow",
            tooltip="Put the cursor on the target of this branch",
        ),
    ]  # fmt: skip

    class BreakpointToggled(Message):
        """A breakpoint at this RIP was asked for, or asked to go."""

        def __init__(self, ip: int) -> None:
            super().__init__()
            self.ip = ip

    class Wanted(Message):
        """Code that is not listed was asked for."""

        def __init__(self, ip: int, *, onward: bool) -> None:
            super().__init__()
            self.ip = ip
            self.onward = onward  # behind what is listed, which stays

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Code", id=id)
        self._elsewhere = False  # other code than that around CS:IP is listed
        self._rows: tuple[Instruction, ...] = ()
        self._registers = Registers()
        self._current: int | None = None  # RIP
        self._cursor: int | None = None  # RIP
        self._breakpoints: frozenset[int] = frozenset()
        self._spans: tuple[tuple[int, int], ...] = ()  # of each row: its first line, its own
        self._executed: tuple[int, str] | None = None  # RIP of the last step, what it changed
        self._ended = False
        self._guest = ""
        self.sourced = False  # source lines of this guest are known
        self.source_beside = False  # they have a column of their own where there is room for it

    @property
    def cursor(self) -> int | None:
        """RIP of the instruction under the cursor."""
        return self._cursor

    @property
    def source(self) -> SourceLine | None:
        """The source line of the instruction under the cursor, where it is known."""
        place = self._place(self._cursor)
        return None if place is None else self._rows[place].source

    @property
    def on_current(self) -> bool:
        """Whether the cursor stands on the instruction that runs next."""
        return self._cursor == self._current

    def show(self, snapshot: Snapshot, before: Snapshot | None = None) -> None:
        """Draw the code of `snapshot`; `before` is the stop one step earlier, if it was one."""
        followed = self.on_current
        if not self._elsewhere or before is not None or snapshot.registers.rip != self._current:
            self._rows = merged(self._rows, snapshot.disassembly)
            self._elsewhere = False
        known = any(row.source is not None for row in self._rows)
        self.sourced = known or (self.sourced and snapshot.guest == self._guest)
        self._guest = snapshot.guest
        self._registers = snapshot.registers
        self._current = snapshot.registers.rip
        self._breakpoints = snapshot.breakpoints
        self._ended = snapshot.state is RunState.ENDED
        self._executed = None
        if before is not None:
            changes = effects(before.registers, snapshot.registers)
            self._executed = (before.registers.rip, changes)
        if followed or self._place(self._cursor) is None:
            self._cursor = self._current
        self.set_title("Code", self._where(snapshot.registers))
        self.lay_out()
        if followed:
            self._reveal(self._current)

    def list_code(self, rows: Sequence[Instruction], *, onward: bool) -> None:
        """List code that was asked for until the guest goes on, `onward` behind what is listed."""
        if not rows:
            return
        last = self._rows[-1].ip if self._rows else -1
        self._elsewhere = True
        if onward:
            self._rows = (*self._rows, *(row for row in rows if row.ip > last))
            self.lay_out()
            self.action_move(1)
            return
        self._rows = tuple(rows)
        self.set_title("Code", function_of(rows[0].symbol) or f"at {rows[0].ip:#x}")
        self.move_to(rows[0].ip)

    def lay_out(self) -> None:
        """Make the lines for the room there is."""
        width = self.room.width
        if width and not self._rows:
            self.set_lines([Line((Piece("nothing readable at CS:IP", "muted"),))])
        elif width:
            digits = max(4, len(f"{max(row.ip for row in self._rows):x}"))
            target = self._target()
            lines: list[Line] = []
            spans: list[tuple[int, int]] = []
            current = None if self._ended else self._current
            aside = self.source_beside and self.sourced and width >= BESIDE
            left = width - min(MOST_SOURCE, width * 2 // 5) - len(BAR) if aside else width
            above = headings(self._rows, width, current, source_beside=aside)
            sources = beside(self._rows, width - left - len(BAR), current) if aside else None
            for place, (row, heading) in enumerate(zip(self._rows, above, strict=True)):
                spans.append((len(lines), len(lines) + len(heading)))
                line = self._line(row, left, digits, target, aside=aside)
                if sources is None:
                    lines += (*heading, line)
                else:
                    lines += (_with_source(one, left) for one in heading)
                    lines.append(_with_source(line, left, sources[place]))
            self._spans = tuple(spans)
            self.set_lines(lines)

    def _target(self) -> int | None:
        place = self._place(self._current)
        return None if place is None or self._ended else self._rows[place].target

    def _line(
        self, row: Instruction, width: int, digits: int, target: int | None, *, aside: bool
    ) -> Line:
        current, cursor = row.ip == self._current, row.ip == self._cursor
        arrow = "▶" if current else "»" if row.ip == target else " "
        pieces = [
            Piece("●" if row.ip in self._breakpoints else " ", "bad"),
            Piece(arrow, "accent"),
            Piece("▸" if cursor and not current else " "),
            Piece(f"{row.ip:0{digits}x}  ", "strong" if current else "muted"),
        ]
        if width >= (TIGHT_BESIDE if aside else TIGHT):
            pieces.append(Piece(_code(row.code, roomy=width >= ROOMY + 8 * aside), "muted"))
        text = _text(row, width - Line(tuple(pieces)).width)
        pieces.append(Piece(text, "strong" if current else ""))
        note, tone = self._note(row, current=current)
        if note and (shown := _fitted(note, width - Line(tuple(pieces)).width - len(SEMICOLON))):
            pieces.append(Piece(f"{SEMICOLON}{shown}", tone))
        return Line(tuple(pieces), "cursor" if cursor else "")

    def _note(self, row: Instruction, *, current: bool) -> tuple[str, str]:
        if current and not self._ended:
            mnemonic = row.text.partition(" ")[0]
            will = taken(mnemonic, self._registers)
            if will is not None:
                return ("taken" if will else "not taken"), "label"
            return operands(row.text, self._registers, row.memory), "label"
        if self._executed and row.ip == self._executed[0]:
            return self._executed[1], "accent"
        return "", ""

    def copy_text(self) -> str:
        """The line under the cursor."""
        place = self._place(self._cursor)
        if place is None or place >= len(self._spans):
            return super().copy_text()
        return self._lines[self._spans[place][1]].text.strip()

    def _where(self, registers: Registers) -> str:
        """Which function, what kind of code, and what to add to RIP for its linear address.

        The source line stands here too: above a long group of instructions it may be out of view.
        RIP itself stands elsewhere: a title that changes with every step costs drawing all lines.
        """
        place = self._place(self._current)
        row = None if place is None else self._rows[place]
        if row is not None and row.source is not None:
            kind = f"{registers.code_bits}-bit"
            return ", ".join(filter(None, (kind, function_of(row.symbol), source_text(row.source))))
        parts = ["" if row is None else function_of(row.symbol), mode_text(registers)]
        if registers.mode is Mode.REAL:
            parts.append(f"cs {registers.cs.selector:04x}")
        if registers.linear_ip != registers.rip:
            parts.append(f"linear = ip + {registers.cs.base:x}")
        return ", ".join(filter(None, parts))

    # -- cursor -------------------------------------------------------------------------

    def _place(self, ip: int | None) -> int | None:
        return next((i for i, row in enumerate(self._rows) if row.ip == ip), None)

    def _reveal(self, ip: int | None) -> None:
        place, height = self._place(ip), self.size.height
        if place is None or not height or place >= len(self._spans):
            return
        top = self.scroll_offset.y
        first, line = self._spans[place]
        first = max(first, line - height + 1)
        # A guest that ended has nothing to come: the line after the last one may be the lowest.
        ahead = 0 if self._ended else min(height // 4, len(self._lines) - 1 - line)
        if first < top or line + ahead >= top + height:
            above = height - 1 if self._ended else height // 2
            self.scroll_to(y=max(0, min(first, line - above)), animate=False, force=True)

    def move_to(self, ip: int) -> bool:
        """Put the cursor on the instruction at `ip`; False when it is not listed."""
        if self._place(ip) is None:
            return False
        self._cursor = ip
        self.lay_out()
        self._reveal(ip)
        return True

    def _move(self, place: int) -> None:
        if self._rows:
            self.move_to(self._rows[max(0, min(place, len(self._rows) - 1))].ip)

    def action_move(self, by: int) -> None:
        """Move the cursor by instructions; below the last one, more are asked for."""
        place = (self._place(self._cursor) or 0) + by
        if by > 0 and self._rows and place >= len(self._rows) and len(self._rows) < MOST:
            last = self._rows[-1]
            self.post_message(self.Wanted(last.ip + len(last.code), onward=True))
        self._move(place)

    def action_edge(self, direction: int) -> None:
        """First or last instruction listed."""
        self._move(0 if direction < 0 else len(self._rows) - 1)

    def action_follow(self) -> None:
        """Go to the target of the branch under the cursor, else to the current instruction."""
        place = self._place(self._cursor)
        row = None if place is None else self._rows[place]
        if row is None or row.target is None:
            self.move_to(self._registers.rip)
        elif not self.move_to(row.target):
            self.post_message(self.Wanted(row.target, onward=False))

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on the line clicked; a double click toggles a breakpoint there."""
        offset = event.get_content_offset(self)
        line = -1 if offset is None else offset.y + self.scroll_offset.y
        # What stands above an instruction belongs to it.
        place = next((i for i, (first, last) in enumerate(self._spans) if first <= line <= last),
                     None)  # fmt: skip
        if place is None:
            return
        self._move(place)
        if event.chain == 2:
            self.post_message(self.BreakpointToggled(self._rows[place].ip))

    def on_resize(self) -> None:
        """Keep the cursor in view."""
        self.lay_out()
        self._reveal(self._cursor)


def _with_source(line: Line, width: int, source: Sequence[Piece] = ()) -> Line:
    """A line with a source line in the column behind `width` cells."""
    gap = Piece(" " * (width - line.width))
    return Line((*line.pieces, gap, Piece(BAR, "muted"), *source), line.tone)


def _code(code: bytes, *, roomy: bool) -> str:
    """Code bytes in a column of fixed width."""
    most, cells = (8, 25) if roomy else (5, 11)
    kept = code if len(code) <= most else code[: most - 1]
    text = (kept.hex(" ") if roomy else kept.hex()) + ("…" if len(code) > most else "")
    return f"{text:<{cells}}"


def _fitted(note: str, width: int) -> str:
    """As many whole words as fit: half a value would be another value."""
    if len(note) <= width:
        return note
    while note and len(note) + 2 > width:
        note = note.rpartition(" ")[0]
    return f"{note} …" if note else ""


def _text(row: Instruction, width: int) -> str:
    """An instruction; a branch with the name of its target, where there is room for it."""
    text, arrow = printable(row.text), _direction(row)
    if not row.target_symbol:
        return fit(text + arrow, width).rstrip()
    name = f" <{printable(row.target_symbol)}>{arrow}"
    if cell_len(text) + cell_len(name) <= width:
        return text + name
    mnemonic = text.partition(" ")[0]
    other = function_of(row.target_symbol) != function_of(row.symbol)
    # A number says where in a function that is on screen, a name which other function it is.
    whole = mnemonic + name if other and cell_len(mnemonic + name) <= width else text + arrow
    # Cut with a mark: half a constant would be another constant.
    return fit(whole, width).rstrip()


def _direction(row: Instruction) -> str:
    if row.target is None:
        return ""
    return " ↑" if row.target <= row.ip else " ↓"
