"""KVM's statistics, dirty pages and in-kernel exits as rows, with rates between two readings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kdash.backends.kvm.state_facts import DirtyPages, Statistic, StatisticsState
from kdash.widgets.vcpu.state_row import StateRow, gap_rows

RANGES_SHOWN = 200  # ranges of dirty pages
PAGE = 4096

Key = tuple[str, str]


def statistics_rows(
    state: StatisticsState, before: StatisticsState | None = None
) -> list[StateRow]:
    """Exits the kernel dealt with, how many pages were written, every counter, and which pages.

    Args:
        state: The latest reading.
        before: The one before it, for rates.
    """
    old = {} if before is None else {(s.scope, s.name): s for s in before.statistics}
    seconds = state.time - before.time if before is not None else 0.0
    return [
        *_exits(state, before, seconds),
        _dirty(state.dirty),
        *(_statistic(one, old, seconds) for one in state.statistics),
        *_dirty_ranges(state.dirty),
        *gap_rows(state.unavailable),
    ]


def _statistic(one: Statistic, old: Mapping[Key, Statistic], seconds: float) -> StateRow:
    total = sum(one.values)
    if one.kind.endswith("hist"):
        value, meaning = f"{total:,}", histogram_text(one)
    else:
        value, meaning = f"{one.values[0]:,}" if one.values else "-", one.kind
    if unit := unit_text(one):
        meaning += f", {unit}"
    before = old.get((one.scope, one.name))
    if before is not None and one.kind == "cumulative" and seconds > 0:
        rate = rate_text(total - sum(before.values), seconds)
        meaning += f", {rate}" if rate else ""
    return StateRow(one.scope, one.name, value, meaning, "" if total else "muted")


def unit_text(one: Statistic) -> str:
    """The unit of a value: ns, bytes, cycles."""
    if one.unit == "seconds" and one.base == 10:
        return {0: "s", -3: "ms", -6: "us", -9: "ns"}.get(one.exponent, f"10^{one.exponent} s")
    if one.exponent:
        return f"{one.base}^{one.exponent} {one.unit}".strip()
    return one.unit


def rate_text(difference: int, seconds: float) -> str:
    """How often a second; empty where nothing happened."""
    if difference <= 0:
        return ""
    rate = difference / seconds
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"


def histogram_text(one: Statistic) -> str:
    """The buckets that hold something: from which value on, and how many."""
    parts = [
        f"{bucket_start(one, place):,}: {count:,}"
        for place, count in enumerate(one.values)
        if count
    ]
    return f"{one.kind} of {len(one.values)}" + (f": {', '.join(parts)}" if parts else "")


def bucket_start(one: Statistic, place: int) -> int:
    """The smallest value of a bucket (api.rst, 4.133: log buckets begin at 0, 1, 2, 4, ...)."""
    if one.kind == "linear hist":
        return place * one.bucket
    return 0 if place == 0 else 1 << (place - 1)


def ranges(pages: tuple[int, ...]) -> Iterator[tuple[int, int]]:
    """Pages in order as stretches: first address, and the first behind."""
    start = end = -1
    for page in pages:
        if page != end:
            if start >= 0:
                yield start, end
            start = page
        end = page + PAGE
    if start >= 0:
        yield start, end


def _dirty(dirty: DirtyPages) -> StateRow:
    if dirty.unavailable:
        return StateRow("dirty", "pages", "-", dirty.unavailable, "warning")
    count = len(dirty.pages)
    meaning = f"of {dirty.total:,} written since the last reading"
    return StateRow("dirty", "pages", f"{count:,}", meaning, "" if count else "muted")


def _dirty_ranges(dirty: DirtyPages) -> Iterator[StateRow]:
    for number, (start, end) in enumerate(ranges(dirty.pages)):
        if number == RANGES_SHOWN:
            yield StateRow("dirty", "...", "", "more stretches than are shown")
            return
        pages = (end - start) // PAGE
        text = f"{pages} pages" if pages > 1 else "1 page"
        yield StateRow("dirty", f"{start:x}", f"{end - 1:x}", f"{text}, guest-physical")


def _exits(
    state: StatisticsState, before: StatisticsState | None, seconds: float
) -> Iterator[StateRow]:
    if state.exits.unavailable:
        yield StateRow("exits", "in kernel", "-", state.exits.unavailable, "warning")
        return
    old = dict(before.exits.counts) if before is not None else {}
    for name, count in state.exits.counts:
        rate = rate_text(count - old.get(name, 0), seconds) if seconds > 0 and before else ""
        yield StateRow("exits", name, f"{count:,}", rate)
    if not state.exits.counts:
        yield StateRow("exits", "in kernel", "0", "none since this view was opened", "muted")
