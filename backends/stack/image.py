"""An x86-64 ELF relocatable file as numpy tables: sections, symbols, relocations.

Names, layouts and constants are those of the System V ABI (generic ELF specification,
chapters 4 and 5) and of its AMD64 supplement. Every offset and count of the file is checked
before it is used, so that a damaged file ends in one `ObjectError` and never in a traceback.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from kdash.backends.stack.facts import ObjectError

Ints = npt.NDArray[np.int64]

HEADER_SIZE = 64
ET_REL = 1
EM_X86_64 = 62
SHT_SYMTAB = 2
SHT_RELA = 4
SHT_NOBITS = 8
SHT_SYMTAB_SHNDX = 18
SHF_EXECINSTR = 4
SHN_LORESERVE = 0xFF00
SHN_XINDEX = 0xFFFF
STB_LOCAL = 0
STB_GLOBAL = 1
STB_WEAK = 2
STT_NOTYPE = 0
STT_OBJECT = 1
STT_FUNC = 2
STT_SECTION = 3
R_X86_64_64 = 1
R_X86_64_PC32 = 2
R_X86_64_PLT32 = 4

_SECTION = np.dtype(
    [
        ("name", "<u4"),
        ("type", "<u4"),
        ("flags", "<u8"),
        ("addr", "<u8"),
        ("offset", "<u8"),
        ("size", "<u8"),
        ("link", "<u4"),
        ("info", "<u4"),
        ("align", "<u8"),
        ("entsize", "<u8"),
    ]
)
_SYMBOL = np.dtype(
    [
        ("name", "<u4"),
        ("info", "u1"),
        ("other", "u1"),
        ("shndx", "<u2"),
        ("value", "<u8"),
        ("size", "<u8"),
    ]
)
_RELA = np.dtype([("offset", "<u8"), ("type", "<u4"), ("symbol", "<u4"), ("addend", "<i8")])

_TYPES = {0: "none", 2: "executable", 3: "shared object", 4: "core dump"}
_MACHINES = {3: "i386", 8: "MIPS", 20: "PowerPC", 21: "PowerPC64", 22: "s390", 40: "ARM"}
_MACHINES |= {183: "AArch64", 243: "RISC-V", 258: "LoongArch"}


@dataclass(frozen=True, slots=True)
class Section:
    """One section header; offsets and sizes in bytes of the file."""

    index: int
    name: str
    type: int
    flags: int
    offset: int
    size: int
    link: int
    info: int

    @property
    def executable(self) -> bool:
        """Whether the section holds instructions."""
        held = self.type not in (0, SHT_NOBITS) and self.size > 0
        return held and bool(self.flags & SHF_EXECINSTR)


@dataclass(frozen=True, slots=True)
class Symbols:
    """The symbol table, one array a field; `section` is 0 for undefined, -1 for reserved."""

    name: Ints  # offset into the string table
    type: Ints
    bind: Ints
    section: Ints
    value: Ints
    size: Ints


@dataclass(frozen=True, slots=True)
class Relocations:
    """The relocations of one section, sorted by offset."""

    offset: Ints
    type: Ints
    symbol: Ints
    addend: Ints

    def __len__(self) -> int:
        return len(self.offset)


def _no_ints() -> Ints:
    return np.empty(0, np.int64)


NO_RELOCATIONS = Relocations(_no_ints(), _no_ints(), _no_ints(), _no_ints())


class ObjectImage:
    """A relocatable object held in memory.

    Args:
        data: the whole file.

    Raises:
        ObjectError: it is no x86-64 ELF relocatable file, or it is damaged.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        table = self._section_table()
        self.machine = int.from_bytes(data[18:20], "little")
        self.sections = self._name_sections(table)
        self.symbols = self._read_symbols()
        self._relocation_sections: dict[int, list[Section]] = {}
        for section in self.sections:
            if section.type == SHT_RELA:
                self._relocation_sections.setdefault(section.info, []).append(section)

    # --- header and sections

    def _section_table(self) -> npt.NDArray[np.void]:
        data = self.data
        _check_header(data)
        offset = int.from_bytes(data[40:48], "little")
        entry_size = int.from_bytes(data[58:60], "little")
        count = int.from_bytes(data[60:62], "little")
        names = int.from_bytes(data[62:64], "little")
        if offset == 0:
            raise ObjectError("no section headers")
        if entry_size != _SECTION.itemsize:
            raise ObjectError(f"section headers of {entry_size} bytes, not {_SECTION.itemsize}")
        if offset + _SECTION.itemsize > len(data):
            raise ObjectError(f"section headers at {offset:#x} past the end of the file")
        first = np.frombuffer(data, _SECTION, 1, offset)[0]
        count = count or int(first["size"])
        names = int(first["link"]) if names == SHN_XINDEX else names
        if count == 0:
            raise ObjectError("no section headers")
        if offset + count * _SECTION.itemsize > len(data):
            raise ObjectError(f"{count} section headers at {offset:#x} past the end of the file")
        if names >= count:
            raise ObjectError(f"section names in section {names} of {count}")
        self._names_index = names
        return np.frombuffer(data, _SECTION, count, offset)

    def _name_sections(self, table: npt.NDArray[np.void]) -> list[Section]:
        columns = [
            table[field].tolist()
            for field in ("name", "type", "flags", "offset", "size", "link", "info")
        ]
        length = len(self.data)
        texts = _name_table(self.data, table[self._names_index])
        sections = []
        for index, (name, kind, flags, offset, size, link, info) in enumerate(
            zip(*columns, strict=True)
        ):
            if kind not in (0, SHT_NOBITS) and offset + size > length:
                raise ObjectError(
                    f"section {index} at {offset:#x} of {size:#x} bytes ends past the end"
                    f" of the file ({length:#x})"
                )
            sections.append(
                Section(index, _text(texts, name), kind, flags, offset, size, link, info)
            )
        held = sum(s.size for s in sections if s.type not in (0, SHT_NOBITS))
        if held > 2 * length:
            # A crafted file could make the validator read the same bytes a million times.
            raise ObjectError(f"sections of {held:#x} bytes overlap in a file of {length:#x}")
        return sections

    def content(self, section: Section) -> bytes:
        """The bytes of a section; empty for one that takes no space in the file."""
        if section.type in (0, SHT_NOBITS):
            return b""
        return self.data[section.offset : section.offset + section.size]

    def sections_named(self, *names: str) -> list[Section]:
        """Every section with one of these names, in file order."""
        return [section for section in self.sections if section.name in names]

    # --- symbols

    def _read_symbols(self) -> Symbols:
        tables = [section for section in self.sections if section.type == SHT_SYMTAB]
        self._strings = b""
        if not tables:
            return Symbols(*(_no_ints() for _ in range(6)))
        if len(tables) > 1:
            raise ObjectError("more than one symbol table")
        content = self.content(tables[0])
        if len(content) % _SYMBOL.itemsize:
            raise ObjectError(
                f"symbol table of {len(content)} bytes, not a multiple of {_SYMBOL.itemsize}"
            )
        if tables[0].link >= len(self.sections):
            raise ObjectError(f"symbol names in section {tables[0].link} of {len(self.sections)}")
        self._strings = self.content(self.sections[tables[0].link])
        table = np.frombuffer(content, _SYMBOL)
        section = self._symbol_sections(table["shndx"].astype(np.int64), tables[0].index)
        wrong = np.flatnonzero(section >= len(self.sections))
        if len(wrong):
            at = int(wrong[0])
            raise ObjectError(f"symbol {at} in section {section[at]} of {len(self.sections)}")
        self._check_values(table, section)
        info = table["info"].astype(np.int64)
        return Symbols(
            table["name"].astype(np.int64),
            info & 15,
            info >> 4,
            section,
            table["value"].astype(np.int64),
            table["size"].astype(np.int64),
        )

    def _check_values(self, table: npt.NDArray[np.void], section: Ints) -> None:
        """Symbols of a section lie in it, or right behind its end.

        Raises:
            ObjectError: one lies past the end.
        """
        sizes = np.array([one.size for one in self.sections], np.uint64)
        wrong = np.flatnonzero((section > 0) & (table["value"] > sizes[np.maximum(section, 0)]))
        if len(wrong):
            at = int(wrong[0])
            held, value = self.sections[int(section[at])], int(table["value"][at])
            name = _text(self._strings, int(table["name"][at])) or str(at)
            raise ObjectError(
                f"symbol {name} at {value:#x} outside {held.name} ({held.size:#x} bytes)"
            )

    def _symbol_sections(self, index: Ints, symtab: int) -> Ints:
        extended = np.flatnonzero(index == SHN_XINDEX)
        section = np.where(index >= SHN_LORESERVE, -1, index)
        if len(extended):
            wide = [s for s in self.sections if s.type == SHT_SYMTAB_SHNDX and s.link == symtab]
            content = self.content(wide[0]) if wide else b""
            table = np.frombuffer(content[: len(content) // 4 * 4], "<u4").astype(np.int64)
            if int(extended[-1]) >= len(table):
                raise ObjectError(f"symbol {extended[-1]} has no entry among the section indexes")
            section[extended] = table[extended]
        return section

    def symbol_name(self, index: int) -> str:
        """A symbol's name; the section's for a section symbol; bytes kept by surrogateescape."""
        at = int(self.symbols.name[index])
        if at == 0 and self.symbols.type[index] == STT_SECTION:
            return self.sections[int(self.symbols.section[index])].name
        return _text(self._strings, at)

    def raw_names(self, symbols: Ints) -> list[bytes]:
        """The names of many symbols as they stand in the file, fast."""
        strings = self._strings if self._strings.endswith(b"\0") else self._strings + b"\0"
        find = strings.find
        return [strings[at : find(b"\0", at)] for at in self.symbols.name[symbols].tolist()]

    def symbols_named(self, *names: str) -> list[int]:
        """Indexes of all symbols with one of these names, section names apart."""
        found: list[int] = []
        for name in names:
            wanted = name.encode() + b"\0"
            at = self._strings.find(wanted)
            while at >= 0:
                found += np.flatnonzero(self.symbols.name == at).tolist()
                at = self._strings.find(wanted, at + 1)
        return found

    # --- relocations

    def relocations(self, section: Section) -> Relocations:
        """The relocations that apply to a section, sorted by offset.

        Raises:
            ObjectError: one lies outside the section or names a symbol that isn't there.
        """
        if section.index not in self._relocation_cache:
            self._relocation_cache[section.index] = self._read_relocations(section)
        return self._relocation_cache[section.index]

    @cached_property
    def _relocation_cache(self) -> dict[int, Relocations]:
        return {}

    def _read_relocations(self, section: Section) -> Relocations:
        holders = self._relocation_sections.get(section.index, [])
        parts = []
        for holder in holders:
            content = self.content(holder)
            if len(content) % _RELA.itemsize:
                raise ObjectError(f"{holder.name}: {len(content)} bytes hold no whole relocations")
            parts.append(np.frombuffer(content, _RELA))
        if not parts:
            return NO_RELOCATIONS
        table = parts[0] if len(parts) == 1 else np.concatenate(parts)
        offset = table["offset"].astype(np.int64)
        symbol = table["symbol"].astype(np.int64)
        wrong = np.flatnonzero(symbol >= len(self.symbols.name))
        if len(wrong):
            at = int(wrong[0])
            raise ObjectError(
                f"{holders[0].name}: relocation {at} names symbol {symbol[at]}"
                f" of {len(self.symbols.name)}"
            )
        wrong = np.flatnonzero((offset < 0) | (offset >= section.size))
        if len(wrong):
            at = int(wrong[0])
            raise ObjectError(
                f"{holders[0].name}: relocation {at} at {int(table['offset'][at]):#x}"
                f" outside {section.name} ({section.size:#x} bytes)"
            )
        kind = table["type"].astype(np.int64)
        addend = table["addend"].astype(np.int64)
        if len(offset) > 1 and bool(np.any(offset[1:] < offset[:-1])):
            order = np.argsort(offset, kind="stable")
            return Relocations(offset[order], kind[order], symbol[order], addend[order])
        return Relocations(offset, kind, symbol, addend)


def _check_header(data: bytes) -> None:
    if not data:
        raise ObjectError("empty file")
    if data[:4] != b"\x7fELF":
        raise ObjectError("not an ELF file")
    if len(data) < HEADER_SIZE:
        raise ObjectError(f"truncated: {len(data)} bytes, an ELF header has {HEADER_SIZE}")
    if data[4] != 2:
        raise ObjectError("ELF32, not ELF64" if data[4] == 1 else f"unknown ELF class {data[4]}")
    if data[5] != 1:
        order = "big-endian" if data[5] == 2 else f"of unknown byte order {data[5]}"
        raise ObjectError(f"{order}, not little-endian")
    machine = int.from_bytes(data[18:20], "little")
    if machine != EM_X86_64:
        name = _MACHINES.get(machine, "unknown")
        raise ObjectError(f"machine {machine} ({name}), not x86-64")
    kind = int.from_bytes(data[16:18], "little")
    if kind != ET_REL:
        name = _TYPES.get(kind, f"type {kind}")
        raise ObjectError(f"{name}, not a relocatable object")


def _name_table(data: bytes, header: np.void) -> bytes:
    """The string table that a section header describes; what lies past the file is left out."""
    if int(header["type"]) in (0, SHT_NOBITS):
        return b""
    start = int(header["offset"])
    return data[start : start + int(header["size"])]


def _text(strings: bytes, at: int) -> str:
    if at >= len(strings):
        return ""
    end = strings.find(b"\0", at)
    return strings[at : end if end >= 0 else len(strings)].decode("utf-8", "surrogateescape")
