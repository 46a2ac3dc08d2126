"""What a file would be as a guest, told from as little of it as that takes."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO, Final

from kdash.backends.kvm import bios_image, boot, elf, linux, multiboot
from kdash.backends.kvm.images import RECORDING

#: Bytes in which headers are looked for; program headers stand behind the ELF header.
HEAD: Final = 64 << 10
_CHUNK: Final = 4 << 20
#: A kernel's banner stands in its read-only data, which linkers put in front of debug sections.
_BANNER_WITHIN: Final = 64 << 20


def file_kind(path: str | os.PathLike[str]) -> str:
    """What a file is detected as, in a few words; the same as images.detect would say.

    Raises:
        OSError: It can't be looked at.
    """
    file = Path(path)
    found = file.stat()  # before it is opened: a pipe would make us wait
    if not stat.S_ISREG(found.st_mode):
        return "no regular file"
    if not found.st_size:
        return "empty"
    with file.open("rb") as opened:
        head = opened.read(HEAD)
        if head.startswith(RECORDING):
            return "recording (.kdash)"
        if multiboot.find_header(head):
            return f"multiboot 1, {elf.told(head)}" if elf.is_elf(head) else "multiboot 1 image"
        if elf.is_elf(head):
            kernel = linux.is_high(head) and _has_banner(head, opened)
            return f"vmlinux, {elf.told(head)}" if kernel else elf.told(head)
        if linux.is_bzimage(head):
            return "bzImage: Linux kernel"
        if boot.is_boot_sector(head):
            return "boot sector" if found.st_size == boot.SECTOR else "disk image, boot sector"
        if found.st_size <= bios_image.LARGEST and bios_image.is_bios(head + opened.read()):
            return "BIOS image"
    return "flat binary"


def _has_banner(head: bytes, rest: BinaryIO) -> bool:
    """Whether a kernel's banner stands in the file, as far as that is looked for."""
    before, looked = head, len(head)
    while linux.BANNER not in before:
        if looked >= _BANNER_WITHIN or not (chunk := rest.read(_CHUNK)):
            return False
        looked += len(chunk)
        before = before[-len(linux.BANNER) :] + chunk
    return True
