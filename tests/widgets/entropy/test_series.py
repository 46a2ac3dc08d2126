"""Which signals can be plotted, and against which range."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.facts import Reading, Reseed
from kdash.widgets.entropy.plot import Plot, plot_lines
from kdash.widgets.entropy.series import SERIES, first_series, number, series_named
from kdash.widgets.entropy.timeline import Timeline
from kdash.widgets.entropy.tone_lines import plain

from .made import MODERN, OLD, history, trend

BY_NAME = {series.name: series for series in SERIES}


def plot(name: str, readings: Sequence[Reading], timeline: Timeline | None = None) -> Plot:
    return Plot(BY_NAME[name], readings[-1], trend(readings), timeline or Timeline(), 1.0)


def test_where_the_number_stands_still_what_moves_is_plotted_first() -> None:
    assert first_series(MODERN).name == "irq"
    assert first_series(replace(MODERN, irq_per_second=None)).name == "reseed"


def test_where_the_number_moves_it_is_plotted_first() -> None:
    assert first_series(OLD).name == "level"


def test_the_level_is_drawn_against_the_pool_size_whatever_its_values() -> None:
    assert BY_NAME["level"].top(replace(OLD, entropy_avail=3), 2300.0) == 4096


def test_a_signal_without_a_range_of_its_own_gets_a_round_one() -> None:
    assert BY_NAME["irq"].top(MODERN, 82.0) == 100
    assert BY_NAME["irq"].top(MODERN, 0.0) == 10


def test_a_reseed_clock_in_time_keeps_its_range() -> None:
    assert BY_NAME["reseed"].top(MODERN, 61.0) == 75


def test_a_missing_signal_says_why() -> None:
    assert BY_NAME["latency"].absence(OLD) == "not sampled where that could draw from the pool"
    assert BY_NAME["latency"].absence(MODERN) == ""


def test_a_reseed_clock_that_saw_no_reseed_yet_can_be_chosen() -> None:
    waiting = replace(MODERN, reseed=Reseed(41, None, "vdso", at_least=17.0))
    assert BY_NAME["reseed"].absence(waiting) == ""
    title = plain(plot_lines(plot("reseed", [waiting]), 78, 8)[0])
    assert "none seen yet, watched for 17 s" in title


def test_an_unknown_name_is_no_series() -> None:
    assert series_named("entropy") is None


def test_a_plot_labels_its_range_its_time_and_its_extremes() -> None:
    lines = plot_lines(plot("irq", history(MODERN, (3.0, 82.0, 12.5))), 78, 9)
    text = [plain(line) for line in lines]
    assert len(text) == 9
    assert text[0].startswith("interrupts  now 12.5/s  min 3  max 82")
    assert text[1].startswith("   100┤")
    assert text[-3].startswith("     0┤")
    assert text[-1].split() == ["-141", "s", "-71", "s", "now"]
    assert all(len(line) <= 78 for line in text)


def test_zooming_out_stretches_the_time_axis() -> None:
    lines = plot_lines(plot("irq", history(MODERN, (3.0,)), Timeline(zoom=3)), 78, 9)
    assert plain(lines[-1]).split()[:2] == ["-24", "min"]


def test_a_signal_that_cannot_be_had_takes_one_line() -> None:
    lines = plot_lines(plot("latency", [OLD]), 78, 9)
    assert [plain(line) for line in lines] == [
        "getrandom 16 B: not sampled where that could draw from the pool"
    ]


def test_a_cursor_tells_what_was_at_its_time_and_stands_in_the_axis() -> None:
    readings = history(MODERN, (3.0, 82.0, 12.5))
    lines = plot_lines(plot("irq", readings, Timeline(cursor=999.0)), 78, 9)
    assert plain(lines[0]) == "interrupts  -1 s: 82/s"
    assert "▲" in plain(lines[-2])
    assert any(span.tone == "cursor" for line in lines for span in line)


def test_where_columns_hold_many_readings_the_cursor_tells_their_range() -> None:
    readings = history(MODERN, tuple(float(n) for n in range(30)))
    lines = plot_lines(plot("irq", readings, Timeline(zoom=3, cursor=985.0)), 78, 9)
    assert plain(lines[0]) == "interrupts  -15 s: mean 13.5/s  min 9  max 18"


def test_a_cursor_where_nothing_was_measured_says_so() -> None:
    lines = plot_lines(plot("irq", history(MODERN, (3.0,)), Timeline(cursor=900.0)), 78, 9)
    assert plain(lines[0]) == "interrupts  -100 s: nothing known"


def test_the_mean_stands_out_from_the_band_of_least_and_greatest() -> None:
    readings = history(MODERN, (0.0,) * 9 + (100.0,) + (0.0,) * 9 + (100.0,) * 2)
    rows = plot_lines(plot("irq", readings, Timeline(zoom=3)), 78, 12)[1:-2]
    tones = {span.tone for row in rows for span in row[2:] if span.text.strip("\u2800")}
    assert tones == {"accent", "muted"}


@given(st.floats(0, 1e13))
def test_a_number_fits_the_labels_of_the_axis(value: float) -> None:
    assert len(number(value)) <= 6
