from __future__ import annotations

from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType

from kdash.widgets.help import HelpScreen, sections
from kdash.widgets.pane import CommandWord, Pane
from kdash.widgets.reading import ReadingBox


class KeyedPane(Pane):
    NAME = "Keyed"
    WORDS = (CommandWord("jump", "jump [N]", "jump N times"),)
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("x", "x", "X", id="keyed.x", tooltip="Do [b]x[/b]"),
        Binding("y", "x", "Y", id="keyed.y", tooltip="Do [b]x[/b]", show=False),
    ]


class KeyedApp(App[int]):
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q", "quit", "Quit", id="app.quit", tooltip="Leave"),
    ]

    def compose(self) -> ComposeResult:
        self.pane = KeyedPane(id="keyed")
        self.pane.can_focus = True
        yield self.pane

    def on_mount(self) -> None:
        self.pane.focus()


async def test_the_keys_of_a_pane_come_first_and_keys_for_one_thing_share_a_line() -> None:
    app = KeyedApp()
    async with app.run_test():
        first = sections(app, app.pane)[0]
        assert first.title == "Keyed pane"
        assert ("x y", "Do [b]x[/b]") in first.lines


async def test_every_key_of_the_program_and_every_word_is_listed() -> None:
    app = KeyedApp()
    async with app.run_test():
        found = sections(app, app.pane)
        lines = {line for section in found for line in section.lines}
        assert ("q", "Leave") in lines
        assert ("jump [N]", "jump N times") in lines
        assert any(text == "Every action, found by its words" for _, text in lines)


async def test_the_help_shows_markup_in_a_tooltip_and_closes_with_escape() -> None:
    app = KeyedApp()
    async with app.run_test(size=(80, 30)) as pilot:
        app.push_screen(HelpScreen(sections(app, app.pane)))
        await pilot.pause()
        assert "[b]x[/b]" in app.export_screenshot().replace("&#160;", " ")
        await pilot.press("escape")
        assert not isinstance(app.screen, HelpScreen)


async def test_the_help_is_scrolled_by_the_keys_of_lists() -> None:
    app = KeyedApp()
    async with app.run_test(size=(80, 8)) as pilot:
        app.push_screen(HelpScreen(sections(app, app.pane)))
        await pilot.pause()
        box = app.screen.query_one(ReadingBox)
        await pilot.press("G")
        assert box.scroll_offset.y == box.max_scroll_y > 2
        await pilot.press("g", "g", "j", "j", "k")
        assert box.scroll_offset.y == 1
        await pilot.press("ctrl+d", "ctrl+u", "ctrl+u")
        assert box.scroll_offset.y == 0
