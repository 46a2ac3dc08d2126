"""What the guest finds behind its ports: a serial transmitter, debug ports, the exit port.

A device claims ranges of ports or of guest-physical addresses; what nobody claims reads as
all ones and swallows writes, as on a bus without a card.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

SERIAL_PORT: Final = 0x3F8
EXIT_PORT: Final = 0xF4
DEBUG_PORTS: Final = (0xE9, 0x402)

#: Line status: transmitter empty, holding register empty (16550 data sheet, LSR bits 6, 5).
LINE_STATUS: Final = 0x60
LINE_STATUS_OFFSET: Final = 5
_IIR_NONE: Final = 0x01  # interrupt identification: none pending
_DLAB: Final = 0x80  # line control: the first two registers are the divisor


class Device(Protocol):
    """Something behind ports or memory-mapped registers."""

    ports: Sequence[range]
    mmio: Sequence[range]
    posted: bool  # writes need no answer before the guest goes on

    def read(self, address: int, size: int) -> int:
        """The value of `size` bytes at a port or address."""
        ...

    def write(self, address: int, size: int, data: bytes) -> None:
        """Take elements of `size` bytes each, little-endian, one after the other."""
        ...


class Serial:
    """The transmitting half of a 16550; the receiver is always empty."""

    posted = True
    mmio: Sequence[range] = ()

    def __init__(self, base: int = SERIAL_PORT) -> None:
        self.ports: Sequence[range] = (range(base, base + 8),)
        self.sent = bytearray()
        self._base = base
        self._registers = [0, 0, _IIR_NONE, 0, 0, LINE_STATUS, 0xB0, 0]
        self._divisor = [1, 0]

    def read(self, address: int, size: int) -> int:  # noqa: ARG002 - one register a port
        """A register; line status always says that more can be sent."""
        offset = address - self._base
        if offset < 2 and self._registers[3] & _DLAB:
            return self._divisor[offset]
        return 0 if offset == 0 else self._registers[offset]

    def write(self, address: int, size: int, data: bytes) -> None:
        """Send the low byte of each element, or set a register to the last."""
        offset = address - self._base
        data = data[::size]
        if offset < 2 and self._registers[3] & _DLAB:
            self._divisor[offset] = data[-1]
        elif offset == 0:
            self.sent += data
        elif offset in (1, 3, 4, 7):
            self._registers[offset] = data[-1]


class DebugPort:
    """The debug consoles of Bochs (0xe9) and SeaBIOS (0x402)."""

    posted = True
    mmio: Sequence[range] = ()
    ports: Sequence[range] = tuple(range(port, port + 1) for port in DEBUG_PORTS)

    def __init__(self) -> None:
        self.sent = bytearray()

    def read(self, address: int, size: int) -> int:  # noqa: ARG002
        """0xe9, by which guests know that the port is there."""
        return 0xE9

    def write(self, address: int, size: int, data: bytes) -> None:  # noqa: ARG002
        """Collect the low byte of each element."""
        self.sent += data[::size]


class ExitPort:
    """A write ends the run with the value written."""

    posted = False
    mmio: Sequence[range] = ()
    ports: Sequence[range] = (range(EXIT_PORT, EXIT_PORT + 1),)

    def __init__(self) -> None:
        self.value: int | None = None

    def read(self, address: int, size: int) -> int:  # noqa: ARG002
        """Nothing to read here."""
        return (1 << (8 * size)) - 1

    def write(self, address: int, size: int, data: bytes) -> None:  # noqa: ARG002
        """Remember the first value written."""
        if self.value is None:
            self.value = int.from_bytes(data[:size], "little")


class Bus:
    """Ports and addresses, each with the device that claimed it."""

    def __init__(self, devices: Iterable[Device] = ()) -> None:
        self._ports: dict[int, Device] = {}
        self._mmio: list[tuple[range, Device]] = []
        for device in devices:
            self.add(device)

    def add(self, device: Device) -> None:
        """Claim what the device asks for; a later one takes over."""
        for ports in device.ports:
            self._ports.update(dict.fromkeys(ports, device))
        self._mmio[:0] = [(addresses, device) for addresses in device.mmio]

    def unposted_ports(self) -> tuple[int, ...]:
        """Ports whose writes must be taken before the guest goes on."""
        return tuple(port for port, device in self._ports.items() if not device.posted)

    def read_port(self, port: int, size: int, count: int = 1) -> bytes:
        """`count` elements of `size` bytes, little-endian."""
        device = self._ports.get(port)
        if device is None:
            return b"\xff" * (size * count)
        mask = (1 << (8 * size)) - 1
        if count == 1:
            return (device.read(port, size) & mask).to_bytes(size, "little")
        return b"".join(
            (device.read(port, size) & mask).to_bytes(size, "little") for _ in range(count)
        )

    def write_port(self, port: int, size: int, data: bytes) -> None:
        """Write the elements of `data` one after the other."""
        device = self._ports.get(port)
        if device is not None:
            device.write(port, size, data)

    def read_mmio(self, address: int, size: int) -> bytes:
        """`size` bytes at a guest-physical address."""
        for addresses, device in self._mmio:
            if address in addresses:
                mask = (1 << (8 * size)) - 1
                return (device.read(address, size) & mask).to_bytes(size, "little")
        return b"\xff" * size

    def write_mmio(self, address: int, data: bytes) -> None:
        """Write at a guest-physical address."""
        for addresses, device in self._mmio:
            if address in addresses:
                device.write(address, len(data), data)
                return
