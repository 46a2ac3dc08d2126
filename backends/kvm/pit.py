"""The timer of a PC, to be polled: an Intel 8254's counters 0 and 2, and port 0x61.

Source: Intel 8254 data sheet (231164-005), "Programming" and "Mode Definitions"; IBM PC/AT
technical reference (port 0x61). It raises no interrupt: a machine that wants those has the
kernel's PIT, which takes these ports over.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Final

from kdash.backends.kvm.device_state import State, restore_fields, save_fields

#: Counts a second: 105/88 MHz, the colour burst's third (IBM PC/AT technical reference).
HERTZ: Final = 105e6 / 88
PIT_PORTS: Final = range(0x40, 0x44)
SPEAKER_PORT: Final = 0x61

_CONTROL: Final = 3  # offset of the control word
_READ_BACK: Final = 3  # counter number of the read-back command
_LOW, _HIGH, _BOTH = 1, 2, 3
_SQUARE: Final = 3
_PERIODIC: Final = (2, 3)
_GATE: Final = 0x01
_SPEAKER_BITS: Final = 0x0F  # of port 0x61, readable as written
_OUT: Final = 0x20
_REFRESH: Final = 0x10  # toggles with every read, as the memory refresh is too fast to see

Clock = Callable[[], float]


class _Counter:
    """One counter; `now` is in counts."""

    def __init__(self) -> None:
        self.mode = _SQUARE
        self.access = _BOTH
        self.bcd = False
        self.reload = 0x10000
        self.began = 0
        self.gate = True
        self.stopped = 0  # counts done when the gate closed
        self.loading: int | None = None  # the low byte, when the high one is to come
        self.latched: list[int] = []  # bytes to be read before the counter itself
        self.high_next = False

    def control(self, word: int, now: int) -> None:
        """Mode and access; the counter stands until it is loaded."""
        self.access = word >> 4 & 3
        self.mode = word >> 1 & 7
        if self.mode > 5:
            self.mode -= 4  # bit 2 of modes 2 and 3 counts for nothing
        self.bcd = bool(word & 1)
        self.loading, self.latched, self.high_next = None, [], False
        self.began = now

    def load(self, value: int, now: int) -> None:
        """A byte of the count."""
        if self.access == _BOTH and self.loading is None:
            self.loading = value
            return
        if self.access == _BOTH:
            count = value << 8 | (self.loading or 0)
        else:
            count = value << 8 if self.access == _HIGH else value
        self.loading = None
        count = _from_bcd(count) if self.bcd else count
        self.reload = count or (10_000 if self.bcd else 0x10000)
        self.began, self.stopped = now, 0

    def set_gate(self, on: bool, now: int) -> None:
        """The gate; opened it starts modes 1, 2, 3 and 5 anew and lets the others go on."""
        if on and not self.gate:
            self.began = now - (self.stopped if self.mode in (0, 4) else 0)
        elif self.gate and not on:
            self.stopped = now - self.began
        self.gate = on

    def _elapsed(self, now: int) -> int:
        return now - self.began if self.gate else self.stopped

    def count(self, now: int) -> int:
        """What the counter shows."""
        elapsed = self._elapsed(now)
        if self.mode == _SQUARE:
            value = self.reload - 2 * elapsed % self.reload
        elif self.mode in _PERIODIC:
            value = self.reload - elapsed % self.reload
        else:
            value = self.reload - elapsed
        return _to_bcd(value % 10_000) if self.bcd else value & 0xFFFF

    def out(self, now: int) -> bool:
        """The level of its output."""
        elapsed = self._elapsed(now)
        if self.mode == _SQUARE:
            return elapsed % self.reload < (self.reload + 1) // 2
        if self.mode in _PERIODIC:
            return elapsed % self.reload != self.reload - 1
        return elapsed >= self.reload

    def latch(self, now: int) -> None:
        """Keep the count for the next reads."""
        if not self.latched:
            count = self.count(now)
            both = [count & 0xFF, count >> 8]
            self.latched = {_LOW: both[:1], _HIGH: both[1:]}.get(self.access, both)

    def status(self, now: int) -> int:
        """Output, access, mode as in a read-back."""
        return self.out(now) << 7 | self.access << 4 | self.mode << 1 | self.bcd

    def read(self, now: int) -> int:
        """The next byte."""
        if self.latched:
            return self.latched.pop(0)
        count = self.count(now)
        high = self.access == _HIGH or (self.access == _BOTH and self.high_next)
        self.high_next = self.access == _BOTH and not self.high_next
        return count >> 8 if high else count & 0xFF


class Timer:
    """The 8254 and the gate of its counter 2.

    Args:
        clock: tells seconds.
    """

    posted = True
    mmio: Sequence[range] = ()
    ports: Sequence[range] = (PIT_PORTS, range(SPEAKER_PORT, SPEAKER_PORT + 1))

    def __init__(self, clock: Clock = time.perf_counter) -> None:
        self._clock = clock
        self._ahead = 0  # counts that it is ahead of the clock
        self._counters = (_Counter(), _Counter(), _Counter())
        self._counters[2].gate = False
        self._port_b = 0
        self._refresh = 0

    def _now(self) -> int:
        return int(self._clock() * HERTZ) + self._ahead

    @property
    def now(self) -> int:
        """Its time, in counts; counters tell when they began by it."""
        return self._now()

    @now.setter
    def now(self, counts: int) -> None:
        self._ahead += counts - self._now()

    def save(self) -> State:
        """Counters and gate; time goes on as it does for the host."""
        counters = [save_fields(counter, vars(counter)) for counter in self._counters]
        return save_fields(self, ("_port_b", "_refresh")) | {"counters": counters}

    def restore(self, state: State) -> None:
        """Go back."""
        restore_fields(self, ("_port_b", "_refresh"), state)
        for counter, saved in zip(self._counters, state["counters"], strict=True):
            restore_fields(counter, tuple(vars(counter)), saved)

    def read(self, address: int, size: int) -> int:  # noqa: ARG002 - a byte wide
        """A counter, or port 0x61; the control word can't be read."""
        if address == SPEAKER_PORT:
            self._refresh ^= _REFRESH
            out = _OUT if self._counters[2].out(self._now()) else 0
            return self._port_b | self._refresh | out
        offset = address - PIT_PORTS.start
        return 0xFF if offset == _CONTROL else self._counters[offset].read(self._now())

    def write(self, address: int, size: int, data: bytes) -> None:
        """The control word, counts, or the gate."""
        for value in data[::size]:
            now = self._now()
            offset = address - PIT_PORTS.start
            if address == SPEAKER_PORT:
                self._port_b = value & _SPEAKER_BITS
                self._counters[2].set_gate(bool(value & _GATE), now)
            elif offset == _CONTROL:
                self._control(value, now)
            else:
                self._counters[offset].load(value, now)

    def _control(self, word: int, now: int) -> None:
        number = word >> 6
        if number == _READ_BACK:
            for bit, counter in enumerate(self._counters, 1):
                if word & 1 << bit:
                    self._read_back(counter, word, now)
        elif word >> 4 & 3 == 0:
            self._counters[number].latch(now)
        else:
            self._counters[number].control(word, now)

    def _read_back(self, counter: _Counter, word: int, now: int) -> None:
        status = counter.status(now)
        if not word & 0x20:
            counter.latch(now)
        if not word & 0x10:
            counter.latched.insert(0, status)


def _from_bcd(value: int) -> int:
    return sum((value >> 4 * place & 0xF) * 10**place for place in range(4))


def _to_bcd(value: int) -> int:
    return sum(value // 10**place % 10 << 4 * place for place in range(4))
