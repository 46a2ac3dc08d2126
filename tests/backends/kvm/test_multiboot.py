"""Multiboot 1 images: what they are told, and what is refused."""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.facts import GuestError, Mode, Outcome
from kdash.backends.kvm.images import Format, Options, detect, load_file, make_guest
from kdash.backends.kvm.multiboot import find_header, multiboot_guest
from kdash.backends.kvm.run import Request, run_guest

MAGIC = 0x1BADB002
KERNEL = """
.text
.align 4
.long 0x1BADB002, 3, -(0x1BADB002 + 3)
.globl _start
_start: cmp $0x2BADB002, %eax
        jne wrong
        mov 8(%ebx), %esi
        mov 48(%ebx), %edi
        mov 44(%ebx), %ecx
        mov 16(%ebx), %edx
        mov (%edx), %edx
        mov $1, %eax
wrong:  hlt
"""


def image(flags: int = 1 << 16, **addresses: int) -> bytes:
    """A flat image with address fields: HLT behind the header."""
    values = {"header": 0x100000, "load": 0x100000, "load_end": 0, "bss_end": 0,
              "entry": 0x100020} | addresses  # fmt: skip
    checksum = -(MAGIC + flags) & 0xFFFF_FFFF
    return struct.pack("<8I", MAGIC, flags, checksum, *values.values()) + b"\xf4"


def run(data: bytes, **options: Any) -> Any:
    report = run_guest(Request(multiboot_guest(data, "kernel", **options), timeout=10))
    assert report.outcome is Outcome.HLT, report.detail
    return report.registers


@pytest.mark.kvm
@pytest.mark.gcc
@pytest.mark.parametrize("bits", [32])
def test_a_kernel_finds_memory_and_command_line(tmp_path: Path, bits: int) -> None:
    (tmp_path / "kernel.s").write_text(KERNEL)
    path = tmp_path / "kernel"
    subprocess.run(
        ["gcc", f"-m{bits}", "-static", "-nostdlib", "-no-pie", "-Wl,--build-id=none",
         "-Wl,-Ttext-segment=0x100000", "-o", path, tmp_path / "kernel.s"],
        check=True, capture_output=True,
    )  # fmt: skip
    guest = load_file(path, Options(memory=4 << 20, command_line="abcd efgh"))
    assert guest.mode is Mode.PROTECTED
    assert guest.symbols.address("wrong")
    report = run_guest(Request(guest, timeout=10, dumps=[(guest.registers["rbx"], 300)]))
    registers = report.registers
    assert (report.outcome, registers.rax) == (Outcome.HLT, 1)
    assert registers.rsi == 3 << 10
    assert registers.rdx == int.from_bytes(b"abcd", "little")
    base = guest.registers["rbx"]
    table = report.memory[base][registers.rdi - base :][: registers.rcx]
    entries = list(struct.iter_unpack("<IQQI", table))
    assert [entry[1] for entry in entries] == [0, 0x9FC00, 0x100000]
    assert all(entry[0] == 20 for entry in entries)
    assert entries[-1][1] + entries[-1][2] == 4 << 20


@pytest.mark.kvm
def test_an_image_with_addresses_is_loaded_where_they_say() -> None:
    registers = run(bytes(64) + image(header=0x100040, entry=0x100060))
    assert (registers.rip, registers.rax) == (0x100061, 0x2BADB002)


@pytest.mark.kvm
def test_the_information_avoids_the_image() -> None:
    data = image(header=0x9000, load=0x9000, entry=0x9020)
    assert run(data).rbx >= 0xA000


def test_a_header_is_found_on_multiples_of_4_only() -> None:
    assert find_header(bytes(4) + image())
    assert find_header(bytes(2) + image()) is None
    assert find_header(bytes(8192) + image()) is None


def test_a_wrong_checksum_makes_a_flat_binary() -> None:
    data = image()
    assert detect(data) is Format.MULTIBOOT
    assert detect(data[:8] + b"\0" + data[9:]) is Format.FLAT


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xf4", "no multiboot header"),
        (image(flags=1 << 16 | 8), "unknown features 0x8"),
        (image(flags=0), "without addresses in a file that is no ELF"),
        (image()[:20], "cut off"),
        (image(header=0x1000), "before the file's begin"),
        (image(load_end=0x1000), "of a file of 33"),
        (image(load_end=0x200000), "ask for 1048576 bytes"),
        (image(bss_end=0xFFFF_FFFF), "3 GiB"),
        (image(header=0x7F00, load=0x7F00), "overlaps the stack.*--stack"),
    ],
)
def test_a_wrong_image_is_refused_with_the_reason(data: bytes, says: str) -> None:
    with pytest.raises(GuestError, match=says):
        make_guest(data, "kernel", Options(format=Format.MULTIBOOT))


def test_another_mode_is_refused() -> None:
    with pytest.raises(GuestError, match="starts in protected mode"):
        make_guest(image(), "kernel", Options(mode=Mode.LONG))


@given(st.binary(max_size=64), st.integers(0, 0xFFFF_FFFF), st.binary(max_size=40))
def test_random_headers_make_a_guest_or_one_line(head: bytes, flags: int, tail: bytes) -> None:
    head += bytes(-len(head) % 4)
    data = head + struct.pack("<3I", MAGIC, flags, -(MAGIC + flags) & 0xFFFF_FFFF) + tail
    try:
        guest = make_guest(data, "random")
    except GuestError as error:
        assert "\n" not in str(error)
    else:
        assert guest.registers["rax"] == 0x2BADB002
