"""Answers of the command prompt: one line, a few, or a text to be read."""

from __future__ import annotations

import pytest
from textual.app import App, ComposeResult
from textual.widgets import Static

from kdash.widgets.command_line import CommandLine
from kdash.widgets.reading import Reading, ReadingBox


class Answering(App[None]):
    def compose(self) -> ComposeResult:
        yield Static("[x] behind")
        yield CommandLine()


LONG = "\n".join(f"line {number} [b]\x1b[2J" for number in range(100))


async def test_an_answer_of_a_few_lines_stands_below_in_full() -> None:
    app = Answering()
    async with app.run_test(size=(80, 24)) as pilot:
        line = app.query_one(CommandLine)
        line.answer("known: " + ", ".join(f"word{number}" for number in range(25)))
        await pilot.pause()
        assert not isinstance(app.screen, Reading)
        assert line.size.height == 3
        line.answer("")
        await pilot.pause()
        assert not line.display


async def test_a_longer_answer_is_read_scrolled_copied_and_put_away() -> None:
    app = Answering()
    async with app.run_test(size=(80, 24)) as pilot:
        app.query_one(CommandLine).answer(LONG, title=":walk [0]")
        await pilot.pause()
        assert isinstance(app.screen, Reading)
        box = app.screen.query_one(ReadingBox)
        assert box.border_title == ":walk [0]"
        await pilot.press("j", "j", "k")
        assert box.scroll_offset.y == 1
        await pilot.press("G")
        assert box.scroll_offset.y == box.max_scroll_y > 70
        await pilot.press("g", "g", "ctrl+d")
        assert box.scroll_offset.y == box.size.height // 2
        await pilot.press("ctrl+u", "pagedown")
        assert box.scroll_offset.y == box.size.height // 2
        await pilot.press("y")
        assert app.clipboard.startswith(r"line 0 [b]\x1b[2J")
        await pilot.press("escape")
        assert not isinstance(app.screen, Reading)


@pytest.mark.parametrize("key", ["q", "enter", "escape"])
async def test_any_of_these_keys_closes_it(key: str) -> None:
    app = Answering()
    async with app.run_test() as pilot:
        app.query_one(CommandLine).answer(LONG)
        await pilot.pause()
        await pilot.press(key)
        assert not isinstance(app.screen, Reading)
