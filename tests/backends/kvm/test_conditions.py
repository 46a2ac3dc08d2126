"""The language of conditions."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.kvm.condition_words import ConditionError
from kdash.backends.kvm.conditions import (
    CannotEvaluate,
    parse,
)
from kdash.backends.kvm.facts import Registers, Segment
from kdash.backends.kvm.moments import Moment

MASK = (1 << 64) - 1
MEMORY = {0x2000: bytes(range(1, 17)), 0x9004: b"\x34\x12"}
REGISTERS = Registers(
    rax=0x1122334455667788, rbx=5, rsp=0x2000, rbp=4, rip=0x1008, r9=(1 << 64) - 1,
    cs=Segment(selector=8, l=1), ss=Segment(selector=0x900, base=0x9000),
    cr0=0x80000011, efer=0x500,
)  # fmt: skip


def read(linear: int, length: int) -> bytes:
    for start, data in MEMORY.items():
        if start <= linear < start + len(data):
            return data[linear - start : linear - start + length]
    return b""


def value(text: str) -> int:
    symbols = {"main": 0x1000, "count.1": 0x2000}
    return parse(text, symbols.get).evaluate(Moment(REGISTERS, read))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("20", 20), ("0x14", 20), ("14h", 20), ("0b101", 5), ("'A'", 65), (r"'\n'", 10),
        ("rbx", 5), ("$rbx", 5), ("RBX", 5), ("eax", 0x55667788), ("ax", 0x7788), ("ah", 0x77),
        ("al", 0x88), ("r9d", 0xFFFFFFFF), ("pc", 0x1008), ("rip", 0x1008), ("cs", 8),
        ("cr0 & 1", 1), ("main", 0x1000), ("main+8 == rip", 1), ("byte [count.1+1]", 2),
        ("byte [0x2000]", 1), ("word [rsp]", 0x201), ("dword [rsp+1]", 0x5040302),
        ("qword [rsp]", 0x807060504030201), ("[rsp]", 0x807060504030201),
        ("word [ss:bp]", 0x1234), ("2+3*4", 14), ("(2+3)*4", 20), ("7-2-1", 4), ("17/5", 3),
        ("17%5", 2), ("1<<4|1", 17), ("1 << 64", 0), ("6^3", 5), ("-1", MASK), ("~0", MASK),
        ("!5", 0), ("!!5", 1), ("1-2 == 0xffffffffffffffff", 1), ("rax < 0", 0),
        ("1 == 1 && 2 == 3", 0), ("1 == 1 || 2 == 3", 1), ("rbx>=5&&rbx<=5", 1),
        ("rbx == 5 && [rsp] != 0", 1), ("0 && [0]", 0), ("1 || [0]", 1), ("rbx & 4 == 4", 1),
        ("dword[rsp] != byte[rsp]", 1),
    ],
)  # fmt: skip
def test_a_condition_has_a_value(text: str, result: int) -> None:
    assert value(text) == result


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("", 0, "a number, a register, a symbol or [address] wanted, not the end"),
        ("rax =", 4, "'=': use == to compare"),
        ("rax ==", 6, "wanted, not the end"),
        ("rax 5", 4, "an operator such as == or && wanted, not '5'"),
        ("(rax", 4, "')' wanted, not the end"),
        ("[rax", 4, "']' wanted, not the end"),
        ("rax == 0xzz", 7, "'0xzz' is no number"),
        ("rax == nowhere", 7, "'nowhere' is no register and no symbol"),
        ("rax == dead", 7, "as a number it is 0xdead"),
        ("$main", 0, "no register '$main'"),
        ("1 == 0x10000000000000000", 5, "more than 64 bits"),
        ("rax == #", 7, "'#': means nothing here"),
        ("byte 5", 0, "'byte' is no register and no symbol"),
        ("(" * 200, 50, "nested deeper than 50"),
        ("!" * 200, 50, "nested deeper than 50"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, place: int, told: str) -> None:
    with pytest.raises(ConditionError) as error:
        parse(text, {"main": 0x1000}.get)
    assert told in str(error.value)
    assert error.value.place == place


def test_a_condition_without_end_is_refused() -> None:
    with pytest.raises(ConditionError, match="longer than 400 characters"):
        parse("1+" * 400)


def test_the_longest_condition_can_be_evaluated() -> None:
    assert value("1+" * 199 + "1") == 200
    assert value("(1+" * 49 + "1" + ")" * 49) == 50


@pytest.mark.parametrize(
    ("text", "why"),
    [("[0x5000]", "no memory at 0x5000"), ("1/0", "division by zero"), ("1%0", "division")],
)
def test_what_has_no_value_now_says_why(text: str, why: str) -> None:
    with pytest.raises(CannotEvaluate, match=why):
        value(text)


@given(st.text(alphabet="rax $[]()<>=!&|+-*/%^~0123456789xh:.'\\\nbyteword", max_size=60))
def test_any_text_is_a_condition_or_a_mistake_with_a_place_in_it(text: str) -> None:
    try:
        condition = parse(text)
    except ConditionError as error:
        assert 0 <= error.place <= len(text)
        return
    with suppress(CannotEvaluate):
        assert 0 <= condition.evaluate(Moment(REGISTERS, read)) <= MASK


NUMBERS = st.integers(0, MASK)
SIGNS = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b,
    "&": lambda a, b: a & b, "|": lambda a, b: a | b, "^": lambda a, b: a ^ b,
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip


@given(NUMBERS, st.sampled_from(sorted(SIGNS)), NUMBERS)
def test_operators_compute_with_64_bits(left: int, sign: str, right: int) -> None:
    assert value(f"{left} {sign} {right:#x}") == int(SIGNS[sign](left, right)) & MASK
