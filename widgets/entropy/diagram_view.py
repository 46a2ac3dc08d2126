"""The diagram of the 2015 article, running: events, input pool, spill, output pools, readers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from kdash.backends.entropy.facts import ModelStep, PoolState
from kdash.backends.entropy.model_facts import FastPoolState, ModelState, PoolFlow, ReaderState
from kdash.backends.wording import counted
from kdash.widgets.entropy.diagram_boxes import box, centred, columns, fitted, joined, marked_bar
from kdash.widgets.entropy.gauge import bar
from kdash.widgets.entropy.step_lines import change_lines, spread_lines
from kdash.widgets.entropy.tone_lines import Line, Span, ToneLines, wrapped

UNIT = 8  # entropy_count is kept in 1/8 bit (ENTROPY_SHIFT 3)
FAST_POOL_EVENTS = 64  # that flush one (add_interrupt_randomness of Linux 4.3)
INITIALIZED_BITS = 128  # credited, above which a pool counts as initialised (4.3)
LEAST_BOX, MOST_BOX = 24, 36  # cells
MOST_BOXES = 9  # output pools; more are drawn a line each
CPU_CELL = 26  # cells of one fast pool
CPU_ROWS = 2
READERS = {"/dev/random": "random", "/dev/urandom": "urandom", "getrandom": "getrandom"}


class DiagramView(ToneLines):
    """Draws the model as it flows; asks for another design, clock or a flipped bit by messages."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "redesign", "Design", id="diagram.design",
                tooltip="Switch the 4.3 model between one pool for all readers and one a node"),
        Binding("plus,equals_sign", "clock(1)", "Faster", show=False, key_display="+",
                id="diagram.faster", tooltip="Let the clock of the 4.3 model run faster"),
        Binding("minus", "clock(-1)", "Slower", show=False, key_display="-",
                id="diagram.slower", tooltip="Let the clock of the 4.3 model run slower"),
        Binding("b", "flip", "Flip a bit", show=False, id="diagram.flip",
                tooltip="Flip a bit of the next event and follow how far the difference spreads"),
    ]  # fmt: skip

    class Redesign(Message):
        """The other design is to take over."""

    class Clock(Message):
        """The clock is to run faster or slower."""

        def __init__(self, direction: int) -> None:
            super().__init__()
            self.direction = direction  # 1 or -1

    class Flip(Message):
        """A bit of the next event is to be flipped in a twin, or the twin is to end."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._state: ModelState | None = None
        self._step: ModelStep | None = None
        self._frozen = False
        self._failure = ""

    def action_redesign(self) -> None:
        """Ask for the other design."""
        self.post_message(self.Redesign())

    def action_clock(self, direction: int) -> None:
        """Ask for another clock."""
        self.post_message(self.Clock(direction))

    def action_flip(self) -> None:
        """Ask for a flipped bit."""
        self.post_message(self.Flip())

    def fail(self, cause: str) -> None:
        """Say why the model goes on no more."""
        if cause != self._failure:
            self._failure = cause
            self.redraw()

    def set_frozen(self, frozen: bool) -> None:
        """Say whether the feed stands still."""
        self._frozen = frozen
        self.redraw()

    def show_model(self, state: ModelState, step: ModelStep | None) -> None:
        """Draw the model as it stands after its latest step."""
        self._state = state
        self._step = step or self._step
        self.redraw()

    def lines(self, width: int, height: int) -> Sequence[Line]:
        """Lay the diagram out from the events above to the readers below."""
        failure = wrapped(self._failure, width, "bad") if self._failure else []
        state = self._state
        if state is None:
            return failure or [(Span("starting the model of Linux 4.3", "muted"),)]
        roomy = height >= 32
        lines = [*failure, *self._head(state, width), *_events(state, width), *_input(state, width)]
        outputs = list(zip(state.pools, state.flows, strict=True))[1:]
        lines += (
            _boxes(state, outputs, width)
            if len(outputs) <= MOST_BOXES
            else _rows(state, outputs, width)
        )
        lines += [()] if roomy else []
        lines += spread_lines(state, width)
        return [*lines, *self._step_lines(width)]

    def _head(self, state: ModelState, width: int) -> list[Line]:
        clock = f"clock x{state.speed}"
        slowed = 0 < state.reached < 0.95 * state.speed
        if slowed:
            clock += f", reached x{state.reached:.3g}"
        if state.nodes:
            design, other = f"PER NODE, {counted(state.nodes, 'node')}", "d: stock"
        else:
            design, other = "STOCK 4.3", "d: per node"
        seed = [Span(f"seed {state.seed[:16]}", "accent")] if state.seed else []
        made_up = ", ".join(f"{kind} {rate:g}/s" for kind, rate in state.load if rate)
        pieces = [
            Span("MODEL", "strong"),
            Span(clock, "warning" if slowed else "accent"),
            Span(f"{_time(state.seconds)} since boot"),
            Span(design, "strong"),
            Span(other, "muted"),
            *seed,
            Span(f"fed by {state.feed}", "muted"),
            *([Span(f"made up: {made_up}", "muted")] if made_up else []),
        ]
        if self._frozen:
            pieces.insert(1, Span("FROZEN, s steps, space resumes", "warning"))
        return joined(pieces, width)

    def _step_lines(self, width: int) -> list[Line]:
        step = self._step
        if step is None:
            return [(Span("no step yet: space freezes, s takes one event", "muted"),)]
        lines = wrapped(f"#{step.index} {step.operation}", width, "strong", indent="  ")
        if step.changes:
            return [*lines, *change_lines(step.changes, width)]
        return [
            *lines,
            (Span("space freezes; s takes one event and lists all it changes", "muted"),),
        ]


def _events(state: ModelState, width: int) -> list[Line]:
    """What stands above the input pool."""
    cells = max(1, width // CPU_CELL)
    shown = state.fast_pools[: cells * CPU_ROWS]
    if len(state.fast_pools) > len(shown):
        shown = shown[:-1]
    parts = [[_fast_pool(pool)] for pool in shown]
    more = len(state.fast_pools) - len(shown)
    if more:
        parts.append([(Span(f"and {more} CPUs more", "muted"),)])
    lines = []
    for first in range(0, len(parts), cells):
        lines += columns(parts[first : first + cells], CPU_CELL - 1)
    if not parts:
        lines.append((Span("no interrupt yet; a fast pool appears with a CPU's first", "muted"),))
    sources = [
        Span(
            f"{source.name}: {counted(source.events, 'event')}, {source.credited} bits",
            "accent" if source.busy else "muted",
        )
        for source in state.sources
    ]
    flushes = sum(pool.flushes for pool in state.fast_pools)
    pieces = [Span(f"fast pools: {flushes} flushes", "muted"), *sources]
    if state.left_out:
        pieces.append(Span(f"{state.left_out} events left out", "warning"))
    return [*lines, *joined(pieces, width), *_inlet(state, width)]


def _fast_pool(pool: FastPoolState) -> Line:
    drawn = bar(pool.count, FAST_POOL_EVENTS, 10)
    tone = "accent" if pool.busy else "muted"
    return (
        Span(f"CPU{pool.cpu:<4}", "strong" if pool.busy else "muted"),
        Span(drawn, tone),
        Span(f" {pool.count:>2}/{FAST_POOL_EVENTS}"),
    )


def _inlet(state: ModelState, width: int) -> list[Line]:
    """Where events go: at boot to the nonblocking pool, then to the input pool."""
    boot = next(pool for pool in state.pools if pool.name == "nonblocking")
    if not boot.initialized:
        text = (
            f"BOOT: events pass by to the nonblocking pool until {INITIALIZED_BITS} bits are "
            f"credited ({boot.entropy_total} so far)"
        )
        return wrapped(text, width, "warning")
    gained = state.flows[0].gained
    moved = f"▼ {gained:+.1f} bits" if gained else "▼"
    return [centred(moved, width, "accent" if gained > 0 else "muted")]


def _input(state: ModelState, width: int) -> list[Line]:
    """The input pool, and its overflow."""
    pool = state.pools[0]
    bits = pool.entropy_count / UNIT
    number = f"{bits:.0f}/{pool.size_bits} bits "
    marks = (state.read_wakeup, state.write_wakeup)
    tone = "good" if bits >= state.read_wakeup else "warning"
    room = width - 4 - len(number)
    spilling = bits > state.write_wakeup
    wakes = f"┃ {state.read_wakeup} wakes readers  "
    spill = f"┃ {state.write_wakeup} spills"
    due = f"  {pool.entropy_total}/{2 * state.read_wakeup} new bits"
    return box(
        "input pool",
        [
            (Span(number, "strong"), *marked_bar(bits, pool.size_bits, room, marks, tone)),
            (Span(wakes, "muted"), Span(spill, "accent" if spilling else "muted"),
             Span(due, "muted")),
        ],
        width,
        outlet="┬",
    )  # fmt: skip


def _boxes(
    state: ModelState, outputs: Sequence[tuple[PoolState, PoolFlow]], width: int
) -> list[Line]:
    """The output pools side by side, their readers below them."""
    across = max(1, min(len(outputs), (width + 1) // (LEAST_BOX + 1)))
    cell = min(MOST_BOX, (width + 1) // across - 1)
    lines: list[Line] = []
    for first in range(0, len(outputs), across):
        row = outputs[first : first + across]
        lines += columns([_output(state, pool, flow, cell) for pool, flow in row], cell)
    return lines


def _output(state: ModelState, pool: PoolState, flow: PoolFlow, width: int) -> list[Line]:
    bits = pool.entropy_count / UNIT
    mark = state.passed_above * pool.size_bits
    full = pool.entropy_count > mark * UNIT
    moved = flow.pushed or flow.pulled
    inlet = "▼" if moved else "│"
    flowing = f"{inlet} spill {flow.pushes}  pull {flow.pulls}"
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
        centred(flowing, width, "accent" if moved else "muted"),
        *box(
            _title(state, pool),
            [
                head,
                marked_bar(bits, pool.size_bits, width - 4, (mark,), "good" if full else ""),
            ],
            width,
            "accent" if moved else "",
            outlet="┬" if readers else "",
        ),
        *(line for reader in readers for line in _reader(state, reader, width)),
    ]


def _title(state: ModelState, pool: PoolState) -> str:
    if not state.nodes or not pool.name.startswith("nonblocking"):
        return pool.name
    return f"node {pool.name.removeprefix('nonblocking').strip() or '0'}"


def _reader(state: ModelState, reader: ReaderState, width: int) -> list[Line]:
    if not reader.rate:
        return [(Span(f"{reader.device} not read"[:width], "muted"),)]
    name = f"{READERS[reader.device]} {reader.nbytes} B {reader.rate:g}/s"
    if reader.waiting is not None:
        bits = state.pools[0].entropy_count / UNIT
        need = (
            f"{min(bits, state.read_wakeup):.0f}/{state.read_wakeup} bits"
            if reader.device == "/dev/random" else "the first seed"
        )  # fmt: skip
        return [
            (Span(name[:width], "strong"),),
            (Span(f"WAITS {reader.waiting:.0f} s, {need}"[:width], "bad"),),
        ]
    short = f", {reader.short} short" if reader.short else ""
    return [
        (Span(name[:width], "strong"),),
        (Span(f"{reader.reads} reads{short}"[:width], "muted"),),
    ]


def _rows(
    state: ModelState, outputs: Sequence[tuple[PoolState, PoolFlow]], width: int
) -> list[Line]:
    """Many output pools, a line each."""
    lines = []
    for pool, flow in outputs:
        bits = pool.entropy_count / UNIT
        moved = flow.pushed or flow.pulled
        room = max(8, min(40, width - 46))
        readers = " ".join(
            READERS[reader.device] + (" WAITS" if reader.waiting is not None else "")
            for reader in state.readers if reader.pool == pool.name and reader.rate
        )  # fmt: skip
        lines.append((
            Span("▼ " if moved else "  ", "accent"),
            Span(f"{_title(state, pool):<9}", "accent" if moved else "strong"),
            *marked_bar(bits, pool.size_bits, room, (state.passed_above * pool.size_bits,), ""),
            Span(f" {bits:>4.0f}/{pool.size_bits}"),
            Span(f" spill {flow.pushes:<4} pull {flow.pulls:<4}", "muted"),
            Span(f" {readers}", "bad" if "WAITS" in readers else ""),
        ))  # fmt: skip
    return lines


def _time(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"
