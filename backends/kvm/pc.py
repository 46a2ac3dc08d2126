"""What a guest expects of a PC besides its ports for output: clock and configuration."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from kdash.backends.kvm.device_state import State, restore_fields, save_fields

CMOS_PORTS: Final = range(0x70, 0x72)
FW_CFG_PORTS: Final = range(0x510, 0x512)

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    """The host's clock."""
    return datetime.now(UTC)


class Cmos:
    """The clock and its battery-backed memory: Motorola MC146818A, 24 hours, BCD.

    Memory sizes are where the IBM PC/AT's BIOS keeps them; 0x34 and 0x35 are those of QEMU
    and SeaBIOS.

    Args:
        memory: bytes of RAM from 0.
        clock: tells the time.
    """

    posted = True
    mmio: Sequence[range] = ()
    ports: Sequence[range] = (CMOS_PORTS,)

    def __init__(self, memory: int, clock: Clock = utc_now) -> None:
        self._clock = clock
        self._index = 0
        self._bytes = bytearray(128)
        self._bytes[0x0A] = 0x26  # divider for 32 kHz, no update in progress
        self._bytes[0x0B] = 0x02  # 24 hours, BCD
        self._bytes[0x0D] = 0x80  # the battery is good
        extended = min(max(memory - (1 << 20), 0) >> 10, 0xFFFF)
        above = min(max(memory - (16 << 20), 0) >> 16, 0xFFFF)
        for place, value in (
            (0x15, min(memory >> 10, 640)),  # KiB below 640 KiB
            (0x17, extended),  # KiB above 1 MiB
            (0x30, extended),
            (0x34, above),  # 64 KiB above 16 MiB
        ):
            self._bytes[place : place + 2] = value.to_bytes(2, "little")

    def read(self, address: int, size: int) -> int:  # noqa: ARG002 - a byte wide
        """The byte selected; the index can't be read."""
        return self._value() if address == 0x71 else 0xFF

    def write(self, address: int, size: int, data: bytes) -> None:
        """Select a byte, set the one selected, or with two bytes at 0x70 both."""
        for at in range(0, len(data), size):
            for port, value in enumerate(data[at : at + size], address):
                if port == 0x70:
                    self._index = value & 0x7F  # bit 7 masks the NMI
                elif port == 0x71:
                    self._set(value)

    def _set(self, value: int) -> None:
        if self._index not in (0x0C, 0x0D):  # read-only
            self._bytes[self._index] = value

    def save(self) -> State:
        """The index and the memory; the time is the host's."""
        return save_fields(self, ("_index", "_bytes"))

    def restore(self, state: State) -> None:
        """Go back."""
        restore_fields(self, ("_index", "_bytes"), state)

    def _value(self) -> int:
        field = _CLOCK.get(self._index)
        if field is None:
            return self._bytes[self._index] & (0x7F if self._index == 0x0A else 0xFF)
        value = field(self._clock())
        return value // 10 << 4 | value % 10


#: Registers of the clock; days of the week count from Sunday, 1. 0x32 is the AT's century.
_CLOCK: Final[dict[int, Callable[[datetime], int]]] = {
    0x00: lambda now: now.second,
    0x02: lambda now: now.minute,
    0x04: lambda now: now.hour,
    0x06: lambda now: now.isoweekday() % 7 + 1,
    0x07: lambda now: now.day,
    0x08: lambda now: now.month,
    0x09: lambda now: now.year % 100,
    0x32: lambda now: now.year // 100,
}


class FirmwareConfiguration:
    """QEMU's fw_cfg by ports (QEMU docs/specs/fw_cfg): a selector, then bytes in order.

    Args:
        memory: bytes of RAM.
        vcpus: how many there are.
    """

    posted = True
    mmio: Sequence[range] = ()
    ports: Sequence[range] = (FW_CFG_PORTS,)

    def __init__(self, memory: int, vcpus: int = 1) -> None:
        self._items = {
            0x00: b"QEMU",  # the signature
            0x01: (1).to_bytes(4, "little"),  # the traditional interface, without DMA
            0x03: memory.to_bytes(8, "little"),
            0x05: vcpus.to_bytes(2, "little"),
            0x0E: (1).to_bytes(2, "little"),  # the BIOS offers its boot menu
            0x0F: vcpus.to_bytes(2, "little"),  # most there can be
        }
        self._item = b""
        self._place = 0

    def read(self, address: int, size: int) -> int:  # noqa: ARG002 - the data port is a byte wide
        """The next byte of the item, 0 behind its end; the selector reads 0."""
        if address != 0x511:
            return 0
        place, self._place = self._place, self._place + 1
        return self._item[place] if place < len(self._item) else 0

    def write(self, address: int, size: int, data: bytes) -> None:
        """Select an item by 16 bits; data can't be written."""
        if address == 0x510:
            selector = int.from_bytes(data[-size:][:2], "little")
            self._item, self._place = self._items.get(selector, b""), 0

    def save(self) -> State:
        """The item selected, and how much of it was read."""
        return save_fields(self, ("_item", "_place"))

    def restore(self, state: State) -> None:
        """Go back."""
        restore_fields(self, ("_item", "_place"), state)
