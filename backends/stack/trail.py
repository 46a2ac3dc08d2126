"""The way from a function's entry to a finding, step by step for people."""

from __future__ import annotations

from kdash.backends.stack.events import (
    BRANCH,
    EDGES,
    FIRST_OPERATION,
    GOTO,
    REPLACEMENT_END,
    SWITCH,
)
from kdash.backends.stack.facts import PathStep
from kdash.backends.stack.features import feature_name
from kdash.backends.stack.listing import Listing
from kdash.backends.stack.violations import Violation
from kdash.backends.stack.walk import Walk

_LONGEST = 200  # steps kept: the last ones


def trail(walk: Walk, listing: Listing, violation: Violation) -> tuple[PathStep, ...]:
    """The steps to a violation.

    They are the entry, both ends of every jump and edge, what changed the state between, the site.
    """
    if violation.state < 0:
        return ()
    jumps = jumps_to(walk, violation)
    events = walk.events
    steps: list[tuple[int, str, str]] = []
    entry = jumps[0][1] if jumps else violation.event
    steps.append((int(events.instruction[entry]), "fallthrough", ""))
    at = entry
    for source, target in jumps[1:]:
        steps += _changes(walk, at, source)
        steps.append((int(events.instruction[source]), "fallthrough", ""))
        edge, feature = edge_between(walk, source, target)
        steps.append((int(events.instruction[target]), edge, feature))
        at = target
    steps += _changes(walk, at, events.of(violation.instruction))
    steps.append((violation.instruction, "fallthrough", ""))
    return tuple(
        PathStep(_offset(walk, index), listing.text(index), edge, feature)
        for index, edge, feature in _without_repeats(steps)[-_LONGEST:]
        if index < len(walk.program.code)
    )


def _changes(walk: Walk, first: int, last: int) -> list[tuple[int, str, str]]:
    """The instructions that change the state, from one event up to another in straight line."""
    events, steps = walk.events, walk.transitions.table.steps
    return [
        (int(events.instruction[event]), "fallthrough", "")
        for event in range(first, last)
        if (kind := events.code[event]) >= FIRST_OPERATION
        and (before := walk.visited[event]) >= 0
        and steps[before].get(kind, before) != before
    ]


def jumps_to(walk: Walk, violation: Violation) -> list[tuple[int, int]]:
    """The jumps of a path: pairs (event jumped from, event jumped to); the entry's from is -1."""
    jumps: list[tuple[int, int]] = []
    event = violation.event
    seen: set[int] = set()
    if violation.arrived >= 0:
        jumps.append((violation.arrived, event))
        event = violation.arrived
    while event not in seen:
        seen.add(event)
        source = walk.came_from.get(event)
        if source is None:
            event -= 1
            if event < 0 or walk.visited[event] < 0:
                break
            continue
        jumps.append((source, event))
        if source < 0:
            break
        event = source
    jumps.reverse()
    if not jumps or jumps[0][0] >= 0:
        jumps.insert(0, (-1, event))
    return jumps


def edge_between(walk: Walk, source: int, target: int) -> tuple[str, str]:
    """How one event leads to another: kind of edge, and CPU feature of an alternative."""
    kind = walk.events.code[source]
    if kind in (EDGES, SWITCH):
        for way in walk.events.ways.get(source, []):
            if way.target == target:
                return way.kind, feature_name(way.feature) if way.feature >= 0 else ""
    if kind == REPLACEMENT_END:
        return "alternative", ""
    if kind in (BRANCH, GOTO):
        return "branch", ""
    return "fallthrough", ""


def _without_repeats(steps: list[tuple[int, str, str]]) -> list[tuple[int, str, str]]:
    """Steps without those that fall through to the instruction they are at already."""
    kept: list[tuple[int, str, str]] = []
    for step in steps:
        if kept and kept[-1][0] == step[0] and step[1] == "fallthrough":
            continue
        kept.append(step)
    return kept


def _offset(walk: Walk, index: int) -> int:
    code, functions = walk.program.code, walk.program.functions
    position = int(code.start[min(index, len(code) - 1)])
    function = functions.around_one(position)
    if function >= 0:
        return position - int(functions.start[function])
    return position - code.section_at(position).base
