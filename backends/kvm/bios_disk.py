"""The disk behind int 13h: an image, read; what is written stays in memory.

Source: Ralf Brown's Interrupt List, release 61, INT 13; EDD specification 3.0, table 5
(disk address packet).
"""

from __future__ import annotations

import struct
from typing import Final

from kdash.backends.kvm.bios_frame import Frame
from kdash.backends.kvm.device_state import State

SECTOR: Final = 512
#: Sectors a call may move, as of most BIOSes.
MOST: Final = 127

_OK: Final = 0x00
_INVALID: Final = 0x01
_NOT_FOUND: Final = 0x04
_BOUNDARY: Final = 0x09
#: Cylinders, heads, sectors of floppy disks by size; anything else is a hard disk.
_FLOPPIES: Final = {
    163840: (40, 1, 8),
    368640: (40, 2, 9),
    737280: (80, 2, 9),
    1228800: (80, 2, 15),
    1474560: (80, 2, 18),
    2949120: (80, 2, 36),
}
#: Types of floppy drives, as function 8 tells them in BL.
_FLOPPY_TYPES: Final = {
    (40, 2, 9): 1,
    (80, 2, 15): 2,
    (80, 2, 9): 3,
    (80, 2, 18): 4,
    (80, 2, 36): 5,
}
_HEADS: Final = 16
_SECTORS: Final = 63
_MOST_CYLINDERS: Final = 1024
_EXTENSIONS: Final = 0x01  # fixed-disk access by packets
_HARD: Final = 0x80
_FLOPPY: Final = 0x00  # boot sectors for floppy disks ask for this drive


class Disk:
    """Sectors of an image."""

    def __init__(self, image: bytes) -> None:
        self._image = image
        self._written: dict[int, bytes] = {}
        self._undo: list[tuple[int, bytes | None]] = []  # of each write: sector, what it held
        self.sectors = -(-len(image) // SECTOR)
        self.status = _OK  # of the last call
        self.geometry = _FLOPPIES.get(len(image)) or self._hard()

    def _hard(self) -> tuple[int, int, int]:
        cylinders = -(-self.sectors // (_HEADS * _SECTORS))
        return min(max(cylinders, 1), _MOST_CYLINDERS), _HEADS, _SECTORS

    def has(self, sector: int, count: int) -> bool:
        """Whether these sectors are on it."""
        return sector >= 0 and sector + count <= self.sectors

    def read(self, sector: int, count: int) -> bytes:
        """So many sectors, the last of the image filled up with 0."""
        return b"".join(self._sector(number) for number in range(sector, sector + count))

    def _sector(self, number: int) -> bytes:
        written = self._written.get(number)
        if written is not None:
            return written
        return self._image[number * SECTOR : (number + 1) * SECTOR].ljust(SECTOR, b"\0")

    def write(self, sector: int, data: bytes) -> None:
        """Whole sectors, kept beside the image."""
        for at in range(0, len(data), SECTOR):
            number = sector + at // SECTOR
            self._undo.append((number, self._written.get(number)))
            self._written[number] = data[at : at + SECTOR]

    @property
    def writes(self) -> tuple[tuple[int, bytes], ...]:
        """Sector and content of each write, in order."""
        found: list[tuple[int, bytes]] = []
        now = dict(self._written)
        for number, before in reversed(self._undo):
            found.append((number, now[number]))
            if before is not None:
                now[number] = before
        return tuple(reversed(found))

    def save(self) -> State:
        """How many sectors were written."""
        return {"status": self.status, "writes": len(self._undo)}

    def restore(self, state: State) -> None:
        """Take later writes back."""
        self.status = state["status"]
        while len(self._undo) > state["writes"]:
            number, before = self._undo.pop()
            if before is None:
                del self._written[number]
            else:
                self._written[number] = before


def serve_disk(frame: Frame, disk: Disk) -> None:
    """One int 13h."""
    function = frame.high("rax")
    if frame.low("rdx") not in (_HARD, _FLOPPY):
        status: int | None = _INVALID
    else:
        status = _call(function, frame, disk)
    if status is None:
        frame.carry(False)
        return
    if function != 0x01:
        disk.status = status
    frame.set_high("rax", status)
    frame.carry(status != _OK)


def _call(function: int, frame: Frame, disk: Disk) -> int | None:
    """The status; None where AH holds something else."""
    match function:
        case 0x00 | 0x05 | 0x0C | 0x0D | 0x10 | 0x11 | 0x14 | 0x16 | 0x47:
            return _OK
        case 0x01:
            return disk.status
        case 0x02 | 0x03 | 0x04:
            return _by_geometry(function, frame, disk)
        case 0x08:
            return _parameters(frame, disk)
        case 0x15:
            frame.set16("rcx", disk.sectors >> 16)
            frame.set16("rdx", disk.sectors & 0xFFFF)
            frame.set16("rax", 0x0300)  # a hard disk
            return None
        case 0x41 if frame.word("rbx") == 0x55AA:
            frame.set16("rbx", 0xAA55)
            frame.set16("rcx", _EXTENSIONS)
            frame.set16("rax", 0x3000)  # EDD 3.0
            return None
        case 0x42 | 0x43 | 0x44:
            return _by_packet(function & 0xF, frame, disk)
        case 0x48:
            return _extended_parameters(frame, disk)
    return _INVALID


def _move(function: int, frame: Frame, disk: Disk, where: tuple[int, int, int]) -> int:
    """Read (2), write (3) or verify (4): first sector, count, physical address."""
    sector, count, address = where
    if not disk.has(sector, count):
        return _NOT_FOUND
    try:
        if function == 2:
            frame.write_physical(address, disk.read(sector, count))
        elif function == 3:
            disk.write(sector, frame.read_physical(address, count * SECTOR))
    except IndexError:
        return _BOUNDARY
    return _OK


def _by_geometry(function: int, frame: Frame, disk: Disk) -> int:
    """AL sectors from cylinder CH and CL's high bits, head DH, sector CL, at ES:BX."""
    _, heads, sectors = disk.geometry
    cylinder = frame.high("rcx") | (frame.low("rcx") & 0xC0) << 2
    head, sector, count = frame.high("rdx"), frame.low("rcx") & 0x3F, frame.low("rax")
    if not 1 <= sector <= sectors or head >= heads or not 1 <= count <= MOST:
        status = _INVALID
    else:
        first = (cylinder * heads + head) * sectors + sector - 1
        address = frame.address("es", frame.word("rbx"))
        status = _move(function, frame, disk, (first, count, address))
    if status != _OK:
        frame.set16("rax", frame.word("rax") & 0xFF00)  # nothing moved
    return status


def _parameters(frame: Frame, disk: Disk) -> int:
    cylinders, heads, sectors = disk.geometry
    last = cylinders - 1
    frame.set16("rcx", (last & 0xFF) << 8 | (last >> 8 & 3) << 6 | sectors)
    floppy = frame.low("rdx") == _FLOPPY  # asked for before DL tells the count of drives
    frame.set16("rdx", (heads - 1) << 8 | 1)
    frame.set16("rbx", _FLOPPY_TYPES.get(disk.geometry, 0) if floppy else 0)
    frame.set16("rax", 0)
    return _OK


def _by_packet(function: int, frame: Frame, disk: Disk) -> int:
    """The packet at DS:SI: size, count, buffer as offset and segment, first sector."""
    packet = frame.read("ds", frame.word("rsi"), 16)
    size, count, offset, segment, first = struct.unpack("<HHHHQ", packet)
    if size & 0xFF < 16 or count > MOST:
        return _INVALID
    return _move(function, frame, disk, (first, count, (segment << 4) + offset))


def _extended_parameters(frame: Frame, disk: Disk) -> int:
    """26 bytes at DS:SI (EDD 3.0, table 8)."""
    (room,) = struct.unpack("<H", frame.read("ds", frame.word("rsi"), 2))
    if room < 26:
        return _INVALID
    cylinders, heads, sectors = disk.geometry
    data = struct.pack(
        "<HHIIIQH", 26, 2, cylinders, heads, sectors, disk.sectors, SECTOR
    )  # flag 2: the geometry is valid
    frame.write("ds", frame.word("rsi"), data)
    return _OK
