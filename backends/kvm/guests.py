"""Guests: what is loaded where, and with which registers it starts.

The flat convention: RAM from 0, image and entry at 0x1000, RSP 0x8000 less 0x400 for each
VCPU before, RDI the VCPU's index, RFLAGS 2, all other general registers 0.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kdash.backends.kvm.facts import GuestError, GuestFileError, Mode
from kdash.backends.kvm.modes import TABLES, TABLES_SIZE

PAGE: Final = 0x1000
LOAD: Final = 0x1000
STACK: Final = 0x8000
STACK_PER_VCPU: Final = 0x400
MIB: Final = 1 << 20
MEMORY_MINIMUM: Final = 2 * MIB
MEMORY_BEYOND_IMAGE: Final = 16 * MIB
#: Above it are the APIC, the BIOS and what KVM itself needs below 4 GiB.
MEMORY_MAXIMUM: Final = 3 << 30

#: The guest of the 2015 article "Using the KVM API": adds AL and BL, prints the digit and a
#: newline on the serial port, halts.
ARTICLE_IMAGE: Final = bytes.fromhex("ba f8 03 00 d8 04 30 ee b0 0a ee f4")

ARTICLE_TITLE: Final = f"article guest ({len(ARTICLE_IMAGE)} bytes)"
ARTICLE_REGISTERS: Final = {"rax": 2, "rbx": 2}

_ELF_MAGIC: Final = b"\x7fELF"


@dataclass(frozen=True, slots=True)
class Guest:
    """A flat binary and how it is started."""

    title: str
    image: bytes
    mode: Mode = Mode.REAL
    load: int = LOAD  # guest-physical
    entry: int = LOAD  # RIP; the code segment's base is 0
    memory: int = MEMORY_MINIMUM  # bytes of RAM from 0, a multiple of 4096
    registers: Mapping[str, int] = field(default_factory=dict)  # set after the convention's

    def start_registers(self, index: int) -> dict[str, int]:
        """General registers of VCPU `index` at the entry."""
        return {
            "rip": self.entry,
            "rsp": STACK - STACK_PER_VCPU * index,
            "rdi": index,
            "rflags": 2,
            **self.registers,
        }


def article_guest() -> Guest:
    """The article's guest of 12 bytes, with 2 in RAX and RBX."""
    return flat(ARTICLE_IMAGE, ARTICLE_TITLE, registers=ARTICLE_REGISTERS)


def flat(  # noqa: PLR0913 - the options of a flat guest
    image: bytes,
    title: str,
    *,
    mode: Mode = Mode.REAL,
    load: int = LOAD,
    entry: int | None = None,
    memory: int | None = None,
    registers: Mapping[str, int] | None = None,
) -> Guest:
    """A guest from the bytes of a flat binary.

    Args:
        image: the code and data.
        title: what to call it.
        mode: the mode it starts in.
        load: guest-physical address of its first byte.
        entry: RIP to start at; `load` unless given.
        memory: bytes of RAM; unless given 16 MiB beyond the image, at least 2 MiB.
        registers: general registers to set beyond the convention.

    Raises:
        GuestError: when it can't be started like this.
    """
    if not image:
        raise GuestError(f"{title}: the file is empty; a flat binary holds the guest's code")
    if image.startswith(_ELF_MAGIC):
        raise GuestError(
            f"{title}: an ELF file, not a flat binary; convert it with objcopy -O binary"
        )
    end = load + len(image)
    if memory is None:
        memory = max(MEMORY_MINIMUM, end + MEMORY_BEYOND_IMAGE)
    memory = -(-memory // PAGE) * PAGE
    guest = Guest(
        title, image, mode, load, load if entry is None else entry, memory, dict(registers or {})
    )
    _check(guest)
    return guest


def _check(guest: Guest) -> None:
    end = guest.load + len(guest.image)
    if guest.memory > MEMORY_MAXIMUM:
        raise GuestError(
            f"{guest.title}: {guest.memory:#x} bytes of memory; at most {MEMORY_MAXIMUM:#x} (3 GiB)"
        )
    if guest.memory < PAGE:
        raise GuestError(f"{guest.title}: at least one page (4K) of memory is needed")
    if end > guest.memory:
        raise GuestError(
            f"{guest.title}: loaded at {guest.load:#x} it ends at {end:#x}, beyond the "
            f"{guest.memory:#x} bytes of memory; give more with --memory"
        )
    if guest.mode is Mode.REAL and guest.entry > 0xFFFF:
        raise GuestError(
            f"{guest.title}: entry {guest.entry:#x} can't be reached in real mode; "
            "it is at most 0xffff with the code segment at 0"
        )
    if guest.mode is Mode.PROTECTED and guest.entry > 0xFFFF_FFFF:
        raise GuestError(f"{guest.title}: entry {guest.entry:#x} has more than 32 bits")
    if guest.mode is Mode.LONG:
        _check_long(guest, end)


def _check_long(guest: Guest, end: int) -> None:
    tables_end = TABLES + TABLES_SIZE
    if guest.memory < tables_end:
        raise GuestError(
            f"{guest.title}: long mode needs memory for its page tables, "
            f"at least {tables_end:#x} bytes"
        )
    if guest.load < tables_end and end > TABLES:
        raise GuestError(
            f"{guest.title}: {guest.load:#x}-{end - 1:#x} overlaps the page tables of long mode "
            f"at {TABLES:#x}-{tables_end - 1:#x}; choose another --load"
        )


def flat_file(  # noqa: PLR0913 - the options of a flat guest
    path: str | os.PathLike[str],
    *,
    mode: Mode = Mode.REAL,
    load: int = LOAD,
    entry: int | None = None,
    memory: int | None = None,
    registers: Mapping[str, int] | None = None,
) -> Guest:
    """The guest in a flat binary file; arguments as in `flat`.

    Raises:
        GuestFileError: when the file can't be read.
        GuestError: when it can't be started like this.
    """
    file = Path(path)
    try:
        if file.stat().st_size > MEMORY_MAXIMUM:
            raise GuestError(f"{file.name}: larger than the largest memory (3 GiB)")
        image = file.read_bytes()
    except OSError as error:
        raise GuestFileError(f"{path}: {error.strerror}") from None
    return flat(
        image,
        file.name,
        mode=mode,
        load=load,
        entry=entry,
        memory=memory,
        registers=registers,
    )
