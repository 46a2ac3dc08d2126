"""The state of devices as plain values, so that a recording can keep it and go back to it.

A device that takes part has `save()`, which gives values that JSON can hold, and
`restore(state)`, which takes them back.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Final, Protocol

State = Mapping[str, Any]
#: What devices may raise that were given a state that makes no sense.
NONSENSE: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


class Saved(Protocol):
    """A device whose state can be kept."""

    def save(self) -> State:
        """Its state now."""
        ...

    def restore(self, state: State) -> None:
        """Become what `save` gave."""
        ...


class Sent(bytearray):
    """What a guest sent: a tail of it, and how much it was altogether."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped = 0

    @property
    def total(self) -> int:
        """Bytes ever sent."""
        return self.dropped + len(self)

    def keep(self, length: int) -> None:
        """Forget all but the last `length` bytes."""
        surplus = len(self) - length
        if surplus > 0:
            del self[:surplus]
            self.dropped += surplus

    def until(self, total: int) -> bytes:
        """What is still known of the first `total` bytes."""
        return bytes(self[: max(total - self.dropped, 0)])

    def cut(self, total: int) -> None:
        """Forget what came after the first `total` bytes."""
        del self[max(total - self.dropped, 0) :]
        self.dropped = min(self.dropped, total)


def save_fields(device: object, names: Iterable[str]) -> dict[str, Any]:
    """Attributes as plain values."""
    return {name: _plain(getattr(device, name)) for name in names}


def restore_fields(device: object, names: Iterable[str], state: State) -> None:
    """Set attributes to what `save_fields` gave, each of the type it has.

    Raises:
        ValueError: a number is below 0, which no register or count of a device is.
    """
    for name in names:
        kind = type(getattr(device, name))
        value = state[name]
        if isinstance(value, int) and value < 0:
            raise ValueError(f"{name.lstrip('_')} is {value}")
        setattr(device, name, kind(value) if kind in (deque, bytearray, bytes) else value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, deque | bytearray | bytes | list) else value
