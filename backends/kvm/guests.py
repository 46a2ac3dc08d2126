"""Guests: what is loaded where, and with which registers it starts; flat binaries.

The flat convention: RAM from 0, image and entry at 0x1000, RSP 0x8000 less 0x400 for each
VCPU before, RDI the VCPU's index, RFLAGS 2, all other general registers 0.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kdash.backends.kvm.facts import GuestError, GuestFileError, Mode
from kdash.backends.kvm.layout import PAGE, Region, check_regions
from kdash.backends.kvm.lines import Lines
from kdash.backends.kvm.modes import CODE, HIGH, MAPPED, TABLES, TABLES_SIZE
from kdash.backends.kvm.sizes import size_text
from kdash.backends.kvm.symbols import Symbols

if TYPE_CHECKING:
    from kdash.backends.kvm.cpuid_request import CpuidRequest
    from kdash.backends.kvm.recording_file import Loaded

LOAD: Final = 0x1000
STACK: Final = 0x8000
STACK_PER_VCPU: Final = 0x400
#: What an image must leave free below the top of the stack: half of a VCPU's share.
STACK_LEAST: Final = 0x200
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
class Part:
    """Bytes of a guest and where they go."""

    address: int  # guest-physical
    data: bytes
    size: int = 0  # bytes in memory where that is more than `data`; the rest is 0

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.address + max(self.size, len(self.data))

    def overlaps(self, start: int, end: int) -> bool:
        """Whether it lies somewhere in [start, end)."""
        return self.address < end and start < self.end


@dataclass(frozen=True, slots=True)
class Guest:
    """What is loaded, and how it is started."""

    title: str
    image: bytes  # empty where `parts` hold all
    mode: Mode = Mode.REAL
    load: int = LOAD  # guest-physical; of a guest in parts the lowest RIP of its code
    entry: int = LOAD  # RIP; the code segment's base is 0
    memory: int = MEMORY_MINIMUM  # bytes of RAM from 0, a multiple of 4096
    registers: Mapping[str, int] = field(default_factory=dict)  # set after the convention's
    parts: tuple[Part, ...] = ()  # loaded beside the image
    roms: tuple[Region, ...] = ()  # and other memory beside the RAM; RAM makes way for it
    stack: int = STACK  # its top, for VCPU 0
    tables: int = TABLES  # page tables of long mode, guest-physical
    symbols: Symbols = field(default_factory=Symbols)
    lines: Lines | None = None  # source lines of its addresses, where there are line tables
    disk: bytes | None = None  # a disk image: the machine has BIOS services for it
    vcpus: int = 1
    recorded: Loaded | None = None  # a recording to be looked through; nothing to run then
    irqchip: bool = False  # PIC, IOAPIC, local APICs and PIT in the kernel
    code_selector: int = CODE  # of protected and long mode; the data segments' is the next
    host_cpuid: bool = True  # CPUID answers what KVM supports on this host
    cpuid: tuple[CpuidRequest, ...] = ()  # what it answers instead, in this order
    reset: bool = False  # VCPUs start as they come out of reset, at the top of 4 GiB
    startup_ipi: bool = False  # VCPUs but the first wait for INIT and SIPI, as on a PC

    def start_registers(self, index: int) -> dict[str, int]:
        """General registers of VCPU `index` at the entry."""
        if self.reset:
            return {"rip": self.entry, "rflags": 2, **self.registers}
        return {
            "rip": self.entry,
            "rsp": self.stack - STACK_PER_VCPU * index,
            "rdi": index,
            "rflags": 2,
            **self.registers,
        }

    @property
    def stack_end(self) -> int:
        """The lowest address that the stacks of all VCPUs need; below 0 they don't fit."""
        others = 0 if self.startup_ipi else self.vcpus - 1
        return self.stack - STACK_PER_VCPU * others - STACK_LEAST

    @property
    def contents(self) -> tuple[Part, ...]:
        """All that is loaded into RAM."""
        return (Part(self.load, self.image), *self.parts) if self.image else self.parts

    @property
    def regions(self) -> tuple[Region, ...]:
        """The machine's memory by address.

        Raises:
            GuestError: when regions beside the RAM overlap.
        """
        beside = check_regions(self.roms)
        found: list[Region] = []
        at = 0
        for region in beside:
            if at < min(region.start, self.memory):
                found.append(Region(at, min(region.start, self.memory) - at))
            found.append(region)
            at = max(at, region.end)
        if at < self.memory:
            found.append(Region(at, self.memory - at))
        return tuple(found)


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
    stack: int = STACK,
    tables: int = TABLES,
    symbols: Symbols | None = None,
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
        stack: RSP of VCPU 0.
        tables: guest-physical address of the page tables of long mode.
        symbols: names of its addresses.

    Raises:
        GuestError: when it can't be started like this.
    """
    if not image:
        raise GuestError(f"{title}: the file is empty; a flat binary holds the guest's code")
    if image.startswith(_ELF_MAGIC):
        raise GuestError(
            f"{title}: an ELF file, not a flat binary; convert it with objcopy -O binary"
        )
    guest = Guest(
        title,
        image,
        mode,
        load,
        load if entry is None else entry,
        memory_for(load + len(image), memory),
        dict(registers or {}),
        stack=stack,
        tables=tables,
        symbols=symbols or Symbols(),
    )
    check_guest(guest)
    return guest


def memory_for(end: int, memory: int | None) -> int:
    """Bytes of RAM for an image that ends at `end`: those asked for, else 16 MiB beyond it."""
    if memory is None:
        memory = max(MEMORY_MINIMUM, end + MEMORY_BEYOND_IMAGE)
    return -(-memory // PAGE) * PAGE


def check_guest(guest: Guest, moves: str = "choose another --load") -> None:
    """Refuse a guest that can't be started.

    Args:
        guest: the guest.
        moves: what moves its image.

    Raises:
        GuestError: saying why not, and which option helps.
    """
    for part in guest.contents:
        if part.end > MEMORY_MAXIMUM:
            raise GuestError(
                f"{guest.title}: loaded at {part.address:#x} it ends at {part.end:#x}; memory ends "
                f"at {MEMORY_MAXIMUM:#x} ({size_text(MEMORY_MAXIMUM)}) at most; {moves}"
            )
    if guest.memory > MEMORY_MAXIMUM:
        raise GuestError(
            f"{guest.title}: {size_text(guest.memory)} of memory are too much; "
            f"at most {size_text(MEMORY_MAXIMUM)}"
        )
    if guest.memory < PAGE:
        raise GuestError(f"{guest.title}: at least one page (4K) of memory is needed")
    for part in guest.contents:
        if part.end > guest.memory:
            raise GuestError(
                f"{guest.title}: loaded at {part.address:#x} it ends at {part.end:#x}, beyond the "
                f"{size_text(guest.memory)} of memory; give more with --memory"
            )
    if guest.mode is Mode.LONG:
        _check_tables(guest, moves)
    if not guest.reset:
        _check_entry(guest)
    _check_vcpus(guest)
    if guest.stack != STACK:
        _check_stack(guest)
    if not guest.reset:
        _check_overlap(guest, max(guest.stack_end, 0), guest.stack, _stacks(guest),
                       "--stack moves the stack")  # fmt: skip
    check_regions(guest.regions)


def _check_stack(guest: Guest) -> None:
    """Refuse a stack that was asked for where the first push finds no RAM."""
    top = guest.stack - 1
    match guest.mode:
        case Mode.REAL:
            if top > 0xFFFF:
                raise GuestError(
                    f"{guest.title}: the stack {guest.stack:#x} can't be reached in real mode; its "
                    "top is at most 0x10000 with the stack segment at 0"
                )
            top &= 0xFFFF
        case Mode.PROTECTED:
            top &= 0xFFFF_FFFF
        case Mode.LONG:
            top &= 0xFFFF_FFFF_FFFF_FFFF
            top = top - HIGH if top >= HIGH else top
            top = top if top < MAPPED else guest.memory  # beyond what is mapped there is none
    writable = [region for region in guest.regions if not region.readonly]
    if not any(region.start <= top < region.end for region in writable):
        raise GuestError(
            f"{guest.title}: no memory below the stack {guest.stack:#x}, where the first push "
            f"would go; choose another --stack within the {size_text(guest.memory)} of memory"
        )


def _check_entry(guest: Guest) -> None:
    """Refuse an entry that can't be reached, or where no memory is."""
    physical = guest.entry
    if guest.mode is Mode.REAL and guest.entry > 0xFFFF:
        if guest.entry == guest.load:
            raise GuestError(
                f"{guest.title}: loaded at {guest.load:#x} it can't be entered in real mode; "
                "the entry is at most 0xffff with the code segment at 0: choose another --load, "
                "--entry or --mode"
            )
        raise GuestError(
            f"{guest.title}: entry {guest.entry:#x} can't be reached in real mode; "
            "it is at most 0xffff with the code segment at 0"
        )
    if guest.mode is Mode.PROTECTED and guest.entry > 0xFFFF_FFFF:
        raise GuestError(f"{guest.title}: entry {guest.entry:#x} has more than 32 bits")
    if guest.mode is Mode.LONG:
        physical = guest.entry - HIGH if guest.entry >= HIGH else guest.entry
        if physical >= MAPPED:
            raise GuestError(
                f"{guest.title}: entry {guest.entry:#x} is not mapped; in long mode the first GiB "
                "is, at 0 and at -2 GiB"
            )
    if not any(region.start <= physical < region.end for region in guest.regions):
        raise GuestError(
            f"{guest.title}: entry {guest.entry:#x} is outside of the {size_text(guest.memory)} of "
            "memory; choose another --entry, or give more with --memory"
        )


def _stacks(guest: Guest) -> str:
    return "the stack" if guest.vcpus == 1 else f"the stacks of {guest.vcpus} VCPUs"


def _check_vcpus(guest: Guest) -> None:
    if guest.vcpus < 1:
        raise GuestError(f"{guest.title}: a machine has at least one VCPU")
    if guest.vcpus == 1:
        return
    if guest.startup_ipi and not guest.irqchip:
        raise GuestError(
            f"{guest.title}: its VCPUs but the first wait for INIT and SIPI, which needs "
            "interrupt controllers; add --irqchip"
        )
    if not guest.startup_ipi and guest.stack_end < 0:
        raise GuestError(
            f"{guest.title}: {_stacks(guest)}, {size_text(STACK_PER_VCPU)} each, don't fit below "
            f"{guest.stack:#x}; --stack moves them"
        )


def _check_tables(guest: Guest, moves: str) -> None:
    end = guest.tables + TABLES_SIZE
    if guest.tables % PAGE:
        raise GuestError(f"{guest.title}: page tables at {guest.tables:#x}: not a whole page")
    if guest.memory < end:
        raise GuestError(
            f"{guest.title}: the page tables of long mode at {guest.tables:#x} end at {end:#x}, "
            f"beyond the {size_text(guest.memory)} of memory; --page-tables moves them, or give "
            "more with --memory"
        )
    _check_overlap(guest, guest.tables, end, "the page tables of long mode",
                   f"--page-tables moves them, or {moves}")  # fmt: skip


def _check_overlap(guest: Guest, start: int, end: int, what: str, remedy: str) -> None:
    for part in guest.contents:
        if part.overlaps(start, end):
            raise GuestError(
                f"{guest.title}: {part.address:#x}-{part.end - 1:#x} overlaps {what} at "
                f"{start:#x}-{end - 1:#x}; {remedy}"
            )


def read_image(path: str | os.PathLike[str]) -> bytes:
    """A guest's file.

    Raises:
        GuestFileError: when it can't be read.
        GuestError: when no machine could hold it.
    """
    file = Path(path)
    try:
        found = file.stat()
        # A pipe or a device would make us wait, or never end.
        if not stat.S_ISREG(found.st_mode):
            raise GuestFileError(f"{path}: not a regular file")
        if found.st_size > MEMORY_MAXIMUM:
            raise GuestError(f"{file.name}: larger than the largest memory (3 GiB)")
        return file.read_bytes()
    except OSError as error:
        raise GuestFileError(f"{path}: {error.strerror}") from None


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
    return flat(
        read_image(path),
        Path(path).name,
        mode=mode,
        load=load,
        entry=entry,
        memory=memory,
        registers=registers,
    )
