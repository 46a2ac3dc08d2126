"""The interrupt controller of machines without those of the kernel."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from kdash.backends.kvm.pic import Pic

START = (0x11, 0x08, 0x04, 0x01)  # ICW1 to ICW4: base 8


def started(words: Iterable[int] = START, mask: int = 0) -> Pic:
    pic = Pic()
    for number, word in enumerate((*words, mask)):
        pic.write(0x20 if number == 0 else 0x21, 1, bytes([word]))
    return pic


def test_nothing_comes_through_before_it_is_programmed() -> None:
    pic = Pic()
    pic.set_line(4, True)
    assert not pic.pending


def test_a_rising_edge_is_a_request_with_its_vector() -> None:
    pic = started()
    pic.set_line(4, True)
    assert pic.pending
    assert pic.acknowledge() == 12
    assert not pic.pending


def test_a_level_that_stays_is_no_further_request() -> None:
    pic = started()
    pic.set_line(4, True)
    pic.acknowledge()
    pic.write(0x20, 1, b"\x20")
    pic.set_line(4, True)
    assert not pic.pending


def test_a_request_that_is_withdrawn_is_gone() -> None:
    pic = started()
    pic.set_line(4, True)
    pic.set_line(4, False)
    assert not pic.pending


def test_a_masked_request_waits() -> None:
    pic = started(mask=0x10)
    pic.set_line(4, True)
    assert not pic.pending
    pic.write(0x21, 1, b"\xef")
    assert pic.acknowledge() == 12
    assert pic.read(0x21, 1) == 0xEF


def test_lower_numbers_go_first_and_interrupt_the_others() -> None:
    pic = started()
    for irq in (4, 6):
        pic.set_line(irq, True)
    assert pic.acknowledge() == 12
    assert not pic.pending  # 6 waits for the end of 4
    pic.set_line(1, True)
    assert pic.acknowledge() == 9


@pytest.mark.parametrize("command", [0x20, 0x64])
def test_the_end_of_an_interrupt_lets_the_next_one_through(command: int) -> None:
    pic = started()
    for irq in (4, 6):
        pic.set_line(irq, True)
    pic.acknowledge()
    pic.write(0x20, 1, bytes([command]))
    assert pic.acknowledge() == 14


def test_with_automatic_end_none_is_being_served() -> None:
    pic = started((0x13, 0x20, 0x03))  # single: no ICW3
    pic.set_line(4, True)
    assert pic.acknowledge() == 0x24
    pic.write(0x20, 1, b"\x0b")
    assert pic.read(0x20, 1) == 0


def test_requests_and_served_interrupts_can_be_read() -> None:
    pic = started()
    for irq in (4, 6):
        pic.set_line(irq, True)
    pic.acknowledge()
    assert pic.read(0x20, 1) == 0x40
    pic.write(0x20, 1, b"\x0b")
    assert pic.read(0x20, 1) == 0x10


def test_its_state_can_be_kept() -> None:
    pic = started(mask=0x40)
    for irq in (4, 5):
        pic.set_line(irq, True)
    pic.acknowledge()
    other = Pic()
    other.restore(pic.save())
    assert other.save() == pic.save()
    other.write(0x20, 1, b"\x20")
    assert other.acknowledge() == 13
    assert other.lets_through(4)
    assert not other.lets_through(6)
