"""The registers of a VCPU as lines for a given width: what stands where, and what changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kdash.backends.kvm.facts import Mode, Registers, Segment
from kdash.widgets.vcpu.flags import IOPL_SHIFT, flag_names, set_bits
from kdash.widgets.vcpu.part import Line, Piece

LOW = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp")
HIGH = ("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15")
SEGMENTS = ("cs", "ds", "es", "fs", "gs", "ss")
CONTROLS = ("cr0", "cr2", "cr3", "cr4", "cr8", "efer")
COLUMNS = (8, 4, 3, 2, 1)  # numbers of columns that keep related registers together
GAP = 2  # cells between two columns
INDENT = 4  # cells before what continues a line

Cell = tuple[Piece, ...]


def register_lines(
    registers: Registers, changed: frozenset[str], flipped: int, width: int, *, full: bool
) -> tuple[Line, ...]:
    """Lay out every register in `width` cells.

    Args:
        registers: What to show.
        changed: Names of the fields that differ from the previous stop: bold and `*`.
        flipped: The bits of RFLAGS that differ from the previous stop.
        width: Cells there are, 36 or more.
        full: One line a segment with its attributes, instead of as few lines as possible.
    """
    digits = digits_of(registers)
    general = [_value(name, registers, changed, digits) for name in _general(registers)]
    lines = grid(general, width)
    lines += flow([*_flags(registers, changed, flipped, digits)], width)
    lines += grid(_segments(registers, changed, width, full=full), width)
    controls = CONTROLS if full else [n for n in CONTROLS if _matters(n, registers, changed)]
    lines += flow([_control(name, registers, changed) for name in controls], width)
    return tuple(lines)


def digits_of(registers: Registers) -> int:
    """Hexadecimal digits that show every general register in full: 8 or 16."""
    wide = any(getattr(registers, name) >> 32 for name in (*LOW, *HIGH, "rip"))
    return 16 if wide or registers.mode is Mode.LONG else 8


def _general(registers: Registers) -> tuple[str, ...]:
    # R8 to R15 can't be reached outside long mode: they take room only when they hold something.
    used = registers.mode is Mode.LONG or any(getattr(registers, name) for name in HIGH)
    return LOW + HIGH if used else LOW


def cells_of(cell: Cell) -> int:
    """Cells that `cell` takes; there is nothing but ASCII in it."""
    return sum([len(piece.text) for piece in cell])


def number(value: int, digits: int, *, changed: bool) -> Cell:
    """A number with its leading zeros muted, and the mark of a change."""
    text = f"{value:0{digits}x}"
    if changed:
        return (Piece(text, "changed"), Piece("*", "changed"))
    zeros = len(text) - len(text.lstrip("0")) if value else len(text) - 1
    return (Piece(text[:zeros], "muted"), Piece(text[zeros:]), Piece(" "))


def _value(name: str, registers: Registers, changed: frozenset[str], digits: int) -> Cell:
    value = getattr(registers, name)
    return (Piece(f"{name:<3} ", "label"), *number(value, digits, changed=name in changed))


def _flags(
    registers: Registers, changed: frozenset[str], flipped: int, digits: int
) -> Iterable[Cell]:
    yield _value("rip", registers, changed, digits)
    rflags = registers.rflags
    yield (Piece("rflags ", "label"), *number(rflags, 8, changed="rflags" in changed))
    pieces: list[Piece] = []
    for name, is_set, bit in flag_names(rflags):
        text = name.upper() if is_set else name
        moved = bool(flipped >> bit & 1)
        tone = "changed" if moved else "strong" if is_set else "muted"
        pieces += (Piece(text, tone), Piece("* ", "changed") if moved else Piece("  "))
    iopl = rflags >> IOPL_SHIFT & 3
    yield tuple(pieces)
    if iopl:  # it is 0 in most guests
        yield (Piece("iopl ", "label"), Piece(str(iopl), "strong"))


def _segments(
    registers: Registers, changed: frozenset[str], width: int, *, full: bool
) -> list[Cell]:
    cells = [_segment(name, registers, changed, full) for name in SEGMENTS]
    if full and max(map(cells_of, cells)) > width:
        return [_segment(name, registers, changed, False) for name in SEGMENTS]
    return cells


def _segment(name: str, registers: Registers, changed: frozenset[str], full: bool) -> Cell:
    segment: Segment = getattr(registers, name)
    tone = "changed" if name in changed else ""
    mark = Piece("*", "changed") if name in changed else Piece(" ")
    base = f"{segment.base:0{16 if segment.base >> 32 else 8}x}"
    if not full:
        text = f"{segment.selector:04x} {base}+{segment.limit:x}"
        return (Piece(f"{name} ", "label"), Piece(f"{text:<18}", tone), mark)
    return (
        Piece(f"{name} ", "label"),
        Piece(f"{segment.selector:04x}", tone),
        Piece(" base ", "label"),
        Piece(base, tone),
        Piece(" limit ", "label"),
        Piece(f"{segment.limit:08x}", tone),
        mark,
        Piece(" "),
        Piece(attributes(name, segment), "muted"),
    )


def attributes(name: str, segment: Segment) -> str:
    """What the hidden part of a segment register says, in a few words."""
    if not segment.present:
        return "not present"
    if name != "cs":
        return f"dpl{segment.dpl}"
    return f"{64 if segment.l else 32 if segment.db else 16}-bit dpl{segment.dpl}"


def _matters(name: str, registers: Registers, changed: frozenset[str]) -> bool:
    # CR2 and CR8 are 0 in most guests: a line saved where lines are few.
    return name not in ("cr2", "cr8") or name in changed or getattr(registers, name) != 0


def _control(name: str, registers: Registers, changed: frozenset[str]) -> Cell:
    value = getattr(registers, name)
    digits = 16 if value >> 32 else 1 if name == "cr8" else 8
    tone = "changed" if name in changed else "strong"
    return (
        Piece(f"{name} ", "label"),
        *number(value, digits, changed=name in changed),
        *(Piece(f"{bit} ", tone) for bit in set_bits(name, value)),
    )


def grid(cells: Sequence[Cell], width: int) -> list[Line]:
    """Cells in columns of equal width, row by row."""
    widest = max(map(cells_of, cells))
    columns = next((n for n in COLUMNS if n * (widest + GAP) - GAP <= width), 1)
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    return [_row(row, widest) for row in rows]


def flow(cells: Sequence[Cell], width: int) -> list[Line]:
    """Cells one after the other, in as few lines as they need."""
    rows: list[list[Cell]] = []
    left = 0
    for cell in cells:
        needed = cells_of(cell)
        if rows and needed + GAP <= left:
            rows[-1].append(cell)
            left -= needed + GAP
        else:
            rows += _folded(cell, width)
            left = width - cells_of(rows[-1][0])
    return [_row(row, 0) for row in rows]


def _folded(cell: Cell, width: int) -> list[list[Cell]]:
    """One cell as rows; a cell wider than the room is broken between its words."""
    if cells_of(cell) <= width:
        return [[cell]]
    rows: list[list[Piece]] = [[]]
    for piece in cell:
        mark = not piece.text.strip("* ")
        if rows[-1] and not mark and cells_of((*rows[-1], piece)) > width - 1:
            rows.append([Piece(" " * INDENT)])
        rows[-1].append(piece)
    return [[tuple(row)] for row in rows]


def _row(cells: Sequence[Cell], width: int) -> Line:
    pieces: list[Piece] = []
    for cell in cells:
        if pieces:
            pieces.append(Piece(" " * GAP))
        pieces += cell
        pieces.append(Piece(" " * max(0, width - cells_of(cell))))
    return Line(tuple(piece for piece in pieces if piece.text))
