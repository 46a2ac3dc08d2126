"""What a guest sends, passed on to a listener while it runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

#: Told new bytes, in the VCPU's thread.
OnOutput = Callable[[bytes], None]


class OutputTap:
    """Knows how much of some growing buffers has been passed on.

    Args:
        buffers: of the serial port and the like; whoever shortens one calls `shortened`.
    """

    def __init__(self, buffers: Sequence[bytearray]) -> None:
        self._buffers = buffers
        self._told = [0] * len(buffers)

    def pass_on(self, listener: OnOutput | None) -> None:
        """Give the listener what is new."""
        for position, buffer in enumerate(self._buffers):
            new = bytes(buffer[self._told[position] :])
            self._told[position] = len(buffer)
            if new and listener is not None:
                listener(new)

    def shortened(self) -> None:
        """All there is was passed on before, and some of it is gone."""
        self._told = [len(buffer) for buffer in self._buffers]
