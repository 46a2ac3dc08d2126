"""The findings browser, driven by keys."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

import kdash.widgets.stack.browser as browser_module
from kdash.widgets.stack.advice import Advice
from kdash.widgets.stack.browser import Browser
from kdash.widgets.stack.detail import VIEWS, Detail
from kdash.widgets.stack.disassembly import Disassembly
from kdash.widgets.stack.entry import GROUPINGS, Entry
from kdash.widgets.stack.flow import FlowView
from kdash.widgets.stack.head import Head
from kdash.widgets.stack.steps import Steps
from tests.widgets.stack.made import RULE, finding, mixed, report

SMALL, COLUMN, LARGE = (80, 24), (51, 44), (160, 48)


class BrowserApp(App[None]):
    def compose(self) -> ComposeResult:
        self.browser = Browser()
        yield self.browser

    def on_mount(self) -> None:
        self.browser.rules = {RULE.kind: RULE}
        self.browser.begin("checking")
        self.browser.findings.focus()

    def screen_text(self) -> str:
        return "\n".join(strip.text for strip in self.screen._compositor.render_strips())


async def settle(pilot: Pilot[None], times: int = 3) -> None:
    for _ in range(times):
        await pilot.pause()
    async with asyncio.timeout(30):
        while not all(one.detail_follows for one in pilot.app.query(Browser)):
            await asyncio.sleep(0.01)
    await pilot.pause()


@pytest.mark.no_cover
@pytest.mark.parametrize("size", [SMALL, COLUMN, LARGE])
async def test_list_and_detail_are_on_screen_together(size: tuple[int, int]) -> None:
    app = BrowserApp()
    async with app.run_test(size=size) as pilot:
        app.browser.add(mixed())
        await settle(pilot)
        text = app.screen_text()
        for part in ("3 errors, 1 warning, 1 unreadable", "x_probe+0xd", "what ", "expected  CFA",
                     "▶     +d  call kfree", "path 3/3", "unreadable"):  # fmt: skip
            assert part in text, part


async def test_a_tall_screen_explains_the_rule_too() -> None:
    app = BrowserApp()
    async with app.run_test(size=COLUMN) as pilot:
        app.browser.add(mixed())
        await settle(pilot)
        assert "protects  A stack trace" in app.screen_text()


async def test_the_detail_stands_beside_the_list_on_a_wide_screen() -> None:
    app = BrowserApp()
    async with app.run_test(size=LARGE) as pilot:
        app.browser.add(mixed())
        await settle(pilot)
        assert app.query_one(Detail).region.y == app.query_one("#stack-list").region.y


async def test_names_from_files_are_shown_as_they_are() -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add(mixed())
        await pilot.press("j", "j", "j")
        await settle(pilot)
        text = app.screen_text()
        assert "[bold]x[/]+0xd" in text
        assert "a\\x1b]0;t\\x07.o" in text
        assert "what      \\x1b[31mred" in text
        assert "\x1b" not in text


@pytest.mark.parametrize("way_in", [["enter"], ["slash", "r", "enter"]])
async def test_the_way_back_is_offered_where_there_is_one(way_in: list[str]) -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add(mixed())
        await settle(pilot)
        offered = [app.screen.active_bindings.get("escape")]
        for keys in (way_in, ["escape"]):
            await pilot.press(*keys)
            await settle(pilot)
            offered.append(app.screen.active_bindings.get("escape"))
        assert [way is not None and way.binding.show for way in offered] == [False, True, False]


async def test_the_list_is_replaced_by_words_while_there_is_nothing_to_list() -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        await settle(pilot)
        assert "checking" in app.screen_text()
        app.browser.add([report()])
        app.browser.progress("", "1 file, 10 functions: no findings [really]")
        await settle(pilot)
        assert "1 file, 10 functions: no findings [really]" in app.screen_text()
        assert "function " not in app.screen_text()


async def test_a_filter_that_nothing_passes_says_how_to_drop_it() -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add(mixed())
        await pilot.press("slash", *"zzz", "enter")
        await settle(pilot)
        assert "no finding passes the filter; Esc drops it" in app.screen_text()
        assert "filter shows 0 of 5" in app.screen_text()
        await pilot.press("escape")
        assert app.browser.findings.row_count == 5


@pytest.mark.no_cover
async def test_filters_take_fields_and_their_inverse() -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add(mixed())
        await pilot.press("slash", *"kind:call")
        assert app.browser.findings.row_count == 2
        await pilot.press("escape", "exclamation_mark", *"kind:call")
        assert app.browser.findings.row_count == 3


@pytest.mark.no_cover
async def test_tab_completes_the_kinds_that_were_found() -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add(mixed())
        await pilot.press("slash", *"kind:un")
        await settle(pilot)
        await pilot.press("tab")
        assert [entry.kind for entry in app.browser.findings.shown_rows] == ["unreachable"]


@pytest.mark.no_cover
async def test_s_goes_through_the_orders_and_capital_i_reverses() -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add(mixed())
        orders = []
        for _ in range(5):
            await pilot.press("s")
            orders.append(app.browser.findings.order)
        assert orders == ["file", "function", "rule", "verdict", "found"]
        await pilot.press("I")
        assert next(entry.kind for entry in app.browser.findings.shown_rows) == "unreadable"
        await pilot.press("s", "s", "s")
        await settle(pilot)
        assert "rule ▲" in app.screen_text()


async def test_enter_opens_the_detail_and_escape_closes_it() -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add(mixed())
        await pilot.press("enter")
        await settle(pilot)
        assert not app.query_one("#stack-list").display
        assert "x_remove:" in app.screen_text()
        await pilot.press("right_curly_bracket")
        await settle(pilot)
        assert "x_probe+0x8" in app.screen_text()
        await pilot.press("escape")
        assert app.query_one("#stack-list").display
        assert app.focused is app.browser.findings


async def test_c_leaves_the_findings_of_the_same_cause() -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add([report(finding(0), finding(1, cause="aa"), finding(2))])
        await pilot.press("c")
        rows = app.browser.findings.shown_rows
        assert [entry.finding and entry.finding.file for entry in rows] == [
            "drivers/net/file0.o",
            "drivers/net/file2.o",
        ]
        await pilot.press("escape")
        assert app.browser.findings.row_count == 3


async def test_braces_go_to_the_next_and_previous_finding() -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add(mixed())
        await pilot.press("right_curly_bracket", "right_curly_bracket", "left_curly_bracket")
        assert app.browser.findings.cursor == 1


async def test_the_detail_follows_the_last_of_quick_keys_and_is_drawn_for_it_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(browser_module, "QUICK", 30.0)  # however slow the machine
    shown: list[str] = []
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add(mixed())
        await settle(pilot)
        monkeypatch.setattr(
            Disassembly, "show", lambda _, one: shown.append(one.place if one else "")
        )
        await pilot.press("j")
        await settle(pilot)
        shown.clear()
        app.browser.findings.action_cursor(1)
        app.browser.findings.action_cursor(-2)
        await settle(pilot)
        assert app.browser.current is not None
        assert shown == [app.browser.current.place]


async def test_a_step_right_after_a_key_is_one_of_the_row_under_the_cursor(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(browser_module, "QUICK", 30.0)
    monkeypatch.setattr(browser_module, "QUIET", 30.0)
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add([report(finding(path=()), finding(1, offset=0x20))])
        await settle(pilot)
        await pilot.press("j", "k", "j")
        await pilot.press("left_square_bracket")
        await settle(pilot)
        assert "path 2/3" in app.screen_text()


async def test_brackets_walk_along_the_path_and_the_code_follows() -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add(mixed())
        await settle(pilot)
        await pilot.press("left_square_bracket", "left_square_bracket", "left_square_bracket")
        await settle(pilot)
        assert "path 1/3" in app.screen_text()
        assert "»     +0  push rbx" in app.screen_text()
        await pilot.press("right_square_bracket")
        await settle(pilot)
        assert "path 2/3" in app.screen_text()


async def test_brackets_do_nothing_where_there_is_no_path() -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add(mixed()[1:2])
        await pilot.press("left_square_bracket", "right_square_bracket")
        assert app.browser.findings.row_count == 1


@pytest.mark.parametrize(
    ("view", "shown", "hidden"),
    [
        (0, (Head, Disassembly, Steps), (Advice,)),
        (1, (Head, Disassembly, Steps), (Advice,)),
        (2, (Head, Steps), (Disassembly, Advice)),
        (3, (Head, FlowView, Steps), (Disassembly, Advice)),
        (4, (Head, Advice), (Disassembly, Steps, FlowView)),
    ],
)
async def test_a_sub_view_gives_one_part_the_room(
    view: int, shown: tuple[type, ...], hidden: tuple[type, ...]
) -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add(mixed())
        app.browser.show_view(view)
        await settle(pilot)
        assert all(app.query_one(part).display for part in shown)
        assert not any(app.query_one(part).display for part in hidden)


async def test_the_flow_of_each_finding_that_is_gone_to_is_asked_for() -> None:
    wanted: list[int] = []

    class FlowApp(BrowserApp):
        def on_detail_flow_wanted(self, event: Detail.FlowWanted) -> None:
            wanted.append(event.finding.offset)

    app = FlowApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add([report(finding(), finding(offset=0x12, address=0x42))])
        app.browser.show_view(VIEWS.index("Flow"))
        await settle(pilot)
        await pilot.press("right_curly_bracket")
        await settle(pilot)
        assert wanted == [0xD, 0x12]


async def test_samples_are_called_samples() -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add([report(finding(), sample=True)])
        await settle(pilot)
        assert "samples: give object files or folders to check yours" in app.screen_text()
        assert "file0.o*" in app.screen_text()


async def test_reports_that_come_later_keep_the_cursor_on_its_finding() -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add([report(*[finding(number) for number in range(20)])])
        app.browser.findings.order_by("file", reverse=True)
        app.browser.findings.cursor = 7
        before = app.browser.current
        app.browser.add([report(*[finding(number) for number in range(20, 40)])])
        await settle(pilot)
        assert app.browser.current is before
        assert app.browser.findings.row_count == 40


async def test_every_key_has_a_name_and_an_explanation() -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add(mixed())
        await settle(pilot)
        for active in app.screen.active_bindings.values():
            if active.node is not app and active.node is not app.screen:
                assert active.binding.id, active.binding
                assert active.binding.tooltip, active.binding


async def test_findings_of_the_same_root_cause_are_counted() -> None:
    app = BrowserApp()
    async with app.run_test(size=COLUMN) as pilot:
        app.browser.add([report(finding(0)), report(finding(1)), report(finding(2, cause="other"))])
        await settle(pilot)
        assert "cause     2 findings have this root cause" in app.screen_text()
        await pilot.press("G")
        await settle(pilot)
        assert "root cause" not in app.screen_text()


async def test_the_rule_view_shows_what_breaks_it_and_what_mends_it() -> None:
    app = BrowserApp()
    async with app.run_test(size=LARGE) as pilot:
        app.browser.rules = {RULE.kind: replace(RULE, bad="f:\n    call g", good="f:\n    ret")}
        app.browser.add(mixed())
        app.browser.show_view(4)
        await settle(pilot)
        text = app.screen_text()
        assert "example   bad" in text
        assert any("call g" in line and "ret" in line for line in text.splitlines())


async def test_t_goes_through_the_groupings_and_back_to_the_flat_list() -> None:
    app = BrowserApp()
    async with app.run_test(size=SMALL) as pilot:
        app.browser.add(mixed())
        seen = []
        for _ in range(len(GROUPINGS) + 1):
            await pilot.press("T")
            seen.append(app.browser.findings.grouping)
        assert seen == [*((name,) for name in GROUPINGS), ()]
        app.browser.findings.group_by(("file", "kind"))
        await pilot.press("asterisk")
        await settle(pilot)
        assert "- drivers/net/file0.o  2" in app.screen_text()
        assert "  - call-without-frame  2" in app.screen_text()


class HeadApp(App[None]):
    CSS = "Head { max-height: 8; }"

    def compose(self) -> ComposeResult:
        yield Head()


async def test_the_head_grows_although_a_layout_came_before_an_earlier_wish_for_one() -> None:
    app = HeadApp()
    async with app.run_test(size=(60, 20)) as pilot:
        await pilot.pause()
        head = app.query_one(Head)
        assert head.size.height == 0
        whole = finding()
        head.refresh(layout=True)
        app.screen._clear_arrangement_cache()
        app.screen._refresh_layout()
        head.show(Entry(report(whole), whole), "")
        await pilot.pause()
        assert head.size.height > 4
