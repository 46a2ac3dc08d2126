"""Which signals can be plotted, and against which range."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.facts import Reseed
from kdash.widgets.entropy.plot import plot_lines
from kdash.widgets.entropy.series import SERIES, first_series, number, series_named
from kdash.widgets.entropy.tone_lines import plain

from .made import MODERN, OLD, history

BY_NAME = {series.name: series for series in SERIES}


def test_where_the_number_stands_still_what_moves_is_plotted_first() -> None:
    assert first_series(MODERN).name == "irq"
    assert first_series(replace(MODERN, irq_per_second=None)).name == "reseed"


def test_where_the_number_moves_it_is_plotted_first() -> None:
    assert first_series(OLD).name == "level"


def test_the_level_is_drawn_against_the_pool_size_whatever_its_values() -> None:
    assert BY_NAME["level"].top([OLD, replace(OLD, entropy_avail=3)]) == 4096


def test_a_signal_without_a_range_of_its_own_gets_a_round_one() -> None:
    assert BY_NAME["irq"].top(history(MODERN, (3.0, None, 82.0))) == 100
    assert BY_NAME["irq"].top(history(MODERN, (0.0, 0.0))) == 10


def test_a_reseed_clock_in_time_keeps_its_range() -> None:
    readings = [replace(MODERN, reseed=Reseed(41, seconds, "vdso")) for seconds in (1.0, 61.0)]
    assert BY_NAME["reseed"].top(readings) == 75


def test_a_missing_signal_says_why() -> None:
    assert BY_NAME["latency"].absence(OLD) == "not sampled where that could draw from the pool"
    assert BY_NAME["latency"].absence(MODERN) == ""


def test_a_reseed_clock_that_saw_no_reseed_yet_can_be_chosen() -> None:
    waiting = replace(MODERN, reseed=Reseed(41, None, "vdso", at_least=17.0))
    assert BY_NAME["reseed"].absence(waiting) == ""
    title = plain(plot_lines(BY_NAME["reseed"], [waiting], 1.0, 78, 8)[0])
    assert "none seen yet, watched for 17 s" in title


def test_an_unknown_name_is_no_series() -> None:
    assert series_named("entropy") is None


def test_a_plot_labels_its_range_its_time_and_its_extremes() -> None:
    lines = plot_lines(BY_NAME["irq"], history(MODERN, (3.0, 82.0, 12.5)), 1.0, 78, 9)
    text = [plain(line) for line in lines]
    assert len(text) == 9
    assert text[0].startswith("interrupts  now 12.5/s  min 3  max 82")
    assert text[1].startswith("   100┤")
    assert text[-3].startswith("     0┤")
    assert text[-1].split() == ["-141", "s", "-71", "s", "now"]
    assert all(len(line) <= 78 for line in text)


def test_a_longer_interval_stretches_the_time_axis() -> None:
    lines = plot_lines(BY_NAME["irq"], history(MODERN, (3.0,)), 10.0, 78, 9)
    assert plain(lines[-1]).split()[:2] == ["-24", "min"]


def test_a_signal_that_cannot_be_had_takes_one_line() -> None:
    lines = plot_lines(BY_NAME["latency"], [OLD], 1.0, 78, 9)
    assert [plain(line) for line in lines] == [
        "getrandom 16 B: not sampled where that could draw from the pool"
    ]


@given(st.floats(0, 1e13))
def test_a_number_fits_the_labels_of_the_axis(value: float) -> None:
    assert len(number(value)) <= 6
