"""The shell on recorded facts: layout, switching, zoom, prompt, palette, failing panes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual import events
from textual.command import CommandPalette
from textual.pilot import Pilot

from kdash.app import PLACES, KdashApp, Place
from kdash.settings import Layout, Settings
from kdash.widgets.command_line import CommandLine
from kdash.widgets.help import HelpScreen
from kdash.widgets.key_line import KeyLine
from kdash.widgets.notice import Notice
from kdash.widgets.pane import CommandError, Pane
from kdash.widgets.stack.browser import Browser
from kdash.widgets.tab_line import TabLine
from screenshots.recorded import PLACES as RECORDED

WIDE, SMALL = (160, 48), (80, 24)


class BrokenPane(Pane):
    """Can't be built."""

    def __init__(self, settings: Settings, *, id: str) -> None:
        raise RuntimeError("[red]no such thing\x1b[0m")


BROKEN = Place("stack", "Stack", __name__, "BrokenPane")
MISSING = Place("stack", "Stack", "kdash.panes.no_such_module", "StackPane")


def app_with(stack: Place = RECORDED[1], pane: int = 0) -> KdashApp:
    return KdashApp(Settings(pane=pane), (RECORDED[0], stack, RECORDED[2]))


async def built(app: KdashApp, pilot: Pilot[int]) -> None:
    while not app.all_built:
        await asyncio.sleep(0.01)
    await pilot.pause()


def shown(app: KdashApp) -> list[str]:
    return [str(pane.id) for pane in app.query(Pane) if pane.display and pane.region.area]


@pytest.mark.no_cover
async def test_on_a_wide_terminal_the_three_panes_stand_side_by_side_in_order() -> None:
    app = app_with()
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        assert shown(app) == ["vcpu", "stack", "entropy"]
        edges = [pane.region.x for pane in app.query(Pane)]
        assert edges == sorted(edges)


@pytest.mark.no_cover
async def test_the_layout_says_from_how_many_columns_and_in_which_shares() -> None:
    app = KdashApp(Settings(layout=Layout(side_by_side=200, shares=(2, 1, 1))), RECORDED)
    async with app.run_test(size=(199, 48)) as pilot:
        await built(app, pilot)
        assert shown(app) == ["vcpu"]
        await pilot.resize_terminal(200, 48)
        await pilot.pause()
        assert [pane.outer_size.width for pane in app.query(Pane)] == [100, 50, 50]


@pytest.mark.no_cover
async def test_a_layout_without_room_for_all_shows_one_pane_at_any_width() -> None:
    app = KdashApp(Settings(layout=Layout(side_by_side=0)), RECORDED)
    async with app.run_test(size=(400, 48)) as pilot:
        await built(app, pilot)
        assert shown(app) == ["vcpu"]


@pytest.mark.no_cover
async def test_a_zoomed_layout_begins_with_the_first_pane_alone() -> None:
    app = KdashApp(Settings(layout=Layout(zoomed=True)), RECORDED)
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        assert shown(app) == ["vcpu"]
        await pilot.press("z")
        assert shown(app) == ["vcpu", "stack", "entropy"]


@pytest.mark.no_cover
async def test_at_80x24_one_pane_at_a_time_has_the_screen() -> None:
    app = app_with()
    async with app.run_test(size=SMALL) as pilot:
        await built(app, pilot)
        for key, name in (("2", "stack"), ("3", "entropy"), ("1", "vcpu")):
            await pilot.press(key)
            assert shown(app) == [name]


@pytest.mark.no_cover
async def test_a_pane_left_before_its_focus_was_told_does_not_come_back() -> None:
    app = app_with()
    async with app.run_test(size=SMALL) as pilot:
        await built(app, pilot)
        await pilot.press("2")
        late = app.focused
        assert late is not None
        await pilot.press("3")
        app.post_message(events.DescendantFocus(late))
        await pilot.pause()
        assert app.active_pane.id == "entropy"


async def test_findings_that_arrive_while_another_pane_is_opened_leave_it_the_keyboard() -> None:
    app = app_with()
    async with app.run_test(size=SMALL) as pilot:
        await built(app, pilot)
        await pilot.press("2")
        browser = app.query_one(Browser)
        browser.begin("checking")  # empty: the keyboard changes place after the next refresh
        app.action_show_pane(2)
        await pilot.pause()
        await pilot.pause()
        assert app.active_pane.id == "entropy"
        assert app.focused is not None and app.active_pane in app.focused.ancestors


@pytest.mark.no_cover
async def test_the_pane_of_the_argument_is_the_first_on_screen() -> None:
    app = app_with(pane=1)
    async with app.run_test(size=SMALL) as pilot:
        await built(app, pilot)
        assert shown(app) == ["stack"]
        assert [pane.id for pane in app.query(Pane)] == ["vcpu", "stack", "entropy"]


@pytest.mark.no_cover
async def test_zoom_shows_the_active_pane_alone_and_all_again() -> None:
    app = app_with()
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        await pilot.press("2", "z")
        assert shown(app) == ["stack"]
        await pilot.press("1")
        assert shown(app) == ["vcpu"]
        await pilot.press("z")
        assert shown(app) == ["vcpu", "stack", "entropy"]


async def test_a_click_on_a_tab_switches_to_its_pane() -> None:
    app = app_with()
    async with app.run_test(size=SMALL) as pilot:
        await built(app, pilot)
        await pilot.click("TabLine", offset=(78, 0))
        assert app.active == 0  # behind the last tab
        tabs = app.query_one("TabLine").render()
        await pilot.click("TabLine", offset=(str(tabs).index("Entropy"), 0))
        assert app.active == 2


@pytest.mark.no_cover
async def test_a_click_into_a_pane_makes_it_the_active_one() -> None:
    app = app_with()
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        await pilot.click("#stack LineTable")
        assert app.active == 1


@pytest.mark.no_cover
@pytest.mark.parametrize("place", [BROKEN, MISSING], ids=["broken", "missing"])
async def test_a_pane_that_cant_be_built_says_so_and_the_others_go_on(place: Place) -> None:
    app = app_with(place)
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        assert "can't be built" in str(app.query_one("#stack Notice", Notice).render())
        await pilot.press("s")
        assert app.active_pane.id == "vcpu"
        assert shown(app) == ["vcpu", "stack", "entropy"]


async def test_the_message_of_a_failure_is_shown_not_obeyed() -> None:
    app = app_with(BROKEN)
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        text = str(app.query_one("#stack Notice", Notice).render())
        assert "[red]no such thing\\x1b[0m" in text


@pytest.mark.no_cover
async def test_the_prompt_carries_a_line_to_the_active_pane_and_shows_the_answer() -> None:
    app = app_with()
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        await pilot.press("colon", *"dance", "enter")
        await pilot.pause()
        assert "dance" in str(app.query_one("CommandLine .answer").render())
        await pilot.press("s")
        assert not app.query_one(CommandLine).has_class("-answer")


async def test_the_prompt_completes_with_tab_and_remembers_with_up() -> None:
    app = app_with()
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        await pilot.press("colon", *"resta")
        await pilot.pause(0.2)
        await pilot.press("tab")
        assert app.query_one("CommandLine Input").value == "restart"  # type: ignore[attr-defined]
        await pilot.press("enter")
        await pilot.press("colon", "up")
        assert app.query_one("CommandLine Input").value == "restart"  # type: ignore[attr-defined]
        await pilot.press("escape")
        assert not app.query_one(CommandLine).has_class("-open")


@pytest.mark.no_cover
async def test_each_pane_has_its_own_older_lines_also_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def older(app: KdashApp) -> str:
        return app.query_one("CommandLine Input").value  # type: ignore[attr-defined,no-any-return]

    app = app_with()
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        await pilot.press("colon", *"step", "enter", "2", "colon", "up")
        assert older(app) == ""
        await pilot.press(*"nonsense", "enter", "1", "colon", "up")
        assert older(app) == "step"
    app = app_with()
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        await pilot.press("2", "colon", "up")
        assert older(app) == "nonsense"


async def test_keys_typed_ahead_behind_enter_belong_to_the_pane() -> None:
    app = app_with()
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        for key in (":", *"step 2", "\r", "s"):
            name = {":": "colon", " ": "space", "\r": "enter"}.get(key, key)
            app.post_message(events.Key(name, key))
        session = app.active_pane._session  # type: ignore[attr-defined]
        async with asyncio.timeout(30):
            while session.snapshot().steps < 4:
                await pilot.pause(0.02)
        assert not app.query_one(CommandLine).is_open
        assert session.snapshot().steps == 4


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        (("colon", "a", "ctrl+u", "q", "w"), "qw"),
        (("colon", "a", "b", "backspace", "c", "home", "x"), "xac"),
        (("colon", "a", "escape", "colon", "q"), "q"),
    ],
)
async def test_keys_typed_ahead_are_taken_in_their_order(keys: tuple[str, ...], line: str) -> None:
    app = app_with()
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        for name in keys:
            app.post_message(events.Key(name, ":" if name == "colon" else None))
        async with asyncio.timeout(30):
            while not (found := app.query("CommandLine Input")) or found.first().value != line:  # type: ignore[attr-defined]
                await pilot.pause(0.02)
        await pilot.pause(0.1)
        assert app.query_one("CommandLine Input").has_focus


async def test_the_prompt_closes_when_something_else_gets_the_focus() -> None:
    app = app_with()
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        await pilot.press("colon", *"step")
        await pilot.click("#stack LineTable")
        await pilot.pause()
        assert not app.query_one(CommandLine).is_open
        assert app.active == 1


@pytest.mark.no_cover
async def test_an_unknown_word_is_answered_with_the_known_ones() -> None:
    app = app_with()
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        for pane in app.query(Pane):
            with pytest.raises(CommandError, match="dance"):
                pane.run_command("dance")


@pytest.mark.parametrize("key", ["question_mark", "f1"])
async def test_help_opens_and_closes(key: str) -> None:
    app = app_with()
    async with app.run_test(size=SMALL) as pilot:
        await built(app, pilot)
        await pilot.press(key)
        assert isinstance(app.screen, HelpScreen)
        await pilot.press("q")
        assert not isinstance(app.screen, HelpScreen)


async def test_the_palette_finds_what_a_key_does_and_does_it() -> None:
    app = app_with()
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        await pilot.press("ctrl+p")
        assert isinstance(app.screen, CommandPalette)
        await pilot.press(*"Zoom")
        await pilot.pause(0.5)
        await pilot.press("enter", "enter")
        await pilot.pause(0.3)
        assert app.query_one("#panes").has_class("-zoomed")


@pytest.mark.no_cover
async def test_every_binding_has_an_id_and_a_tooltip() -> None:
    app = app_with()
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
        bare = [
            (type(node).__name__, binding.key)
            for node in (app, *app.query(Pane))
            for bindings in node._bindings.key_to_bindings.values()
            for binding in bindings
            if not (binding.id and binding.tooltip) and "kdash" in type(node).__module__
            and binding.action not in ("command_palette", "help_quit")
        ]  # fmt: skip
        assert bare == []


@pytest.mark.no_cover
async def test_the_footer_names_at_most_eight_keys_at_80_columns() -> None:
    app = app_with()
    async with app.run_test(size=SMALL) as pilot:
        await built(app, pilot)
        for key in "123":
            await pilot.press(key)
            await pilot.pause()
            keys = app.query_one(KeyLine).shown
            assert 0 < len(keys) <= 8
            assert sum(key.cells for key in keys) <= SMALL[0]


async def test_on_a_narrow_terminal_help_and_quit_and_every_tab_are_whole() -> None:
    app = app_with()
    async with app.run_test(size=(40, 12)) as pilot:
        await built(app, pilot)
        keys = app.query_one(KeyLine)
        while not keys.shown or sum(key.cells for key in keys.shown) > 40:
            await pilot.pause(0.01)
        assert {"step", "help", "quit"} <= {key.action for key in keys.shown}
        text = str(keys.render())
        assert len(text) <= 40
        assert text.rstrip().endswith("q Quit")
        line = app.query_one(TabLine)
        line.set_status(0, "RECORDED 123,456/200,000", "warning")
        tabs = str(line.render())
        assert "Stack" in tabs
        assert tabs.rstrip().endswith("Entropy")
        assert len(tabs.rstrip()) <= 40
        assert "REC" in tabs
        assert "…" in tabs


def test_the_real_panes_are_the_ones_that_are_built() -> None:
    assert [place.name for place in PLACES] == [place.name for place in RECORDED]


class ParkingPane(Pane):
    """Says how it is doing when it is taken away."""

    def __init__(self, settings: Settings, *, id: str) -> None:
        super().__init__(id=id)

    async def on_unmount(self) -> None:
        """The tab line goes first."""
        await self.app.query(TabLine).remove()
        self.report_status("gone")
        self.app.call_later(self.app.query_one, TabLine)


async def test_news_of_a_pane_that_arrive_while_the_program_ends_are_no_fault() -> None:
    app = app_with(Place("stack", "Stack", __name__, "ParkingPane"))
    async with app.run_test(size=WIDE) as pilot:
        await built(app, pilot)
    assert app.return_code in (None, 0)


async def test_hints_name_the_keys_that_the_user_has_given() -> None:
    app = KdashApp(Settings(keys=(("vcpu.step", "f8"), ("vcpu.run", "f5"))), RECORDED)
    async with app.run_test(size=SMALL) as pilot:
        await built(app, pilot)
        text = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
        assert "f8 1 step" in text
        assert "no exits yet: f8 steps, f5 runs" in text
