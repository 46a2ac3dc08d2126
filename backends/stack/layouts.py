"""Stack layouts of alternatives: the unwinder's table has one line for both sides.

After the rule of propagate_alt_cfi in tools/objtool/check.c (6.1): where instructions of the
original and of a replacement begin at the same distance, their stack states must be equal.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from kdash.backends.stack.codes import NOP
from kdash.backends.stack.events import FIRST_OPERATION
from kdash.backends.stack.listing import state_before
from kdash.backends.stack.special import Alternative
from kdash.backends.stack.violations import Violation
from kdash.backends.stack.walk import Walk


def layout_conflicts(walk: Walk) -> Iterator[Violation]:
    """The first instruction of each replacement whose state differs from the original's."""
    seen: dict[tuple[int, int], int] = {}  # original and distance: state
    for made in walk.program.replacements:
        if _changes_stack(walk, made):
            yield from _conflicts(walk, made, seen)


def _span(walk: Walk, first: int, end: int) -> range:
    start = walk.program.code.start
    return range(*np.searchsorted(start, [first, end]).tolist())


def _changes_stack(walk: Walk, made: Alternative) -> bool:
    """Whether a stack operation is among the instructions of either side."""
    events = walk.events
    for first, end in ((made.original, made.original_end), (made.new, made.new_end)):
        span = _span(walk, first, end)
        bounds = events.at(np.array([span.start, span.stop], np.int64)).tolist()
        if any(code >= FIRST_OPERATION for code in events.code[bounds[0] : bounds[1]]):
            return True
    return False


def _conflicts(
    walk: Walk, made: Alternative, seen: dict[tuple[int, int], int]
) -> Iterator[Violation]:
    table, code = walk.transitions.table, walk.program.code
    for at in _span(walk, made.original, made.original_end):
        distance = int(code.start[at]) - made.original
        seen.setdefault((made.original, distance), state_before(walk, at))
    for at in _span(walk, made.new, made.new_end):
        state = state_before(walk, at)
        expected = seen.setdefault((made.original, int(code.start[at]) - made.new), state)
        unknown = table.unknown in (state, expected) or -1 in (state, expected)
        if unknown or table.match[state] == table.match[expected] or code.control[at] == NOP:
            continue
        holder = walk.program.functions.containing(np.array([made.original], np.int64))
        yield Violation(
            "alternatives",
            walk.events.of(at),
            at,
            int(holder[0]),
            state,
            expected,
            message="stack layout conflict in alternatives",
        )
        return
