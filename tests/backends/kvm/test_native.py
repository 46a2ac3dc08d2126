"""What the native loop decodes before a step, and its records."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.records import ACCESS, RECORD, Record, Steps, first_bytes


def classify(code: bytes, bits: int) -> tuple[int, int]:
    length = ffi.new("uint32_t *")
    return lib.kdash_classify(code, len(code), bits, length), length[0]


@pytest.mark.parametrize(
    ("code", "bits", "kind", "length"),
    [
        ("f4", 16, lib.KDASH_HLT, 1),
        ("66f4", 32, lib.KDASH_HLT, 2),
        ("48f4", 64, lib.KDASH_HLT, 2),
        ("48f4", 32, lib.KDASH_PLAIN, 0),  # dec eax
        ("f3a4", 16, lib.KDASH_REP, 0),
        ("f2ae", 64, lib.KDASH_REP, 0),
        ("67f366a5", 32, lib.KDASH_REP, 0),
        ("f348ab", 64, lib.KDASH_REP, 0),
        ("a4", 16, lib.KDASH_PLAIN, 0),
        ("f390", 64, lib.KDASH_PLAIN, 0),  # pause
        ("f30f58c1", 64, lib.KDASH_PLAIN, 0),  # addss
        ("0f01", 64, lib.KDASH_PLAIN, 0),
        ("", 64, lib.KDASH_UNKNOWN, 0),
        ("6666", 16, lib.KDASH_UNKNOWN, 0),
    ],
)
def test_hlt_and_rep_are_told_from_other_instructions(
    code: str, bits: int, kind: int, length: int
) -> None:
    assert classify(bytes.fromhex(code), bits) == (kind, length)


@given(code=st.binary(max_size=16), bits=st.sampled_from([16, 32, 64]))
def test_hlt_and_rep_are_those_that_a_disassembler_sees(code: bytes, bits: int) -> None:
    from iced_x86 import Decoder, Mnemonic

    kind, length = classify(code, bits)
    decoded = Decoder(bits, code).decode() if code else None
    if not decoded:
        return
    assert (kind == lib.KDASH_HLT) == (decoded.mnemonic == Mnemonic.HLT)
    if kind == lib.KDASH_HLT:
        assert length == decoded.len
    assert (kind == lib.KDASH_REP) == (
        decoded.is_string_instruction and (decoded.has_rep_prefix or decoded.has_repne_prefix)
    )


def test_records_are_read_where_the_compiler_put_their_fields() -> None:
    native = ffi.new("struct kdash_record *")
    native.rip, native.reason, native.port, native.size, native.write = 0x1000, 2, 0x3F8, 2, 1
    native.count, native.bits, native.address = 3, 32, 0xD0000000
    native.code_length, native.before_length = 2, 1
    native.data, native.code = b"abcdef" + bytes(10), b"\xf3\x6f" + bytes(14)
    native.before = bytes(15) + b"\x90"
    native.registers = list(range(18))
    raw = bytes(ffi.buffer(native))
    assert Record.unpack(raw) == Record(
        0x1000, 2, 0x3F8, 2, True, 3, 32, 0xD0000000, b"abcdef", b"\xf3\x6f", b"\x90",
        tuple(range(18)),
    )  # fmt: skip
    assert ACCESS.unpack(raw)[:6] == (2, 0x3F8, 2, 1, 3, 0xD0000000)
    assert len(raw) == RECORD.size


def test_the_first_bytes_of_records_are_a_column() -> None:
    zeros = bytes(16)
    rows = [
        RECORD.pack(0, 2, 0x3F8, 1, 1, 1, 0, 0, 16, 0, data, zeros, zeros, *[0] * 18)
        for data in (b"h" + bytes(15), b"i" + bytes(15))
    ]
    assert first_bytes(b"".join(rows)) == b"hi"


def test_a_record_packs_as_the_native_loop_leaves_it() -> None:
    one = Record(
        0x1000, 2, 0x3F8, 1, False, 2, 64, 0, b"ab", b"\x90\xf4", b"\xcc", tuple(range(18))
    )
    assert Record.unpack(one.pack()) == one
    (step,) = Steps(one.pack(), 5, 0)
    assert step == one
