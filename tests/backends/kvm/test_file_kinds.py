"""What a file is told to be, from little of it: the same as images.detect would say."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdash.backends.kvm.file_kinds import file_kind
from kdash.backends.kvm.images import RECORDING, Format, detect

BOOT_SECTOR = b"\xeb\xfe".ljust(510, b"\0") + b"\x55\xaa"
MULTIBOOT = struct.pack("<3I", 0x1BADB002, 0, -0x1BADB002 & 0xFFFF_FFFF).ljust(64, b"\0")


def elf64(address: int = 0x1000, kind: int = 2, machine: int = 62, after: bytes = b"") -> bytes:
    """An ELF64 file with one segment."""
    header = struct.pack(
        "<16sHHIQQQIHHHHHH", b"\x7fELF\x02\x01\x01", kind, machine, 1, address, 64, 0, 0,
        64, 56, 1, 64, 0, 0,
    )  # fmt: skip
    return header + struct.pack("<IIQQQQQQ", 1, 5, 0, address, address, 120, 120, 1) + after


BZIMAGE = bytes(0x1FE) + b"\x55\xaa" + b"\0\0HdrS" + bytes(600)
BIOS = bytes(65536 - 16) + b"\xea\x5b\xe0\x00\xf0".ljust(16, b"\0")
KERNEL = elf64(0xFFFFFFFF81000000, after=bytes(5 << 20) + b"Linux version 6.1")


@pytest.mark.parametrize(
    ("data", "kind", "detected"),
    [
        (b"\x90\xf4", "flat binary", Format.FLAT),
        (BOOT_SECTOR, "boot sector", Format.BOOT),
        (BOOT_SECTOR * 3, "disk image, boot sector", Format.BOOT),
        (MULTIBOOT, "multiboot 1 image", Format.MULTIBOOT),
        (elf64(), "ELF64 executable, x86-64", Format.ELF),
        (elf64(kind=1), "ELF64 relocatable object, x86-64", Format.ELF),
        (elf64(machine=183), "ELF64 executable, AArch64", Format.ELF),
        (elf64(0xFFFFFFFF81000000), "ELF64 executable, x86-64", Format.ELF),
        (KERNEL, "vmlinux, ELF64 executable, x86-64", Format.LINUX),
        (BZIMAGE, "bzImage: Linux kernel", Format.LINUX),
        (BIOS, "BIOS image", Format.BIOS),
    ],
)
def test_a_file_is_what_it_would_be_loaded_as(
    tmp_path: Path, data: bytes, kind: str, detected: Format
) -> None:
    file = tmp_path / "guest"
    file.write_bytes(data)
    assert file_kind(file) == kind
    assert detect(data) is detected


def test_recordings_empty_files_and_pipes_are_told(tmp_path: Path) -> None:
    file = tmp_path / "guest"
    file.write_bytes(RECORDING + b"rest")
    assert file_kind(file) == "recording (.kdash)"
    file.write_bytes(b"")
    assert file_kind(file) == "empty"
    os.mkfifo(tmp_path / "pipe")
    assert file_kind(tmp_path / "pipe") == "no regular file"


@given(data=st.binary(max_size=300))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_damaged_elf_file_is_told_in_one_line(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "guest"
    file.write_bytes(b"\x7fELF" + data)
    assert "\n" not in file_kind(file)
