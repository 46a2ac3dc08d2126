"""What one event of the Linux 4.3 model changed, and how far one flipped bit has come."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from kdash.backends.entropy.facts import Changes
from kdash.backends.entropy.model_facts import ModelState
from kdash.widgets.entropy.diagram_boxes import joined
from kdash.widgets.entropy.model_view import ENTROPY_UNIT
from kdash.widgets.entropy.tone_lines import Line, Span

PLACE = 12  # cells of the name of a place
WORD_BITS = 32
# Bits of a word that differ, from this on -> its mark and tone; 16 are as many as by chance.
SPREAD = ((13, "#", "accent"), (8, "*", "heat-3"), (4, "+", "heat-2"), (1, ".", "heat-2"))
NOT_REACHED = ("·", "heat-1")
LEGEND = "bits of a word that differ: · none  . 1  + 4  * 8  # 13 or more"


def change_lines(changes: Sequence[Changes], width: int) -> list[Line]:
    """Every counter and every word that an event changed, place by place."""
    lines: list[Line] = []
    for change in changes:
        pieces = [
            Span(_counter(counter.name, counter.before, counter.after))
            for counter in change.counters
        ]
        if change.words:
            pieces.append(Span(f"{len(change.words)} words:", "muted"))
        pieces += [
            Span(f"[{word.index}] {word.before:08x}>{word.after:08x}", "heat-2")
            for word in change.words
        ]
        body = joined(pieces, max(20, width - PLACE))
        name = change.place
        if len(name) >= PLACE:
            lines.append((Span(name, "strong"),))
            name = ""
        for line in body:
            lines.append((Span(name.ljust(PLACE), "strong"), *line))
            name = ""
    return lines


def _counter(name: str, before: int, after: int) -> str:
    text = f"{name} {before}>{after}"
    if name == "entropy_count":
        text += f" ({(after - before) / ENTROPY_UNIT:+.3g} bits)"
    return text


def spread_lines(state: ModelState, width: int) -> list[Line]:
    """A mark for each word of each pool: how many of its bits a flipped bit has changed."""
    if not state.spread:
        return []
    first = (
        f"one bit flipped, {state.spread_events} events ago" if state.spread_events
        else "one bit of the next event will be flipped"
    )  # fmt: skip
    lines = joined([Span(first, "strong"), Span(LEGEND, "muted"), Span("b ends", "muted")], width)
    across = max(8, width - PLACE - 10)
    for pool, bits in zip(state.pools, state.spread, strict=True):
        share = sum(bits) / (len(bits) * WORD_BITS)
        for start in range(0, len(bits), across):
            name = pool.name if not start else ""
            shown = f"{share:>6.1%}" if not start else ""
            lines.append((
                Span(f"{name[:PLACE - 1]:<{PLACE}}"),
                *_marks(bits[start : start + across]),
                Span(f" {shown}", "muted"),
            ))  # fmt: skip
    return lines


def spread_mark(bits: int) -> tuple[str, str]:
    """Mark and tone of a word of which so many bits differ."""
    return next(((mark, tone) for least, mark, tone in SPREAD if bits >= least), NOT_REACHED)


def _marks(bits: Sequence[int]) -> list[Span]:
    return [
        Span("".join(mark for mark, _ in same), tone)
        for tone, same in groupby(map(spread_mark, bits), key=lambda found: found[1])
    ]
