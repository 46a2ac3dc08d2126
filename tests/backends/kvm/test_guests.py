"""Flat guests: where they are loaded, with which registers they start, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from kdash.backends.kvm.facts import GuestError, GuestFileError, Mode
from kdash.backends.kvm.guests import article_guest, flat, flat_file
from kdash.backends.kvm.memory import GuestMemory
from kdash.backends.kvm.modes import HIGH, page_tables

if TYPE_CHECKING:
    from .conftest import Start

MIB = 1 << 20


def test_memory_is_16_mib_beyond_the_image() -> None:
    assert flat(bytes(5000), "guest").memory == 16 * MIB + 0x3000


def test_memory_is_whole_pages() -> None:
    assert flat(b"\xf4", "guest", memory=0x2001).memory == 0x3000


@pytest.mark.parametrize(
    ("image", "options", "says"),
    [
        (b"", {}, "empty"),
        (b"\x7fELF\2\1\1", {}, "objcopy -O binary"),
        (b"\xf4", {"memory": 0x1000}, "beyond the 4 KiB of memory"),
        (b"\xf4", {"load": 1 << 63, "memory": MIB}, "3 GiB"),
        (b"\xf4", {"load": MIB, "memory": MIB}, "beyond the 1 MiB"),
        (b"\xf4", {"memory": 4 << 30}, "3 GiB"),
        (b"\xf4", {"load": 1 << 63}, "3 GiB"),
        (b"\xf4", {"load": 0x20000}, "at most 0xffff"),
        (b"\xf4", {"entry": 1 << 32, "mode": Mode.PROTECTED}, "32 bits"),
        (b"\xf4", {"entry": 0xF0000000, "mode": Mode.PROTECTED}, "outside of the .* memory"),
        (b"\xf4", {"entry": 0x50000000, "mode": Mode.LONG}, "not mapped"),
        (b"\xf4", {"entry": 0xFFFFFFFFC0000000, "mode": Mode.LONG}, "not mapped"),
        (b"\xf4", {"entry": 0xFFFF, "memory": 0x9000}, "outside of the 36 KiB of memory"),
        (b"\xf4", {"load": 0x12FFF, "mode": Mode.LONG}, "overlaps the page tables"),
        (bytes(0xF001), {"mode": Mode.LONG}, "overlaps the page tables"),
        (b"\xf4", {"memory": 0x10000, "mode": Mode.LONG}, "page tables"),
        (b"\xf4", {"load": 3 << 30}, "ends at 0xc0000001; memory ends at 0xc0000000"),
        (b"\xf4", {"stack": 0x10001}, "can't be reached in real mode"),
        (b"\xf4", {"stack": 0x201000, "memory": MIB, "mode": Mode.PROTECTED}, "no memory below"),
        (b"\xf4", {"stack": 0, "mode": Mode.PROTECTED}, "no memory below the stack 0x0"),
        (b"\xf4", {"stack": 0x40001000, "mode": Mode.LONG}, "no memory below the stack"),
    ],
)
def test_what_can_not_be_started_is_refused(
    image: bytes, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(GuestError, match=says):
        flat(image, "guest", **options)


def test_an_unreadable_file_is_told_apart_from_a_bad_guest(tmp_path: Path) -> None:
    with pytest.raises(GuestFileError, match=r"nowhere\.bin: No such file"):
        flat_file(tmp_path / "nowhere.bin")
    with pytest.raises(GuestFileError, match="not a regular file"):
        flat_file(tmp_path)


def test_a_file_is_loaded_under_its_name(tmp_path: Path) -> None:
    (tmp_path / "boot.bin").write_bytes(b"\xf4")
    guest = flat_file(tmp_path / "boot.bin", load=0x7C00)
    assert (guest.title, guest.image, guest.entry) == ("boot.bin", b"\xf4", 0x7C00)


def test_each_vcpu_has_its_own_stack_and_index() -> None:
    registers = article_guest().start_registers(2)
    assert (registers["rsp"], registers["rdi"], registers["rax"]) == (0x7800, 2, 2)


@pytest.mark.kvm
@pytest.mark.parametrize("mode", list(Mode))
def test_the_convention_holds_in_each_mode(start: Start, mode: Mode) -> None:
    registers = start("f4", mode).vcpu.registers()
    assert (registers.rip, registers.rsp, registers.rflags) == (0x1000, 0x8000, 2)
    assert (registers.rax, registers.rdx, registers.rdi) == (0, 0, 0)
    assert registers.cs.base == 0


@pytest.mark.kvm
def test_long_mode_starts_with_its_control_registers(start: Start) -> None:
    registers = start("f4", Mode.LONG).vcpu.registers()
    assert (registers.cr0, registers.cr4, registers.efer) == (0x80050033, 0x220, 0x500)
    assert registers.cr3 == 0x10000


@pytest.mark.kvm
@pytest.mark.parametrize("mode", [Mode.PROTECTED, Mode.LONG])
def test_segments_can_be_loaded_from_the_descriptor_table(start: Start, mode: Mode) -> None:
    # push 0x10; pop ds (32-bit) or mov ax,0x10; mov ds,ax
    run = start("66b81000 8ed8 8ec0 8ed0 f4", mode)
    run.finish()
    assert run.ending.detail == "HLT at 0x100a"
    assert run.vcpu.registers().ds.selector == 0x10


@pytest.mark.kvm
def test_an_image_where_the_descriptor_table_would_be_is_left_whole(start: Start) -> None:
    run = start("f4" * 64, Mode.PROTECTED, load=0x500)
    assert run.machine.memory.read(0x500, 64) == b"\xf4" * 64


@pytest.mark.parametrize("base", [0, 0xFFFF_FFFF_8000_0000])
@pytest.mark.parametrize("offset", [0, 0x1000, 0x1FFFFF, 0x200000, 0x3FFFFFFF])
def test_the_page_tables_map_a_gib_twice(base: int, offset: int) -> None:
    tables = page_tables()

    def entry(table: int, index: int) -> int:
        at = table - 0x10000 + 8 * index
        return int.from_bytes(tables[at : at + 8], "little")

    linear = base + offset
    table = 0x10000
    for shift in (39, 30):
        value = entry(table, linear >> shift & 0x1FF)
        assert value & 3 == 3
        table = value & ~0xFFF
    page = entry(table, linear >> 21 & 0x1FF)
    assert page & 0x83 == 0x83
    assert (page & ~0x1FFFFF) + (linear & 0x1FFFFF) == offset


def test_there_is_no_memory_outside_the_slots() -> None:
    memory = GuestMemory()
    with pytest.raises(IndexError, match="0x1000"):
        memory.read(0x1000, 1)


@pytest.mark.parametrize(
    ("mode", "stack"), [(Mode.REAL, 0), (Mode.REAL, 0x10000), (Mode.LONG, HIGH + 0x8000)]
)
def test_a_stack_at_the_top_of_its_segment_or_mapped_high_is_taken(mode: Mode, stack: int) -> None:
    assert flat(b"\xf4", "g", mode=mode, memory=2 * MIB, stack=stack).stack == stack


def test_page_tables_beyond_the_memory_say_where_they_end() -> None:
    told = "at 0x1fff000 end at 0x2002000, beyond the 32 MiB of memory; --page-tables moves them"
    with pytest.raises(GuestError, match=told):
        flat(b"\xf4", "g", mode=Mode.LONG, memory=32 * MIB, tables=0x1FFF000)
