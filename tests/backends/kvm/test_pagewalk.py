"""The page walk in native code against tables written for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm._native import ffi, lib

SIZE = 0x8000
PG, PSE, PAE, LA57, LMA = 1 << 31, 1 << 4, 1 << 5, 1 << 12, 1 << 10


class Walker:
    """32 KiB of guest memory at 0 and the walk through it."""

    def __init__(self) -> None:
        self.bytes = bytearray(SIZE)
        self.view = ffi.from_buffer("uint8_t[]", self.bytes, require_writable=True)
        self.memory = ffi.new("struct kdash_memory *")
        self.memory.count = 1
        slot = self.memory.slots[0]
        slot.guest, slot.size, slot.host = 0, SIZE, ffi.cast("uint8_t *", self.view)

    def entry(self, address: int, value: int, size: int = 8) -> None:
        self.bytes[address : address + size] = value.to_bytes(size, "little")

    def translate(self, linear: int, **registers: int) -> int | None:
        paging = self.paging(**registers)
        physical = ffi.new("uint64_t *")
        failed = lib.kdash_translate(self.memory, paging, linear, physical)
        return None if failed else int(physical[0])

    def read(self, linear: int, length: int, **registers: int) -> bytes:
        data = ffi.new("uint8_t[]", length + 1)
        got = lib.kdash_read(self.memory, self.paging(**registers), linear, data, length)
        return bytes(ffi.buffer(data, got))

    @staticmethod
    def paging(cr0: int = 0, cr3: int = 0, cr4: int = 0, efer: int = 0) -> Any:
        return ffi.new("struct kdash_paging *", (cr0, cr3, cr4, efer))


@pytest.fixture
def walker() -> Iterator[Walker]:
    one = Walker()
    yield one
    ffi.release(one.view)


def test_without_paging_linear_is_physical(walker: Walker) -> None:
    assert walker.translate(0x1_0000_1234) == 0x1234


def test_two_levels_with_4_kib_pages(walker: Walker) -> None:
    walker.entry(0x1000 + 4 * 1, 0x2003, 4)
    walker.entry(0x2000 + 4 * 2, 0x5003, 4)
    assert walker.translate(0x402345, cr0=PG, cr3=0x1000) == 0x5345
    assert walker.translate(0x403345, cr0=PG, cr3=0x1000) is None
    assert walker.translate(0x802345, cr0=PG, cr3=0x1000) is None


def test_two_levels_with_a_4_mib_page_above_4_gib(walker: Walker) -> None:
    walker.entry(0x1000 + 4 * 1, 0x00C00000 | 3 << 13 | 0x83, 4)
    assert walker.translate(0x412345, cr0=PG, cr3=0x1000, cr4=PSE) == 0x3_00C1_2345


def test_the_large_bit_means_nothing_without_pse(walker: Walker) -> None:
    walker.entry(0x1000 + 4 * 1, 0x2083, 4)
    walker.entry(0x2000, 0x5003, 4)
    assert walker.translate(0x400345, cr0=PG, cr3=0x1000) == 0x5345


def test_three_levels_of_pae(walker: Walker) -> None:
    walker.entry(0x1020 + 8 * 3, 0x2001)
    walker.entry(0x2000 + 8 * 1, 0x3003)
    walker.entry(0x3000 + 8 * 2, 0x8000_0000_0000_5003)
    assert walker.translate(0xC020_2345, cr0=PG, cr3=0x1020, cr4=PAE) == 0x5345


def test_pae_with_a_2_mib_page(walker: Walker) -> None:
    walker.entry(0x1000, 0x2001)
    walker.entry(0x2000 + 8 * 1, 0x4000_0083)
    assert walker.translate(0x212345, cr0=PG, cr3=0x1000, cr4=PAE) == 0x4001_2345


@pytest.mark.parametrize(
    ("large_at", "physical"), [(30, 0x4567_8ABC), (21, 0x0007_8ABC), (12, 0x5ABC)]
)
def test_four_levels_with_each_page_size(walker: Walker, large_at: int, physical: int) -> None:
    linear = 0x7F12_0567_8ABC
    tables = {39: 0x1000, 30: 0x2000, 21: 0x3000, 12: 0x4000}
    targets = {30: 0x4000_0000, 21: 0, 12: 0x5000}
    for shift, table in tables.items():
        index = linear >> shift & 0x1FF
        if shift == large_at:
            walker.entry(table + 8 * index, targets[shift] | (0x83 if shift > 12 else 3))
            break
        walker.entry(table + 8 * index, table + 0x1003)
    assert walker.translate(linear, cr0=PG, cr3=0x1000, cr4=PAE, efer=LMA) == physical


def test_five_levels(walker: Walker) -> None:
    for table in range(0x1000, 0x5000, 0x1000):
        walker.entry(table + 8, table + 0x1003)
    walker.entry(0x5000 + 8, 0x7003)
    linear = 1 << 48 | 1 << 39 | 1 << 30 | 1 << 21 | 1 << 12 | 0xABC
    assert walker.translate(linear, cr0=PG, cr3=0x1000, cr4=PAE | LA57, efer=LMA) == 0x7ABC


def test_tables_outside_memory_map_nothing(walker: Walker) -> None:
    assert walker.translate(0, cr0=PG, cr3=0x10_0000, cr4=PAE, efer=LMA) is None


def test_reading_goes_on_over_pages_that_are_not_neighbours(walker: Walker) -> None:
    walker.entry(0x1000, 0x2003, 4)
    walker.entry(0x2000, 0x6003, 4)
    walker.entry(0x2004, 0x4003, 4)
    walker.bytes[0x6FFE:0x7000] = b"ab"
    walker.bytes[0x4000:0x4002] = b"cd"
    assert walker.read(0xFFE, 4, cr0=PG, cr3=0x1000) == b"abcd"


def test_reading_ends_with_the_memory(walker: Walker) -> None:
    assert walker.read(SIZE - 3, 10) == bytes(3)
    assert walker.read(SIZE, 10) == b""


@given(
    tables=st.binary(min_size=256, max_size=256),
    linear=st.integers(0, 2**64 - 1),
    cr0=st.sampled_from([0, PG]),
    cr3=st.integers(0, 2**64 - 1) | st.integers(0, SIZE),
    cr4=st.sampled_from([0, PSE, PAE, PAE | LA57]),
    efer=st.sampled_from([0, LMA]),
)
def test_any_tables_are_walked_without_harm(
    tables: bytes, linear: int, cr0: int, cr3: int, cr4: int, efer: int
) -> None:
    walker = Walker()
    try:
        walker.bytes[:] = tables * (SIZE // len(tables))
        found = walker.translate(linear, cr0=cr0, cr3=cr3, cr4=cr4, efer=efer)
        assert found is None or 0 <= found < 1 << 64
        assert len(walker.read(linear, 64, cr0=cr0, cr3=cr3, cr4=cr4, efer=efer)) <= 64
    finally:
        ffi.release(walker.view)
