"""The interrupt controller of a machine without those of the kernel: the PC's first 8259A.

Source: Intel 8259A data sheet (231468-003), "Programming the 8259A". Inputs are edges, as the
PC programs them; priorities don't rotate; the second controller of an AT is not there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from kdash.backends.kvm.device_state import State, restore_fields, save_fields

PIC_PORTS: Final = range(0x20, 0x22)

# ICW1: bit 4 marks it; 0: ICW4 follows; 1: single, so that no ICW3 does.
_ICW1, _ICW4_FOLLOWS, _SINGLE = 0x10, 0x01, 0x02
_AUTOMATIC_END: Final = 0x02  # ICW4
_OCW3: Final = 0x08
_READ_REQUESTS, _READ_SERVED = 0x02, 0x03  # OCW3
_END_OF_INTERRUPT: Final = 0x20  # OCW2
_SPECIFIC: Final = 0x40


_STATE: Final = (
    "_base", "_expected", "_ready", "_automatic_end", "_mask", "_lines", "_requests", "_served",
    "_read",
)  # fmt: skip


class Pic:
    """An 8259A; nothing comes through before the guest has programmed it."""

    posted = False
    mmio: Sequence[range] = ()
    ports: Sequence[range] = (PIC_PORTS,)

    def __init__(self) -> None:
        self._base = 0  # vector of input 0
        self._expected: list[str] = []  # command words still to come
        self._ready = False
        self._automatic_end = False
        self._mask = 0xFF
        self._lines = 0
        self._requests = 0  # IRR
        self._served = 0  # ISR
        self._read = _READ_REQUESTS

    def set_line(self, irq: int, active: bool) -> None:
        """Set an input's level; a rising edge is a request as long as the input stays."""
        bit = 1 << irq
        if active and not self._lines & bit:
            self._requests |= bit
        self._lines = self._lines | bit if active else self._lines & ~bit
        if not active:
            self._requests &= ~bit

    @property
    def pending(self) -> bool:
        """Whether it asks the processor for an interrupt."""
        return self._next() is not None

    def acknowledge(self) -> int:
        """The vector of the interrupt that the processor takes now; `pending` is needed."""
        irq = self._next()
        assert irq is not None
        self._requests &= ~(1 << irq)
        if not self._automatic_end:
            self._served |= 1 << irq
        return self._base + irq

    def _next(self) -> int | None:
        """The request of highest priority, unless one as high is being served."""
        if not self._ready:
            return None
        requests = self._requests & ~self._mask
        lowest = requests & -requests
        if not lowest or self._served & (lowest | (lowest - 1)):
            return None
        return lowest.bit_length() - 1

    def lets_through(self, irq: int) -> bool:
        """Whether the guest has programmed it to take requests of `irq`."""
        return self._ready and not self._mask >> irq & 1

    def save(self) -> State:
        """All its registers."""
        return save_fields(self, _STATE)

    def restore(self, state: State) -> None:
        """Become what `save` gave."""
        restore_fields(self, _STATE, state)

    # -- the bus

    def read(self, address: int, size: int) -> int:  # noqa: ARG002 - a byte wide
        """The mask, or the requests or interrupts served, as was chosen."""
        if address != PIC_PORTS.start:
            return self._mask
        return self._served if self._read == _READ_SERVED else self._requests

    def write(self, address: int, size: int, data: bytes) -> None:
        """Take command words."""
        for value in data[::size]:
            if address != PIC_PORTS.start:
                self._take_data(value)
            elif value & _ICW1:
                self._begin(value)
            elif value & _OCW3:
                if value & 0x02:
                    self._read = value & 0x03
            elif value & _END_OF_INTERRUPT:
                self._end(value)

    def _begin(self, value: int) -> None:
        self._expected = ["ICW2"]
        if not value & _SINGLE:
            self._expected.append("ICW3")
        if value & _ICW4_FOLLOWS:
            self._expected.append("ICW4")
        self._ready = self._automatic_end = False
        self._mask = self._requests = self._served = 0
        self._read = _READ_REQUESTS

    def _take_data(self, value: int) -> None:
        if not self._expected:
            self._mask = value
            return
        word = self._expected.pop(0)
        if word == "ICW2":
            self._base = value & 0xF8
        elif word == "ICW4":
            self._automatic_end = bool(value & _AUTOMATIC_END)
        self._ready = not self._expected

    def _end(self, value: int) -> None:
        """End the interrupt served that is named, else that of highest priority."""
        if value & _SPECIFIC:
            self._served &= ~(1 << (value & 7))
        else:
            self._served &= self._served - 1
