"""The walk that is shown: against tables made for it, the native walk, and KVM_TRANSLATE."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm import ioctl
from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.facts import KvmError, Mode, Registers
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.page_walk import walk

SIZE = 0x8000
PG, PSE, PAE, LA57, LMA, NXE = 1 << 31, 1 << 4, 1 << 5, 1 << 12, 1 << 10, 1 << 11
LONG = Registers(cr0=PG | 1, cr3=0x1000, cr4=PAE, efer=LMA | NXE)


class Tables:
    """32 KiB of memory at 0, with entries written into it."""

    def __init__(self, entries: dict[int, int], size: int = 8) -> None:
        self.bytes = bytearray(SIZE)
        for address, value in entries.items():
            self.bytes[address : address + size] = value.to_bytes(size, "little")

    def read(self, address: int, length: int) -> bytes:
        if not 0 <= address <= SIZE - length:
            raise IndexError
        return bytes(self.bytes[address : address + length])


def test_without_paging_linear_is_physical() -> None:
    found = walk(0x1_0000_1234, Registers(), Tables({}).read)
    assert (found.paging, found.physical, found.levels) == ("off", 0x1234, ())


def test_four_levels_are_told_one_by_one() -> None:
    tables = Tables({0x1000: 0x2007, 0x2008: 0x3027, 0x3010: 0x4063, 0x4018: 0x5000 | 0x63})
    linear = 1 << 30 | 2 << 21 | 3 << 12 | 0x45
    found = walk(linear, LONG, tables.read)
    assert [(one.table, one.index, one.address) for one in found.levels] == [
        ("PML4", 0, 0x1000), ("PDPT", 1, 0x2008), ("PD", 2, 0x3010), ("PT", 3, 0x4018),
    ]  # fmt: skip
    assert found.levels[1].flags == ("P", "RW", "US", "A")
    assert found.levels[3].flags == ("P", "RW", "A", "D")
    assert (found.physical, found.page) == (0x5045, 0x1000)
    assert found.rights == ("write", "execute")


def test_five_levels_start_at_the_pml5() -> None:
    registers = Registers(cr0=PG | 1, cr3=0x1000, cr4=PAE | LA57, efer=LMA)
    tables = Tables({0x1008: 0x2003, 0x2000: 0x3003, 0x3000: 0x83})
    found = walk(1 << 48 | 0x1234, registers, tables.read)
    assert [one.table for one in found.levels] == ["PML5", "PML4", "PDPT"]
    assert (found.paging, found.physical, found.page) == ("5-level", 0x1234, 1 << 30)


@pytest.mark.parametrize(
    ("entries", "page"),
    [({0x1000: 0x2003, 0x2000: 0x83}, 1 << 30),
     ({0x1000: 0x2003, 0x2000: 0x3003, 0x3000: 0x83}, 1 << 21)],
)  # fmt: skip
def test_large_pages_end_the_walk(entries: dict[int, int], page: int) -> None:
    found = walk(0x1234, LONG, Tables(entries).read)
    assert (found.physical, found.page) == (0x1234, page)
    assert "PS" in found.levels[-1].flags


def test_where_it_stops_is_told_with_the_entry() -> None:
    found = walk(0x20_0000, LONG, Tables({0x1000: 0x2003, 0x2000: 0x3003}).read)
    assert found.physical is None
    assert found.stop == "PDE 0x1 is not present"
    assert (found.levels[-1].table, found.levels[-1].raw) == ("PD", 0)


def test_a_table_outside_memory_is_told() -> None:
    found = walk(0, LONG, Tables({0x1000: 0x10_0003}).read)
    assert found.stop == "no memory at 0x100000, where the PDPT is"
    assert found.levels[-1].raw is None


def test_an_address_that_is_not_canonical_has_no_walk() -> None:
    found = walk(1 << 60, LONG, Tables({}).read)
    assert "canonical" in found.stop
    assert found.levels == ()


def test_nx_takes_the_right_to_execute_away() -> None:
    tables = Tables({0x1000: 0x2007, 0x2000: 0x87 | 1 << 63})
    found = walk(0, LONG, tables.read)
    assert found.rights == ("write", "user")
    assert "NX" in found.levels[1].flags


def test_a_page_without_memory_behind_it_is_told() -> None:
    found = walk(0x10_0000, LONG, Tables({0x1000: 0x2003, 0x2000: 0x83}).read)
    assert found.physical == 0x10_0000
    assert not found.memory


def test_pae_has_a_pdpt_without_rights_of_its_own() -> None:
    registers = Registers(cr0=PG | 1, cr3=0x1020, cr4=PAE)
    tables = Tables({0x1020 + 8: 0x2001, 0x2000: 0x3007, 0x3008: 0x4007})
    found = walk(0x4000_1005, registers, tables.read)
    assert (found.paging, found.physical) == ("PAE", 0x4005)
    assert [one.table for one in found.levels] == ["PDPT", "PD", "PT"]
    assert found.rights == ("write", "user", "execute")


def test_32_bit_paging_has_two_levels_or_pages_of_4_mib() -> None:
    registers = Registers(cr0=PG | 1, cr3=0x1000, cr4=PSE)
    tables = Tables({0x1004: 0x2007, 0x2004: 0x3007, 0x1008: 0x40_0087}, size=4)
    found = walk(0x40_1010, registers, tables.read)
    assert (found.paging, found.physical, found.page) == ("32-bit", 0x3010, 0x1000)
    assert walk(0x80_0123, registers, tables.read).page == 1 << 22


@given(
    st.lists(
        st.tuples(st.integers(0, SIZE // 8 - 1), st.integers(0, (1 << 64) - 1) |
                  st.integers(0, 7).flatmap(lambda page: st.sampled_from(
                      [page << 12 | 0x3, page << 12 | 0x83, page << 12 | 0x7]))),
        max_size=40,
    ),
    st.integers(0, 0xFFF) | st.integers(0, (1 << 47) - 1),
    st.sampled_from([(0, 0), (PSE, 0), (PAE, 0), (PAE, LMA), (PAE | LA57, LMA)]),
)  # fmt: skip
def test_it_agrees_with_the_native_walk(
    entries: list[tuple[int, int]], linear: int, mode: tuple[int, int]
) -> None:
    tables = Tables({place * 8: value for place, value in entries})
    view = ffi.from_buffer("uint8_t[]", tables.bytes, require_writable=True)
    memory = ffi.new("struct kdash_memory *")
    memory.count = 1
    slot = memory.slots[0]
    slot.guest, slot.size, slot.host = 0, SIZE, ffi.cast("uint8_t *", view)
    cr4, efer = mode
    paging = ffi.new("struct kdash_paging *", (PG | 1, 0x1000, cr4, efer))
    physical = ffi.new("uint64_t *")
    failed = lib.kdash_translate(memory, paging, linear, physical)
    registers = Registers(cr0=PG | 1, cr3=0x1000, cr4=cr4, efer=efer)
    found = walk(linear, registers, tables.read)
    assert found.physical == (None if failed else physical[0])
    ffi.release(view)


@pytest.mark.kvm
@pytest.mark.parametrize("linear", [0, 0x1234, 0x20_0000, 0x3FFF_FFFF, -0x8000_0000 + 0x5678])
def test_it_agrees_with_kvm_translate_where_a_page_is_mapped(linear: int) -> None:
    with Machine(flat(b"\xf4", "hlt", mode=Mode.LONG)) as machine:
        assert_as_kvm_translates(machine, linear & (1 << 64) - 1)


@pytest.mark.kvm
@pytest.mark.parametrize("linear", [0x4000_0000, 0x7FFF_FFFF_F000])
def test_it_agrees_with_kvm_translate_where_nothing_is_mapped(linear: int) -> None:
    with Machine(flat(b"\xf4", "hlt", mode=Mode.LONG)) as machine:
        assert_as_kvm_translates(machine, linear)


def assert_as_kvm_translates(machine: Machine, linear: int) -> None:
    found = walk(linear, machine.vcpu.registers(), machine.memory.read)
    request = struct.pack("<Q", linear)
    try:
        _, data = ioctl.call_bytes(machine.vcpu.fd, "KVM_TRANSLATE", request)
    except KvmError as error:
        pytest.skip(f"KVM_TRANSLATE is not supported here: {error.cause}")
    _, physical, valid = struct.unpack_from("<QQB", data)
    assert bool(valid) == (found.physical is not None)
    if valid:
        assert physical == found.physical


@given(
    st.binary(min_size=8, max_size=96),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 64) - 1),
    st.integers(0, (1 << 32) - 1),
    st.sampled_from([0, LMA, LMA | NXE]),
)
def test_whatever_tables_hold_a_walk_arrives_or_says_why_not(
    content: bytes, linear: int, cr3: int, cr4: int, efer: int
) -> None:
    tables = Tables({})
    tables.bytes[:] = (content * (SIZE // len(content) + 1))[:SIZE]
    found = walk(linear, Registers(cr0=PG | 1, cr3=cr3 % SIZE, cr4=cr4, efer=efer), tables.read)
    assert (found.physical is None) == bool(found.stop)
    assert len(found.levels) <= 5
