"""The line of keys alone: what is on it, what the mouse does there."""

from __future__ import annotations

from typing import ClassVar

from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.pilot import Pilot
from textual.widgets import Input

from kdash.widgets.key_line import KeyLine


class Keys(App[None]):
    """Two keys, one of which can't be used now, and the one to leave."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s,enter", "step", "Step", tooltip="Step the guest"),
        Binding("b", "break", "Break"),
        Binding("x", "examine", "Examine", show=False),
        Binding("q", "quit", "Quit", priority=True),
    ]

    def __init__(self) -> None:
        super().__init__()
        self.steps = self.bells = 0

    def compose(self) -> ComposeResult:
        yield Input()
        yield KeyLine()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return None if action == "break" else True

    def action_step(self) -> None:
        self.steps += 1

    def bell(self) -> None:
        self.bells += 1


async def line_of(app: Keys, pilot: Pilot[None]) -> KeyLine:
    app.screen.set_focus(None)
    line = app.query_one(KeyLine)
    while not line.shown:
        await pilot.pause()
    return line


async def test_a_key_of_an_action_is_shown_with_what_it_does() -> None:
    app = Keys()
    async with app.run_test(size=(80, 3)) as pilot:
        assert str((await line_of(app, pilot)).render()).split() == [
            "s", "Step", "b", "Break", "q", "Quit",
        ]  # fmt: skip


async def test_a_short_line_leaves_out_whole_keys_but_never_the_one_to_leave() -> None:
    app = Keys()
    async with app.run_test(size=(17, 3)) as pilot:
        line = await line_of(app, pilot)
        assert str(line.render()) == " s Step  q Quit "
        await pilot.resize_terminal(80, 3)
        assert [key.key for key in line.shown] == ["s", "b", "q"]


async def test_a_click_on_a_key_does_what_the_key_does() -> None:
    app = Keys()
    async with app.run_test(size=(80, 3)) as pilot:
        line = await line_of(app, pilot)
        await pilot.click(line, offset=(5, 0))
        assert (app.steps, app.bells) == (1, 0)
        await pilot.click(line, offset=(70, 0))  # behind the last key
        assert (app.steps, app.bells) == (1, 0)


async def test_a_click_on_a_key_that_cant_be_used_now_rings() -> None:
    app = Keys()
    async with app.run_test(size=(80, 3)) as pilot:
        await pilot.click(await line_of(app, pilot), offset=(10, 0))
        assert (app.steps, app.bells) == (0, 1)


async def test_the_key_under_the_mouse_is_marked_and_explained() -> None:
    app = Keys()
    async with app.run_test(size=(80, 3)) as pilot:
        line = await line_of(app, pilot)
        await pilot.hover(line, offset=(2, 0))
        marked = [str(span.style) for span in line.render().spans if " on " in str(span.style)]
        assert len(marked) == 2
        assert str(line.tooltip) == "Step the guest"
        await pilot.hover(Input)
        assert line.tooltip is None
