"""The view of the live generator, for every era and size."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.events import MouseScrollDown, MouseScrollUp

from kdash.backends.entropy.facts import Era, HardwareSource, Reading
from kdash.widgets.entropy.kernel_view import KernelView
from kdash.widgets.entropy.timeline import Timeline
from kdash.widgets.entropy.tone_lines import plain

from .made import BOOTING, BY_ERA, MODERN, OLD, history, trend

SIZES = [(78, 22), (49, 26), (58, 38), (77, 44), (40, 12)]
FUEL = set("█▉▊▋▌▍▎▏")


class Host(App[None]):
    def compose(self) -> ComposeResult:
        yield KernelView()


def show(view: KernelView, readings: list[Reading]) -> None:
    """Give the view readings as they come, one after another."""
    for count in range(max(1, len(readings) - 1), len(readings) + 1):
        view.show(readings[count - 1], trend(readings[:count]), 1.0)


@asynccontextmanager
async def drawn(
    readings: list[Reading], size: tuple[int, int] = (78, 22)
) -> AsyncIterator[tuple[KernelView, Any]]:
    app = Host()
    async with app.run_test(size=size) as pilot:
        view = app.query_one(KernelView)
        await pilot.pause()
        if readings:
            show(view, readings)
        await pilot.pause()
        yield view, pilot


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("era", BY_ERA)
def test_every_era_is_drawn_at_every_size(era: Era, size: tuple[int, int]) -> None:
    view = KernelView()
    show(view, history(BY_ERA[era], (3.0, 4.0)))
    lines = [plain(line) for line in view.lines(*size)]
    assert BY_ERA[era].meaning in " ".join(" ".join(lines).split())
    assert all(len(line) <= size[0] for line in lines)


@pytest.mark.parametrize(
    "reading", [reading for reading in BY_ERA.values() if not reading.gauge] + [BOOTING]
)
async def test_a_number_that_is_boot_progress_is_never_a_fuel_gauge(reading: Reading) -> None:
    async with drawn([reading]) as (view, _):
        assert not FUEL & set(view.text)
        assert "/256 bits" not in view.text
        if reading.entropy_avail is not None:
            labels = {Era.SINCE_5_18: "to the next reseed", Era.LRNG: "entropy_avail"}
            assert labels.get(reading.era, "boot progress") in view.text


@pytest.mark.parametrize("reading", [reading for reading in BY_ERA.values() if reading.gauge])
async def test_a_number_that_moves_is_a_level_against_the_pool_size(reading: Reading) -> None:
    async with drawn([reading]) as (view, _):
        assert f"{reading.entropy_avail}/{reading.poolsize} bits" in view.text
        assert FUEL & set(view.text)
        assert "wake-ups: " in view.text


async def test_readiness_is_said_in_words() -> None:
    for ready, words in ((True, "READY"), (False, "NOT SEEDED"), (None, "READINESS UNKNOWN")):
        async with drawn([replace(MODERN, ready=ready)]) as (view, _):
            assert words in view.text.splitlines()[0]


async def test_a_level_below_a_threshold_says_what_that_brings_about() -> None:
    async with drawn([replace(OLD, entropy_avail=40)]) as (view, _):
        assert "below the read wake-up: readers of /dev/random wait" in view.text
    async with drawn([replace(OLD, entropy_avail=500)]) as (view, _):
        assert "below the write wake-up" in view.text


async def test_alerts_stand_below_the_lamp() -> None:
    alert = "would-block: getrandom answers EAGAIN"
    async with drawn([replace(BOOTING, alerts=(alert,))]) as (view, _):
        lines = view.text.splitlines()
        assert (
            0
            < lines.index(f"! {alert}")
            < next(y for y, line in enumerate(lines) if line.startswith("boot progress"))
        )


async def test_a_sample_that_failed_says_why_there_is_no_number() -> None:
    failed = replace(
        MODERN, ready=None, entropy_avail=None, unavailable={"sample": "OSError: too many files"}
    )
    async with drawn([failed]) as (view, _):
        assert "entropy_avail not available: OSError: too many files" in view.text


async def test_what_the_system_names_is_drawn_as_data() -> None:
    evil = replace(MODERN, hwrng=HardwareSource("[bold]\x1b]0;x\x07", (), 7))
    async with drawn([evil]) as (view, _):
        assert "[bold]\\x1b]0;x\\x07" in view.text


async def test_plots_are_cycled_and_those_without_a_value_are_left_out() -> None:
    async with drawn(history(MODERN, (3.0, 4.0))) as (view, _):
        seen = []
        for _ in range(5):
            seen.append(view.series.name if view.series else "")
            view.plot_next()
        assert seen == ["irq", "reseed", "level", "latency", "vdso"]
    async with drawn(history(OLD, (3.0, 4.0))) as (view, _):
        seen = []
        for _ in range(3):
            seen.append(view.series.name if view.series else "")
            view.plot_next()
        assert seen == ["level", "blocked", "irq"]


async def test_a_new_reading_redraws_only_the_lines_that_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readings = history(MODERN, (3.0, 3.0))
    async with drawn(readings) as (view, _):
        redrawn: list[int] = []
        monkeypatch.setattr(view, "refresh_line", redrawn.append)
        view.show(readings[-1], trend(readings), 1.0)
        assert redrawn == []
        view.show(replace(readings[-1], uptime_seconds=4000.0), trend(readings), 1.0)
        assert [view.text.splitlines()[y].split()[0] for y in redrawn] == ["uptime"]


async def test_what_does_not_fit_can_be_scrolled_to() -> None:
    async with drawn(history(MODERN, (3.0, 4.0)), (78, 12)) as (view, pilot):
        assert view.virtual_size.height > 12
        view.focus()
        await pilot.press("G")
        await pilot.pause()
        assert view.scroll_offset.y == view.max_scroll_y > 0


async def test_the_scroll_bar_goes_when_everything_fits_again() -> None:
    crowded = replace(MODERN, unavailable={f"signal_{n}": f"reason {n}" for n in range(20)})
    async with drawn([crowded]) as (view, pilot):
        await pilot.pause()
        assert view.scrollable_content_region.width == 77
        show(view, [replace(MODERN, unavailable={})])
        await pilot.pause()
        assert view.scrollable_content_region.width == 78


async def test_muted_text_is_darker_than_the_rest_on_a_dark_theme() -> None:
    async with drawn([MODERN]) as (view, _):
        colours = {
            segment.text.strip(): segment.style.color.triplet
            for y in range(6)
            for segment in view.render_line(y)
            if segment.style and segment.style.color and segment.style.color.triplet
        }
        muted, usual = colours["hardware source"], colours[MODERN.meaning]
        assert sum(muted) < sum(usual)


async def test_a_view_that_is_hidden_catches_up_when_it_is_shown() -> None:
    async with drawn([MODERN]) as (view, pilot):
        view.display = False
        await pilot.pause()
        show(view, [OLD])
        assert "2300/4096" not in view.text
        view.display = True
        await pilot.pause()
        assert "2300/4096" in view.text


async def test_before_the_first_reading_the_view_says_what_it_waits_for() -> None:
    async with drawn([]) as (view, _):
        assert view.text == "reading the generator's state"


async def test_the_plot_waits_for_the_second_reading_before_it_is_chosen() -> None:
    async with drawn([replace(MODERN, irq_per_second=None)]) as (view, _):
        assert "the plot begins with the second reading" in view.text
        readings = history(MODERN, (None, 3.0))
        view.show(readings[-1], trend(readings), 1.0)
        assert "interrupts  now 3/s" in view.text


def test_kernels_without_getrandom_promise_nothing_about_it() -> None:
    view = KernelView()
    show(view, [replace(BY_ERA[Era.BEFORE_3_17], unavailable={})])
    assert "getrandom" not in " ".join(plain(line) for line in view.lines(78, 22))


async def test_a_frozen_view_says_so() -> None:
    async with drawn([MODERN]) as (view, _):
        view.set_frozen(True)
        assert "FROZEN" in view.text.splitlines()[0]


async def test_plus_and_minus_show_less_time_and_more() -> None:
    async with drawn(history(MODERN, (3.0, 4.0))) as (view, pilot):
        view.focus()
        assert "-141 s" in view.text
        await pilot.press("minus", "minus", "minus")
        assert "-24 min" in view.text
        await pilot.press("plus", "plus", "plus", "plus")
        assert "-141 s" in view.text


async def test_the_cursor_goes_back_in_time_and_escape_takes_it_away() -> None:
    async with drawn(history(MODERN, (3.0, 4.0, 12.0))) as (view, pilot):
        view.focus()
        await pilot.press("left", "left")
        assert "interrupts  -2 s: 3/s" in view.text
        await pilot.press("right")
        assert "interrupts  -1 s: 4/s" in view.text
        await pilot.press("escape")
        assert "interrupts  now 12/s" in view.text


async def test_a_cursor_that_leaves_takes_the_plot_along() -> None:
    async with drawn(history(MODERN, (3.0, 4.0, 12.0))) as (view, pilot):
        view.focus()
        await pilot.press(*["shift+left"] * 10)
        assert view.timeline.end
        assert "nothing known" in view.text
        assert "now" not in view.text.splitlines()[-1]
        await pilot.press(*["shift+right"] * 11)
        assert view.timeline == Timeline(cursor=1000.0)
        assert "interrupts  -0 s: 12/s" in view.text


async def test_the_mouse_sets_the_cursor_and_its_wheel_zooms() -> None:
    async with drawn(history(MODERN, (3.0, 4.0, 12.0)), (78, 30)) as (view, pilot):
        row = view._plot_rows[3]
        await pilot.click(KernelView, offset=(75, row))
        assert "interrupts  -4 s: nothing known" in view.text
        await pilot.click(KernelView, offset=(77, row))
        assert "interrupts  -0 s: 12/s" in view.text
        await pilot._post_mouse_events([MouseScrollDown], KernelView, offset=(40, row))
        assert view.timeline.step == 2
        await pilot._post_mouse_events([MouseScrollUp], KernelView, offset=(40, row))
        assert view.timeline.step == 1
