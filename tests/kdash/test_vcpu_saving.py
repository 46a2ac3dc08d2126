"""`:save` and `:save-snapshot`: nothing is lost unasked, and what came of them is told."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.app import App

from kdash.backends.kvm.facts import GuestFileError, RunState
from kdash.widgets.pane import CommandError
from kdash.widgets.question import Question
from tests.kdash.test_vcpu_pane import SMALL, PaneApp, given, question, real, recorded, until


def told(app: App[Any]) -> list[tuple[str, str]]:
    return [(note.title, note.message) for note in app._notifications]


async def test_a_file_that_is_there_is_replaced_after_a_question_alone(tmp_path: Path) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    app, session = given(recorded(120))
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command(f"save {notes}")
        await pilot.pause()
        assert "notes.txt is there already: no recording, 4 bytes" in question(app)
        await pilot.press("n")
        await pilot.pause()
        assert session.asked == []
        app.pane.run_command(f"save {notes}")
        await pilot.pause()
        await pilot.press("y")
        await until(pilot, lambda: session.asked == [("save", str(notes))])


@pytest.mark.parametrize("word", ["save!", "save-snapshot!"])
async def test_with_an_exclamation_mark_it_is_replaced_at_once(tmp_path: Path, word: str) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    app, session = given(recorded(120))
    async with app.run_test(size=SMALL):
        app.pane.run_command(f"{word} {notes}")
        assert not isinstance(app.screen, Question)
        assert [asked[1] for asked in session.asked] == [str(notes)]


async def test_what_cant_be_saved_is_told(tmp_path: Path) -> None:
    app, session = given(recorded(120))
    session.refusal = GuestFileError("full.kdash: No space left on device")
    async with app.run_test(size=SMALL) as pilot:
        app.pane.run_command(f"save {tmp_path / 'full.kdash'}")
        await until(pilot, lambda: bool(told(app)))
        assert told(app) == [("Not saved", str(session.refusal))]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("nowhere/x.kdash", "no folder"),
        (".", "a folder is there"),
        ("~nobody-of-that-name/x", "home directory"),
        ("x\0.kdash", "null"),
    ],
)
async def test_a_place_that_cant_be_is_refused(tmp_path: Path, name: str, says: str) -> None:
    app, session = given(recorded(120))
    place = name if name.startswith("~") else f"{tmp_path}/{name}"
    async with app.run_test(size=SMALL):
        with pytest.raises(CommandError, match=f"save: .*{says}"):
            app.pane.run_command(f"save {place}")
        assert session.asked == []


@pytest.mark.kvm
async def test_what_was_saved_is_told_when_it_is_done(tmp_path: Path) -> None:
    app: PaneApp = real(tmp_path, b"\x90\x90\xf4")
    file = tmp_path / "my own.kdash"
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.press("s", "s")
        await until(pilot, lambda: app.pane.session.snapshot().state is RunState.STOPPED)
        assert app.pane.run_command(f"save '{file}'") == f"saving to {file}"
        await until(pilot, lambda: bool(told(app)))
        ((title, text),) = told(app)
        assert title == "Saved"
        assert text.startswith(f"moments 0 to 2 in {file}, ")
        assert text.endswith("KiB")
