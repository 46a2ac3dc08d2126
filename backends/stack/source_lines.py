"""Source file and line of an instruction, by the DWARF line tables of the object.

In a relocatable file every section starts at address 0. So the symbols are moved, in a copy of
the file, to the positions of `decode.Code` before pyelftools relocates the debug sections: then
the addresses in the line tables are positions.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from typing import Any

import numpy as np

from kdash.backends.stack.decode import Code
from kdash.backends.stack.facts import SourceLine
from kdash.backends.stack.image import ObjectImage
from kdash.backends.stack.section_headers import SHT_SYMTAB

_LARGEST = 256 << 20  # bytes of .debug_line; above it takes minutes

_Row = tuple[int, str, int, str]  # position, file, line (0: end), folder it was compiled in


class SourceLines:
    """Line tables of one file, read when the first line is asked for."""

    def __init__(self, image: ObjectImage, code: Code) -> None:
        self._image = image
        self._code = code
        self._rows: list[_Row] | None = None
        self._starts: list[int] = []

    def find(self, position: int) -> SourceLine | None:
        """The source line of the instruction at a position, None if unknown."""
        if self._rows is None:
            self._rows = sorted(self._read())
            self._starts = [row[0] for row in self._rows]
        at = bisect_right(self._starts, position) - 1
        if at < 0 or not self._rows[at][2]:
            return None
        section = self._code.section_at(position)
        if self._rows[at][0] < section.base:
            return None
        return SourceLine(*self._rows[at][1:])

    def _read(self) -> list[_Row]:
        sections = self._image.sections_named(".debug_line")
        if not sections or sections[0].size > _LARGEST:
            return []
        from elftools.common.exceptions import DWARFError, ELFError
        from elftools.elf.elffile import ELFFile

        rows: list[_Row] = []
        read: set[int] = set()
        # A damaged debug section must not hide the finding: it only costs its source lines.
        try:
            dwarf = ELFFile(io.BytesIO(self._moved())).get_dwarf_info()
            for unit in dwarf.iter_CUs():
                program = dwarf.line_program_for_CU(unit)
                if program is not None and program.program_start_offset not in read:
                    read.add(program.program_start_offset)
                    rows += _rows(program, _directory(unit))
        except (
            *(DWARFError, ELFError, ArithmeticError, LookupError),
            *(TypeError, ValueError, AttributeError, AssertionError),
            *(RecursionError, NotImplementedError, OSError),
        ):
            return rows
        return rows

    def _moved(self) -> bytes:
        image = self._image
        table = next((s for s in image.sections if s.type == SHT_SYMTAB), None)
        if table is None:
            return image.data
        data = bytearray(image.data)
        base = self._code.bases[image.symbols.section]
        values = np.ndarray(
            (table.size // 24,), np.dtype("<u8"), buffer=data, offset=table.offset + 8, strides=24
        )
        moved = np.flatnonzero(base >= 0)
        values[moved] += base[moved].astype(np.uint64)
        return bytes(data)


def _directory(unit: Any) -> str:
    """The folder that a unit was compiled in (DWARF 5, 3.1.1: DW_AT_comp_dir)."""
    attribute = unit.get_top_DIE().attributes.get("DW_AT_comp_dir")
    return _text(attribute.value) if attribute is not None else ""


def _rows(program: Any, directory: str) -> list[_Row]:
    header = program.header
    version = header["version"]
    names = _file_names(header, version)
    rows = []
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        index = state.file if version >= 5 else state.file - 1
        name = names[index] if 0 <= index < len(names) else ""
        line = 0 if state.end_sequence or not name else state.line
        rows.append((state.address, name, line, directory))
    return rows


def _file_names(header: Any, version: int) -> list[str]:
    directories = [_text(name) for name in header["include_directory"]] if version < 5 else []
    if version >= 5:
        directories = [_text(_held(d)) for d in header["include_directory"]]
    names = []
    for file in header["file_entry"]:
        name = _text(file.name)
        index = file.dir_index - (0 if version >= 5 else 1)
        # The first directory is the one that was compiled in: names are relative to it.
        own = index < 0 or (version >= 5 and index == 0)
        known = not own and index < len(directories)
        names.append(f"{directories[index]}/{name}" if known and name[:1] != "/" else name)
    return names


def _held(entry: Any) -> Any:
    return entry.name if hasattr(entry, "name") else entry


def _text(value: Any) -> str:
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
