"""The lower half of the diagram: output pools beside each other, and who reads them."""

from __future__ import annotations

from collections.abc import Sequence

from kdash.backends.entropy.facts import PoolState
from kdash.backends.entropy.model_facts import ModelState, PoolFlow, ReaderState
from kdash.backends.wording import counted
from kdash.widgets.entropy.diagram_boxes import (
    box,
    branches,
    centred,
    columns,
    fitted,
    joined,
    marked_bar,
)
from kdash.widgets.entropy.model_view import bits_of
from kdash.widgets.entropy.pool_map import strip_lines
from kdash.widgets.entropy.tone_lines import Line, Span

LEAST_BOX = 24  # cells
MOST_BOXES = 9  # output pools; more are drawn a line each
ROW = 50  # cells of such a line
READERS = {"/dev/random": "random", "/dev/urandom": "urandom", "getrandom": "getrandom"}


def output_lines(state: ModelState, width: int, *, words: bool) -> list[Line]:
    """Every output pool: boxes as long as they can be told apart, else a table."""
    outputs = list(zip(state.pools, state.flows, strict=True))[1:]
    if len(outputs) > MOST_BOXES:
        return _rows(state, outputs, width)
    across, cell = _boxes(len(outputs), width)
    middles = [place * (cell + 1) + (cell - 2) // 2 + 1 for place in range(across)]
    lines: list[Line] = [branches((boxes_width(state, width) - 2) // 2 + 1, middles, width)]
    for first in range(0, len(outputs), across):
        row = outputs[first : first + across]
        parts = [_box(state, pool, flow, cell, words=words) for pool, flow in row]
        lines += columns(parts, cell)
    return lines


def boxes_width(state: ModelState, width: int) -> int:
    """Cells of a row of output pools, which end where the input pool above them does."""
    outputs = len(state.pools) - 1
    if outputs > MOST_BOXES:
        return width
    across, cell = _boxes(outputs, width)
    return across * (cell + 1) - 1


def _boxes(outputs: int, width: int) -> tuple[int, int]:
    """How many boxes stand beside each other, and the cells of each."""
    across = max(1, min(outputs, (width + 1) // (LEAST_BOX + 1)))
    return across, (width + 1) // across - 1


def _box(
    state: ModelState, pool: PoolState, flow: PoolFlow, width: int, *, words: bool
) -> list[Line]:
    bits = bits_of(pool)
    mark = state.passed_above * pool.size_bits
    full = bits > mark
    moved = flow.pushed or flow.pulled
    gained = f" {flow.gained:+.0f}" if abs(flow.gained) >= 1 else ""
    number = f"{bits:.0f}/{pool.size_bits} bits{gained}"
    note = (
        Span(f"above ┃{state.passed_above:.0%}", "good") if full
        else Span("initialised" if pool.initialized else "not initialised",
                  "muted" if pool.initialized else "warning")
    )  # fmt: skip
    room = width - 4 - len(note.text)
    head: Line = (Span(number, "strong"),)
    if len(number) < room:
        head = (*fitted(head, room), note)
    readers = [reader for reader in state.readers if reader.pool == pool.name]
    return [
        _flowing(flow, width),
        *box(
            _title(state, pool),
            [
                head,
                marked_bar(bits, pool.size_bits, width - 4, (mark,), "good" if full else ""),
                *(strip_lines(pool, width - 4) if words else ()),
            ],
            width,
            "accent" if moved else "",
            outlet="┬" if readers else "",
        ),
        *(line for reader in readers for line in _reader(state, reader, width)),
    ]


def _flowing(flow: PoolFlow, width: int) -> Line:
    """What comes in, beside the way it comes."""
    middle = (width - 2) // 2 + 1
    left = f"spill {flow.pushes}"[: middle - 1]
    right = f"pull {flow.pulls}"
    moved = flow.pushed or flow.pulled
    return (
        Span(f"{left:>{middle - 1}} ", "accent" if flow.pushed else "muted"),
        Span("▼" if moved else "│", "accent" if moved else "muted"),
        Span(f" {right}", "accent" if flow.pulled else "muted"),
    )


def _title(state: ModelState, pool: PoolState) -> str:
    if not state.nodes or not pool.name.startswith("nonblocking"):
        return pool.name
    return f"node {pool.name.removeprefix('nonblocking').strip() or '0'}"


def _reader(state: ModelState, reader: ReaderState, width: int) -> list[Line]:
    """A reader below the pool it reads, on one line where it fits."""
    name, told, tone = _reading(state, reader)
    whole = (Span(name, "strong" if reader.rate else "muted"), Span(f"  {told}", tone))
    if not told:
        return [centred(name, width, "muted")]
    spare = width - sum(len(span.text) for span in whole)
    if spare >= 0:
        return [(Span(" " * (spare // 2)), *whole)]
    return [centred(name, width, "strong"), centred(told, width, tone)]


def _reading(state: ModelState, reader: ReaderState) -> tuple[str, str, str]:
    """What a reader is, how it fares, and the tone of that."""
    if not reader.rate:
        return f"{READERS[reader.device]} not read", "", "muted"
    name = f"{READERS[reader.device]} {reader.nbytes} B {reader.rate:g}/s"
    if reader.waiting is not None:
        bits = min(bits_of(state.pools[0]), state.read_wakeup)
        need = (
            f"{bits:.0f}/{state.read_wakeup} bits" if reader.device == "/dev/random"
            else "no seed"
        )  # fmt: skip
        return name, f"WAITS {reader.waiting:.0f} s, {need}", "bad"
    short = f", {reader.short:,} short" if reader.short else ""
    return name, f"{counted(reader.reads, 'read')}{short}", "muted"


def _rows(
    state: ModelState, outputs: Sequence[tuple[PoolState, PoolFlow]], width: int
) -> list[Line]:
    """Many output pools, a line each, in as many columns as fit; then their readers."""
    across = max(1, (width + 2) // (ROW + 2))
    cell = (width + 2) // across - 2
    height = -(-len(outputs) // across)
    blocks = [
        [_row(state, pool, flow, cell) for pool, flow in outputs[first : first + height]]
        for first in range(0, len(outputs), height)
    ]
    readers = []
    for reader in state.readers:
        name, told, tone = _reading(state, reader)
        pool = next((pool for pool, _ in outputs if pool.name == reader.pool), None)
        at = f" at {_title(state, pool)}" if pool is not None else ""
        readers.append(Span(f"{name}{at}" + (f": {told}" if told else ""), tone))
    return [*columns(blocks, cell, gap=2), *joined(readers, width)]


def _row(state: ModelState, pool: PoolState, flow: PoolFlow, width: int) -> Line:
    bits = bits_of(pool)
    moved = flow.pushed or flow.pulled
    number = f"{bits:.0f}/{pool.size_bits}"
    counts = f" {number:>9} spill {flow.pushes:<4} pull {flow.pulls:<4}"
    room = max(6, min(40, width - 11 - len(counts)))
    return (
        Span("▼ " if moved else "  ", "accent"),
        Span(f"{_title(state, pool):<9}", "accent" if moved else "strong"),
        *marked_bar(bits, pool.size_bits, room, (state.passed_above * pool.size_bits,), ""),
        Span(counts, "muted"),
    )
