"""Files that are no objects, or damaged ones: one clear line each, and never a traceback."""

from __future__ import annotations

import struct
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import MITIGATIONS, CheckOptions, FileReport
from kdash.backends.stack.object_files import sample_paths
from tests.backends.stack.elf_writer import Part, object_file

_HEADER = 64
_SECTION = 64


def _sample(name: str = "checksum_alt.o") -> bytes:
    path = next(path for path in sample_paths() if path.endswith(name))
    return Path(path).read_bytes()


def _check(data: bytes, folder: Path) -> FileReport:
    path = folder / "object.o"
    path.write_bytes(data)
    return Checker(CheckOptions(frame_pointer="on")).check(str(path))


def _patched(data: bytes, offset: int, layout: str, value: int) -> bytes:
    changed = bytearray(data)
    struct.pack_into(layout, changed, offset, value)
    return bytes(changed)


def _section_field(data: bytes, kind: int, field: int) -> int:
    """File offset of a field of the first section header of a type."""
    table = struct.unpack_from("<Q", data, 40)[0]
    count = struct.unpack_from("<H", data, 60)[0]
    for index in range(count):
        header: int = table + index * _SECTION
        if struct.unpack_from("<I", data, header + 4)[0] == kind:
            return header + field
    raise LookupError(kind)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty file"),
        (b"#!/bin/sh\n", "not an ELF file"),
        (b"\x7fELF\x02\x01", "truncated"),
        (_sample()[:5] + b"\x02" + _sample()[6:], "big-endian"),
        (_sample()[:4] + b"\x01" + _sample()[5:], "ELF32"),
        (_patched(_sample(), 18, "<H", 183), "AArch64"),
        (_patched(_sample(), 16, "<H", 2), "executable"),
        (_patched(_sample(), 40, "<Q", 0), "no section headers"),
        (_patched(_sample(), 40, "<Q", 1 << 60), "past the end"),
        (_patched(_sample(), 60, "<H", 0xFFF0), "past the end"),
        (_patched(_sample(), 62, "<H", 0x1234), "section names"),
        (_patched(_sample(), 58, "<H", 40), "section headers of 40 bytes"),
        (_sample()[: len(_sample()) // 2], "past the end"),
        (_patched(_sample(), _section_field(_sample(), 1, 32), "<Q", 1 << 50), "past the end"),
        (_patched(_sample(), _section_field(_sample(), 2, 40), "<I", 9999), "symbol names"),
    ],
)
def test_a_file_that_is_no_usable_object_says_why(data: bytes, says: str, tmp_path: Path) -> None:
    report = _check(data, tmp_path)
    assert says in report.error
    assert "\n" not in report.error
    assert report.findings == ()


def test_a_relocation_to_a_symbol_that_is_not_there_is_named(tmp_path: Path) -> None:
    data = _sample()
    content = struct.unpack_from("<Q", data, _section_field(data, 4, 24))[0]
    report = _check(_patched(data, content + 12, "<I", 0x7FFFFFFF), tmp_path)
    assert "names symbol 2147483647" in report.error


def test_a_relocation_outside_of_its_section_is_named(tmp_path: Path) -> None:
    data = _sample()
    content = struct.unpack_from("<Q", data, _section_field(data, 4, 24))[0]
    assert "outside .text" in _check(_patched(data, content, "<Q", 1 << 62), tmp_path).error


def test_a_symbol_in_a_section_that_is_not_there_is_named(tmp_path: Path) -> None:
    data = _sample()
    content = struct.unpack_from("<Q", data, _section_field(data, 2, 24))[0]
    report = _check(_patched(data, content + 24 + 6, "<H", 0x7FFF), tmp_path)
    assert "symbol 1 in section 32767" in report.error


def test_a_symbol_past_the_end_of_its_section_is_named(tmp_path: Path) -> None:
    data = object_file(b"\xc3", [("end", 1, 0), ("far", 2, 0)])
    assert _check(data, tmp_path).error == "symbol far at 0x2 outside .text (0x1 bytes)"


def test_a_code_section_of_no_type_has_no_instructions(tmp_path: Path) -> None:
    data = object_file(b"\xc3", [])
    report = _check(_patched(data, _section_field(data, 1, 4), "<I", 0), tmp_path)
    assert (report.error, report.instructions) == ("", 0)


def test_lines_without_a_symbol_table_do_not_cost_the_findings(tmp_path: Path) -> None:
    data = _sample()
    for kind in [2, *[4] * data.count(b".rela")]:
        with suppress(LookupError):
            data = _patched(data, _section_field(data, kind, 4), "<I", 1)
    report = _check(data, tmp_path)
    assert (report.error, report.findings != ()) == ("", True)


def test_a_missing_file_and_a_folder_say_so(tmp_path: Path) -> None:
    checker = Checker()
    assert checker.check(str(tmp_path / "none.o")).error == "no such file"
    assert checker.check(str(tmp_path)).error == "not a regular file"
    assert checker.check("a\0b").error == "no such file"


def test_a_file_without_code_is_clean(tmp_path: Path) -> None:
    data = _sample("journal.o")
    count = struct.unpack_from("<H", data, 60)[0]
    table = struct.unpack_from("<Q", data, 40)[0]
    changed = bytearray(data)
    for index in range(count):
        flags_at = table + index * _SECTION + 8
        flags = struct.unpack_from("<Q", data, flags_at)[0]
        struct.pack_into("<Q", changed, flags_at, flags & ~4)
    report = _check(bytes(changed), tmp_path)
    assert (report.error, report.findings, report.instructions) == ("", (), 0)


def test_sections_that_overlap_are_refused(tmp_path: Path) -> None:
    """A small file must not stand for gigabytes of code."""
    data = bytearray(_sample())
    count = struct.unpack_from("<H", data, 60)[0]
    table = struct.unpack_from("<Q", data, 40)[0]
    for index in range(1, count):
        struct.pack_into("<QQ", data, table + index * _SECTION + 24, 0, len(data))
    assert "overlap" in _check(bytes(data), tmp_path).error


_SYMTAB, _RELA, _NOBITS, _REL, _GROUP = 2, 4, 8, 9, 17


def _parts(*parts: Part) -> bytes:
    """An object with one function, and these sections from 4 on."""
    return object_file(b"\xc3", [("f", 0, 1)], parts)


_RELOCATIONS = Part(".rela.text", _RELA, bytes(24), link=2, info=1, entry_size=24)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (
            _parts(_RELOCATIONS._replace(link=9)),
            "section 4 (.rela.text): its symbols in section 9 of 6",
        ),
        (_parts(_RELOCATIONS._replace(link=3)), "in section 3 (.strtab), which is no symbol table"),
        (_parts(_RELOCATIONS._replace(info=0)), "relocations for section 0 of 6"),
        (_parts(_RELOCATIONS._replace(info=77)), "relocations for section 77 of 6"),
        (_parts(_RELOCATIONS._replace(info=2)), "relocations for section 2 (.symtab), a table"),
        (_parts(_RELOCATIONS._replace(entry_size=0)), "relocations of 0 bytes, not 24"),
        (_parts(_RELOCATIONS._replace(content=bytes(25))), "25 bytes hold no whole relocations"),
        (_parts(_RELOCATIONS._replace(type=_REL)), "relocations without addends"),
        (_parts(Part(".group", _GROUP, struct.pack("<II", 1, 4))), "is a member of itself"),
        (
            _parts(
                Part(".group", _GROUP, struct.pack("<II", 1, 5)),
                Part(".group", _GROUP, struct.pack("<II", 1, 4)),
            ),
            "section 4 (.group) has another group as a member",
        ),
        (_parts(Part(".group", _GROUP, struct.pack("<II", 1, 99))), "member 99 of 6 sections"),
        (_parts(Part(".group", _GROUP, b"abc")), "3 bytes hold no whole words"),
        (object_file(b"\xc3", [("f", 0, 2)]), "symbol f at 0x0 of 0x2 bytes ends outside .text"),
        (_patched(_parts(), _section_field(_parts(), 1, 4), "<I", _NOBITS), "without contents"),
        (_patched(_parts(), _section_field(_parts(), 1, 0), "<I", 9999), "name of section 1"),
        (_patched(_parts(), _section_field(_parts(), 1, 24), "<Q", 8), "the ELF header and sec"),
        (_patched(_parts(), _section_field(_parts(), _SYMTAB, 40), "<I", 1), "no string table"),
        (_patched(_parts(), _section_field(_parts(), _SYMTAB, 56), "<Q", 0), "symbols of 0 bytes"),
        (_patched(_parts(), _section_field(_parts(), _SYMTAB, 32), "<Q", 25), "no whole symbols"),
        (_patched(_parts(), 62, "<H", 0), "no table of section names"),
    ],
)
def test_headers_that_contradict_each_other_say_which(
    data: bytes, says: str, tmp_path: Path
) -> None:
    report = _check(data, tmp_path)
    assert says in report.error
    assert report.findings == ()


def test_a_name_of_a_symbol_that_is_not_there_is_named(tmp_path: Path) -> None:
    content = struct.unpack_from("<Q", _parts(), _section_field(_parts(), _SYMTAB, 24))[0]
    report = _check(_patched(_parts(), content + 24, "<I", 1 << 31), tmp_path)
    assert report.error == "the name of symbol 1 is at 0x80000000 of 0x3 bytes of names"


@cache
def _originals() -> tuple[bytes, ...]:
    return (_hinted(), *(Path(path).read_bytes() for path in sample_paths()))


def _hinted() -> bytes:
    """An object with unwind hints, notes, an alternative and an exception, all in 20 bytes."""
    code = bytes.fromhex("0f01cb 53 9c e800000000 0f1f00 0f01ca 5b 9d c3")
    hints = struct.pack("<ihBB4x", 0, 8, 5, 3) + struct.pack("<ihBB4x", 0, 16, 5, 1)
    alternative = struct.pack("<iiHBB", 0, 0, 9 * 32 + 20, 3, 3)
    tables = [
        (".discard.unwind_hints", hints, [(0, 3), (12, 10)]),
        (".discard.intra_function_calls", bytes(8), [(0, 5)]),
        (".discard.annotate_insn", struct.pack("<ii", 0, 6), [(0, 10)]),
        (".altinstructions", alternative, [(0, 10), (4, 0)]),
        ("__ex_table", bytes(12), [(0, 3), (4, 13)]),
    ]
    parts: list[Part] = []
    for name, content, entries in tables:
        index = 4 + len(parts)
        relocations = b"".join(struct.pack("<QIIq", at, 2, 1, to) for at, to in entries)
        parts += (
            Part(name, 1, content),
            Part(f".rela{name}", 4, relocations, 0, 2, index, 24),
        )
    return object_file(code, [("f", 0, len(code))], parts)


_CHANGES = st.lists(
    st.tuples(
        st.integers(0, 6000), st.sampled_from([0, 1, 4, 0x7F, 0x80, 0xFF]) | st.integers(0, 255)
    ),
    min_size=1,
    max_size=6,
)


_EVERYTHING = CheckOptions(frame_pointer="on", builds=MITIGATIONS, uaccess=True)


@given(which=st.integers(0, 20), changes=_CHANGES, options=st.sampled_from([None, _EVERYTHING]))
@settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(which=0, changes=[(40, 0xFF)], options=None)
def test_no_changed_byte_makes_the_validator_fail(
    which: int, changes: list[tuple[int, int]], options: CheckOptions | None, tmp_path: Path
) -> None:
    originals = _originals()
    data = bytearray(originals[which % len(originals)])
    for offset, value in changes:
        data[offset % len(data)] = value
    path = tmp_path / "changed.o"
    path.write_bytes(data)
    report = Checker(options).check(str(path))
    assert "\n" not in report.error
    assert "the validator failed" not in report.error
    assert {finding.file for finding in report.findings} <= {report.file}


def test_the_hinted_object_is_read_as_it_is_meant(tmp_path: Path) -> None:
    path = tmp_path / "hinted.o"
    path.write_bytes(_hinted())
    report = Checker(CheckOptions("off", uaccess=True)).check(str(path))
    assert not report.error
    assert {finding.kind for finding in report.findings} == {"return-modified", "state-mismatch"}


@given(which=st.integers(0, 20), keep=st.integers(0, 6000))
@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_no_truncation_makes_the_validator_fail(which: int, keep: int, tmp_path: Path) -> None:
    data = _originals()[which % len(_originals())]
    report = _check(data[: keep % len(data)], tmp_path)
    assert report.error
    assert "the validator failed" not in report.error
