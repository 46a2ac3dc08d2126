"""The upper half of the diagram: events, fast pools, and the input pool they are mixed into."""

from __future__ import annotations

from kdash.backends.entropy.model_facts import FastPoolState, ModelState
from kdash.backends.wording import counted
from kdash.widgets.entropy.diagram_boxes import box, centred, columns, joined, marked_bar
from kdash.widgets.entropy.gauge import bar
from kdash.widgets.entropy.model_view import bits_of
from kdash.widgets.entropy.pool_map import strip_lines
from kdash.widgets.entropy.tone_lines import Line, Span, wrapped

FAST_POOL_EVENTS = 64  # that flush one (add_interrupt_randomness of Linux 4.3)
INITIALIZED_BITS = 128  # credited, above which a pool counts as initialised (4.3)
CPU_CELL = 26  # cells of one fast pool
CPU_ROWS = 2


def event_lines(state: ModelState, width: int, below: int) -> list[Line]:
    """What stands above the input pool, which is `below` cells wide."""
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
            f"{source.name}: {counted(source.events, 'event')}, {source.credited:,} bits",
            "accent" if source.busy else "muted",
        )
        for source in state.sources
    ]
    flushes = sum(pool.flushes for pool in state.fast_pools)
    pieces = [Span(f"fast pools: flushed {counted(flushes, 'time')}", "muted"), *sources]
    if state.left_out:
        left_out = counted(state.left_out, "event")
        pieces.append(Span(f"{left_out} left out: too many for this clock", "warning"))
    return [*lines, *joined(pieces, width), *_inlet(state, below)]


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
    busy = any(pool.busy for pool in state.fast_pools) or any(s.busy for s in state.sources)
    return [centred("▼" if busy else "│", width, "accent" if busy else "muted")]


def input_lines(state: ModelState, width: int, *, words: bool) -> list[Line]:
    """The input pool, its thresholds and, where asked for, its words."""
    pool = state.pools[0]
    bits = bits_of(pool)
    gained = state.flows[0].gained
    change = f" {gained:+.0f}" if abs(gained) >= 1 else ""
    number = f"{bits:.0f}/{pool.size_bits} bits"
    marks = (state.read_wakeup, state.write_wakeup)
    tone = "good" if bits >= state.read_wakeup else "warning"
    head = f"{number}{change}"
    head = head.ljust(len(f"{pool.size_bits}/{pool.size_bits} bits -0000 "))
    spilling = bits > state.write_wakeup
    due = 2 * state.read_wakeup
    new = f"{min(pool.entropy_total, due)} of {due}"
    legend = joined(
        [
            Span(f"┃ {state.read_wakeup} wakes readers", "muted"),
            Span(f"┃ above {state.write_wakeup} it spills", "accent" if spilling else "muted"),
            Span(f"new bits to the next spill: {new}", "muted"),
        ],
        width - 4,
    )
    return box(
        "input pool",
        [
            (Span(head, "strong"),
             *marked_bar(bits, pool.size_bits, width - 4 - len(head), marks, tone)),
            *legend,
            *(strip_lines(pool, width - 4) if words else ()),
        ],
        width,
        outlet="┬",
    )  # fmt: skip
