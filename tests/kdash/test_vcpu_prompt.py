"""The command prompt of the VCPU pane in the whole program: help, values, answers."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Static

from kdash.app import KdashApp
from kdash.panes.vcpu_printing import value_text
from kdash.panes.vcpu_vocabulary import VIEW_NAMES, WORDS
from kdash.panes.vcpu_words import VIEWS
from kdash.settings import Settings
from kdash.widgets.help import HelpScreen
from kdash.widgets.reading import Reading
from tests.kdash.test_vcpu_pane import SMALL, parts, until

pytestmark = pytest.mark.kvm


async def enter(pilot: Pilot[Any], line: str) -> None:
    await pilot.press("colon")
    await pilot.press(*("space" if one == " " else one for one in line), "enter")


def answer(app: KdashApp) -> str:
    return str(app.screen_stack[0].query_one(".answer", Static).render())


def text_on_top(app: KdashApp) -> str:
    return "\n".join(str(each.render()) for each in app.screen.query(Static))


async def started(pilot: Pilot[Any]) -> KdashApp:
    app = pilot.app
    assert isinstance(app, KdashApp)
    await until(pilot, lambda: app.focused is parts(app).code)
    return app


async def test_help_lists_every_command_and_explains_one() -> None:
    async with KdashApp(Settings()).run_test(size=SMALL) as pilot:
        app = await started(pilot)
        await enter(pilot, "help")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))
        listed = text_on_top(app)
        assert all(word.usage in listed for word in WORDS)
        await pilot.press("escape")
        await enter(pilot, "help b")
        await until(pilot, lambda: isinstance(app.screen, Reading))
        assert "dword [rsp]" in text_on_top(app)
        await pilot.press("escape")
        await enter(pilot, "help pause")
        await until(pilot, lambda: answer(app) == ":pause\nstop a running guest")
        await enter(pilot, "help frob")
        await until(pilot, lambda: answer(app).startswith("unknown command 'frob'"))


async def test_help_and_its_commands_are_completed() -> None:
    async with KdashApp(Settings()).run_test(size=SMALL) as pilot:
        app = await started(pilot)
        assert app._complete("hel") == ["help"]
        assert app._complete("help anim") == ["help animate"]


async def test_print_answers_with_the_value() -> None:
    async with KdashApp(Settings()).run_test(size=SMALL) as pilot:
        app = await started(pilot)
        await enter(pilot, "print rax + 0x3f")
        await until(pilot, lambda: answer(app) == "rax + 0x3f = 0x41  65  'A'")
        await enter(pilot, "p word [0x1001]")  # mov dx,0x3f8 is ba f8 03
        await until(pilot, lambda: answer(app) == "word [0x1001] = 0x3f8  1,016")
        await enter(pilot, "p/d -rax")
        await until(pilot, lambda: answer(app) == "-rax = -2")
        await enter(pilot, "p dword [0x7fffffff]")
        await until(pilot, lambda: answer(app).startswith("print: dword [0x7fffffff]: "))
        await enter(pilot, "p rax +")
        await until(pilot, lambda: answer(app).startswith("print: 'rax +', character 6"))


@pytest.mark.parametrize(
    ("value", "form", "text"),
    [
        (0x41, "", "0x41  65  'A'"),
        ((1 << 64) - 2, "", "0xfffffffffffffffe  18,446,744,073,709,551,614  -2"),
        ((1 << 64) - 2, "d", "-2"),
        (5, "t", "0b101"),
        (0x141, "c", "65 'A'"),
        (1 << 40, "x", "0x10000000000"),
        (1 << 40, "u", "1,099,511,627,776"),
    ],
)
def test_a_value_has_the_form_asked_for(value: int, form: str, text: str) -> None:
    assert value_text(value, form) == text


def test_every_other_name_of_a_view_leads_to_one() -> None:
    assert set(VIEW_NAMES.values()) <= set(VIEWS)
    assert not set(VIEW_NAMES) & set(VIEWS)


def test_no_short_form_stands_for_two_commands() -> None:
    names = [name for word in WORDS for name in (word.word, *word.aliases)]
    assert len(names) == len(set(names))


async def test_tab_completes_and_goes_through_all_that_fits() -> None:
    async with KdashApp(Settings()).run_test(size=SMALL) as pilot:
        app = await started(pilot)
        await pilot.press("colon", *"info s")
        line = app.query_one(Input)
        seen = []
        for key in ("tab", "tab", "tab", "tab", "shift+tab"):
            await pilot.press(key)
            seen.append(line.value.removeprefix("info "))
        assert seen == ["serial", "screen", "stops", "statistics", "stops"]
