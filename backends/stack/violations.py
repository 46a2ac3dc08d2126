"""What a walk finds, in the walk's terms: events, instructions, numbers of states."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Violation:
    """A finding in the walk's terms."""

    kind: str
    event: int
    instruction: int
    function: int  # whose walk found it, -1 for none
    state: int = -1  # number of the state found
    expected: int = -1  # number of the state that another path came with
    message: str = ""  # where the rule has several
    callee: str = ""
    arrived: int = -1  # the event a mismatching path jumped from


class Violations:
    """Those of one file, in the order they were found; one for each kind and instruction."""

    def __init__(self) -> None:
        self._found: list[Violation] = []
        self._seen: set[tuple[str, int]] = set()

    def add(self, violation: Violation) -> None:
        """Keep a violation, unless one of its kind is there already."""
        key = (violation.kind, violation.instruction)
        if key not in self._seen:
            self._seen.add(key)
            self._found.append(violation)

    def __iter__(self) -> Iterator[Violation]:
        return iter(self._found)
