"""Objects made to be too much: counts, groups, tables. All end, with a report."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import CheckOptions, FileReport
from tests.backends.stack.elf_writer import Part, object_file

_GROUP = 17  # SHT_GROUP
_MANY = 100_000


def _check(data: bytes, tmp_path: Path, frame_pointer: str = "off") -> FileReport:
    path = tmp_path / "object.o"
    path.write_bytes(data)
    report = Checker(CheckOptions(frame_pointer)).check(str(path))
    assert "the validator failed" not in report.error
    return report


def _relocations(entries: list[tuple[int, int]]) -> bytes:
    """R_X86_64_PC32 at an offset, to the first function's start plus an addend."""
    return b"".join(struct.pack("<QIIq", offset, 2, 1, addend) for offset, addend in entries)


def test_a_great_many_functions_are_walked(tmp_path: Path) -> None:
    functions = [(f"f{at}", at, 1) for at in range(_MANY)]
    report = _check(object_file(b"\xc3" * _MANY, functions), tmp_path)
    assert (report.functions, report.findings) == (_MANY, ())


def test_functions_inside_of_functions_are_no_endless_search(tmp_path: Path) -> None:
    count = 20_000
    functions = [(f"f{at}", at, 2 * (count - at)) for at in range(count)]
    report = _check(object_file(b"\x90" * 2 * count + b"\xc3", functions), tmp_path)
    assert {finding.kind for finding in report.findings} <= {"fallthrough", "end-of-section"}


def test_groups_that_hold_each_other_do_not_matter(tmp_path: Path) -> None:
    groups = [
        Part(".group", _GROUP, struct.pack("<II", 1, 5), link=2, info=1, entry_size=4),
        Part(".group", _GROUP, struct.pack("<II", 1, 4), link=2, info=1, entry_size=4),
    ]
    assert _check(object_file(b"\xc3", [("f", 0, 1)], groups), tmp_path).findings == ()


def test_many_exceptions_at_one_instruction_are_one_edge_each(tmp_path: Path) -> None:
    entries = [pair for at in range(_MANY) for pair in ((12 * at, 0), (12 * at + 4, at % 1000))]
    parts = [
        Part("__ex_table", 1, bytes(12 * _MANY), 2),
        Part(".rela__ex_table", 4, _relocations(entries), 0, 2, 4, 24),
    ]
    code = b"\x90" * 1000 + b"\xc3"
    assert _check(object_file(code, [("f", 0, 1001)], parts), tmp_path).findings == ()


def test_many_jumps_through_one_table_read_it_once(tmp_path: Path) -> None:
    jumps, entries = 1000, 50_000
    code = b"\xff\x24\xc5\0\0\0\0" * jumps + b"\xc3"
    to_table = b"".join(struct.pack("<QIIq", 7 * at + 3, 11, 2, 0) for at in range(jumps))
    table = b"".join(struct.pack("<QIIq", 8 * at, 1, 1, 7 * (at % jumps)) for at in range(entries))
    parts = [
        Part(".rodata", 1, bytes(8 * entries), 2),
        Part(".rela.rodata", 4, table, 0, 2, 4, 24),
        Part(".rela.text", 4, to_table, 0, 2, 1, 24),
    ]
    data = object_file(code, [("f", 0, len(code)), ("rodata", 0, 0)], parts)
    # The second symbol stands for the table's section.
    found = data.index(struct.pack("<BBHQQ", 0x12, 0, 1, 0, 0))
    data = data[:found] + struct.pack("<BBH", 3, 0, 4) + data[found + 4 :]
    kinds = {finding.kind for finding in _check(data, tmp_path).findings}
    assert kinds <= {"unreachable"}


def test_counts_beyond_the_file_are_refused(tmp_path: Path) -> None:
    data = bytearray(object_file(b"\xc3", [("f", 0, 1)]))
    table = struct.unpack_from("<Q", data, 40)[0]
    struct.pack_into("<H", data, 60, 0)  # the first header tells the count
    struct.pack_into("<Q", data, table + 32, 1 << 60)
    assert "past the end of the file" in _check(bytes(data), tmp_path).error


def test_what_is_left_out_of_too_many_findings_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdash.backends.stack.findings._MOST", 100)
    functions = [(f"f{at}", 2 * at, 2) for at in range(150)]
    report = _check(object_file(b"\x53\xc3" * 150, functions), tmp_path)
    assert (len(report.findings), report.left_out) == (100, 50)
