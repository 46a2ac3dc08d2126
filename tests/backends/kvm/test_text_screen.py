"""The text screen in guest memory."""

from __future__ import annotations

import pytest

from kdash.backends.kvm.facts import Mode
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.text_screen import ScreenReader


class Memory:
    """A megabyte of RAM."""

    def __init__(self) -> None:
        self.ram = bytearray(1 << 20)

    def read(self, physical: int, length: int) -> bytes:
        if physical + length > len(self.ram):
            raise IndexError
        return bytes(self.ram[physical : physical + length])


def test_nothing_is_shown_before_the_guest_writes() -> None:
    memory = Memory()
    memory.ram[0xB8000:0xB8002] = b"x\x07"  # part of the image
    reader = ScreenReader(memory)
    assert reader.read() is None
    memory.ram[0xB8000] = 0x41
    screen = reader.read()
    assert screen is not None
    assert (screen.columns, screen.rows, screen.cells[:2]) == (80, 25, b"A\x07")


def test_the_screen_is_the_same_object_until_it_changes() -> None:
    memory = Memory()
    reader = ScreenReader(memory)
    memory.ram[0xB8000] = 0x41
    first = reader.read()
    assert reader.read() is first
    memory.ram[0xB8000] = 0
    blank = reader.read()
    assert blank is not None
    assert not any(blank.cells)


def test_a_machine_without_memory_there_has_no_screen() -> None:
    memory = Memory()
    del memory.ram[0xB8000:]
    assert ScreenReader(memory).read() is None


@pytest.mark.kvm
def test_a_guest_writes_to_the_screen() -> None:
    # mov word [0xb8000+2*81],0x1f48; hlt
    guest = flat(bytes.fromhex("66c705a2800b00481ff4"), "t", mode=Mode.PROTECTED)
    session = VcpuSession(guest)
    try:
        assert session.snapshot().screen is None
        assert session.screen() is None
        screen = session.run().result(20).screen
        assert screen is not None
        assert screen.cells[162:164] == b"H\x1f"
        assert session.screen() is screen
        assert session.restart().result(20).screen is None
    finally:
        session.close()
