"""What the guest finds behind its ports."""

from __future__ import annotations

from collections.abc import Sequence

from kdash.backends.kvm.devices import Bus, DebugPort, ExitPort


class Register:
    """One memory-mapped register and one port."""

    ports: Sequence[range] = (range(0x100, 0x102),)
    mmio: Sequence[range] = (range(0xD0000000, 0xD0000010),)
    posted = True

    def __init__(self) -> None:
        self.writes: list[tuple[int, int, bytes]] = []

    def read(self, address: int, size: int) -> int:
        return 0x1122334455667788

    def write(self, address: int, size: int, data: bytes) -> None:
        self.writes.append((address, size, data))


def test_both_debug_ports_collect_and_answer() -> None:
    debug = DebugPort()
    bus = Bus([debug])
    bus.write_port(0xE9, 1, b"a")
    bus.write_port(0x402, 1, b"b")
    assert debug.sent == b"ab"
    assert bus.read_port(0x402, 1) == b"\xe9"


def test_the_exit_port_keeps_the_first_value() -> None:
    port = ExitPort()
    bus = Bus([port])
    assert bus.unposted_ports() == (0xF4,)
    bus.write_port(0xF4, 4, b"\x07\0\0\0")
    bus.write_port(0xF4, 1, b"\x01")
    assert port.value == 7


def test_what_nobody_claims_reads_all_ones_and_swallows_writes() -> None:
    bus = Bus()
    bus.write_port(0x1234, 2, b"\1\2")
    bus.write_mmio(0xD0000000, b"\1")
    assert bus.read_port(0x1234, 2, 3) == b"\xff" * 6
    assert bus.read_mmio(0xD0000000, 8) == b"\xff" * 8


def test_a_string_is_written_at_once_and_read_by_elements() -> None:
    device = Register()
    bus = Bus([device])
    bus.write_port(0x100, 2, b"\1\0\2\0")
    assert device.writes == [(0x100, 2, b"\1\0\2\0")]
    assert bus.read_port(0x101, 2, 2) == b"\x88\x77\x88\x77"


def test_a_device_answers_at_its_addresses_alone() -> None:
    device = Register()
    bus = Bus([device])
    bus.write_mmio(0xD0000004, b"\1\2\3\4")
    assert device.writes == [(0xD0000004, 4, b"\1\2\3\4")]
    assert bus.read_mmio(0xD0000000, 4) == b"\x88\x77\x66\x55"
    assert bus.read_mmio(0xD0000010, 4) == b"\xff" * 4
