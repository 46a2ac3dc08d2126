"""Clock, configuration and reset of a PC."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.devices import Bus
from kdash.backends.kvm.facts import Outcome
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.keyboard import KeyboardController
from kdash.backends.kvm.pc import Cmos, FirmwareConfiguration
from kdash.backends.kvm.run import Request, run_guest

MIB = 1 << 20
SUNDAY = datetime(2029, 12, 30, 23, 58, 47, tzinfo=UTC)


def cmos(memory: int, *places: int) -> bytes:
    bus = Bus([Cmos(memory, lambda: SUNDAY)])
    found = b""
    for place in places:
        bus.write_port(0x70, 1, bytes([place]))
        found += bus.read_port(0x71, 1)
    return found


def test_the_clock_is_told_in_bcd() -> None:
    assert cmos(MIB, 0x32, 9, 8, 7, 4, 2, 0).hex() == "20291230235847"
    assert cmos(MIB, 6) == b"\x01"


def test_the_clock_says_that_it_is_valid_and_how_it_counts() -> None:
    assert cmos(MIB, 0x0A, 0x0B, 0x0C, 0x0D).hex() == "26020080"


@pytest.mark.parametrize(
    ("memory", "base", "extended", "above"),
    [
        (256 << 10, 256, 0, 0),
        (2 * MIB, 640, 1024, 0),
        (48 * MIB, 640, 47 * 1024, 512),
        (3 << 30, 640, 0xFFFF, (3 << 14) - 256),
    ],
)
def test_memory_sizes_are_told_in_their_units(
    memory: int, base: int, extended: int, above: int
) -> None:
    found = cmos(memory, 0x15, 0x16, 0x17, 0x18, 0x30, 0x31, 0x34, 0x35)
    words = [int.from_bytes(found[at : at + 2], "little") for at in range(0, 8, 2)]
    assert words == [base, extended, extended, above]


def test_the_nmi_mask_is_no_part_of_the_index() -> None:
    assert cmos(MIB, 0x80 | 0x09) == b"\x29"


def test_other_bytes_keep_their_value_and_a_word_sets_index_and_byte() -> None:
    bus = Bus([Cmos(MIB)])
    bus.write_port(0x70, 2, b"\x0f\x05")
    assert bus.read_port(0x71, 1) == b"\x05"


def fw_cfg(selector: int, length: int, vcpus: int = 1) -> bytes:
    bus = Bus([FirmwareConfiguration(2 * MIB, vcpus)])
    bus.write_port(0x510, 2, selector.to_bytes(2, "little"))
    return bus.read_port(0x511, 1, length)


def test_the_configuration_has_its_signature_and_the_count_of_processors() -> None:
    assert fw_cfg(0, 6) == b"QEMU\0\0"
    assert fw_cfg(5, 2, vcpus=3) == b"\3\0"
    assert fw_cfg(3, 8) == (2 * MIB).to_bytes(8, "little")
    assert fw_cfg(0x1234, 2) == b"\0\0"


def test_selecting_an_item_begins_it_anew() -> None:
    bus = Bus([FirmwareConfiguration(MIB)])
    for _ in range(2):
        bus.write_port(0x510, 2, b"\0\0")
        assert bus.read_port(0x511, 1) == b"Q"


def test_only_the_reset_command_resets() -> None:
    keyboard = KeyboardController()
    bus = Bus([keyboard])
    bus.write_port(0x60, 1, b"\xfe")
    bus.write_port(0x64, 1, b"\xd1")
    assert not keyboard.reset
    assert bus.read_port(0x64, 1) == b"\x1d"  # an answer is there, the last write was a command
    bus.write_port(0x64, 1, b"\xfe")
    assert keyboard.reset


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0x60, 0x64, 0x70, 0x71, 0x510, 0x511]),
            st.sampled_from([1, 2, 4]),
            st.one_of(st.none(), st.binary(min_size=4, max_size=4)),
        )
    ),
    st.datetimes(),
)
def test_any_sequence_of_accesses_gives_bytes(
    sequence: list[tuple[int, int, bytes | None]], now: datetime
) -> None:
    devices = (Cmos(MIB, lambda: now), FirmwareConfiguration(MIB), KeyboardController())
    bus = Bus(devices)
    for port, size, data in sequence:
        if data is None:
            (device,) = [one for one in devices if any(port in ports for ports in one.ports)]
            assert 0 <= device.read(port, size) <= 0xFF
        else:
            bus.write_port(port, size, data)


@pytest.mark.kvm
@pytest.mark.parametrize("steps", [None, 10])
def test_a_guest_resets_its_machine(steps: int | None) -> None:
    # mov al,0xfe; out 0x64,al; hlt
    report = run_guest(Request(flat(bytes.fromhex("b0fee664f4"), "t"), max_steps=steps))
    assert report.outcome is Outcome.SYSTEM_EVENT
    assert report.detail == "reset by the keyboard controller at 0x1002"
    assert report.exits == {"IO": 1}


@pytest.mark.kvm
def test_a_guest_reads_the_count_of_processors() -> None:
    # mov dx,0x510; mov ax,5; out dx,ax; inc dx; in al,dx; hlt
    report = run_guest(Request(flat(bytes.fromhex("ba1005b80500ef42ecf4"), "t")))
    assert report.registers.rax & 0xFF == 1
