"""Serial output is data: shown, never obeyed."""

from hypothesis import given
from hypothesis import strategies as st

from kdash.widgets.vcpu.serial import LIMIT, SerialView, serial_lines

from .made import PartApp, drawn


def texts(data: bytes, width: int = 40) -> list[str]:
    return [line.text for line in serial_lines(data, width)]


def test_line_ends_are_obeyed() -> None:
    assert texts(b"one\ntwo\r\nthree") == ["one", "two", "three"]


def test_escape_sequences_stand_as_text() -> None:
    assert texts(b"\x1b[31mred\x07\x00\rover") == [r"\x1b[31mred\x07\x00\x0dover"]


def test_bytes_that_are_no_utf8_stand_as_escapes() -> None:
    assert texts(b"\xff\xc3\xa9") == [r"\xffé"]


def test_long_lines_are_broken_at_the_edge() -> None:
    assert texts(b"abcdef", 4) == ["abcd", "ef"]


@given(data=st.binary(max_size=200), width=st.integers(2, 50))
def test_nothing_is_lost_and_nothing_unprintable_remains(data: bytes, width: int) -> None:
    lines = serial_lines(data, width)
    assert all(line.width <= width for line in lines)
    joined = "".join(line.text for line in lines)
    assert joined.isprintable()
    whole = "".join(line.text for line in serial_lines(data, 10_000))
    assert joined == whole


async def test_the_newest_line_is_in_view_until_scrolled_up() -> None:
    view = SerialView()
    async with PartApp(view).run_test(size=(40, 6)) as pilot:
        view.show(b"".join(b"line %d\n" % n for n in range(50)))
        await pilot.pause()
        assert "line 49" in drawn(view)
        view.focus()
        await pilot.press("home")
        await pilot.pause()
        view.show(b"".join(b"line %d\n" % n for n in range(51)))
        await pilot.pause()
        assert drawn(view).startswith("line 0")


async def test_an_empty_view_tells_how_it_fills() -> None:
    view = SerialView()
    async with PartApp(view).run_test(size=(60, 6)):
        assert "port 0x3f8" in drawn(view)


async def test_markup_is_no_markup() -> None:
    view = SerialView()
    async with PartApp(view).run_test(size=(60, 6)):
        view.show(b"[bold red]not red[/] [/nothing]")
        assert drawn(view) == "[bold red]not red[/] [/nothing]"


async def test_an_endless_stream_is_cut_to_its_tail() -> None:
    view = SerialView()
    async with PartApp(view).run_test(size=(60, 6)) as pilot:
        view.show(b"x" * (2 * LIMIT) + b"end")
        await pilot.pause()
        assert drawn(view).endswith("end")
        assert len(view.lines) <= LIMIT // 50


async def test_the_debug_port_is_shown_where_nothing_came_over_the_serial_port() -> None:
    view = SerialView()
    async with PartApp(view).run_test(size=(60, 6)):
        view.show(b"", debug_port=b"from the BIOS")
        assert drawn(view) == "from the BIOS"
        assert "Debug port" in str(view.border_title)
        view.show(b"from the port", debug_port=b"from the BIOS")
        assert drawn(view) == "from the port"
        assert "Serial" in str(view.border_title)
