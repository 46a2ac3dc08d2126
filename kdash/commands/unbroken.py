"""Work that the signals which end a command do not break in two."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def unbroken() -> Iterator[None]:
    """Let a signal wait until a piece of work, such as the print of a line, is done.

    A second one breaks it after all: what is printed may go to a reader that takes nothing.
    """
    waiting: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if not waiting:
            waiting.append(number)
        elif callable(handler := before[signal.Signals(number)]):
            handler(number, frame)

    before = {number: signal.getsignal(number) for number in _ENDING}
    held = [number for number, handler in before.items() if callable(handler)]
    for number in held:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number in held:
            signal.signal(number, before[number])
    if waiting:
        signal.raise_signal(waiting[0])
