"""Regular kicks for an engine without a timer of its own."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread
from typing import Final

#: Longest wait for the thread of ticks to end, in seconds.
_PATIENCE: Final = 5.0


class Ticks:
    """Calls `kick` regularly, from a thread of its own."""

    def __init__(self, kick: Callable[[], None], hertz: int) -> None:
        self._kick = kick
        self._period = 1 / hertz
        self._ended = Event()
        self._thread = Thread(target=self._tick, name="kdash-ticks", daemon=True)
        self._thread.start()

    def _tick(self) -> None:
        while not self._ended.wait(self._period):
            self._kick()

    def end(self) -> None:
        """No call comes after this."""
        self._ended.set()
        self._thread.join(_PATIENCE)
