"""The registers as lines: every value whole at every width, changes marked in text."""

import re
from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdash.backends.kvm.facts import Registers, Segment
from kdash.widgets.vcpu.register_lines import CONTROLS, HIGH, LOW, SEGMENTS, register_lines

WORD = st.one_of(st.integers(0, 2**64 - 1), st.integers(0, 2**32 - 1), st.just(0))
SEGMENT = st.builds(
    Segment,
    selector=st.integers(0, 0xFFFF),
    base=WORD,
    limit=st.integers(0, 2**32 - 1),
    present=st.integers(0, 1),
    l=st.integers(0, 1),
)
REGISTERS = st.builds(
    Registers,
    **{
        field.name: SEGMENT if field.name in SEGMENTS else WORD
        for field in fields(Registers)
        if field.name != "rflags"
    },
    rflags=st.integers(0, 2**22 - 1),
)


def text(registers: Registers, width: int, changed: frozenset[str], full: bool = False) -> str:
    return "\n".join(line.text for line in register_lines(registers, changed, 0, width, full=full))


def value_of(name: str, drawn: str) -> int:
    """The number that stands behind a name."""
    found = re.search(rf"(?<!\w){name} +([0-9a-f]+)\b", drawn)
    assert found, f"{name} not in\n{drawn}"
    return int(found[1], 16)


@settings(max_examples=40)
@given(registers=REGISTERS, width=st.integers(36, 120), full=st.booleans())
def test_every_register_stands_whole_at_every_width(
    registers: Registers, width: int, full: bool
) -> None:
    lines = register_lines(registers, frozenset(), 0, width, full=full)
    assert all(line.width <= width + 1 for line in lines)  # a mark's blank may be cut
    drawn = "\n".join(line.text[:width] for line in lines)
    for name in (*LOW, "rip", "rflags"):
        assert value_of(name, drawn) == getattr(registers, name)
    for name in (*HIGH, *CONTROLS):
        if getattr(registers, name):
            assert value_of(name, drawn) == getattr(registers, name)
    for name in SEGMENTS:
        segment = getattr(registers, name)
        hidden = re.search(
            rf"{name} ([0-9a-f]{{4}}) (?:base )?([0-9a-f]+)(?:\+| limit )([0-9a-f]+)", drawn
        )
        assert hidden
        told = tuple(int(number, 16) for number in hidden.groups())
        assert told == (segment.selector, segment.base, segment.limit)


@settings(max_examples=40)
@given(registers=REGISTERS, width=st.integers(36, 120))
def test_a_change_is_told_by_a_mark_as_well_as_by_colour(registers: Registers, width: int) -> None:
    drawn = text(registers, width, frozenset({"rbx", "cs", "cr0"}))
    assert re.search(r"rbx +[0-9a-f]+\*", drawn)
    assert re.search(r"cs [0-9a-f]{4} [0-9a-f]+\+[0-9a-f]+ *\*", drawn)
    assert re.search(r"cr0 [0-9a-f]+\*", drawn)
    assert not re.search(r"rax +[0-9a-f]+\*", drawn)


def test_registers_out_of_reach_outside_long_mode_take_no_room_while_empty() -> None:
    assert "r15" not in text(Registers(), 78, frozenset())
    assert "r15" in text(Registers(r15=1), 78, frozenset())
    assert "r15" in text(Registers(cr0=1, efer=0x400), 78, frozenset())


def test_real_mode_needs_eight_digits_and_long_mode_sixteen() -> None:
    assert "rax 00000002 " in text(Registers(rax=2), 78, frozenset())
    assert "rax 0000000000000002 " in text(Registers(rax=2, cr0=1, efer=0x400), 78, frozenset())


def test_flags_that_are_set_stand_in_capitals() -> None:
    assert "of  df  IF  tf  sf  ZF  af  PF  cf" in text(Registers(rflags=0x246), 78, frozenset())


def test_a_flag_that_flipped_is_marked() -> None:
    lines = register_lines(Registers(rflags=0x42), frozenset({"rflags"}), 0x41, 78, full=False)
    drawn = "\n".join(line.text for line in lines)
    assert "ZF* af  pf  cf*" in drawn


def test_rare_flags_stand_only_when_set() -> None:
    assert "vm" not in text(Registers(), 78, frozenset()).lower()
    assert "VM" in text(Registers(rflags=0x20002), 78, frozenset())


def test_the_bits_of_the_control_registers_have_names() -> None:
    registers = Registers(cr0=0x8005_0033, cr4=0x220, efer=0xD01, cr3=0x10000)
    drawn = text(registers, 78, frozenset())
    assert "cr0 80050033  PE MP ET NE WP AM PG" in re.sub(" +", " ", drawn).replace("3 PE", "3  PE")
    assert "PAE OSFXSR" in drawn
    assert "SCE LME LMA NXE" in drawn


@pytest.mark.parametrize(("width", "columns"), [(36, 2), (49, 3), (78, 4), (118, 8)])
def test_general_registers_stand_in_columns_that_keep_pairs_together(
    width: int, columns: int
) -> None:
    first = register_lines(Registers(), frozenset(), 0, width, full=False)[0].text
    assert first.split()[0::2] == list(LOW[:columns])


def test_in_full_each_segment_has_its_size_and_privilege() -> None:
    registers = Registers(cs=Segment(selector=8, l=1, dpl=3), cr0=1, efer=0x400)
    drawn = text(registers, 90, frozenset(), full=True)
    assert "cs 0008 base 00000000 limit 0000ffff  64-bit dpl3" in drawn
