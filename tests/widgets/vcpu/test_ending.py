"""How a guest ended, where the status line can't hold it."""

from __future__ import annotations

import pytest

from kdash.backends.kvm.facts import Outcome, RecordingView, RunState, Snapshot
from kdash.widgets.vcpu.ending import NOT_ENDED, EndingView, ending_lines, is_wanted

from .made import PartApp, drawn, snapshot

CAUSE = "device Lamp: ValueError: no \x1b[31m[bold]8[/], at 0x1008"
TRACE = 'Traceback (most recent call last):\n  File "lamp.py", line 8, in write\nValueError: no 8'


def raised() -> Snapshot:
    return snapshot(
        state=RunState.ENDED,
        outcome=Outcome.UNHANDLED_EXIT,
        detail=CAUSE,
        failure=f"{CAUSE}\n{TRACE}",
    )


def test_a_traceback_never_fits_the_status_line() -> None:
    assert is_wanted(raised(), 200)


def test_an_end_in_a_few_words_does_until_it_is_cut() -> None:
    halted = snapshot(state=RunState.ENDED, outcome=Outcome.HLT, detail="HLT at 0x100b")
    assert not is_wanted(halted, 60)
    long = snapshot(
        state=RunState.ENDED,
        outcome=Outcome.INTERNAL_ERROR,
        detail="INTERNAL_ERROR at 0x1000: emulation failure, 0f 01 d0 (xgetbv)",
    )
    assert not is_wanted(long, 160)
    assert is_wanted(long, 60)


def test_who_has_not_ended_has_no_ending() -> None:
    assert not is_wanted(snapshot(), 10)
    assert ending_lines(snapshot(), 60)[0].text == NOT_ENDED


@pytest.mark.parametrize("width", [20, 36, 60, 200])
def test_the_whole_traceback_is_there_escaped_in_every_width(width: int) -> None:
    lines = ending_lines(raised(), width)
    assert all(line.width <= width for line in lines)
    text = "".join(line.text.removeprefix("  ") for line in lines).replace(" ", "")
    assert r"no\x1b[31m[bold]8[/],at0x1008" in text
    assert 'File"lamp.py",line8,inwrite' in text
    assert text.endswith("ValueError:no8")


async def test_it_says_how_to_go_on_and_where_all_of_it_is() -> None:
    view = EndingView()
    app = PartApp(view)
    async with app.run_test(size=(50, 3)) as pilot:
        view.show(raised())
        await pilot.pause()
        assert str(view.border_title) == " Ending  :info ending shows all, R restarts "
        view.set_alone(True)
        assert str(view.border_title) == " Ending  R restarts "
        view.show(
            snapshot(
                state=RunState.ENDED, detail=CAUSE, recording=RecordingView(0, 3, 3, 0, 1)
            )
        )  # fmt: skip
        assert str(view.border_title) == " Ending  R restarts, S goes back "
        assert view.copy_text() == CAUSE


async def test_a_scroll_bar_hides_nothing_of_it() -> None:
    view = EndingView()
    app = PartApp(view)
    async with app.run_test(size=(30, 4)) as pilot:
        view.show(raised())
        await pilot.pause()
        first, second = drawn(view).split("\n")[:2]
        both = first.rstrip() + " " + second.strip()
        assert both.startswith(r"device Lamp: ValueError: no \x1b")


def test_carets_that_would_point_nowhere_are_left_out() -> None:
    told = f"{CAUSE}\n    value = self.table[address]\n            ~~~~~~~~~~^^^^^^^^^\nKeyError: 8"
    ended = snapshot(
        state=RunState.ENDED, outcome=Outcome.UNHANDLED_EXIT, detail=CAUSE, failure=told
    )
    texts = [line.text for line in ending_lines(ended, 200)]
    assert texts[1:] == ["    value = self.table[address]", "KeyError: 8"]
