"""An x86-64 ELF relocatable file as numpy tables: its symbols and relocations.

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
from kdash.backends.stack.section_headers import (
    SHN_XINDEX,
    SHT_RELA,
    SHT_SYMTAB,
    SHT_SYMTAB_SHNDX,
    Section,
    read_sections,
    string_at,
)

Ints = npt.NDArray[np.int64]

SHN_LORESERVE = 0xFF00
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
        self.sections = read_sections(data)
        self.machine = int.from_bytes(data[18:20], "little")
        self.symbols = self._read_symbols()
        self._relocation_sections: dict[int, list[Section]] = {}
        for section in self.sections:
            if section.type == SHT_RELA:
                self._relocation_sections.setdefault(section.info, []).append(section)

    # --- sections

    def content(self, section: Section) -> bytes:
        """The bytes of a section; empty for one that takes no space in the file."""
        if not section.held:
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
        self._strings = self.content(self.sections[tables[0].link])
        table = np.frombuffer(content, _SYMBOL)
        section = self._symbol_sections(table["shndx"].astype(np.int64), tables[0].index)
        wrong = np.flatnonzero(section >= len(self.sections))
        if len(wrong):
            at = int(wrong[0])
            raise ObjectError(f"symbol {at} in section {section[at]} of {len(self.sections)}")
        self._check_names(table["name"])
        self._check_places(table, section)
        info = table["info"].astype(np.int64)
        return Symbols(
            table["name"].astype(np.int64),
            info & 15,
            info >> 4,
            section,
            table["value"].astype(np.int64),
            table["size"].astype(np.int64),
        )

    def _check_names(self, names: npt.NDArray[np.uint32]) -> None:
        wrong = np.flatnonzero(names >= max(len(self._strings), 1))
        if len(wrong):
            at = int(wrong[0])
            raise ObjectError(
                f"the name of symbol {at} is at {int(names[at]):#x}"
                f" of {len(self._strings):#x} bytes of names"
            )

    def _check_places(self, table: npt.NDArray[np.void], section: Ints) -> None:
        """Symbols of a section lie in it, or right behind its end; functions also end in it.

        Raises:
            ObjectError: one lies past the end.
        """
        sizes = np.array([one.size for one in self.sections], np.uint64)[np.maximum(section, 0)]
        value, size = table["value"], table["size"]
        past = (section > 0) & (value > sizes)
        # No sum: it could wrap around.
        longer = (table["info"] & 15 == STT_FUNC) & (section > 0) & (size > sizes - value)
        wrong = np.flatnonzero(past | longer)
        if not len(wrong):
            return
        at = int(wrong[0])
        held = self.sections[int(section[at])]
        name = string_at(self._strings, int(table["name"][at])) or str(at)
        bytes_long = "" if past[at] else f" of {int(size[at]):#x} bytes ends"
        raise ObjectError(
            f"symbol {name} at {int(value[at]):#x}{bytes_long} outside {held.name}"
            f" ({held.size:#x} bytes)"
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
        return string_at(self._strings, at)

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
            parts.append(np.frombuffer(self.content(holder), _RELA))
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
