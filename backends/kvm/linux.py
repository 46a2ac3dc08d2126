"""Linux kernels, started by the 64-bit boot protocol.

Source: Linux Documentation/arch/x86/boot.rst (the setup header, "64-bit boot protocol") and
zero-page.rst, arch/x86/include/uapi/asm/bootparam.h, Linux 6.19. A vmlinux is loaded where
its segments say and entered at startup_64; of a bzImage the vmlinux in it is, so that nothing
is unpacked in the guest, or with `extract` off its own code 0x200 into the protected-mode part.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kdash.backends.kvm import elf
from kdash.backends.kvm.facts import GuestError, Mode
from kdash.backends.kvm.guests import STACK, Guest, Part, check_guest, memory_for
from kdash.backends.kvm.layout import EXTENDED, PAGE, memory_map
from kdash.backends.kvm.modes import GDT, HIGH, TABLES, flat_descriptors
from kdash.backends.kvm.payload import expand
from kdash.backends.kvm.symbols import Symbols

MEMORY: Final = 256 << 20
COMMAND_LINE: Final = "earlyprintk=serial,ttyS0,115200 console=ttyS0"
BOOT_PARAMS: Final = 0x14000
_COMMAND_LINE_AT: Final = BOOT_PARAMS + PAGE
#: COMMAND_LINE_SIZE of arch/x86/include/asm/setup.h.
LONGEST_COMMAND_LINE: Final = 2048
#: Selector of the flat code segment (__BOOT_CS); __BOOT_DS follows.
BOOT_CS: Final = 0x10

_MAGIC: Final = b"HdrS"
_MAGIC_AT: Final = 0x202
_SETUP_HEADER: Final = 0x1F1
_HEADER_END: Final = 0x268  # of protocol 2.12
_OLDEST: Final = 0x20C  # the first with xloadflags: a 64-bit entry point
_HAS_64_BIT_ENTRY: Final = 1 << 0
_ENTRY_64: Final = 0x200
_UNKNOWN_LOADER: Final = 0xFF
_LOADED_HIGH: Final = 0x01
_HIGH_LOAD: Final = 0x10_0000
_SECTOR: Final = 512
BANNER: Final = b"Linux version "
_INITRD_MAXIMUM: Final = 0x7FFF_FFFF

# Offsets in boot_params.
_E820_ENTRIES: Final = 0x1E8
_E820_TABLE: Final = 0x2D0
_TYPE_OF_LOADER: Final = 0x210
_LOADFLAGS: Final = 0x211
_RAMDISK: Final = 0x218
_COMMAND_LINE_POINTER: Final = 0x228


@dataclass(frozen=True, slots=True)
class Kernel:
    """A bzImage's setup header, as far as it matters here."""

    setup: bytes  # from 0x1f1 to its end
    code: int  # offset of the protected-mode part in the file
    payload: tuple[int, int]  # offset in the file, bytes
    load: int  # where the protected-mode part is loaded
    need: int  # bytes from there it needs while it starts (init_size)


def is_bzimage(data: bytes) -> bool:
    """Whether the file has a Linux setup header."""
    return data[_MAGIC_AT : _MAGIC_AT + 4] == _MAGIC and data[0x1FE:0x200] == b"\x55\xaa"


def is_vmlinux(data: bytes) -> bool:
    """Whether an ELF file is a 64-bit Linux kernel: it has high addresses and a banner."""
    return is_high(data) and BANNER in data


def is_high(data: bytes) -> bool:
    """Whether an ELF file, of which the headers are enough, is linked to the kernel's addresses."""
    if not elf.is_elf(data) or data[4:5] != b"\x02":
        return False
    try:
        return any(one >= HIGH for one in elf.virtual_addresses(data))
    except GuestError:
        return False


def read_header(data: bytes, title: str) -> Kernel:
    """Read a bzImage's setup header.

    Raises:
        GuestError: when it is damaged or offers no 64-bit entry point.
    """
    if not is_bzimage(data) or len(data) < _HEADER_END:
        raise GuestError(f"{title}: no Linux kernel; a bzImage has 'HdrS' at 0x202")
    (version,) = struct.unpack_from("<H", data, 0x206)
    if version < _OLDEST:
        raise GuestError(
            f"{title}: boot protocol {version >> 8}.{version & 0xFF:02}; 2.12 (Linux 3.8) or "
            "newer is needed to enter a kernel in 64 bits"
        )
    (flags,) = struct.unpack_from("<H", data, 0x236)
    if not flags & _HAS_64_BIT_ENTRY:
        raise GuestError(f"{title}: a 32-bit kernel; only x86-64 ones can be started")
    if not data[_LOADFLAGS] & _LOADED_HIGH:
        raise GuestError(f"{title}: a zImage, loaded below 1 MiB; only a bzImage can be started")
    code = ((data[_SETUP_HEADER] or 4) + 1) * _SECTOR
    offset, length = struct.unpack_from("<II", data, 0x248)
    if not length or code + offset + length > len(data):
        raise GuestError(
            f"{title}: its kernel, {length} bytes at {code + offset:#x}, is not in the file of "
            f"{len(data)} bytes; it is cut off"
        )
    (preferred,) = struct.unpack_from("<Q", data, 0x258)
    (need,) = struct.unpack_from("<I", data, 0x260)
    load = preferred if data[0x234] else _HIGH_LOAD  # relocatable_kernel
    end = min(max(_MAGIC_AT + data[0x201], _HEADER_END), 0x290)
    return Kernel(data[_SETUP_HEADER:end], code, (code + offset, length), load, need)


def linux_guest(  # noqa: PLR0913 - the options of a kernel
    data: bytes,
    title: str,
    *,
    entry: int | None = None,
    memory: int | None = None,
    tables: int = TABLES,
    stack: int = STACK,
    symbols: Symbols | None = None,
    command_line: str | None = None,
    initrd: bytes = b"",
    extract: bool = True,
) -> Guest:
    """A guest from a vmlinux or bzImage, entered in long mode with RSI at its boot_params.

    Args:
        data: the file.
        title: what to call it.
        entry: RIP to start at; the kernel's unless given.
        memory: bytes of RAM; 256 MiB unless given.
        tables: where the page tables for the start are.
        stack: RSP; the kernel takes one of its own at once.
        symbols: names of its addresses beside the kernel's own.
        command_line: what the kernel is told; its console on the serial port unless given.
        initrd: the initial RAM disk.
        extract: take the kernel out of a bzImage here, not in the guest.

    Raises:
        GuestError: when it can't be started like this.
    """
    setup, found = b"", Symbols()
    if is_bzimage(data):
        kernel = read_header(data, title)
        setup = kernel.setup
        if extract:
            offset, length = kernel.payload
            data = expand(data[offset : offset + length], title)
    if elf.is_elf(data):
        executable = elf.read_executable(data, title)
        if executable.mode is not Mode.LONG:
            raise GuestError(f"{title}: a 32-bit kernel; only x86-64 ones can be started")
        parts = [Part(one.physical, one.data, one.size) for one in executable.segments]
        start, found = executable.entry, executable.symbols
        start -= HIGH if start >= HIGH else 0
    elif setup and not extract:
        parts = [Part(kernel.load, data[kernel.code :], kernel.need)]
        start = kernel.load + _ENTRY_64
    else:
        raise GuestError(f"{title}: no Linux kernel; wanted a vmlinux or a bzImage")
    size = memory_for(max(part.end for part in parts), MEMORY if memory is None else memory)
    line = _command_line(COMMAND_LINE if command_line is None else command_line, title)
    if initrd:
        parts.append(_place_initrd(initrd, parts, size, title))
    disk = (parts[-1].address, len(initrd)) if initrd else (0, 0)
    lowest = min(part.address for part in parts)
    parts += [
        Part(GDT, bytes(8) + flat_descriptors(Mode.LONG)),
        Part(BOOT_PARAMS, boot_params(setup, size, disk)),
        Part(_COMMAND_LINE_AT, line),
    ]
    guest = Guest(
        title,
        b"",
        Mode.LONG,
        lowest,
        start if entry is None else entry,
        size,
        {"rsi": BOOT_PARAMS, "rdi": 0},
        tuple(parts),
        stack=stack,
        tables=tables,
        symbols=found.joined(symbols or Symbols()),
        irqchip=True,
        code_selector=BOOT_CS,
    )
    check_guest(guest, "give more --memory")
    return guest


def boot_params(setup: bytes, memory: int, initrd: tuple[int, int]) -> bytes:
    """The zero page.

    Args:
        setup: a bzImage's setup header; empty for a vmlinux.
        memory: bytes of RAM from 0.
        initrd: address and bytes of the initial RAM disk.
    """
    page = bytearray(PAGE)
    page[_SETUP_HEADER : _SETUP_HEADER + len(setup)] = setup
    if not setup:
        page[0x1FE:0x200] = b"\x55\xaa"
        page[_MAGIC_AT : _MAGIC_AT + 4] = _MAGIC
        struct.pack_into("<H", page, 0x206, _OLDEST)
        page[_LOADFLAGS] = _LOADED_HIGH
    page[_TYPE_OF_LOADER] = _UNKNOWN_LOADER
    struct.pack_into("<II", page, _RAMDISK, *initrd)
    struct.pack_into("<I", page, _COMMAND_LINE_POINTER, _COMMAND_LINE_AT)
    entries = memory_map(memory)
    page[_E820_ENTRIES] = len(entries)
    for number, entry in enumerate(entries):
        struct.pack_into("<QQI", page, _E820_TABLE + 20 * number, *entry)
    return bytes(page)


def _command_line(text: str, title: str) -> bytes:
    line = text.encode("utf-8", "surrogateescape") + b"\0"
    if len(line) > LONGEST_COMMAND_LINE:
        raise GuestError(f"{title}: a command line of more than {LONGEST_COMMAND_LINE} bytes")
    return line


def _place_initrd(initrd: bytes, parts: Sequence[Part], memory: int, title: str) -> Part:
    """As high as it may be, on a page."""
    at = (min(memory, _INITRD_MAXIMUM + 1) - len(initrd)) // PAGE * PAGE
    behind = max(EXTENDED, *(part.end for part in parts))
    if at < behind:
        need = behind + len(initrd) + PAGE
        raise GuestError(
            f"{title}: no room for the initrd of {len(initrd)} bytes behind the kernel, which ends "
            f"at {behind:#x}; give at least {-(-need // (1 << 20))}M with --memory"
        )
    return Part(at, initrd)
