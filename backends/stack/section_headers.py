"""The headers of an x86-64 ELF relocatable file: what it is, and its sections, each one sound.

Names, layouts and constants are those of the System V ABI (generic ELF specification,
chapter 4) and of its AMD64 supplement. What is not as they demand ends in one `ObjectError`:
code that is read from a damaged table would give findings that mean nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from kdash.backends.stack.facts import ObjectError

HEADER_SIZE = 64
ET_REL = 1
EM_X86_64 = 62
SHT_NULL = 0
SHT_SYMTAB = 2
SHT_STRTAB = 3
SHT_RELA = 4
SHT_NOBITS = 8
SHT_REL = 9
SHT_GROUP = 17
SHT_SYMTAB_SHNDX = 18
SHF_EXECINSTR = 4
SHN_XINDEX = 0xFFFF

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
_ENTRY_SIZES = {SHT_SYMTAB: 24, SHT_RELA: 24}  # bytes

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
    entry_size: int

    @property
    def executable(self) -> bool:
        """Whether the section holds instructions."""
        return self.held and bool(self.flags & SHF_EXECINSTR)

    @property
    def held(self) -> bool:
        """Whether the section has contents in the file."""
        return self.type not in (SHT_NULL, SHT_NOBITS) and self.size > 0

    def __str__(self) -> str:
        return f"section {self.index} ({self.name})" if self.name else f"section {self.index}"


def read_sections(data: bytes) -> list[Section]:
    """The sections of an object, by their indexes.

    Args:
        data: the whole file.

    Raises:
        ObjectError: it is no x86-64 ELF relocatable file, or its headers are damaged.
    """
    _check_header(data)
    offset = int.from_bytes(data[40:48], "little")
    table, names = _section_table(data, offset)
    sections = _named(data, table, names)
    _check_overlaps(table, sections, offset)
    for section in sections:
        _check_links(section, sections)
        if section.type == SHT_GROUP:
            _check_group(data, section, sections)
    return sections


def string_at(strings: bytes, at: int) -> str:
    """A name out of a string table; bytes that are not UTF-8 are kept by surrogateescape."""
    if at >= len(strings):
        return ""
    end = strings.find(b"\0", at)
    return strings[at : end if end >= 0 else len(strings)].decode("utf-8", "surrogateescape")


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


def _section_table(data: bytes, offset: int) -> tuple[npt.NDArray[np.void], int]:
    """The section headers, and the index of the section with their names."""
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
    return np.frombuffer(data, _SECTION, count, offset), names


def _named(data: bytes, table: npt.NDArray[np.void], names: int) -> list[Section]:
    fields = ("name", "type", "flags", "offset", "size", "link", "info", "entsize")
    columns = [table[field].tolist() for field in fields]
    texts = _name_table(data, table[names])
    sections = []
    for index, (name, kind, flags, offset, size, link, info, entry) in enumerate(
        zip(*columns, strict=True)
    ):
        if kind not in (SHT_NULL, SHT_NOBITS) and offset + size > len(data):
            raise ObjectError(
                f"section {index} at {offset:#x} of {size:#x} bytes ends past the end"
                f" of the file ({len(data):#x})"
            )
        if name and name >= len(texts):
            raise ObjectError(
                f"the name of section {index} is at {name:#x} of {len(texts):#x} bytes of names"
            )
        sections.append(
            Section(index, string_at(texts, name), kind, flags, offset, size, link, info, entry)
        )
    return sections


def _name_table(data: bytes, header: np.void) -> bytes:
    """The string table that a section header describes; what lies past the file is left out."""
    if int(header["type"]) in (SHT_NULL, SHT_NOBITS):
        raise ObjectError("no table of section names")
    start = int(header["offset"])
    return data[start : start + int(header["size"])]


def _check_overlaps(table: npt.NDArray[np.void], sections: list[Section], headers: int) -> None:
    """No two sections share bytes, with each other or with the headers of the file.

    A crafted file could otherwise make the validator read the same bytes a million times.
    """
    size = table["size"]
    held = np.flatnonzero((table["type"] != SHT_NULL) & (table["type"] != SHT_NOBITS) & (size > 0))
    # All ends are known to lie in the file: no sum is larger than 63 bits hold.
    extra = np.array([0, headers], np.int64)
    start = np.concatenate([table["offset"][held].astype(np.int64), extra])
    length = np.concatenate(
        [size[held].astype(np.int64), np.array([HEADER_SIZE, table.nbytes], np.int64)]
    )
    order = np.argsort(start, kind="stable")
    first, ends = start[order], (start + length)[order]
    wrong = np.flatnonzero(first[1:] < ends[:-1])
    if not len(wrong):
        return
    held_by = [str(sections[at]) for at in held.tolist()]
    held_by += ["the ELF header", "the section headers"]
    at = int(wrong[0])
    one, other = (held_by[int(index)] for index in order[at : at + 2])
    raise ObjectError(f"{one} and {other} overlap at {int(first[at + 1]):#x}")


def _check_links(section: Section, sections: list[Section]) -> None:
    """What a section says of itself and of others is possible."""
    kind, count = section.type, len(sections)
    if kind == SHT_NOBITS:
        if section.flags & SHF_EXECINSTR and section.size:
            raise ObjectError(
                f"{section} is code without contents: a file of debug information only;"
                " check the object that it was made from"
            )
        return
    if kind == SHT_REL:
        raise ObjectError(f"{section}: relocations without addends, which x86-64 does not have")
    entry = _ENTRY_SIZES.get(kind)
    if entry is None:
        return
    what = "symbols" if kind == SHT_SYMTAB else "relocations"
    if section.entry_size != entry:
        raise ObjectError(f"{section}: {what} of {section.entry_size} bytes, not {entry}")
    if section.size % entry:
        raise ObjectError(f"{section}: {section.size} bytes hold no whole {what}")
    if kind == SHT_SYMTAB:
        _check_link(section, sections, SHT_STRTAB, "symbol names", "string")
        return
    _check_link(section, sections, SHT_SYMTAB, f"{section}: its symbols", "symbol")
    if not 0 < section.info < count:
        raise ObjectError(f"{section}: relocations for section {section.info} of {count}")
    target = sections[section.info]
    if target.type in (SHT_SYMTAB, SHT_STRTAB, SHT_RELA, SHT_GROUP):
        raise ObjectError(f"{section}: relocations for {target}, a table")


def _check_link(
    section: Section, sections: list[Section], kind: int, what: str, table: str
) -> None:
    if section.link >= len(sections):
        raise ObjectError(f"{what} in section {section.link} of {len(sections)}")
    if sections[section.link].type != kind:
        raise ObjectError(f"{what} in {sections[section.link]}, which is no {table} table")


def _check_group(data: bytes, group: Section, sections: list[Section]) -> None:
    """A group's words are its flags and the indexes of its members, of which none is a group."""
    if group.size < 4 or group.size % 4:
        raise ObjectError(f"{group}: {group.size} bytes hold no whole words of a group")
    words = np.frombuffer(data, "<u4", group.size // 4, group.offset)
    for member in words[1:].tolist():
        if not 0 < member < len(sections):
            raise ObjectError(f"{group}: member {member} of {len(sections)} sections")
        if member == group.index:
            raise ObjectError(f"{group} is a member of itself")
        if sections[member].type == SHT_GROUP:
            raise ObjectError(f"{group} has another group as a member: {sections[member]}")
