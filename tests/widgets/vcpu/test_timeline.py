"""The time line: where a moment lies, and how to get to another."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual import events

from kdash.backends.kvm.facts import RecordingView
from kdash.widgets.vcpu.timeline import Timeline, bar_cell, memory_text, moment_at, timeline
from tests.widgets.vcpu.made import PartApp, drawn

HALF = RecordingView(first=0, last=100, position=50, bytes=3 << 19, limit=512 << 20)


def test_the_line_shows_ends_position_and_memory() -> None:
    line, start, width = timeline(HALF, 80)
    assert line.width == 80
    assert line.text.startswith("moment  50  0 ━━")
    assert line.text.endswith("─ 100  1.5 of 512 MiB of history")
    assert line.text.index("●") == start + bar_cell(HALF, width)


@pytest.mark.parametrize("width", [8, 14, 20, 40, 60])
def test_it_fits_every_width(width: int) -> None:
    line, _, _ = timeline(HALF, width)
    assert line.width <= width


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(10, 200), st.data())
def test_every_cell_stands_for_a_moment_that_lies_in_it(
    first: int, span: int, width: int, data: st.DataObject
) -> None:
    cell = data.draw(st.integers(-5, width + 5))
    made = RecordingView(first, first + span, first, 0, 1)
    moment = moment_at(made, cell, width)
    assert first <= moment <= first + span
    position = data.draw(st.integers(first, first + span))
    assert 0 <= bar_cell(RecordingView(first, first + span, position, 0, 1), width) < width


def test_the_copy_that_all_starts_from_is_no_history() -> None:
    begun = RecordingView(0, 1, 0, bytes=17 << 20, limit=512 << 20, base=16 << 20)
    assert memory_text(begun) == "1.0 of 496 MiB"


def test_much_memory_is_told_without_a_fraction() -> None:
    assert memory_text(RecordingView(0, 1, 0, 300 << 20, 1 << 30)) == "300 of 1,024 MiB"


class TimelineApp(PartApp):
    def __init__(self) -> None:
        self.line = Timeline()
        super().__init__(self.line)

    def on_mount(self) -> None:
        self.line.show(HALF)
        self.line.focus()

    def on_timeline_sought(self, event: Timeline.Sought) -> None:
        self.heard.append(event.moment)


async def test_keys_scrub_from_where_one_is_going_to() -> None:
    app = TimelineApp()
    async with app.run_test(size=(80, 4)) as pilot:
        await pilot.press("left", "left", "right", "pageup", "home", "left", "end")
        await pilot.pause()
        assert app.heard == [49, 48, 49, 39, 0, 100]


async def test_the_mouse_goes_to_the_moment_under_it() -> None:
    app = TimelineApp()
    async with app.run_test(size=(80, 4)) as pilot:
        await pilot.pause()
        assert "●" in drawn(app.line)
        await pilot.click(app.line, offset=(2, 0))
        await pilot.pause()
        assert app.heard == [0]


async def test_the_wheel_goes_back_and_forward() -> None:
    app = TimelineApp()
    async with app.run_test(size=(80, 4)) as pilot:
        await pilot.pause()
        for kind in (events.MouseScrollUp, events.MouseScrollUp, events.MouseScrollDown):
            app.line.post_message(kind(app.line, 5, 0, 0, 0, 0, False, False, False))
        await pilot.pause()
        assert app.heard == [48, 46, 48]
