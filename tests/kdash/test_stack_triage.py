"""Verdicts of the user: on the command line and in the Stack pane."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import Verdict
from kdash.backends.stack.object_files import sample_paths
from kdash.backends.stack.verdicts import VerdictFile
from kdash.commands.stack import run
from kdash.panes.stack import StackPane
from kdash.panes.stack_verdicts import parse_verdict
from kdash.settings import Settings
from kdash.state_folder import verdict_path
from kdash.widgets.pane import CommandError, Pane
from kdash.widgets.stack.verdict_choice import VerdictChoice

SAMPLE = next(path for path in sample_paths() if path.endswith("idle_enter.o"))


def test_accepted_findings_count_only_without_triage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    found = Checker().check(SAMPLE).findings
    file = VerdictFile(verdict_path())
    file.change({one.fingerprint: Verdict(one.fingerprint, "toolchain") for one in found})
    assert run(["check", SAMPLE]) == 1
    capsys.readouterr()
    assert run(["check", "--triage", SAMPLE]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"{len(found)} findings left out by verdict" in printed.err


def test_damaged_verdicts_are_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    Path(verdict_path()).parent.mkdir()
    Path(verdict_path()).write_text("mine")
    assert run(["check", "--triage", SAMPLE]) == 2
    assert "move it away" in capsys.readouterr().err
    assert Path(verdict_path()).read_text() == "mine"


# --- the pane


class TriageApp(App[None]):
    def __init__(self) -> None:
        super().__init__()
        self.pane = StackPane(Settings(objects=(Path(SAMPLE),)), id="stack")
        self.commands: list[str] = []
        self.answers: list[str] = []
        self.told: list[str] = []

    def notify(self, message: str, **options: Any) -> None:
        self.told.append(message)  # a toast is gone before a busy machine looks
        super().notify(message, **options)

    def on_pane_answered(self, event: Pane.Answered) -> None:
        self.answers.append(event.text)

    def compose(self) -> ComposeResult:
        yield self.pane

    def action_command(self, text: str) -> None:
        self.commands.append(text)

    def words(self) -> list[str]:
        rows = self.pane.browser.findings.shown_rows
        return [row.verdict.word if row.verdict else "" for row in rows]

    def text(self) -> str:
        return "\n".join(strip.text for strip in self.screen._compositor.render_strips())


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


async def until(pilot: Pilot[None], condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        await pilot.pause()
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it did not come to be")


async def started(app: TriageApp, pilot: Pilot[None]) -> None:
    await until(pilot, lambda: app.pane.browser.findings.row_count == 3)
    app.pane.focus_content()


@pytest.mark.usefixtures("state")
async def test_a_verdict_is_given_by_two_keys_kept_and_undone() -> None:
    app = TriageApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await started(app, pilot)
        await pilot.press("j", "t")
        await until(pilot, lambda: isinstance(app.screen, VerdictChoice))
        assert "false positive" in app.text()
        await pilot.press("p")
        await until(pilot, lambda: app.words() == ["", "false-positive", ""])
        kept = VerdictFile(verdict_path()).load()
        assert [(one.word, one.file) for one in kept.values()] == [
            ("false-positive", "idle_enter.o")
        ]
        await until(pilot, lambda: "1 settled" in app.text())
        assert "verdict   false-positive" in app.text()
        app.pane.run_command("filter !verdict:ok")
        assert app.words() == ["", ""]
        app.pane.run_command("filter verdict:ok")
        assert app.words() == ["false-positive"]
        app.pane.run_command("filter")
        await pilot.press("U")
        await until(pilot, lambda: app.words() == ["", "", ""])
        assert VerdictFile(verdict_path()).load() == {}


@pytest.mark.usefixtures("state")
async def test_a_verdict_below_a_heading_is_about_all_its_findings() -> None:
    app = TriageApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await started(app, pilot)
        app.pane.run_command("group file")
        app.pane.run_command("verdict wont-fix until 2999-01-31 the firmware's code")
        await until(pilot, lambda: app.words() == ["wont-fix"] * 3)
        assert {one.note for one in VerdictFile(verdict_path()).load().values()} == {
            "the firmware's code"
        }


@pytest.mark.usefixtures("state")
async def test_a_capital_letter_asks_for_a_note() -> None:
    app = TriageApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await started(app, pilot)
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, VerdictChoice))
        await pilot.press("T")
        await until(pilot, lambda: app.commands == ["verdict toolchain "])
        assert app.words() == ["", "", ""]


@pytest.mark.usefixtures("state")
async def test_verdicts_of_another_program_are_shown_when_they_come() -> None:
    app = TriageApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await started(app, pilot)
        mark = Checker().check(SAMPLE).findings[0].fingerprint
        VerdictFile(verdict_path()).change({mark: Verdict(mark, "to-fix")})
        await until(pilot, lambda: app.words()[0] == "to-fix")


async def test_a_damaged_file_is_told_and_kept(state: Path) -> None:
    path = state / "kdash" / "stack-verdicts"
    path.parent.mkdir()
    path.write_text("mine")
    app = TriageApp()
    async with app.run_test(size=(80, 24), notifications=True) as pilot:
        await started(app, pilot)
        await until(pilot, lambda: any("not a file of verdicts" in text for text in app.told))
        app.pane.run_command("verdict to-fix")
        await until(pilot, lambda: not app.workers._workers)
        assert app.words() == ["", "", ""]
        assert path.read_text() == "mine"


TODAY = date(2026, 11, 22)


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        ("to-fix", ("to-fix", "", "")),
        ("none", ("", "", "")),
        ("toolchain gcc 81813", ("toolchain", "", "gcc 81813")),
        ("wont-fix until 2026-12-31", ("wont-fix", "2026-12-31", "")),
        ("false-positive until 10d asm  stub", ("false-positive", "2026-12-02", "asm  stub")),
    ],
)
def test_a_verdict_is_typed_with_note_and_last_day(line: str, meaning: tuple[str, ...]) -> None:
    assert parse_verdict(line, TODAY) == meaning


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("", "is no verdict; usage: verdict to-fix|"),
        ("fine", "'fine' is no verdict"),
        ("to-fix until", "give a day"),
        ("to-fix until soon", "'soon': give a day"),
        ("to-fix until 2026-11-21", "that day is past"),
    ],
)
def test_a_line_that_is_no_verdict_says_what_would_be_right(line: str, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        parse_verdict(line, TODAY)


@pytest.mark.usefixtures("state")
async def test_a_function_is_judged_for_live_patching() -> None:
    app = TriageApp()
    async with app.run_test(size=(80, 24)) as pilot:
        await started(app, pilot)
        await pilot.press("L")
        await until(pilot, lambda: bool(app.answers))
        assert app.answers[0].startswith("idle_enter: stack traces through this are reliable: no")
        assert "inside of" in app.answers[0]
