"""Which function instructions are of, and the source they were compiled from: above or beside."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from rich.cells import cell_len

from kdash.backends.kvm.facts import Instruction, SourceLine
from kdash.widgets.columns import fit
from kdash.widgets.printable import printable
from kdash.widgets.vcpu.part import Line, Piece

FOR_FILES = 4  # one such part of the width may go to names of files with their folders
INDENT = "   "  # below the marks of an instruction


def function_of(symbol: str) -> str:
    """The name without what was added to it: "main" of "main+0x4"."""
    return symbol.rpartition("+0x")[0] or symbol


def headings(
    rows: Sequence[Instruction],
    width: int,
    current: int | None = None,
    *,
    source_beside: bool = False,
) -> list[tuple[Line, ...]]:
    """What stands above each instruction, as in `objdump -S`.

    Args:
        rows: The listing.
        width: Cells there are.
        current: RIP of the instruction whose source line is marked.
        source_beside: The source stands elsewhere (`beside`).

    Returns:
        For each instruction the name of its function where that begins or the listing does, then
        its source line where the code of that begins; both absent where they are not known.
    """
    found: list[tuple[Line, ...]] = []
    function, source = "", None
    longest = max((cell_len(row.source.file) for row in rows if row.source is not None), default=0)
    folders = longest <= width // FOR_FILES
    group = _group_of(rows, current)
    for place, row in enumerate(rows):
        lines: list[Line] = []
        if row.symbol and function_of(row.symbol) != function:
            name = fit(f"{printable(row.symbol)}:", width).rstrip()
            lines.append(Line((Piece(name, "strong"),)))
            source = None
        if row.source is not None and row.source != source and not source_beside:
            lines.append(_source(row.source, width, folders, here=place == group))
        function, source = function_of(row.symbol), row.source
        found.append(tuple(lines))
    return found


def beside(
    rows: Sequence[Instruction], width: int, current: int | None = None
) -> list[tuple[Piece, ...]]:
    """What stands beside each instruction: its source line where the code of that begins.

    The file is named where it is another one than that of the current instruction.

    Args:
        rows: The listing.
        width: Cells there are.
        current: RIP of the instruction whose source line is marked.
    """
    group = _group_of(rows, current)
    known = [row.source for row in rows if row.source is not None]
    here = rows[group].source if group is not None else None
    usual = (here or known[0]).file if known else ""
    digits = max((len(str(one.line)) for one in known), default=0)
    found: list[tuple[Piece, ...]] = []
    before: tuple[str, SourceLine | None] = ("", None)
    for place, row in enumerate(rows):
        now = function_of(row.symbol), row.source
        if row.source is None or now == before:
            found.append(())
        else:
            file = "" if row.source.file == usual else f"{PurePath(row.source.file).name}:"
            number = f"{printable(file)}{row.source.line:>{0 if file else digits}}"
            where = f"{fit(number, width).rstrip()} "
            text = fit(printable(row.source.text.strip()), max(0, width - cell_len(where)))
            tone = "strong" if place == group else ""
            found.append((Piece(where, "muted"), Piece(text.rstrip(), tone)))
        before = now
    return found


def _group_of(rows: Sequence[Instruction], current: int | None) -> int | None:
    """Place of the instruction above which the source line of the one at `current` stands."""
    place = next((i for i, row in enumerate(rows) if row.ip == current), None)
    while place and (
        rows[place - 1].source == rows[place].source
        and function_of(rows[place - 1].symbol) == function_of(rows[place].symbol)
    ):
        place -= 1
    return place


def source_text(source: SourceLine) -> str:
    """A line of source with its file's name, on one line; not yet printable."""
    return f"{PurePath(source.file).name}:{source.line} {source.text.strip()}".rstrip()


def _source(source: SourceLine, width: int, folders: bool, *, here: bool) -> Line:
    """A line of source behind its place, with or without the folders its file is in."""
    text = printable(source.text.strip())
    file = source.file if folders else PurePath(source.file).name
    where = f"{printable(file)}:{source.line} "
    text = fit(text, max(0, width - len(INDENT) - cell_len(where))).rstrip()
    return Line((Piece(f"{INDENT}{where}", "muted"), Piece(text, "strong" if here else "")))
