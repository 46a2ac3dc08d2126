"""Who is told what to try, and how often."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from kdash.panes.first_start import HINT, told_now
from kdash.widgets.command_line import CommandLine
from screenshots.recorded import recorded_app


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.mark.usefixtures("state")
def test_the_first_is_told_and_no_later_one() -> None:
    assert [told_now() for _ in range(3)] == [True, False, False]


def test_where_nothing_can_be_kept_nobody_is_told_for_ever(state: Path) -> None:
    state.write_text("no folder")
    assert [told_now() for _ in range(2)] == [False, False]


@pytest.mark.parametrize(("size", "told"), [((80, 24), True), ((40, 12), False)])
async def test_who_could_not_see_it_is_told_the_next_time(
    state: Path, size: tuple[int, int], told: bool
) -> None:
    app = recorded_app(guided=True)
    async with app.run_test(size=size) as pilot:
        while not app.all_built:
            await asyncio.sleep(0.02)
        await pilot.pause()
        assert (HINT in app.query_one(CommandLine).told) is told
        assert (state / "kdash" / "first-start").exists() is told
