"""How far a person lets a guest go."""

from __future__ import annotations

from dataclasses import dataclass

from kdash.backends.kvm.stop_requests import ExitFilter


@dataclass(frozen=True, slots=True)
class Pace:
    """How far to go."""

    steps: int | None = None  # so many instructions; None: no limit
    until: int | None = None  # RIP to stop at
    over: bool = False  # stop when the instruction at CS:IP has come back
    exits: ExitFilter | None = None  # exits to stop at
    stepped: bool = False  # step by step, so that all of it is recorded

    @property
    def is_free(self) -> bool:
        """Whether nothing but a stop point, an exit or the end stops it."""
        return self.steps is None and self.until is None and not self.over
