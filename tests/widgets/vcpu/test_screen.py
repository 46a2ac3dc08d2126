"""The text screen: glyphs and colours, as data."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kdash.backends.kvm.facts import TextScreen
from kdash.widgets.vcpu.screen import GLYPHS, ScreenView, screen_lines, style_of, used_rows

from .made import PartApp, drawn


def screen(cells: bytes) -> TextScreen:
    return TextScreen(80, 25, cells.ljust(4000, b"\0"))


def test_every_code_has_a_printable_glyph_of_one_cell() -> None:
    assert len(GLYPHS) == 256
    assert all(glyph.isprintable() and cell_len(glyph) == 1 for glyph in GLYPHS)
    assert (GLYPHS[0x01], GLYPHS[0x41], GLYPHS[0x7F], GLYPHS[0xDB]) == ("☺", "A", "⌂", "█")


def test_cells_of_one_attribute_are_one_piece() -> None:
    first = screen_lines(screen(b"H\x1fi\x1f!\x4e"))[0]
    assert first.pieces[:2] == (("Hi", "1f"), ("!", "4e"))
    assert first.width == 80


def test_an_attribute_is_text_ground_and_blinking() -> None:
    style = style_of(0x9E)
    assert style.color is not None
    assert style.bgcolor is not None
    assert (style.color.name, style.bgcolor.name, style.blink) == ("#ffff55", "#0000aa", True)


@given(st.binary(min_size=4000, max_size=4000))
def test_any_cells_are_25_rows_of_80_printable_characters(cells: bytes) -> None:
    lines = screen_lines(TextScreen(80, 25, cells))
    assert [line.width for line in lines] == [80] * 25
    assert all(line.text.isprintable() for line in lines)


async def test_the_screen_is_drawn_in_its_colours() -> None:
    view = ScreenView()
    async with PartApp(view).run_test(size=(90, 30)) as pilot:
        assert "0xb8000" in drawn(view)
        view.show(screen(b"\x1b\x1f[\x1f3\x1f"))
        await pilot.pause()
        assert drawn(view).startswith("←[3")
        segment = next(iter(view.render_line(0)))
        assert segment.style == style_of(0x1F)


def test_rows_are_used_down_to_the_last_with_something_in_it() -> None:
    assert used_rows(screen(b"")) == 0
    assert used_rows(screen(b"H\x07")) == 1
    assert used_rows(screen(b" \x07" * 240 + b"x\x07")) == 4


async def test_a_low_view_shows_what_was_written_last_until_scrolled() -> None:
    view = ScreenView()
    async with PartApp(view).run_test(size=(90, 6)) as pilot:
        view.show(screen(b"a\x07".ljust(160, b"\0") * 3))
        await pilot.pause()
        assert drawn(view).startswith("a")
        view.show(screen(b"a\x07".ljust(160, b"\0") * 12 + b"last\x07"))
        await pilot.pause()
        assert drawn(view).splitlines()[-1].startswith("l")
        view.focus()
        await pilot.press("g", "g")
        view.show(screen(b"b\x07".ljust(160, b"\0") * 13))
        await pilot.pause()
        assert view.scroll_offset.y == 0


async def test_a_narrow_view_says_which_columns_it_shows() -> None:
    view = ScreenView()
    async with PartApp(view).run_test(size=(50, 30)):
        view.show(screen(b"H\x07"))
        assert "80x25, columns 1 to 50" in str(view.border_title)
