"""Source lines of a guest's addresses, from the DWARF line tables of an ELF file.

Nothing is read before the first address is asked for, and then only the table of the
compilation unit it lies in, in a thread of its own: a vmlinux has thousands of them. Whoever
asks gets an answer at once, which is "not known yet" until the thread is done.

Source: DWARF 5, sections 6.1.2 (.debug_aranges) and 6.2 (line number information).
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from threading import Condition, Thread
from time import monotonic
from typing import Any, Final

from kdash.backends.kvm.facts import Instruction, SourceLine
from kdash.backends.kvm.source_files import SourceFiles

#: Units whose lines are kept.
KEPT: Final = 64
#: Rows of one unit that are taken; a larger table is damaged or no work of a compiler.
_MOST_ROWS: Final = 2_000_000
#: Bytes of debug sections: twice what a kernel with all its debug information has.
_LARGEST: Final = 2 << 30
_ARANGES_HEADER: Final = struct.Struct("<IHIBB")
_LONG_FORM: Final = 0xFFFF_FFF0

#: Where a unit's code is, and the unit's offset in .debug_info.
Span = tuple[int, int, int]


class Unit:
    """The rows of one unit's line table, by address."""

    def __init__(self, rows: Iterable[tuple[int, SourceLine | None]]) -> None:
        found: dict[int, SourceLine | None] = {}
        for address, line in rows:
            # Where one sequence ends another may begin: that is what counts.
            if line is not None or address not in found:
                found[address] = line
        self._addresses = sorted(found)
        self._lines = [found[address] for address in self._addresses]

    def find(self, address: int) -> SourceLine | None:
        """The line of the row that covers `address`."""
        at = bisect_right(self._addresses, address) - 1
        return self._lines[at] if at >= 0 else None


class LineTable:
    """The line tables of one ELF file, read by whoever calls.

    Args:
        data: the file.

    Raises:
        Exception: of any kind that pyelftools raises when the file is damaged.
    """

    def __init__(self, data: bytes) -> None:
        from elftools.elf.elffile import ELFFile

        image = ELFFile(BytesIO(data))
        _check_size(image)
        self._dwarf: Any = image.get_dwarf_info(relocate_dwarf_sections=False, follow_links=False)
        spans = sorted(self._spans())
        self._spans_known = spans
        self._starts = [start for start, _, _ in spans]
        self.folders: dict[str, str] = {}  # where each file was compiled

    def _spans(self) -> Iterator[Span]:
        section = self._dwarf.debug_aranges_sec
        if section is not None:
            yield from address_ranges(section.stream.getvalue())
            return
        for unit in self._dwarf.iter_CUs():
            yield from self._unit_spans(unit)

    def _unit_spans(self, unit: Any) -> Iterator[Span]:
        """The code of a unit as its own entry tells it."""
        entry = unit.get_top_DIE()
        low, high = entry.attributes.get("DW_AT_low_pc"), entry.attributes.get("DW_AT_high_pc")
        if low is not None and high is not None:
            absolute = high.form == "DW_FORM_addr"
            yield low.value, high.value if absolute else low.value + high.value, unit.cu_offset
            return
        # Ranges in pieces: the line table itself tells where they are.
        for start, end in _sequences(self._dwarf.line_program_for_CU(unit)):
            yield start, end, unit.cu_offset

    def unit_of(self, address: int) -> int | None:
        """The offset of the unit that has code at `address`."""
        at = bisect_right(self._starts, address) - 1
        if at < 0:
            return None
        _, end, offset = self._spans_known[at]
        return offset if address < end else None

    def read(self, offset: int) -> Unit:
        """The lines of the unit at an offset."""
        unit = self._dwarf.get_CU_at(offset)
        program = self._dwarf.line_program_for_CU(unit)
        if program is None:
            return Unit(())
        folder = unit.get_top_DIE().attributes.get("DW_AT_comp_dir")
        name = _text(folder.value) if folder is not None else ""
        files = _Files(program.header, name)
        unit_rows = Unit(_rows(program, files))
        self.folders.update(dict.fromkeys(files.names, name))
        return unit_rows


class _Files:
    """Names of a line table's files."""

    def __init__(self, header: Any, folder: str) -> None:
        self._first = 0 if header["version"] >= 5 else 1
        self._entries = header["file_entry"]
        self._folders = [_text(one) for one in header["include_directory"]]
        self._folder = folder
        self._known: dict[int, str] = {}

    @property
    def names(self) -> Iterable[str]:
        return self._known.values()

    def name(self, number: int) -> str:
        known = self._known.get(number)
        if known is None:
            known = self._known[number] = self._name(number - self._first)
        return known

    def _name(self, place: int) -> str:
        if not 0 <= place < len(self._entries):
            return "?"
        entry = self._entries[place]
        number = entry.dir_index - self._first
        folder = self._folders[number] if 0 <= number < len(self._folders) else ""
        path = PurePosixPath(folder) / _text(entry.name)
        return str(path.relative_to(self._folder) if path.is_relative_to(self._folder) else path)


def _check_size(image: Any) -> None:
    """Refuse sections that would expand to more than memory should be spent on."""
    total = 0
    for section in image.iter_sections():
        if section.name.startswith(".zdebug_"):
            raise ValueError("line tables compressed the old way (.zdebug_*); use -gz=zlib")
        if section.name.startswith(".debug_"):
            total += section.data_size
    if total > _LARGEST:
        raise ValueError(f"{total} bytes of debug sections; at most {_LARGEST} are read")


def _rows(program: Any, files: _Files) -> Iterator[tuple[int, SourceLine | None]]:
    for number, entry in enumerate(program.get_entries()):
        state = entry.state
        if number > _MOST_ROWS:
            return
        if state is None:
            continue
        if state.end_sequence:
            yield state.address, None
        elif state.line:  # 0: the compiler's own
            yield state.address, SourceLine(files.name(state.file), state.line)


def _sequences(program: Any) -> Iterator[tuple[int, int]]:
    """Begin and end of each stretch of code in a line table."""
    start: int | None = None
    for entry in program.get_entries() if program is not None else ():
        state = entry.state
        if state is None:
            continue
        if start is None:
            start = state.address
        if state.end_sequence:
            yield start, state.address
            start = None


def _text(name: bytes | str) -> str:
    r"""A name of the file; what a terminal might obey becomes \xNN."""
    text = name if isinstance(name, str) else name.decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def address_ranges(data: bytes) -> Iterator[Span]:
    """What .debug_aranges says; nothing beyond what can't be read."""
    at = 0
    while at + _ARANGES_HEADER.size <= len(data):
        length, _, unit, size, _ = _ARANGES_HEADER.unpack_from(data, at)
        if length >= _LONG_FORM or size not in (4, 8):
            return
        end = min(at + 4 + length, len(data))
        entry = struct.Struct("<QQ" if size == 8 else "<II")
        first = at + -(-_ARANGES_HEADER.size // entry.size) * entry.size
        whole = max(end - first, 0) // entry.size * entry.size
        for start, bytes_ in entry.iter_unpack(data[first : first + whole]):
            if bytes_:
                yield start, start + bytes_, unit
        at += 4 + length


class Lines:
    """Source lines by address; from any thread.

    Args:
        image: an ELF file with line tables: its path, or what is in it.
        beside: folders to look for source files in, beside those that the tables name.
    """

    def __init__(self, image: Path | bytes, beside: Sequence[Path] = ()) -> None:
        self._image = image
        self._sources = SourceFiles(beside)
        self._condition = Condition()
        self._table: LineTable | None = None
        self._units: OrderedDict[int, Unit] = OrderedDict()
        self._wanted: list[int] = []
        self._working = False
        self.failure = ""  # why there are no lines

    def find(self, address: int, wait: float = 0.0) -> SourceLine | None:
        """The source line of `address`; None: not known, or not known yet.

        Args:
            address: as the guest's RIP sees it.
            wait: seconds to wait at most for what is not known yet.
        """
        deadline = monotonic() + wait
        with self._condition:
            while not self.failure:
                known, line = self._known(address)
                if known:
                    return line
                self._want(address)
                if not self._condition.wait(max(deadline - monotonic(), 0)):
                    break
        return None

    def of(self, instructions: Iterable[Instruction], wait: float = 0.0) -> tuple[Instruction, ...]:
        """The same instructions, each with its line; waits for all of them together."""
        deadline = monotonic() + wait
        return tuple(
            replace(one, source=self.find(one.ip, max(deadline - monotonic(), 0)))
            for one in instructions
        )

    def _known(self, address: int) -> tuple[bool, SourceLine | None]:
        if self._table is None:
            return False, None
        offset = self._table.unit_of(address)
        if offset is None:
            return True, None
        unit = self._units.get(offset)
        if unit is None:
            return False, None
        self._units.move_to_end(offset)
        line = unit.find(address)
        if line is None:
            return True, None
        folder = self._table.folders.get(line.file, "")
        text = self._sources.line(folder, line.file, line.line)
        return True, replace(line, text=text, path=self._sources.path(folder, line.file))

    def _want(self, address: int) -> None:
        if address not in self._wanted:
            self._wanted.append(address)
        if not self._working:
            self._working = True
            Thread(target=self._work, name="kdash-lines", daemon=True).start()

    def _work(self) -> None:
        """Read what is wanted, and end."""
        while True:
            with self._condition:
                if not self._wanted or self.failure:
                    self._working = False
                    self._condition.notify_all()
                    return
                address = self._wanted.pop()
            try:
                self._read(address)
            except Exception as error:  # noqa: BLE001 - a damaged table shall cost its lines alone
                with self._condition:
                    self.failure = f"{type(error).__name__}: {error}"

    def _read(self, address: int) -> None:
        table = self._table
        if table is None:
            table = LineTable(
                self._image if isinstance(self._image, bytes) else self._image.read_bytes()
            )
        offset = table.unit_of(address)
        unit = None
        if offset is not None and offset not in self._units:
            unit = table.read(offset)
        with self._condition:
            self._table = table
            if offset is not None and unit is not None:
                self._units[offset] = unit
                while len(self._units) > KEPT:
                    self._units.popitem(last=False)
            self._condition.notify_all()
