"""Boot sectors and disk images: loaded and entered as a PC's BIOS does.

Sources: BIOS Boot Specification 1.01, 6.5 (0x55AA, 0:7c00, DL); IBM PC/AT technical
reference, section 5 (BIOS data area).
"""

from __future__ import annotations

import struct
from typing import Final

from kdash.backends.kvm.bios_layout import BIOS_SEGMENT, bios_data, bios_rom, interrupt_vectors
from kdash.backends.kvm.facts import GuestError, Mode
from kdash.backends.kvm.guests import Guest, Part, check_guest, memory_for
from kdash.backends.kvm.layout import EXTENDED, Region
from kdash.backends.kvm.symbols import Symbols

SECTOR: Final = 512
LOAD: Final = 0x7C00
STACK: Final = 0x7C00  # grows down from the boot sector
DRIVE: Final = 0x80
_SIGNATURE: Final = struct.pack("<H", 0xAA55)


def is_boot_sector(data: bytes) -> bool:
    """Whether the first sector ends with 55 AA."""
    return data[SECTOR - 2 : SECTOR] == _SIGNATURE


def boot_guest(  # noqa: PLR0913 - the options of a guest
    data: bytes,
    title: str,
    *,
    entry: int | None = None,
    memory: int | None = None,
    stack: int | None = None,
    symbols: Symbols | None = None,
) -> Guest:
    """A guest that boots from a disk image, its first sector at 0:7c00 with DL = 0x80.

    Args:
        data: the whole disk; a part of a sector at its end counts as one.
        title: what to call it.
        entry: IP to start at.
        memory: bytes of RAM, at least 1 MiB; unless given 16 MiB beyond the sector.
        stack: SP to start with.
        symbols: names of its addresses.

    Raises:
        GuestError: when it is no boot sector, or can't be started like this.
    """
    if not is_boot_sector(data):
        raise GuestError(f"{title}: no boot sector; bytes 510 and 511 of one are 55 aa")
    size = memory_for(LOAD + SECTOR, memory)
    if size < EXTENDED:
        raise GuestError(f"{title}: a boot sector needs at least 1 MiB of memory (--memory 1M)")
    guest = Guest(
        title,
        data[:SECTOR],
        Mode.REAL,
        LOAD,
        LOAD if entry is None else entry,
        size,
        {"rdx": DRIVE},
        (Part(0, interrupt_vectors()), Part(0x400, bios_data())),
        (Region(BIOS_SEGMENT << 4, 0x10000, readonly=True, data=bios_rom()),),
        STACK if stack is None else stack,
        symbols=symbols or Symbols(),
        disk=data,
        startup_ipi=True,
    )
    check_guest(guest)
    return guest
