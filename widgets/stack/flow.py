"""The control flow of a function as a picture of text: blocks as boxes, edges in lanes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from textwrap import wrap

from rich.cells import cell_len

from kdash.backends.stack.facts import Flow, FlowBlock, FlowEdge, Line, PathStep
from kdash.backends.wording import counted
from kdash.widgets.columns import fit
from kdash.widgets.printable import printable
from kdash.widgets.stack.disassembly import SITE, STEP, brief
from kdash.widgets.stack.lines_view import LinesView, Span, Spans
from kdash.widgets.stack.steps import EDGES, FEATURE

LONG = 9  # instructions; of a longer block the middle is left out
ENDS = 3  # instructions of such a block shown at either end
MOST_LANES = 12
LANE = 2  # cells
NARROW = 100  # cells; below this width there is less room for lanes
NEXT = "next"
OFFSET = re.compile(r"\+(?:0x)?([0-9a-f]+)$")  # at the end of a block's label
PLAIN = {
    "down": "│", "right": "─", "top": "╭", "bottom": "╰", "cross": "┼", "top join": "┬",
    "bottom join": "┴",
}  # fmt: skip
HEAVY = {
    "down": "┃", "right": "━", "top": "┏", "bottom": "┗", "cross": "╋", "top join": "┳",
    "bottom join": "┻",
}  # fmt: skip
#: What becomes of a sign that an edge goes across.
ACROSS = {
    **dict.fromkeys("│┃┼╋", "cross"),
    **dict.fromkeys("╭┏┬┳", "top join"),
    **dict.fromkeys("╰┗┴┻", "bottom join"),
}


@dataclass(slots=True)
class _Row:
    """One line of the picture, right of the lanes."""

    spans: tuple[Span, ...]
    block: int = -1
    line: int = -1  # of the block, that an edge may leave from
    head: bool = False  # the first line of its box


class FlowView(LinesView):
    """Boxes in the order of the code; what is not simply next goes through a lane at the left."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._flow: Flow | None = None
        self._message = ""
        self._step: PathStep | None = None  # looked at
        self._center = -1  # the line of the step looked at, else of the site

    def show(self, flow: Flow) -> None:
        """Show a function, the site of the finding in the middle."""
        self._flow, self._message = flow, ""
        self.renew()
        self.call_after_refresh(self.center)

    def tell(self, message: str) -> None:
        """Show a line in place of a picture."""
        self._flow, self._message, self._step = None, message, None
        self.renew()

    def show_step(self, step: PathStep) -> None:
        """Mark the instruction of the step that is looked at, and go there."""
        self._step = step
        self.renew()
        self.call_after_refresh(self.center)

    def center(self) -> None:
        """Scroll to the step looked at, else to the site."""
        if self._flow is not None and self._center >= 0:
            self.reveal(self._center, center=True)

    def on_resize(self) -> None:
        """Keep the site in the middle."""
        self.call_after_refresh(self.center)

    def lay_out(self, width: int) -> list[Spans]:
        """The picture, for a width."""
        flow = self._flow
        if flow is None:
            told = wrap(printable(self._message), max(8, width - 4))
            return [Spans((Span(f"  {line}", "muted"),)) for line in told]
        most = MOST_LANES if width >= NARROW else MOST_LANES // 2
        wanted = [edge for edge in flow.edges if not _plain_next(edge)]
        step = _place_of(flow, self._step)
        rows = _rows(flow, step, max(30, width - LANE * min(most, len(wanted)) - 2))
        self._center = 1 + _row_of(step or _site_of(flow), rows)  # below the title
        extents = _extents(wanted, rows)
        lanes = _assign(wanted, extents, most)
        wide = 1 + max(lanes.values(), default=-1)
        gutters = _gutters(wanted, lanes, extents, (len(rows), wide))
        sizes = f"{counted(len(flow.blocks), 'block')}, {counted(len(flow.edges), 'edge')}"
        title = f"{printable(flow.function)}: {sizes}"
        note = "   this step is not in the picture" if self._step and not step else _legend(flow)
        lines = [Spans((Span(title, "strong"), Span(note, "muted")))]
        lines += [Spans((*gutter, *row.spans)) for gutter, row in zip(gutters, rows, strict=True)]
        if flow.cut:
            lines.append(Spans((Span(f"  {counted(flow.cut, 'block')} more not drawn", "muted"),)))
        return lines


def _legend(flow: Flow) -> str:
    if any(edge.offending for edge in flow.edges):
        return "   heavy line: the way with the other state"
    if any(edge.on_path for edge in flow.edges):
        return "   heavy line: the path to the finding"
    return ""


def _plain_next(edge: FlowEdge) -> bool:
    """Whether an edge leads to the box below, and is drawn between the two."""
    return edge.kind == NEXT and edge.target == edge.source + 1


def _heavy(edge: FlowEdge, any_offends: bool) -> bool:
    return edge.offending if any_offends else edge.on_path


Place = tuple[int, int]  # a block, and a line of it


def _place_of(flow: Flow, step: PathStep | None) -> Place | None:
    """Where the instruction of a step is drawn."""
    if step is None:
        return None
    for number, block in enumerate(flow.blocks):
        for at, line in enumerate(block.lines):
            if line.text == step.text and _first(block) + line.offset == step.offset:
                return number, at
    return None


def _site_of(flow: Flow) -> Place | None:
    places = (
        (number, at)
        for number, block in enumerate(flow.blocks)
        for at, line in enumerate(block.lines)
        if line.site
    )
    return next(places, None)


def _row_of(place: Place | None, rows: Sequence[_Row]) -> int:
    return next((n for n, row in enumerate(rows) if (row.block, row.line) == place), -1)


def _first(block: FlowBlock) -> int:
    """What to add to offsets in the section for those in the function, by the block's label."""
    offset = OFFSET.search(block.label)
    return (int(offset[1], 16) if offset else 0) - block.lines[0].offset


# --- boxes


def _rows(flow: Flow, step: Place | None, width: int) -> list[_Row]:
    rows: list[_Row] = []
    leaving: dict[int, list[FlowEdge]] = {}
    for edge in flow.edges:
        leaving.setdefault(edge.source, []).append(edge)
    for number in range(len(flow.blocks)):
        own = leaving.get(number, [])
        looked_at = step[1] if step and step[0] == number else -1
        rows += _box(flow, number, own, (width, looked_at))
        for edge in own:
            if _plain_next(edge):
                tone = "bad" if edge.offending else "accent" if edge.on_path else "muted"
                mark = "┃" if edge.offending else "│"
                text = f"   {mark} next" + ("  ← with the other state" if edge.offending else "")
                rows.append(_Row((Span(text, tone),)))
    return rows


def _box(flow: Flow, number: int, edges: Sequence[FlowEdge], look: tuple[int, int]) -> list[_Row]:
    """A block; the look is its width, and the line that is looked at or -1."""
    width, step = look
    block = flow.blocks[number]
    inner = width - 4
    label = f" {printable(block.label)} "
    top = "┌─" + fit(label, min(cell_len(label), inner - 2))
    rows = [_Row((Span(top + "─" * (width - cell_len(top) - 1) + "┐", "muted"),), number, -1, True)]
    shown = _shown_lines(block, edges, step)
    before = -1
    texts = [printable(line.text) for line in block.lines]
    room = min(max(map(cell_len, texts), default=0) + 1, inner * 3 // 5)
    for at in shown:
        if at != before + 1:
            skipped = f"… {counted(at - before - 1, 'instruction')}"
            rows.append(_Row((Span("│ " + fit(skipped, inner) + " │", "muted"),)))
        leaving = [edge for edge in edges if edge.line == at and not _plain_next(edge)]
        mark = STEP if at == step else SITE if block.lines[at].site else " "
        rows.append(
            _Row(_instruction(flow, block.lines[at], leaving, (mark, room, inner)), number, at)
        )
        before = at
    left = f" {block.leaves} " if block.leaves else ""
    left = fit(printable(left), min(cell_len(printable(left)), inner))
    bottom = "└" + "─" * max(0, width - 2 - cell_len(left) - 1)
    rows.append(_Row((Span(bottom, "muted"), Span(left, "accent"), Span("─┘", "muted"))))
    return rows


def _shown_lines(block: FlowBlock, edges: Iterable[FlowEdge], step: int) -> list[int]:
    count = len(block.lines)
    if count <= LONG:
        return list(range(count))
    kept = {*range(ENDS), *range(count - ENDS, count), *(edge.line for edge in edges)}
    if step >= 0:
        kept |= {step - 1, step, step + 1}
    for at, line in enumerate(block.lines):
        if line.site:
            kept |= {at - 1, at, at + 1}
    return sorted(at for at in kept if 0 <= at < count)


def _instruction(
    flow: Flow, line: Line, edges: Sequence[FlowEdge], look: tuple[str, int, int]
) -> tuple[Span, ...]:
    mark, room, inner = look
    tone = "site" if line.site else "strong" if mark == STEP else ""
    spans = [Span("│", "muted"), Span(f"{mark} ", tone)]
    goes = "  ".join(_words(flow, edge) for edge in edges)
    state = brief(line.state) if line.state else "not reached"
    text = fit(printable(line.text), room)
    left = max(0, inner - 1 - room)
    note = f"→ {goes}" if goes else state
    spans.append(Span(text + " ", tone))
    loud = any(edge.offending for edge in edges)
    note_tone = ("bad" if loud else "accent") if goes else tone or "muted"
    spans += [Span(fit(note, left), note_tone), Span("│", "muted")]
    return tuple(spans)


def _words(flow: Flow, edge: FlowEdge) -> str:
    """Where an edge leads, and why."""
    why = EDGES.get(edge.kind, edge.kind)
    feature = f" {edge.feature.removeprefix(FEATURE)}" if edge.feature else ""
    return f"{printable(flow.blocks[edge.target].label)} {why}{feature}"


# --- lanes


Extent = tuple[int, int]  # the rows that an edge leaves from and leads to


def _assign(edges: Sequence[FlowEdge], spans: Sequence[Extent], most: int) -> dict[int, int]:
    """The lane of each edge, 0 the one next to the boxes; marked edges first, then short ones."""
    order = sorted(
        range(len(edges)),
        key=lambda n: (not (edges[n].offending or edges[n].on_path), _length(spans[n])),
    )
    taken: list[list[tuple[int, int]]] = [[] for _ in range(most)]
    lanes: dict[int, int] = {}
    for n in order:
        first, last = sorted(spans[n])
        for lane, others in enumerate(taken):
            if all(last < a or first > b for a, b in others):
                others.append((first, last))
                lanes[n] = lane
                break
    return lanes


def _length(span: Extent) -> int:
    return abs(span[1] - span[0])


def _extents(edges: Sequence[FlowEdge], rows: Sequence[_Row]) -> list[Extent]:
    """The rows between which each edge goes."""
    lines = {(row.block, row.line): n for n, row in enumerate(rows) if row.line >= 0}
    heads = {row.block: n for n, row in enumerate(rows) if row.head}
    return [(lines[edge.source, edge.line], heads[edge.target]) for edge in edges]


def _gutters(
    edges: Sequence[FlowEdge],
    lanes: dict[int, int],
    extents: Sequence[Extent],
    size: tuple[int, int],
) -> list[tuple[Span, ...]]:
    """What stands left of each row; the size is in rows and lanes."""
    rows, count = size
    width = count * LANE + 1
    cells = [[(" ", "")] * width for _ in range(rows)]
    any_offends = any(edge.offending for edge in edges)
    quiet_first = sorted(lanes, key=lambda n: (edges[n].offending, edges[n].on_path))
    for n in quiet_first:
        edge = edges[n]
        heavy = _heavy(edge, any_offends)
        tone = "bad" if edge.offending else "accent" if edge.on_path else "muted"
        _draw(cells, extents[n], (count - 1 - lanes[n]) * LANE, (heavy, tone))
    return [_spans_of(row) for row in cells]


def _draw(
    cells: list[list[tuple[str, str]]],
    extent: Extent,
    column: int,
    look: tuple[bool, str],
) -> None:
    heavy, tone = look
    signs = HEAVY if heavy else PLAIN
    source, target = extent
    top, bottom = min(extent), max(extent)
    for row in range(top + 1, bottom):
        across = cells[row][column][0] in "─━┼╋"
        cells[row][column] = (signs["cross"] if across else signs["down"], tone)
    for row in {source, target}:
        corner = "top" if row == top else "bottom"
        joined = cells[row][column][0] in "─━┬┳┴┻╭╰┏┗"
        cells[row][column] = (signs[f"{corner} join" if joined else corner], tone)
        for at in range(column + 1, len(cells[row])):
            cells[row][at] = (signs[ACROSS.get(cells[row][at][0], "right")], tone)
    cells[target][-1] = ("▶", tone)


def _spans_of(cells: Iterable[tuple[str, str]]) -> tuple[Span, ...]:
    """Neighbouring cells of one tone as one span."""
    spans: list[Span] = []
    for text, tone in cells:
        if spans and spans[-1].tone == tone:
            spans[-1] = Span(spans[-1].text + text, tone)
        else:
            spans.append(Span(text, tone))
    return tuple(spans)
