"""What the views of the Linux 4.3 model share: its units, and what ended it."""

from __future__ import annotations

from kdash.backends.entropy.facts import PoolState
from kdash.widgets.entropy.tone_lines import Line, ToneLines, wrapped

ENTROPY_UNIT = 8  # entropy_count is kept in 1/8 bit (ENTROPY_SHIFT 3)


def bits_of(pool: PoolState) -> float:
    """Bits a pool is credited with."""
    return pool.entropy_count / ENTROPY_UNIT


class ModelView(ToneLines):
    """A view of the model, which says so where the model has ended."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._failure = ""

    def fail(self, cause: str) -> None:
        """Say above all else why the model goes on no more."""
        if cause != self._failure:
            self._failure = cause
            self.redraw()

    def failure_lines(self, width: int) -> list[Line]:
        """What ended the model; nothing while it goes on."""
        return wrapped(self._failure, width, "bad") if self._failure else []
