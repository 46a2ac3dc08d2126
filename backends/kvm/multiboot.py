"""Multiboot 1 images: the header, what it asks for, the information handed over.

Source: Multiboot Specification version 0.6.96, sections 3.1 to 3.3.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kdash.backends.kvm.elf import is_elf, read_executable
from kdash.backends.kvm.facts import GuestError, Mode
from kdash.backends.kvm.guests import STACK, Guest, Part, check_guest, memory_for
from kdash.backends.kvm.layout import CONVENTIONAL_END, EXTENDED, PAGE, memory_map
from kdash.backends.kvm.symbols import Symbols

HEADER_MAGIC: Final = 0x1BADB002
LOADER_MAGIC: Final = 0x2BADB002  # in EAX at the entry
SEARCH: Final = 8192  # the header lies within so many bytes

_PAGE_ALIGNED: Final = 1 << 0
_MEMORY: Final = 1 << 1
_VIDEO: Final = 1 << 2
_ADDRESSES: Final = 1 << 16
#: Bits 0 to 15 must be understood or the image refused; the others may be ignored.
_REQUIRED: Final = 0xFFFF

_HAS_MEMORY: Final = 1 << 0
_HAS_COMMAND_LINE: Final = 1 << 2
_HAS_MAP: Final = 1 << 6
_HAS_LOADER_NAME: Final = 1 << 9
_LOADER_NAME: Final = b"kdash\0"
_INFORMATION: Final = struct.Struct("<22I")
_MAP_ENTRY: Final = struct.Struct("<IQQI")
_LOWEST_INFORMATION: Final = 0x9000
_LONGEST_COMMAND_LINE: Final = 2048


@dataclass(frozen=True, slots=True)
class Header:
    """A multiboot header."""

    offset: int  # in the file
    flags: int
    addresses: tuple[int, int, int, int, int]  # header, load, load end, BSS end, entry


def find_header(data: bytes) -> Header | None:
    """The first header with a right checksum, on a multiple of 4 in the first 8 KiB."""
    for offset in range(0, min(len(data), SEARCH) - 11, 4):
        magic, flags, checksum = struct.unpack_from("<3I", data, offset)
        if magic == HEADER_MAGIC and (magic + flags + checksum) & 0xFFFF_FFFF == 0:
            whole = data[offset + 12 : offset + 32].ljust(20, b"\0")
            a, b, c, d, e = struct.unpack("<5I", whole)
            return Header(offset, flags, (a, b, c, d, e))
    return None


def multiboot_guest(  # noqa: PLR0913 - the options of a guest
    data: bytes,
    title: str,
    *,
    entry: int | None = None,
    memory: int | None = None,
    stack: int = STACK,
    symbols: Symbols | None = None,
    command_line: str = "",
) -> Guest:
    """A guest from a multiboot image, started in protected mode with EAX and EBX set.

    Args:
        data: the file.
        title: what to call it.
        entry: EIP to start at; the image's unless given.
        memory: bytes of RAM; unless given 16 MiB beyond the image.
        stack: ESP, which the specification leaves to the image.
        symbols: names of its addresses beside the image's own.
        command_line: what the image is told.

    Raises:
        GuestError: when it can't be started like this.
    """
    header = find_header(data)
    if header is None:
        raise GuestError(f"{title}: no multiboot header with a right checksum in its first 8 KiB")
    unknown = header.flags & _REQUIRED & ~(_PAGE_ALIGNED | _MEMORY | _VIDEO)
    if unknown:
        raise GuestError(f"{title}: the multiboot header asks for unknown features {unknown:#x}")
    found = Symbols()
    if header.flags & _ADDRESSES:
        parts, start = _by_addresses(data, title, header)
    elif is_elf(data):
        executable = read_executable(data, title)
        parts = tuple(Part(one.physical, one.data, one.size) for one in executable.segments)
        start, found = executable.entry, executable.symbols
    else:
        raise GuestError(f"{title}: a multiboot header without addresses in a file that is no ELF")
    size = memory_for(max(part.end for part in parts), memory)
    at, information = _information(parts, size, stack, command_line, title)
    guest = Guest(
        title,
        b"",
        Mode.PROTECTED,
        min(part.address for part in parts),
        start if entry is None else entry,
        size,
        {"rax": LOADER_MAGIC, "rbx": at},
        (*parts, Part(at, information)),
        stack=stack,
        symbols=found.joined(symbols or Symbols()),
        startup_ipi=True,
    )
    check_guest(guest, "link it elsewhere")
    return guest


def _by_addresses(data: bytes, title: str, header: Header) -> tuple[tuple[Part, ...], int]:
    """What the header's address fields load, and the entry (3.1.3)."""
    if header.offset + 32 > len(data):
        raise GuestError(f"{title}: the multiboot header is cut off")
    at, load, load_end, bss_end, entry = header.addresses
    first = header.offset - (at - load)
    if not load <= at or first < 0:
        raise GuestError(
            f"{title}: multiboot load address {load:#x} lies before the file's begin "
            f"(header at {at:#x}, {header.offset:#x} bytes into the file)"
        )
    length = load_end - load if load_end else len(data) - first
    if length <= 0 or first + length > len(data):
        raise GuestError(
            f"{title}: multiboot addresses {load:#x}-{load_end:#x} ask for {length} bytes from "
            f"{first:#x} of a file of {len(data)}"
        )
    size = max(bss_end - load, length) if bss_end else length
    return (Part(load, data[first : first + length], size),), entry


def _information(
    parts: Sequence[Part], memory: int, stack: int, command_line: str, title: str
) -> tuple[int, bytes]:
    """The information structure and what it points to; where it goes (3.3)."""
    line = command_line.encode("utf-8", "surrogateescape") + b"\0"
    if len(line) > _LONGEST_COMMAND_LINE:
        raise GuestError(f"{title}: a command line of more than {_LONGEST_COMMAND_LINE} bytes")
    table = b"".join(
        _MAP_ENTRY.pack(_MAP_ENTRY.size - 4, start, size, kind)
        for start, size, kind in memory_map(memory)
    )
    length = _INFORMATION.size + len(table) + len(line) + len(_LOADER_NAME)
    at = _room(parts, length, stack, min(memory, CONVENTIONAL_END), title)
    map_at = at + _INFORMATION.size
    line_at = map_at + len(table)
    words = [0] * 22
    words[0] = _HAS_MEMORY | _HAS_COMMAND_LINE | _HAS_MAP | _HAS_LOADER_NAME
    words[1] = min(memory, CONVENTIONAL_END) >> 10
    words[2] = max(memory - EXTENDED, 0) >> 10
    words[4] = line_at
    words[11], words[12] = len(table), map_at
    words[16] = line_at + len(line)
    return at, _INFORMATION.pack(*words) + table + line + _LOADER_NAME


def _room(parts: Sequence[Part], length: int, stack: int, end: int, title: str) -> int:
    """A page below 640 KiB with nothing else in the way."""
    for at in range(_LOWEST_INFORMATION, end - length + 1, PAGE):
        taken = any(part.overlaps(at, at + length) for part in parts)
        if not taken and not (at < stack and stack - PAGE < at + length):
            return at
    raise GuestError(f"{title}: no room below 640 KiB for the multiboot information")
