"""The bus of a guest, and its simplest devices: debug ports and the exit port.

A device claims ranges of ports or of guest-physical addresses; what nobody claims reads as
all ones and swallows writes, as on a bus without a card.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from kdash.backends.kvm.device_state import Sent, State
from kdash.backends.kvm.user_devices import DeviceError

EXIT_PORT: Final = 0xF4
DEBUG_PORTS: Final = (0xE9, 0x402)


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


class DebugPort:
    """The debug consoles of Bochs (0xe9) and SeaBIOS (0x402)."""

    posted = True
    mmio: Sequence[range] = ()
    ports: Sequence[range] = tuple(range(port, port + 1) for port in DEBUG_PORTS)

    def __init__(self) -> None:
        self.sent = Sent()

    def read(self, address: int, size: int) -> int:  # noqa: ARG002
        """0xe9, by which guests know that the port is there."""
        return 0xE9

    def write(self, address: int, size: int, data: bytes) -> None:  # noqa: ARG002
        """Collect the low byte of each element."""
        self.sent += data[::size]

    def save(self) -> State:
        """How far output had come."""
        return {"sent": self.sent.total}

    def restore(self, state: State) -> None:
        """Forget what was sent later."""
        self.sent.cut(state["sent"])


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

    def save(self) -> State:
        """What was written."""
        return {"value": self.value}

    def restore(self, state: State) -> None:
        """Go back."""
        self.value = state["value"]


class Bus:
    """Ports and addresses, each with the device that claimed it."""

    def __init__(self, devices: Iterable[Device] = ()) -> None:
        self._ports: dict[int, Device] = {}
        self._mmio: list[tuple[range, Device]] = []
        self._msrs: list[tuple[range, Device]] = []
        for device in devices:
            self.add(device)

    def add(self, device: Device) -> None:
        """Claim what the device asks for; a later one takes over."""
        for ports in device.ports:
            self._ports.update(dict.fromkeys(ports, device))
        self._mmio[:0] = [(addresses, device) for addresses in device.mmio]
        self._msrs[:0] = [(numbers, device) for numbers in getattr(device, "msrs", ())]

    def unposted_ports(self) -> tuple[int, ...]:
        """Ports whose writes must be taken before the guest goes on."""
        return tuple(port for port, device in self._ports.items() if not device.posted)

    @property
    def claimed_ports(self) -> tuple[int, ...]:
        """Ports with a device."""
        return tuple(self._ports)

    @property
    def claimed_mmio(self) -> tuple[range, ...]:
        """Addresses with a device."""
        return tuple(addresses for addresses, _ in self._mmio)

    def read_msr(self, index: int) -> int | None:
        """The value of a model-specific register; None where no device has it."""
        for numbers, device in self._msrs:
            if index in numbers:
                return device.read(index, 8) & (1 << 64) - 1
        return None

    def write_msr(self, index: int, value: int) -> bool:
        """Write a model-specific register; False where no device has it."""
        for numbers, device in self._msrs:
            if index in numbers:
                device.write(index, 8, value.to_bytes(8, "little"))
                return True
        return False

    def read_port(self, port: int, size: int, count: int = 1) -> bytes:
        """`count` elements of `size` bytes, little-endian."""
        device = self._ports.get(port)
        if device is None:
            return b"\xff" * (size * count)
        mask = (1 << (8 * size)) - 1
        if count == 1:
            return (device.read(port, size) & mask).to_bytes(size, "little")
        answer = bytearray()
        try:
            for _ in range(count):
                answer += (device.read(port, size) & mask).to_bytes(size, "little")
        except DeviceError as failure:
            failure.answered = len(answer) // size
            raise
        return bytes(answer)

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
