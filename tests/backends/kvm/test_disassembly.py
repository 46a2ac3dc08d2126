"""Guest code as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.disassembly import (
    around,
    backward,
    forward,
    length_to_step_over,
    named,
)
from kdash.backends.kvm.facts import Registers, Segment
from kdash.backends.kvm.guests import ARTICLE_IMAGE
from kdash.backends.kvm.symbols import Symbols

MEMORY = bytes(0x1000) + ARTICLE_IMAGE + bytes(0x1000 - len(ARTICLE_IMAGE))


def read(linear: int, length: int) -> bytes:
    return MEMORY[linear : linear + length]


def test_the_article_guest_is_shown_around_its_ip() -> None:
    shown = around(Registers(rip=0x1005), read, floor=0x1000, after=4)
    assert [(one.ip, one.text, one.current) for one in shown] == [
        (0x1000, "mov dx,0x3f8", False),
        (0x1003, "add al,bl", False),
        (0x1005, "add al,0x30", True),
        (0x1007, "out dx,al", False),
        (0x1008, "mov al,0xa", False),
        (0x100A, "out dx,al", False),
    ]


@pytest.mark.parametrize(
    ("bits", "code", "text"),
    [
        (16, "b83412", "mov ax,0x1234"),
        (32, "b878563412", "mov eax,0x12345678"),
        (64, "48b8f0debc9a78563412", "mov rax,0x123456789abcdef0"),
        (16, "ebfe", "jmp 0x1000"),
        (64, "0f58c1", "addps xmm0,xmm1"),
    ],
)
def test_instructions_are_decoded_in_their_size(bits: int, code: str, text: str) -> None:
    (one,) = forward(bytes.fromhex(code), 0x1000, 0x1000, bits, count=1)
    assert one.text == text


def test_bytes_that_are_no_instruction_take_one_line_each() -> None:
    shown = forward(bytes.fromhex("06 07 90"), 0, 0, 64, count=9)
    assert [one.text for one in shown] == ["(bad)", "(bad)", "nop"]


def test_a_branch_says_where_it_goes() -> None:
    (jump, load) = forward(bytes.fromhex("7410 b001"), 0x1000, 0x1000, 64, count=2)
    assert (jump.target, load.target) == (0x1012, None)


def test_code_at_a_segment_base_has_its_own_linear_address() -> None:
    registers = Registers(rip=3, cs=Segment(selector=0x100, base=0x1000))
    shown = around(registers, read, floor=0x1000, after=1)
    assert [(one.ip, one.linear) for one in shown] == [(0, 0x1000), (3, 0x1003)]


def test_code_before_ip_is_read_from_the_symbol_it_follows() -> None:
    memory = bytes(0x1000) + bytes.fromhex("b0 ba4040 90")  # a byte of data; mov dx,0x4040; nop

    def look(linear: int, length: int) -> bytes:
        return memory[linear : linear + length]

    symbols = Symbols.of([("f", 0x1001)])
    shown = around(Registers(rip=0x1004), look, 0x1000, after=1, begin=symbols.begin(0x1004))
    assert [one.text for one in shown[-2:]] == ["mov dx,0x4040", "nop"]
    guessed = around(Registers(rip=0x1004), look, 0x1000, after=1, begin=symbols.begin(0x1001))
    assert [one.text for one in guessed] == ["mov al,0xba", "inc ax", "inc ax", "nop"]


def test_nothing_is_shown_where_no_memory_is() -> None:
    assert around(Registers(rip=0x8000), read, floor=0x1000) == ()


@pytest.mark.parametrize(
    ("code", "length"),
    [
        ("e80000", 3),
        ("cd10", 2),
        ("ff10", 2),
        ("90", None),
        ("ebfe", None),
        ("c3", None),
        ("", None),
    ],
)
def test_what_comes_back_by_itself_can_be_stepped_over(code: str, length: int | None) -> None:
    assert length_to_step_over(bytes.fromhex(code), 0x1000, 16) == length


@given(code=st.binary(max_size=80), bits=st.sampled_from([16, 32, 64]))
def test_any_bytes_are_shown_without_gaps(code: bytes, bits: int) -> None:
    shown = forward(code, 0x1000, 0x1000, bits, count=200)
    at = 0x1000
    for one in shown:
        assert one.ip == at
        at += len(one.code)
    assert at - 0x1000 <= len(code)


@given(code=st.binary(max_size=48), bits=st.sampled_from([16, 32, 64]))
def test_earlier_instructions_always_meet_the_ip(code: bytes, bits: int) -> None:
    shown = backward(code, 0x1000 + len(code), 0x1000 + len(code), bits, 8)
    assert len(shown) <= 8
    if shown:
        assert shown[-1].ip + len(shown[-1].code) == 0x1000 + len(code)


def test_instructions_are_named_by_where_they_are_and_branches_by_where_they_go() -> None:
    call, after = named(
        forward(bytes.fromhex("e80b000000c3"), 0x1000, 0x1000, 64, count=2),
        Symbols.of([("main", 0x1000), ("send", 0x100C)]),
    )
    assert (call.symbol, call.target_symbol) == ("main", "send+0x4")
    assert (after.symbol, after.target_symbol) == ("main+0x5", "")


def test_16_bit_code_ends_with_its_segment() -> None:
    reset = Registers(rip=0xFFF0, cs=Segment(selector=0xF000, base=0xFFFF0000))
    shown = around(reset, lambda _, length: b"\x90" * length, floor=0)
    assert shown[-1].ip == 0xFFFF
    assert sum(row.ip >= 0xFFF0 for row in shown) == 16
