"""The memory an instruction accesses, from its bytes and the registers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.operands import Access, accesses
from kdash.backends.kvm.records import REGISTER_NAMES
from kdash.backends.kvm.registers import ENCODED_SEGMENTS


def words(**registers: int) -> list[int]:
    return [registers.get(name, 0) for name in REGISTER_NAMES]


def found(code: str, bits: int, after: dict[str, int] | None = None, **now: int) -> list[Any]:
    bases = [now.pop(f"{name}_base", 0) for name in ENCODED_SEGMENTS]
    then = words(**{**now, **(after or {})})
    return list(accesses(bytes.fromhex(code), bits, words(**now), bases, then))


@pytest.mark.parametrize(
    ("code", "bits", "registers", "wanted"),
    [
        ("8b4424fc", 64, {"rsp": 0x8000}, [Access(0x7FFC, 4, False)]),
        ("8944b308", 64, {"rbx": 0x2000, "rsi": 2}, [Access(0x2010, 4, True)]),
        ("480307", 64, {"rdi": 0x3000}, [Access(0x3000, 8, False)]),
        ("480107", 64, {"rdi": 0x3000}, [Access(0x3000, 8, True)]),
        ("50", 64, {"rsp": 0x8000}, [Access(0x7FF8, 8, True)]),
        ("c3", 64, {"rsp": 0x8000}, [Access(0x8000, 8, False)]),
        ("e800000000", 32, {"rsp": 0x8000}, [Access(0x7FFC, 4, True)]),
        ("8907", 16, {"rbx": 0x12340010, "ds_base": 0x500}, [Access(0x510, 2, True)]),
        ("268a07", 16, {"rbx": 0x10, "es_base": 0x700}, [Access(0x710, 1, False)]),
        ("8a4602", 16, {"rbp": 0xFFFF, "ss_base": 0x900}, [Access(0x901, 1, False)]),
        ("65488b042528000000", 64, {"gs_base": 0x9000}, [Access(0x9028, 8, False)]),
        ("488b0510000000", 64, {"rip": 0x1000}, [Access(0x1017, 8, False)]),
        ("488b0510000000", 64, {"rip": 0x2000}, [Access(0x2017, 8, False)]),
        ("668b0f", 64, {"rdi": -4 & (1 << 64) - 1}, [Access((1 << 64) - 4, 2, False)]),
        ("8d4708", 64, {"rdi": 0x3000}, []),
        ("0f1f00", 64, {"rax": 0x3000}, []),
        ("90", 64, {}, []),
        ("ff", 64, {}, []),
        ("", 64, {}, []),
    ],
)
def test_an_instruction_accesses(
    code: str, bits: int, registers: dict[str, int], wanted: list[Access]
) -> None:
    assert found(code, bits, None, **registers) == wanted


def test_a_string_instruction_accesses_source_and_destination() -> None:
    assert set(found("a4", 64, rsi=0x1000, rdi=0x2000)) == {
        Access(0x1000, 1, False),
        Access(0x2000, 1, True),
    }


def test_a_repeated_one_accesses_as_many_elements_as_it_did() -> None:
    wanted = {Access(0x1000, 20, False), Access(0x2000, 20, True)}
    now = found("f3a5", 64, {"rcx": 0}, rsi=0x1000, rdi=0x2000, rcx=5)
    assert set(now) == wanted
    assert found("f3a5", 64, {"rcx": 0}, rsi=0x1000, rdi=0x2000, rcx=0) == []


def test_a_comparison_that_ends_early_accesses_what_it_compared() -> None:
    assert found("f2ae", 64, {"rcx": 7}, rdi=0x2000, rcx=10) == [Access(0x2000, 3, False)]


def test_a_repeated_one_goes_down_with_the_direction_flag() -> None:
    assert found("f3aa", 64, {"rcx": 0}, rdi=0x2003, rcx=4, rflags=0x402) == [
        Access(0x2000, 4, True)
    ]


@given(st.binary(max_size=16), st.sampled_from([16, 32, 64]), st.integers(0, (1 << 64) - 1))
def test_any_bytes_have_operands_within_the_address_space(
    code: bytes, bits: int, value: int
) -> None:
    for one in accesses(code, bits, [value] * 18, [value] * 6, [value] * 18):
        assert 0 <= one.linear < 1 << 64
        assert one.length > 0
