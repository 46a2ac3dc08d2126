"""RAM, ROM and holes: how memory is laid out, and that guests see it so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from kdash.backends.kvm.facts import GuestError, Mode, Outcome
from kdash.backends.kvm.guests import Guest, flat
from kdash.backends.kvm.layout import Region, check_regions, memory_map
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.memory import GuestMemory
from kdash.backends.kvm.run import Report, Request, run_guest

ROM = Region(0xF0000, 0x10000, readonly=True, data=b"\xf4rom")


@pytest.fixture
def machine() -> Iterator[Machine]:
    with Machine(replace(flat(b"\xf4", "guest"), roms=(ROM,))) as machine:
        yield machine


def ends(guest: Guest, **dump: int) -> Report:
    report = run_guest(Request(guest, timeout=10, dumps=[(dump["at"], dump["size"])]))
    assert report.outcome is Outcome.HLT
    return report


def test_ram_makes_way_for_rom() -> None:
    guest = replace(flat(b"\xf4", "guest"), roms=(ROM,))
    assert [(one.start, one.end, one.readonly) for one in guest.regions] == [
        (0, 0xF0000, False),
        (0xF0000, 0x100000, True),
        (0x100000, guest.memory, False),
    ]


def test_memory_beyond_the_ram_leaves_a_hole() -> None:
    high = Region(0xFFFF_0000, 0x10000, readonly=True)
    regions = replace(flat(b"\xf4", "guest", memory=0x10000), roms=(high,)).regions
    assert [(one.start, one.end) for one in regions] == [(0, 0x10000), (0xFFFF_0000, 1 << 32)]


def test_overlapping_regions_are_refused() -> None:
    with pytest.raises(GuestError, match=r"RAM 0x0-0x1fff overlaps ROM 0x1000-0x1fff"):
        check_regions([Region(0x1000, 0x1000, readonly=True), Region(0, 0x2000)])


@pytest.mark.parametrize(("start", "size"), [(1, 0x1000), (0, 0), (0, 0x800), (-0x1000, 0x1000)])
def test_regions_are_whole_pages(start: int, size: int) -> None:
    with pytest.raises(GuestError, match="whole pages"):
        Region(start, size)


def test_content_larger_than_its_region_is_refused() -> None:
    with pytest.raises(GuestError, match="0x1001 bytes of content"):
        Region(0, 0x1000, data=bytes(0x1001))


def test_the_memory_map_of_a_pc_has_a_gap_below_one_mib() -> None:
    assert memory_map(0x200000) == [
        (0, 0x9FC00, 1),
        (0x9FC00, 0x60400, 2),
        (0x100000, 0x100000, 1),
    ]


@pytest.mark.kvm
def test_two_slots_at_one_address_are_refused(machine: Machine) -> None:
    memory: GuestMemory = machine.memory
    with pytest.raises(GuestError, match="overlaps that at 0xf0000-0xfffff"):
        memory.add(-1, 0xFF000, 0x2000)


@pytest.mark.kvm
def test_a_read_across_slots_is_whole(machine: Machine) -> None:
    machine.memory.write(0xEFFFE, b"abcd")
    assert machine.memory.read(0xEFFFE, 4) == b"abcd"
    assert machine.vcpu.read_linear(0xEFFFE, 6) == b"abcdom"
    with pytest.raises(IndexError, match="no memory at"):
        machine.memory.read(machine.guest.memory - 2, 4)


@pytest.mark.kvm
def test_a_write_to_rom_exits_and_changes_nothing() -> None:
    # mov ax,0xf000; mov ds,ax; mov byte [1],0x55; mov al,[1]; hlt
    code = bytes.fromhex("b800f0 8ed8 c606010055 a00100 f4")
    report = ends(replace(flat(code, "guest"), roms=(ROM,)), at=0xF0000, size=4)
    assert report.memory[0xF0000] == b"\xf4rom"
    assert report.mmio == (0, 1)
    assert report.registers.rax & 0xFF == ord("r")


@pytest.mark.kvm
def test_a_hole_reads_all_ones() -> None:
    # mov eax,[0x40000000]; hlt
    guest = flat(bytes.fromhex("a100000040 f4"), "guest", mode=Mode.PROTECTED)
    report = ends(guest, at=0, size=1)
    assert (report.mmio, report.registers.rax) == ((1, 0), 0xFFFF_FFFF)


@pytest.mark.kvm
def test_page_tables_work_where_they_were_moved() -> None:
    # mov eax,[0xffffffff80001000] through the second mapping; hlt
    code = bytes.fromhex("8b0425 00100080 f4")
    guest = flat(code + bytes(0x10000), "guest", mode=Mode.LONG, tables=0x40000, stack=0x50000)
    report = ends(guest, at=0xFFFF_FFFF_8000_1000, size=3)
    assert report.registers.rax == 0x0025048B
    assert report.registers.cr3 == 0x40000
    assert report.memory[0xFFFF_FFFF_8000_1000] == b"\x8b\x04\x25"


@pytest.mark.parametrize(
    ("image", "mode", "says"),
    [
        (bytes(0x7000), Mode.REAL, "overlaps the stack at 0x7e00-0x7fff; --stack"),
        (bytes(0xF001), Mode.LONG, "--page-tables moves them"),
    ],
)
def test_an_image_over_what_it_needs_is_refused_with_the_option_that_helps(
    image: bytes, mode: Mode, says: str
) -> None:
    with pytest.raises(GuestError, match=says):
        flat(image, "guest", mode=mode)
