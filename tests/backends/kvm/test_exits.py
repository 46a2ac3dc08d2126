"""Exits decoded and told in one line."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.exits import decode_union, meaning, normalised_count, quoted
from kdash.backends.kvm.facts import (
    ExitDetail,
    ExitReason,
    FailEntryExit,
    InternalErrorExit,
    IoExit,
    MmioExit,
    OtherExit,
    SystemEventExit,
)
from kdash.backends.kvm.ports import port_name

LINES = [
    (IoExit("out", 0x3F8, 1, 1, b"4"), "out 0x3f8, 1 byte: 0x34 '4' (serial, transmit)"),
    (IoExit("out", 0x3F8, 1, 1, b"\n"), "out 0x3f8, 1 byte: 0xa '\\n' (serial, transmit)"),
    (IoExit("in", 0x3FD, 1, 1, b"\x60"), "in 0x3fd, 1 byte: 0x60 '`' (serial, line status)"),
    (IoExit("in", 0x1234, 2, 1, b"\xff\xff"), "in 0x1234, 2 bytes: 0xffff"),
    (
        IoExit("out", 0x3F8, 1, 5, b"he\x1blo"),
        'out 0x3f8, 5 x 1 byte: "he\\x1blo" (serial, transmit)',
    ),
    (
        IoExit("in", 0x1F0, 2, 2, b"\1\2\3\4"),
        "in 0x1f0, 2 x 2 bytes: 0x201 0x403 (disk 1)",
    ),
    (
        IoExit("out", 0xCF8, 4, 1, b"\0\0\0\x80"),
        "out 0xcf8, 4 bytes: 0x80000000 (PCI, configuration address)",
    ),
]


@pytest.mark.parametrize(("detail", "line"), LINES)
def test_an_io_exit_is_told_with_port_and_value(detail: IoExit, line: str) -> None:
    assert meaning(ExitReason.IO, detail) == line


@pytest.mark.parametrize(
    ("reason", "detail", "line"),
    [
        (
            ExitReason.MMIO,
            MmioExit(True, 0xFEE00300, b"\1\2\0\0"),
            "mmio write 0xfee00300, 4 bytes: 0x201",
        ),
        (ExitReason.MMIO, MmioExit(False, 0xB8000, b"\xff"), "mmio read 0xb8000, 1 byte: 0xff"),
        (
            ExitReason.INTERNAL_ERROR,
            InternalErrorExit(1, b"\xcc"),
            "internal error: an instruction could not be emulated: cc",
        ),
        (ExitReason.INTERNAL_ERROR, InternalErrorExit(77, b""), "internal error: suberror 77"),
        (ExitReason.SYSTEM_EVENT, SystemEventExit(2, ()), "system event: reset"),
        (ExitReason.SYSTEM_EVENT, SystemEventExit(9, (1, 2)), "system event: type 9 (0x1 0x2)"),
    ],
)
def test_other_exits_are_told_with_their_fields(
    reason: ExitReason, detail: ExitDetail, line: str
) -> None:
    assert meaning(reason, detail) == line


def test_a_refused_entry_is_told_with_its_reason() -> None:
    line = meaning(ExitReason.FAIL_ENTRY, FailEntryExit(0x80000021, 3))
    assert line.startswith("fail_entry on CPU 3: reason 0x80000021, invalid guest state: ")


@pytest.mark.parametrize("reason", list(ExitReason))
def test_every_reason_is_told_in_one_line(reason: ExitReason) -> None:
    line = meaning(reason, decode_union(reason, bytes(256)))
    assert line
    assert "\n" not in line


def test_a_refused_entry_is_decoded() -> None:
    union = struct.pack("<QI", 0x80000021, 1) + bytes(244)
    assert decode_union(ExitReason.FAIL_ENTRY, union) == FailEntryExit(0x80000021, 1)


def test_the_instruction_of_an_emulation_failure_is_decoded() -> None:
    union = struct.pack("<IIQB", 1, 3, 1, 3) + b"\x0f\x58\xc1" + bytes(236)
    assert decode_union(ExitReason.INTERNAL_ERROR, union) == InternalErrorExit(1, b"\x0f\x58\xc1")


@pytest.mark.parametrize(("suberror", "words", "flags"), [(1, 3, 0), (1, 1, 1), (3, 3, 1)])
def test_no_instruction_is_made_up_where_kvm_gives_none(
    suberror: int, words: int, flags: int
) -> None:
    union = struct.pack("<IIQB", suberror, words, flags, 3) + bytes(239)
    assert decode_union(ExitReason.INTERNAL_ERROR, union) == InternalErrorExit(suberror, b"")


def test_a_system_event_is_decoded_with_its_data() -> None:
    union = struct.pack("<IIQQ", 3, 2, 7, 8) + bytes(232)
    assert decode_union(ExitReason.SYSTEM_EVENT, union) == SystemEventExit(3, (7, 8))


@given(reason=st.integers(0, 2**32 - 1), union=st.binary(min_size=256, max_size=256))
def test_any_union_decodes_to_one_line(reason: int, union: bytes) -> None:
    line = meaning(reason, decode_union(reason, union))
    assert line.isprintable()


@given(data=st.binary(max_size=64), size=st.sampled_from([1, 2, 4]), direction=st.booleans())
def test_any_io_is_told_in_printable_characters(data: bytes, size: int, direction: bool) -> None:
    data = data[: len(data) // size * size]
    detail = IoExit("in" if direction else "out", 0x3F8, size, len(data) // size, data)
    assert meaning(ExitReason.IO, detail).isprintable()


@given(data=st.binary(max_size=64))
def test_quoted_bytes_are_read_back_the_same(data: bytes) -> None:
    assert quoted(data)[1:-1].encode().decode("unicode_escape").encode("latin-1") == data


def test_a_string_instruction_counts_for_its_elements() -> None:
    assert normalised_count(IoExit("in", 0x3F8, 1, 5, bytes(5))) == 5
    assert normalised_count(IoExit("in", 0x3F8, 4, 1, bytes(4))) == 1
    assert normalised_count(MmioExit(True, 0, b"\0\0")) == 1
    assert normalised_count(OtherExit()) == 1


@pytest.mark.parametrize(
    ("port", "write", "name"),
    [
        (0x3F8, True, "serial, transmit"),
        (0x3F8, False, "serial, receive"),
        (0x2FA, False, "serial 2, interrupt identification"),
        (0x70, True, "CMOS, index and NMI mask"),
        (0x402, True, "debug console of the BIOS"),
        (0xF4, True, "exit port"),
        (0x9999, True, ""),
    ],
)
def test_well_known_ports_have_names(port: int, write: bool, name: str) -> None:
    assert port_name(port, write) == name


@pytest.mark.parametrize(
    ("reason", "layout", "values", "fields"),
    [
        (ExitReason.EXCEPTION, "<II", (13, 2), {"exception": 13, "error_code": 2}),
        (ExitReason.TPR_ACCESS, "<QI", (0x1000, 1), {"rip": 0x1000, "is_write": 1}),
        (ExitReason.IOAPIC_EOI, "<B", (0x31,), {"vector": 0x31}),
        (ExitReason.MEMORY_FAULT, "<QQQ", (8, 0x2000, 0x1000),
         {"flags": 8, "gpa": 0x2000, "size": 0x1000}),
        (ExitReason.S390_SIEIC, "<BxHI", (1, 2, 3), {"icptcode": 1, "ipa": 2, "ipb": 3}),
        (ExitReason.NOTIFY, "<I", (1,), {"flags": 1}),
    ],
)  # fmt: skip
def test_the_fields_of_other_exits_have_the_names_of_the_kernel(
    reason: ExitReason, layout: str, values: tuple[int, ...], fields: dict[str, int]
) -> None:
    detail = decode_union(reason, struct.pack(layout, *values).ljust(256, b"\0"))
    assert isinstance(detail, OtherExit)
    assert dict(detail.fields) == fields
    assert all(f"{name} {value:#x}" in meaning(reason, detail) for name, value in fields.items())


WITHOUT_FIELDS = {
    ExitReason.DEBUG, ExitReason.HLT, ExitReason.IRQ_WINDOW_OPEN, ExitReason.SHUTDOWN,
    ExitReason.INTR, ExitReason.SET_TPR, ExitReason.NMI, ExitReason.WATCHDOG,
    ExitReason.DIRTY_RING_FULL, ExitReason.AP_RESET_HOLD, ExitReason.X86_BUS_LOCK,
}  # fmt: skip


@pytest.mark.parametrize("reason", [one for one in ExitReason if one not in WITHOUT_FIELDS])
def test_every_exit_that_carries_data_has_decoded_fields(reason: ExitReason) -> None:
    detail = decode_union(reason, b"\1" * 256)
    if reason not in (ExitReason.IO, ExitReason.MMIO):  # decoded where their data is
        assert getattr(detail, "fields", True)
