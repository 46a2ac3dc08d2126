"""Guest memory as gdb's x shows it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.widgets.vcpu.memory import MemoryView
from kdash.widgets.vcpu.memory_lines import Examine, extended, memory_lines, value_text
from tests.widgets.vcpu.made import PartApp, drawn


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
    lines = memory_lines(Examine(0x1000, 8), b"4\n\x1b[31mX", (0, b""), 40)
    assert [line.text for line in lines] == ["1000  34 0a 1b 5b 33 31 6d 58  4..[31mX"]


def test_a_byte_that_changed_is_marked() -> None:
    line = memory_lines(Examine(0, 4), b"\x01\x02\x03\x04", (0, b"\x01\xff\x03\x04"), 30)[0]
    assert "01 02*03 04 " in line.text


def test_where_memory_ends_it_is_said() -> None:
    assert memory_lines(Examine(0x1F_FFFC, 16), b"\x00" * 4, (0, b""), 60)[-1].text == (
        "no memory at 0x200000"
    )


@pytest.mark.parametrize(("width", "bytes_a_line"), [(30, 4), (49, 8), (73, 16), (150, 32)])
def test_lines_are_as_long_as_the_room_allows(width: int, bytes_a_line: int) -> None:
    lines = memory_lines(Examine(0x1000, 64), bytes(64), (0, b""), width)
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


class MemoryApp(PartApp):
    def __init__(self) -> None:
        self.view = MemoryView()
        self.memory = bytearray(range(256)) * 16
        super().__init__(self.view)

    def on_mount(self) -> None:
        self.view.focus()
        self.read(Examine(0x100, 32))

    def read(self, what: Examine) -> None:
        data = bytes(self.memory[what.address : what.end])
        self.view.show(what, data, stop=False)

    def on_memory_view_wanted(self, event: MemoryView.Wanted) -> None:
        self.heard.append((event.what.address, event.what.length))
        self.read(event.what)

    def on_memory_view_edited(self, event: MemoryView.Edited) -> None:
        self.heard.append((event.address, event.data))


async def test_moving_beyond_what_was_examined_shows_what_lies_there() -> None:
    app = MemoryApp()
    async with app.run_test(size=(60, 6)) as pilot:
        await pilot.press("k")
        await pilot.pause()
        assert drawn(app.view).startswith("00f8  f8 f9")
        await pilot.press("pagedown", "pagedown", "pagedown")
        await pilot.pause()
        assert "0140  40 41" in drawn(app.view)
        await pilot.press("g", "g")
        await pilot.pause()
        assert "0100  00 01" in drawn(app.view)
        assert all(length == 48 for _, length in app.heard)


async def test_memory_begins_at_zero() -> None:
    app = MemoryApp()
    async with app.run_test(size=(60, 6)) as pilot:
        app.read(Examine(4, 32))
        await pilot.press("j", "k", "k", "k")
        await pilot.pause()
        assert app.heard == [(0, 48)]


async def test_digits_set_the_value_under_the_cursor_and_go_on_to_the_next() -> None:
    app = MemoryApp()
    async with app.run_test(size=(60, 6)) as pilot:
        await pilot.press("l", "enter", *"a5", "7")
        assert "a5" not in drawn(app.view)  # nothing is shown that the guest does not hold
        assert "7_" in drawn(app.view)
        await pilot.press("enter")
        await pilot.pause()
        assert app.heard == [(0x101, b"\xa5"), (0x102, b"\x07")]


async def test_a_word_is_written_in_the_order_of_the_processor() -> None:
    app = MemoryApp()
    async with app.run_test(size=(60, 6)) as pilot:
        app.read(Examine(0x100, 8, 4))
        await pilot.press("enter", *"12345678", "escape", "j")
        await pilot.pause()
        assert app.heard == [(0x100, b"\x78\x56\x34\x12")]


async def test_the_title_says_whose_addresses_they_are() -> None:
    view = MemoryView()
    async with PartApp(view).run_test(size=(60, 6)):
        view.show(Examine(0x7FD8, 4, follow="rsp"), bytes(4))
        assert "linear 7fd8 = rsp" in str(view.border_title)
        view.show(Examine(0x7FD8, 4, physical=True), bytes(4))
        assert "physical 7fd8" in str(view.border_title)


async def test_bytes_set_one_after_the_other_are_all_marked_until_the_guest_moves() -> None:
    view = MemoryView()
    async with PartApp(view).run_test(size=(60, 6)):
        view.show(Examine(0, 4), b"\x01\x02\x03\x04")
        view.show(Examine(0, 4), b"\x01\x02\x03\x05")
        view.show(Examine(0, 4), b"\xaa\x02\x03\x05", stop=False)
        view.show(Examine(0, 4), b"\xaa\xbb\x03\x05", stop=False)
        assert "aa*bb*03 05*" in drawn(view)
        view.show(Examine(0, 4), b"\xaa\xbb\x03\x05")
        assert "*" not in drawn(view)


async def test_what_is_set_before_the_first_stop_or_beyond_what_was_shown_is_marked() -> None:
    view = MemoryView()
    async with PartApp(view).run_test(size=(60, 6)):
        view.show(Examine(0, 4), bytes(4))
        view.show(Examine(0, 4), b"\x01\0\0\0", stop=False)
        assert "01*" in drawn(view)
        view.show(Examine(2, 4), bytes(4), stop=False)
        view.show(Examine(2, 4), b"\0\0\0\x02", stop=False)
        assert "00 00 00 02*" in drawn(view)
        view.show(Examine(0, 6), b"\x01\0\0\0\0\x02", stop=False)
        assert "01*00 00 00 00 02*" in drawn(view)


@given(
    memory=st.binary(min_size=64, max_size=64),
    one=st.tuples(st.integers(0, 40), st.integers(0, 20)),
    other=st.tuples(st.integers(0, 40), st.integers(0, 20)),
)
def test_what_is_known_of_memory_is_extended_by_what_is_read(
    memory: bytes, one: tuple[int, int], other: tuple[int, int]
) -> None:
    known = (one[0], memory[one[0] : sum(one)])
    start, held = extended(known, other[0], memory[other[0] : sum(other)])
    assert memory[start : start + len(held)] == held
    assert start <= other[0]
    assert start + len(held) >= sum(other)


async def test_a_double_click_sets_the_value_clicked() -> None:
    app = MemoryApp()
    async with app.run_test(size=(60, 6)) as pilot:
        await pilot.click(app.view, offset=(12, 1), times=2)  # 0108: the third byte
        await pilot.press(*"7f", "escape")
        await pilot.pause()
        assert app.heard == [(0x10A, b"\x7f")]


async def test_the_cursor_shows_as_soon_as_the_part_has_the_keyboard() -> None:
    app = MemoryApp()
    async with app.run_test(size=(60, 6)) as pilot:
        await pilot.pause()
        marked = [piece.text for line in app.view.lines for piece in line.pieces
                  if piece.tone == "focused"]  # fmt: skip
        assert marked == ["00"]
