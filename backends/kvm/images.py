"""Guest files: their format by content, and guests from them as options say."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kdash.backends.kvm import elf, guests, multiboot
from kdash.backends.kvm.bios_image import bios_guest, is_bios
from kdash.backends.kvm.boot import boot_guest, is_boot_sector
from kdash.backends.kvm.facts import GuestError, Mode
from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.layout import Region
from kdash.backends.kvm.lines import Lines
from kdash.backends.kvm.linux import is_bzimage, is_vmlinux, linux_guest
from kdash.backends.kvm.modes import TABLES
from kdash.backends.kvm.symbols import Symbols, system_map

if TYPE_CHECKING:
    from kdash.backends.kvm.cpuid_request import CpuidRequest


#: What a file with a recording begins with (recording_file.py).
RECORDING: Final = b"\x89KDASH\r\n"


class Format(Enum):
    """What a guest file is."""

    FLAT = "flat"
    ELF = "elf"
    MULTIBOOT = "multiboot"
    BOOT = "boot"
    BIOS = "bios"
    LINUX = "linux"


@dataclass(frozen=True, slots=True)
class Options:
    """What was asked for; None: what the file says, or the convention."""

    format: Format | None = None
    mode: Mode | None = None
    load: int | None = None
    entry: int | str | None = None  # an address or a symbol
    memory: int | None = None
    stack: int | None = None
    tables: int | None = None
    symbols: str | os.PathLike[str] | None = None  # an ELF file or a System.map
    registers: Mapping[str, int] = field(default_factory=dict)
    command_line: str | None = None  # of a multiboot image or a Linux kernel
    initrd: str | os.PathLike[str] | None = None  # a Linux kernel's initial RAM disk
    extract: bool = True  # take the kernel out of a bzImage here, not in the guest
    vcpus: int = 1
    irqchip: bool = False  # interrupt controllers and timer in the kernel
    cpuid: tuple[CpuidRequest, ...] = ()  # what CPUID answers
    record_memory: int | None = None  # bytes that a recording from a file may take


#: Options by the fields whose names are others.
_OPTION_NAMES: Final = {
    "format": "type", "tables": "page-tables", "command_line": "append", "extract": "no-extract",
}  # fmt: skip


def detect(data: bytes) -> Format:
    """The format of a guest file by its content; what is nothing else is flat."""
    if multiboot.find_header(data):
        return Format.MULTIBOOT
    if elf.is_elf(data):
        return Format.LINUX if is_vmlinux(data) else Format.ELF
    if is_bzimage(data):
        return Format.LINUX
    if is_boot_sector(data):
        return Format.BOOT
    return Format.BIOS if is_bios(data) else Format.FLAT


def is_recording(path: str | os.PathLike[str]) -> bool:
    """Whether a file begins as a recording does; False where it can't be read."""
    try:
        with Path(path).open("rb") as file:
            return file.read(len(RECORDING)) == RECORDING
    except OSError:
        return False


def load_file(path: str | os.PathLike[str], options: Options | None = None) -> Guest:
    """The guest in a file.

    Raises:
        GuestFileError: when a file can't be read.
        GuestError: when it can't be started as asked.
    """
    data = guests.read_image(path)
    if data.startswith(RECORDING):
        return _recorded(data, Path(path).name, options or Options())
    guest = make_guest(data, Path(path).name, options)
    if guest.lines is None and elf.is_elf(data) and elf.has_lines(data):
        file = Path(path).resolve()
        guest = replace(guest, lines=Lines(file, (file.parent,)))
    return guest


def _recorded(data: bytes, title: str, options: Options) -> Guest:
    """The guest of a recording: its machine is made again as it was, when it goes on."""
    from kdash.backends.kvm.recording import LIMIT
    from kdash.backends.kvm.recording_file import load

    asked = replace(options, symbols=None, registers={}, record_memory=None)
    if asked != Options():
        names = (one.name for one in fields(Options))
        name = next(one for one in names if getattr(asked, one) != getattr(Options(), one))
        raise GuestError(
            f"{title}: a recording; its machine is the one that was recorded, and "
            f"--{_OPTION_NAMES.get(name, name)} can't change it"
        )
    loaded = load(data, title, options.record_memory or LIMIT)
    recording, about, machine = loaded.recording, loaded.about, loaded.about.machine
    areas = (one for one in recording.areas if one.slot >= 0)
    lines = None if options.symbols is None else _lines_of(Path(options.symbols))
    try:
        return Guest(
            about.title, b"", load=about.load, memory=machine.memory,
            roms=tuple(Region(one.guest, one.size, one.readonly) for one in areas),
            symbols=Symbols.of(about.symbols) if options.symbols is None
            else symbol_file(options.symbols),
            disk=machine.disk, vcpus=recording.vcpu_count, irqchip=machine.irqchip,
            host_cpuid=machine.host_cpuid, cpuid=machine.cpuid, recorded=loaded, lines=lines,
        )  # fmt: skip
    except BaseException:
        recording.close()
        raise


def make_guest(data: bytes, title: str, options: Options | None = None) -> Guest:
    """The guest in the bytes of a file.

    Raises:
        GuestFileError: when the symbol file can't be read.
        GuestError: when it can't be started as asked.
    """
    options = options or Options()
    symbols = Symbols() if options.symbols is None else symbol_file(options.symbols)
    kind = options.format or detect(data)
    guessed = kind in (Format.BOOT, Format.BIOS) and options.format is None
    if guessed and _is_flat_by_options(options):
        kind = Format.FLAT
    _refuse_kernel_options(title, options, kind)
    try:
        guest = _MAKERS[kind](data, title, options, symbols)
    except struct.error as error:  # no reader shall let one through, no user shall see one
        raise GuestError(f"{title}: damaged: {error}") from None
    if options.cpuid:
        guest = replace(guest, cpuid=options.cpuid)
    if options.vcpus != 1 or options.irqchip:
        guest = replace(guest, vcpus=options.vcpus, irqchip=guest.irqchip or options.irqchip)
        guests.check_guest(guest)
    if options.symbols is not None and (lines := _lines_of(Path(options.symbols))):
        guest = replace(guest, lines=lines)
    return guest


def _lines_of(file: Path) -> Lines | None:
    """The line tables of a symbol file that was read before."""
    data = guests.read_image(file)
    if not elf.is_elf(data) or not elf.has_lines(data):
        return None
    file = file.resolve()
    return Lines(file, (file.parent,))


def _is_flat_by_options(options: Options) -> bool:
    return options.load is not None or options.mode not in (None, Mode.REAL)


def symbol_file(path: str | os.PathLike[str]) -> Symbols:
    """The symbols in an ELF file or a System.map.

    Raises:
        GuestFileError: when it can't be read.
        GuestError: when it is neither.
    """
    file = Path(path)
    data = guests.read_image(path)
    found = (elf.read_symbols if elf.is_elf(data) else system_map)(data, file.name)
    if not found:
        raise GuestError(f"{file.name}: no symbols in it; an unstripped ELF file has them")
    return found


def entry_address(entry: int | str | None, symbols: Symbols, title: str) -> int | None:
    """An entry given as address or symbol.

    Raises:
        GuestError: when there is no such symbol.
    """
    if not isinstance(entry, str):
        return entry
    address = symbols.address(entry)
    if address is None:
        near = get_close_matches(entry, symbols.addresses, 3)
        known = f"; near it are {', '.join(near)}" if near else ""
        none = "" if symbols else "; it has none, --symbols FILE adds them"
        raise GuestError(f"{title}: no symbol {elf.printable(entry.encode())}{known}{none}")
    return address


def _flat(data: bytes, title: str, options: Options, symbols: Symbols) -> Guest:
    return guests.flat(
        data,
        title,
        mode=options.mode or Mode.REAL,
        load=guests.LOAD if options.load is None else options.load,
        entry=entry_address(options.entry, symbols, title),
        memory=options.memory,
        registers=options.registers,
        stack=guests.STACK if options.stack is None else options.stack,
        tables=TABLES if options.tables is None else options.tables,
        symbols=symbols,
    )


def _elf(data: bytes, title: str, options: Options, symbols: Symbols) -> Guest:
    _refuse_load(title, options, "an ELF file")
    return elf.elf_guest(
        data,
        title,
        mode=options.mode,
        entry=_own_entry(data, title, options, symbols),
        memory=options.memory,
        stack=guests.STACK if options.stack is None else options.stack,
        tables=TABLES if options.tables is None else options.tables,
        symbols=symbols,
    )


def _own_entry(data: bytes, title: str, options: Options, symbols: Symbols) -> int | None:
    """The entry asked for, with the file's own symbols known."""
    if not isinstance(options.entry, str):
        return options.entry
    own = elf.read_symbols(data, title) if elf.is_elf(data) else Symbols()
    return entry_address(options.entry, own.joined(symbols), title)


def _multiboot(data: bytes, title: str, options: Options, symbols: Symbols) -> Guest:
    _refuse_load(title, options, "a multiboot image")
    if options.mode not in (None, Mode.PROTECTED):
        raise GuestError(f"{title}: a multiboot image starts in protected mode, without --mode")
    return multiboot.multiboot_guest(
        data,
        title,
        entry=_own_entry(data, title, options, symbols),
        memory=options.memory,
        stack=guests.STACK if options.stack is None else options.stack,
        symbols=symbols,
        command_line=options.command_line or "",
    )


def _boot(data: bytes, title: str, options: Options, symbols: Symbols) -> Guest:
    _refuse_load(title, options, "a boot sector")
    return boot_guest(
        data,
        title,
        entry=entry_address(options.entry, symbols, title),
        memory=options.memory,
        stack=options.stack,
        symbols=symbols,
    )


def _bios(data: bytes, title: str, options: Options, symbols: Symbols) -> Guest:
    _refuse_load(title, options, "a BIOS image")
    for value, option in ((options.entry, "--entry"), (options.stack, "--stack")):
        if value is not None:
            raise GuestError(f"{title}: a BIOS image starts at the reset vector, without {option}")
    return bios_guest(data, title, memory=options.memory, symbols=symbols)


def _linux(data: bytes, title: str, options: Options, symbols: Symbols) -> Guest:
    _refuse_load(title, options, "a Linux kernel")
    if options.mode not in (None, Mode.LONG):
        raise GuestError(f"{title}: a Linux kernel starts in long mode, without --mode")
    return linux_guest(
        data,
        title,
        entry=_own_entry(data, title, options, symbols),
        memory=options.memory,
        tables=TABLES if options.tables is None else options.tables,
        stack=guests.STACK if options.stack is None else options.stack,
        symbols=symbols,
        command_line=options.command_line,
        initrd=b"" if options.initrd is None else guests.read_image(options.initrd),
        extract=options.extract,
    )


def _refuse_kernel_options(title: str, options: Options, taken: Format) -> None:
    """Options of kernels mean nothing to other guests."""
    asked = {
        "--append": (options.command_line, (Format.LINUX, Format.MULTIBOOT)),
        "--initrd": (options.initrd, (Format.LINUX,)),
        "--no-extract": (None if options.extract else True, (Format.LINUX,)),
    }
    for option, (value, formats) in asked.items():
        if value is not None and taken not in formats:
            kinds = " and ".join(_KERNELS[one] for one in formats)
            raise GuestError(f"{title}: {option} is for {kinds}; leave it out")


_KERNELS: Final = {Format.LINUX: "Linux kernels", Format.MULTIBOOT: "multiboot images"}


def _refuse_load(title: str, options: Options, kind: str) -> None:
    if options.load is not None:
        raise GuestError(
            f"{title}: {kind} says itself where it is loaded; --load is for flat binaries "
            "(--type flat)"
        )


_MAKERS: Final = {
    Format.FLAT: _flat,
    Format.ELF: _elf,
    Format.MULTIBOOT: _multiboot,
    Format.BOOT: _boot,
    Format.BIOS: _bios,
    Format.LINUX: _linux,
}
