"""Guest memory as gdb's x shows it."""

import pytest

from kdash.widgets.vcpu.memory import Examine, MemoryView, memory_lines, value_text

from .made import PartApp, drawn


@pytest.mark.parametrize(
    ("data", "form", "text"),
    [
        (b"\xba", "x", "ba"),
        (b"\x34\x12", "x", "1234"),
        (b"\xff", "d", " -1"),
        (b"\xff\xff", "u", "65535"),
        (b"A", "c", "A"),
        (b"\x1b", "c", "."),
    ],
)
def test_a_value_is_shown_in_its_form(data: bytes, form: str, text: str) -> None:
    assert value_text(data, form) == text


def test_a_line_holds_address_values_and_text() -> None:
    lines = memory_lines(Examine(0x1000, 8), b"4\n\x1b[31mX", b"", 40)
    assert [line.text for line in lines] == ["1000  34 0a 1b 5b 33 31 6d 58  4..[31mX"]


def test_a_byte_that_changed_is_marked() -> None:
    line = memory_lines(Examine(0, 4), b"\x01\x02\x03\x04", b"\x01\xff\x03\x04", 30)[0]
    assert "01 02*03 04 " in line.text


def test_where_memory_ends_it_is_said() -> None:
    assert memory_lines(Examine(0x1F_FFFC, 16), b"\x00" * 4, b"", 60)[-1].text == (
        "no memory at 0x200000"
    )


@pytest.mark.parametrize(("width", "bytes_a_line"), [(30, 4), (49, 8), (73, 16), (150, 32)])
def test_lines_are_as_long_as_the_room_allows(width: int, bytes_a_line: int) -> None:
    lines = memory_lines(Examine(0x1000, 64), bytes(64), b"", width)
    assert len(lines) == 64 // bytes_a_line
    assert all(line.width <= width for line in lines)


async def test_only_what_changed_between_two_stops_is_marked() -> None:
    view = MemoryView()
    async with PartApp(view).run_test(size=(60, 6)):
        view.show(Examine(0, 4), b"\x01\x02\x03\x04")
        assert "*" not in drawn(view)
        view.show(Examine(0, 4), b"\x01\x02\x03\x05")
        assert "05*" in drawn(view)
        view.show(Examine(4, 4), b"\x09\x09\x09\x09")
        assert "*" not in drawn(view)


async def test_before_the_first_x_the_view_says_how_to_ask() -> None:
    view = MemoryView()
    async with PartApp(view).run_test(size=(60, 6)):
        assert ":x/64b 0x1000" in drawn(view)
