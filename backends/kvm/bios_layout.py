"""What a PC's BIOS leaves in memory: interrupt vectors, data area, the stubs in its ROM.

Source: IBM PC/AT technical reference, section 5 (interrupt vectors, BIOS data area).
"""

from __future__ import annotations

import struct
from typing import Final

BIOS_SEGMENT: Final = 0xF000
#: Private port by which a stub calls us; free on a PC.
BIOS_PORT: Final = 0xE6
#: Bytes of a stub: stub n begins at BIOS_SEGMENT:4n.
STUB: Final = 4
#: Where a guest ends that waits for what never comes: a way out of a fault.
HALT: Final = 256 * STUB
#: Where a guest waits that asked int 16h for a key: it halts, and then asks again.
WAIT: Final = HALT + 4
#: IP behind that HLT.
WAITS_AT: Final = WAIT + 2

#: Vectors with a service behind them.
SERVED: Final = (0x10, 0x11, 0x12, 0x13, 0x15, 0x16, 0x1A)
#: Faults that come again when the handler returns: divide error, invalid opcode.
_ENDLESS: Final = (0x00, 0x06)
#: Boot failure and reboot: there is nothing else to boot from.
_NOTHING_TO_BOOT: Final = (0x18, 0x19)

DATA: Final = 0x400
VIDEO_MODE: Final = 0x449
CURSOR: Final = 0x450  # column and row, page 0
CURSOR_SHAPE: Final = 0x460  # last and first line
TICKS: Final = 0x46C  # of the timer since midnight
CONVENTIONAL_KIB: Final = 639
#: One disk drive's worth of nothing beside: 80x25 colour, a mathematics coprocessor.
EQUIPMENT: Final = 0x0022


def bios_rom() -> bytes:
    """The ROM's begin: for each vector `out BIOS_PORT, al; iret`, or `iret`, or a jump to HALT."""
    stubs = b"".join(_stub(vector) for vector in range(256))
    halt = bytes((0xFA, 0xF4, 0xEB, 0xFC))  # cli; hlt; jmp to the cli
    wait = bytes((0xFB, 0xF4, 0xE9)) + struct.pack("<h", 0x16 * STUB - (WAIT + 5))  # sti; hlt; jmp
    return stubs + halt + wait


def _stub(vector: int) -> bytes:
    if vector in SERVED:
        return bytes((0xE6, BIOS_PORT, 0xCF, 0x90))
    if vector in _ENDLESS or vector in _NOTHING_TO_BOOT:
        return b"\xe9" + struct.pack("<H", HALT - (vector * STUB + 3)) + b"\x90"
    return b"\xcf\x90\x90\x90"


def interrupt_vectors() -> bytes:
    """The table at 0: each vector to its stub."""
    return b"".join(struct.pack("<HH", vector * STUB, BIOS_SEGMENT) for vector in range(256))


def bios_data() -> bytes:
    """The BIOS data area at DATA."""
    area = bytearray(0x100)

    def put(at: int, layout: str, value: int) -> None:
        struct.pack_into(layout, area, at - DATA, value)

    put(0x410, "<H", EQUIPMENT)
    put(0x413, "<H", CONVENTIONAL_KIB)
    put(VIDEO_MODE, "B", 3)
    put(0x44A, "<H", 80)  # columns
    put(0x44C, "<H", 80 * 25 * 2)  # bytes of a page
    put(CURSOR_SHAPE, "<H", 0x0607)
    put(0x463, "<H", 0x3D4)  # CRT controller
    put(0x475, "B", 1)  # hard disks
    put(0x484, "B", 24)  # rows less one
    put(0x485, "<H", 16)  # lines of a character
    return bytes(area)
