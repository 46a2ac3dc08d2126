"""Static ELF executables: what is loaded where, the entry, the symbols.

Read here and not by a library, since start-up time counts and a guest's file is hostile:
every offset and count is checked before it is used. Source: the System V ABI (gABI 4.1)
chapters 4 and 5, its psABI supplements for i386 and x86-64.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kdash.backends.kvm.facts import GuestError, Mode
from kdash.backends.kvm.guests import (
    STACK,
    Guest,
    Part,
    check_guest,
    memory_for,
)
from kdash.backends.kvm.modes import HIGH, TABLES
from kdash.backends.kvm.symbols import Symbols

MAGIC: Final = b"\x7fELF"

_CLASS_32: Final = 1
_CLASS_64: Final = 2
_LITTLE_ENDIAN: Final = 1
_TYPES: Final = {0: "ET_NONE", 1: "ET_REL", 2: "ET_EXEC", 3: "ET_DYN", 4: "ET_CORE"}
_TYPE_WORDS: Final = {
    1: "relocatable object", 2: "executable", 3: "shared object or PIE", 4: "core dump",
}  # fmt: skip
_EXECUTABLE: Final = 2
_REMEDIES: Final = {
    1: "link it with ld, or gcc -static -nostdlib",
    3: "link it with -static -no-pie",
}
_MACHINES: Final = {3: "i386", 62: "x86-64", 40: "Arm", 183: "AArch64", 243: "RISC-V", 8: "MIPS",
                    20: "PowerPC", 21: "PowerPC 64", 22: "S/390", 258: "LoongArch"}  # fmt: skip
_MACHINE_OF_CLASS: Final = {_CLASS_32: 3, _CLASS_64: 62}
_PT_LOAD: Final = 1
_PT_INTERP: Final = 3
_SHT_SYMTAB: Final = 2
_SHN_UNDEF: Final = 0
_STT_OBJECT: Final = 1  # types up to this and STT_FUNC name addresses
_STT_FUNC: Final = 2
_LINES: Final = b".debug_line\0"

#: Segments and sections a guest may have: far above any kernel's.
_MOST_HEADERS: Final = 4096
_MOST_SYMBOLS: Final = 2_000_000
_LONGEST_NAME: Final = 512  # KSYM_NAME_LEN, Linux 6.1


@dataclass(frozen=True, slots=True)
class Layout:
    """Formats of one ELF class."""

    header: struct.Struct  # from e_type on
    segment: struct.Struct
    section: struct.Struct
    symbol: struct.Struct


_LAYOUTS: Final = {
    _CLASS_32: Layout(
        struct.Struct("<HHIIIIIHHHHHH"), struct.Struct("<8I"), struct.Struct("<10I"),
        struct.Struct("<IIIBBH"),
    ),
    _CLASS_64: Layout(
        struct.Struct("<HHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ"), struct.Struct("<IIQQQQIIQQ"),
        struct.Struct("<IBBHQQ"),
    ),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Segment:
    """One PT_LOAD segment."""

    physical: int
    virtual: int
    data: bytes
    size: int  # bytes in memory, at least those of `data`


@dataclass(frozen=True, slots=True)
class Executable:
    """What a static executable says."""

    mode: Mode  # that of its class
    entry: int  # virtual
    segments: tuple[Segment, ...]
    symbols: Symbols


def is_elf(data: bytes) -> bool:
    """Whether the file calls itself ELF."""
    return data.startswith(MAGIC)


def told(data: bytes) -> str:
    """What an ELF file is by its header: class, type and machine in a few words."""
    try:
        file = _File(data, "ELF")
    except GuestError as error:
        return str(error)
    kind = _TYPE_WORDS.get(file.type, f"of type {file.type}")
    machine = _MACHINES.get(file.machine, f"machine {file.machine}")
    return f"ELF{32 * file.kind} {kind}, {machine}"


class _File:
    """An ELF file with its header read."""

    def __init__(self, data: bytes, title: str) -> None:
        self.data = data
        self.title = title
        kind = data[4] if len(data) > 5 else 0
        if not is_elf(data) or kind not in _LAYOUTS:
            raise self.error(
                "no ELF file of class 32 or 64; a flat binary is made with objcopy -O binary"
            )
        if data[5] != _LITTLE_ENDIAN:
            raise self.error("a big-endian ELF file; x86 guests are little-endian")
        self.kind = kind
        self.layout = _LAYOUTS[kind]
        if len(data) < 16 + self.layout.header.size:
            raise self.error(f"the ELF header is cut off; the file has {len(data)} bytes")
        fields = self.layout.header.unpack_from(data, 16)
        self.type, self.machine, _, self.entry, self.segments_at, self.sections_at = fields[:6]
        self.names = fields[12]  # section of the sections' names
        self.segment_size, self.segment_count, self.section_size, self.section_count = fields[8:12]

    def error(self, what: str) -> GuestError:
        return GuestError(f"{self.title}: {what}")

    def check_kind(self) -> None:
        machine = _MACHINES.get(self.machine, f"machine {self.machine}")
        if self.machine != _MACHINE_OF_CLASS[self.kind]:
            raise self.error(
                f"an ELF file for {machine} in class {32 * self.kind}; guests are i386 in class "
                "32 or x86-64 in class 64"
            )
        if self.type != _EXECUTABLE:
            name = _TYPES.get(self.type, f"type {self.type}")
            remedy = _REMEDIES.get(self.type, "static executables (ET_EXEC) can be run")
            raise self.error(f"an ELF file of {name}, not a static executable; {remedy}")

    def table(
        self, what: str, at: int, size: int, count: int, entry: struct.Struct
    ) -> Iterator[tuple[int, ...]]:
        """The entries of a header table, checked to be in the file."""
        if count > _MOST_HEADERS:
            raise self.error(f"{count} {what} headers; at most {_MOST_HEADERS}")
        if count and size < entry.size:
            raise self.error(f"{what} headers of {size} bytes; they have {entry.size}")
        if at + size * count > len(self.data):
            raise self.error(
                f"{count} {what} headers at {at:#x} reach beyond the file's {len(self.data)} bytes"
            )
        for number in range(count):
            yield entry.unpack_from(self.data, at + size * number)


def read_executable(data: bytes, title: str) -> Executable:
    """Read a static executable.

    Raises:
        GuestError: when it is none, is for another machine, or contradicts itself.
    """
    file = _File(data, title)
    file.check_kind()
    mode = Mode.LONG if file.kind == _CLASS_64 else Mode.PROTECTED
    segments = tuple(_segments(file))
    if not segments:
        raise file.error("an ELF file without a PT_LOAD segment; there is nothing to load")
    return Executable(mode, file.entry, segments, _symbols(file))


def has_lines(data: bytes) -> bool:
    """Whether an ELF file has DWARF line tables; False for one that is damaged."""
    try:
        file = _File(data, "")
        sections = list(
            file.table(
                "section", file.sections_at, file.section_size, file.section_count,
                file.layout.section,
            )
        )  # fmt: skip
        names = _content(file, sections[file.names]) if file.names < len(sections) else b""
    except GuestError:
        return False
    found = (names[one[0] : one[0] + len(_LINES)] for one in sections)
    return any(name == _LINES for name in found)


def read_symbols(data: bytes, title: str) -> Symbols:
    """The symbols of an ELF file of any type.

    Raises:
        GuestError: when its tables are damaged.
    """
    return _symbols(_File(data, title))


def virtual_addresses(data: bytes) -> tuple[int, ...]:
    """Where the PT_LOAD segments of a 64-bit file are linked to; its contents are not looked at.

    Raises:
        GuestError: when its headers are damaged.
    """
    file = _File(data, "")
    table = file.table(
        "program", file.segments_at, file.segment_size, file.segment_count, file.layout.segment
    )
    return tuple(fields[3] for fields in table if fields[0] == _PT_LOAD)


def _segments(file: _File) -> Iterator[Segment]:
    wide = file.kind == _CLASS_64
    table = file.table(
        "program", file.segments_at, file.segment_size, file.segment_count, file.layout.segment
    )
    for number, fields in enumerate(table):
        if wide:
            kind, _, offset, virtual, physical, size, memory_size, _ = fields
        else:
            kind, offset, virtual, physical, size, memory_size, _, _ = fields
        if kind == _PT_INTERP:
            raise file.error("a dynamically linked executable; link it with -static")
        if kind != _PT_LOAD or not memory_size:
            continue
        if offset + size > len(file.data):
            raise file.error(
                f"segment {number}, {size} bytes at {offset:#x}, reaches beyond the file's "
                f"{len(file.data)} bytes"
            )
        if memory_size < size:
            raise file.error(f"segment {number} has {size} bytes, but {memory_size} in memory")
        yield Segment(
            physical - HIGH if physical >= HIGH else physical,
            virtual,
            file.data[offset : offset + size],
            memory_size,
        )


def _symbols(file: _File) -> Symbols:
    sections = list(
        file.table(
            "section", file.sections_at, file.section_size, file.section_count, file.layout.section
        )
    )
    for fields in sections:
        if fields[1] == _SHT_SYMTAB:
            return Symbols.of(_symbol_table(file, fields, sections))
    return Symbols()


def _symbol_table(
    file: _File, table: tuple[int, ...], sections: list[tuple[int, ...]]
) -> Iterator[tuple[str, int]]:
    data = _content(file, table)
    link = table[6]
    if link >= len(sections):
        raise file.error(f"the symbol table's names are in section {link}, of {len(sections)}")
    names = _content(file, sections[link])
    entry = file.layout.symbol
    data = data[: len(data) // entry.size * entry.size]
    if len(data) // entry.size > _MOST_SYMBOLS:
        raise file.error(f"more than {_MOST_SYMBOLS} symbols")
    for fields in entry.iter_unpack(data):
        if file.kind == _CLASS_64:
            name_at, info, _, section, value, _ = fields
        else:
            name_at, value, _, info, _, section = fields
        if section == _SHN_UNDEF or info & 0xF > _STT_FUNC:
            continue
        name = names[name_at : name_at + _LONGEST_NAME].partition(b"\0")[0]
        if name:
            yield printable(name), value


def _content(file: _File, section: tuple[int, ...]) -> bytes:
    offset, size = section[4], section[5]
    if offset + size > len(file.data):
        raise file.error(
            f"a section of {size} bytes at {offset:#x} reaches beyond the file's "
            f"{len(file.data)} bytes"
        )
    return file.data[offset : offset + size]


def printable(name: bytes) -> str:
    r"""A symbol's name; what a terminal might obey becomes \xNN."""
    text = name.decode("ascii", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def elf_guest(  # noqa: PLR0913 - the options of a guest
    data: bytes,
    title: str,
    *,
    mode: Mode | None = None,
    entry: int | None = None,
    memory: int | None = None,
    stack: int = STACK,
    tables: int = TABLES,
    symbols: Symbols | None = None,
) -> Guest:
    """A guest from a static executable: long mode for ELF64, protected for ELF32.

    Segments go to their physical addresses; those at or above -2 GiB to where long mode's
    page tables map them. Arguments as of `guests.flat`.

    Raises:
        GuestError: when it can't be started like this.
    """
    found = read_executable(data, title)
    parts = tuple(Part(one.physical, one.data, one.size) for one in found.segments)
    guest = Guest(
        title,
        b"",
        mode or found.mode,
        min(one.virtual for one in found.segments),
        found.entry if entry is None else entry,
        memory_for(max(part.end for part in parts), memory),
        parts=parts,
        stack=stack,
        tables=tables,
        symbols=found.symbols.joined(symbols or Symbols()),
    )
    _check_entry(guest, found, entry is not None)
    check_guest(guest, "link it elsewhere with -Ttext-segment")
    return guest


def _check_entry(guest: Guest, found: Executable, chosen: bool) -> None:
    """Refuse an entry of the file outside its segments; one given by option is the user's."""
    inside = any(
        one.virtual <= guest.entry < one.virtual + one.size
        or one.physical <= guest.entry < one.physical + one.size
        for one in found.segments
    )
    if not (inside or chosen):
        raise GuestError(
            f"{guest.title}: entry {guest.entry:#x} is in no segment; name one with --entry"
        )
