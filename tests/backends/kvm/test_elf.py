"""Static ELF executables: built by gcc, loaded, run; damaged ones refused in one line."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.elf import elf_guest, printable, read_executable
from kdash.backends.kvm.facts import GuestError, GuestFileError, Mode, Outcome
from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.images import Format, Options, detect, load_file, make_guest
from kdash.backends.kvm.run import Report, Request, run_guest
from kdash.backends.kvm.symbols import Symbols, system_map

Build = Callable[..., Path]

SOURCE = """
.globl _start, twice
_start: mov $21, %eax
        call twice
        mov value, %ecx
        hlt
twice:  add %eax, %eax
        ret
.data
.globl value
value: .long 0x12345678
.bss
room: .skip 8192
"""


@pytest.fixture
def build(tmp_path: Path) -> Build:
    """Assembles and links a static executable."""

    def make(source: str = SOURCE, *flags: str, bits: int = 64) -> Path:
        (tmp_path / "guest.s").write_text(source)
        target = tmp_path / "guest.elf"
        subprocess.run(
            ["gcc", f"-m{bits}", "-static", "-nostdlib", "-no-pie", "-Wl,--build-id=none", *flags,
             "-o", target, tmp_path / "guest.s"],
            check=True, capture_output=True,
        )  # fmt: skip
        return target

    return make


def outcome(guest: Guest) -> Report:
    report = run_guest(Request(guest, timeout=10))
    assert report.outcome is Outcome.HLT, report.detail
    return report


def header(kind: int = 2, machine: int = 62, **fields: int) -> bytes:
    """An ELF64 file of one segment with one HLT."""
    values = {"entry": 0x400000, "at": 64, "size": 56, "count": 1, "offset": 120, "length": 1,
              "memory": 1, "address": 0x400000} | fields  # fmt: skip
    start = b"\x7fELF\2\1\1" + bytes(9)
    start += struct.pack("<HHIQQQIHHHHHH", kind, machine, 1, values["entry"], values["at"], 0, 0,
                         64, values["size"], values["count"], 64, 0, 0)  # fmt: skip
    segment = struct.pack("<IIQQQQQQ", 1, 5, values["offset"], values["address"],
                          values["address"], values["length"], values["memory"], 1)  # fmt: skip
    return start + segment + b"\xf4"


@pytest.mark.kvm
@pytest.mark.gcc
@pytest.mark.parametrize(("bits", "mode"), [(32, Mode.PROTECTED), (64, Mode.LONG)])
def test_an_executable_runs_in_the_mode_of_its_class(build: Build, bits: int, mode: Mode) -> None:
    report = outcome(load_file(build(bits=bits)))
    assert report.registers.mode is mode
    assert (report.registers.rax, report.registers.rcx) == (42, 0x12345678)


@pytest.mark.kvm
@pytest.mark.gcc
def test_an_executable_linked_at_minus_2_gib_runs_there(build: Build) -> None:
    path = build(SOURCE, "-Wl,-Ttext-segment=0xffffffff80100000")
    guest = load_file(path)
    assert guest.entry >> 31 == 0x1FFFFFFFF
    assert min(part.address for part in guest.parts) == 0x100000
    assert outcome(guest).registers.rax == 42


@pytest.mark.kvm
@pytest.mark.gcc
def test_an_entry_can_be_a_symbol(build: Build) -> None:
    source = SOURCE + ".text\nother: mov $7, %eax\n hlt\n"
    guest = load_file(build(source), Options(entry="other"))
    assert outcome(guest).registers.rax == 7


@pytest.mark.gcc
def test_symbols_name_addresses_and_what_is_behind_them(build: Build) -> None:
    guest = load_file(build())
    start = guest.symbols.address("_start")
    assert start == guest.entry
    assert guest.symbols.nearest(guest.entry + 5) == "_start+0x5"


@pytest.mark.gcc
def test_an_unknown_entry_names_what_is_near(build: Build) -> None:
    with pytest.raises(GuestError, match=r"no symbol twic; near it are twice"):
        load_file(build(), Options(entry="twic"))


@pytest.mark.gcc
def test_an_image_over_the_stack_names_the_option_that_moves_it(build: Build) -> None:
    path = build(SOURCE, "-Wl,-Ttext=0x7000", "-Wl,-z,norelro", "-Wl,-Tdata=0x7e00")
    with pytest.raises(GuestError, match=r"overlaps the stack.*--stack"):
        load_file(path)
    assert load_file(path, Options(stack=0x100000)).stack == 0x100000


@pytest.mark.gcc
def test_a_position_independent_executable_is_refused(build: Build) -> None:
    path = build(SOURCE.replace("mov value, %ecx", ""), "-static-pie")
    with pytest.raises(GuestError, match="ET_DYN, not a static executable; link it with -static"):
        load_file(path)


@pytest.mark.gcc
def test_symbols_come_from_another_file(build: Build, tmp_path: Path) -> None:
    flat = tmp_path / "flat.bin"
    flat.write_bytes(b"\xf4")
    guest = load_file(flat, Options(symbols=build()))
    assert guest.symbols.address("twice")


def test_an_executable_may_be_written_by_hand() -> None:
    guest = elf_guest(header(), "hand")
    assert (guest.entry, guest.mode, guest.memory) == (0x400000, Mode.LONG, 0x1401000)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\x7fELF\2\1\1", "the ELF header is cut off"),
        (b"\x7fELF\3\1\1", "class 32 or 64"),
        (b"\x7fELF\2\2\1" + bytes(60), "big-endian"),
        (header(machine=183), "an ELF file for AArch64"),
        (header(machine=3), "an ELF file for i386 in class 64"),
        (header(kind=1), "ET_REL, not a static executable"),
        (header(kind=3), "ET_DYN"),
        (header(at=1 << 63), "reach beyond the file"),
        (header(count=60000), "at most 4096"),
        (header(size=8), "headers of 8 bytes"),
        (header(count=0), "without a PT_LOAD"),
        (header(offset=1 << 62), "segment 0.*beyond the file"),
        (header(length=1 << 63), "segment 0.*beyond the file"),
        (header(length=1, memory=1 << 60), "at most"),
        (header(offset=0, length=100, memory=50), "has 100 bytes, but 50 in memory"),
        (header(entry=0), "entry 0x0 is in no segment"),
        (header(address=0x10000, entry=0x10000), "--page-tables moves them"),
        (header(address=0xFFFF_0000_0000_0000, entry=0xFFFF_0000_0000_0000), "3 GiB"),
    ],
)
def test_a_wrong_file_is_refused_with_the_reason(data: bytes, says: str) -> None:
    with pytest.raises(GuestError, match=says):
        make_guest(data, "wrong")


def test_load_is_for_flat_binaries() -> None:
    with pytest.raises(GuestError, match="--load is for flat binaries"):
        make_guest(header(), "guest", Options(load=0x1000))


def test_a_system_map_gives_symbols() -> None:
    symbols = system_map(b"0000000000001000 T _text\n0000000000001010 t inner\n", "map")
    assert symbols.nearest(0x1018) == "inner+0x8"
    assert symbols.nearest(0xFFF) == ""


@pytest.mark.parametrize("data", [b"xyz T a\n", b"1000 T\n", b"1000 TT a\n", b"\xff\n", b"-1 T a"])
def test_a_line_that_is_no_symbol_is_named(data: bytes) -> None:
    with pytest.raises(GuestError, match="map: line 2 is no symbol"):
        system_map(b"1000 T _text\n" + data, "map")


def test_a_missing_symbol_file_is_the_environments_fault(tmp_path: Path) -> None:
    with pytest.raises(GuestFileError, match="No such file"):
        make_guest(b"\xf4", "guest", Options(symbols=tmp_path / "nowhere"))


def test_an_address_far_behind_the_last_symbol_belongs_to_none() -> None:
    assert Symbols.of([("main", 0x1000)]).nearest(1 << 40) == ""


def test_a_symbol_name_can_not_command_the_terminal() -> None:
    assert printable(b"a\x1b[2Jb\xff") == "a\\x1b[2Jb\\xff"


@given(st.binary(max_size=300), st.sampled_from([b"", b"\x7fELF\1\1\1", b"\x7fELF\2\1\1"]))
def test_random_bytes_make_a_guest_or_one_line(tail: bytes, head: bytes) -> None:
    try:
        guest = make_guest(head + tail, "random")
    except GuestError as error:
        assert "\n" not in str(error)
    else:
        assert guest.contents


@given(st.data())
def test_a_damaged_executable_is_read_or_refused(data: st.DataObject) -> None:
    image = bytearray(header())
    for _ in range(data.draw(st.integers(1, 6))):
        image[data.draw(st.integers(0, len(image) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(4, len(image)))
    try:
        read_executable(bytes(image[:cut]), "damaged")
    except GuestError as error:
        assert "\n" not in str(error)


def test_formats_are_told_by_content() -> None:
    boot = bytes(510) + b"\x55\xaa"
    found = [detect(data) for data in (b"\xf4", header(), boot, boot[:-1])]
    assert found == [Format.FLAT, Format.ELF, Format.BOOT, Format.FLAT]


def test_an_option_overrides_the_format() -> None:
    boot = bytes(510) + b"\x55\xaa"
    assert make_guest(boot, "guest", Options(format=Format.FLAT)).load == 0x1000
    assert make_guest(boot, "guest", Options(load=0x2000)).disk is None
    assert make_guest(boot, "guest").disk == boot
