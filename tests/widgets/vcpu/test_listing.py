"""The listing stands still while a guest steps through it."""

from dataclasses import replace

from kdash.backends.kvm.facts import Instruction, SourceLine
from kdash.widgets.vcpu.listing import LIMIT, merged

from .made import listing


def straight(start: int, count: int, current: int) -> tuple[Instruction, ...]:
    return tuple(
        Instruction(ip, ip, b"\x90", "nop", ip == current) for ip in range(start, start + count)
    )


def test_stepping_within_the_listing_keeps_it() -> None:
    old = listing(0x1000)
    assert [row.ip for row in merged(old, listing(0x1003)[1:])] == [row.ip for row in old]


def test_code_that_follows_is_added_at_the_end() -> None:
    assert [row.ip for row in merged(straight(0, 4, 0), straight(2, 4, 3))] == list(range(6))


def test_a_jump_elsewhere_starts_anew() -> None:
    new = straight(0x2000, 3, 0x2000)
    assert merged(listing(), new) == new


def test_code_that_changed_starts_anew() -> None:
    patched = (Instruction(0x1003, 0x1003, b"\x90", "nop", True), *listing()[2:])
    assert merged(listing(), patched) == patched


def test_a_jump_into_the_middle_of_an_instruction_starts_anew() -> None:
    inside = straight(0x1001, 2, 0x1001)
    assert merged(listing(), inside) == inside


def test_what_stands_before_the_current_instruction_is_a_guess_and_does_not_count() -> None:
    guess = (Instruction(0x1001, 0x1001, b"\xf8\x03", "clc", False), *listing(0x1003)[1:])
    assert [row.ip for row in merged(listing(), guess)] == [row.ip for row in listing()]


def test_a_listing_does_not_grow_for_ever() -> None:
    rows: tuple[Instruction, ...] = ()
    for ip in range(3 * LIMIT):
        rows = merged(rows, straight(ip, 8, ip))
        assert len(rows) <= LIMIT + 8


def test_source_lines_that_are_read_later_come_into_the_listing() -> None:
    later = tuple(replace(row, source=SourceLine("a.c", 7)) for row in listing(0x1003))
    assert all(row.source is not None for row in merged(listing(), later))
