"""The braille line: every value lands inside, gaps stay gaps."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.widgets.entropy.braille import (
    BITS,
    BLANK,
    braille_bars,
    braille_rows,
    dot_row,
    round_top,
)

finite = st.floats(allow_nan=False, allow_infinity=False, width=32)
sizes = st.integers(min_value=1, max_value=40)


def lit(rows: list[str]) -> set[tuple[int, int]]:
    """The dots that are set, as (x, y) from the top left."""
    return {
        (2 * cell + x, 4 * line + y)
        for line, row in enumerate(rows)
        for cell, char in enumerate(row)
        for x in range(2)
        for y in range(4)
        if (ord(char) - BLANK) & BITS[x][y]
    }


@given(st.data(), sizes, sizes)
def test_every_value_of_the_range_lights_its_own_column_inside_the_canvas(
    data: st.DataObject, width: int, height: int
) -> None:
    values = data.draw(st.lists(st.floats(0, 256), max_size=3 * width))
    rows = braille_rows(values, 0, 256, width, height)
    assert [len(row) for row in rows] == [width] * height
    shown = values[-2 * width :]
    first = 2 * width - len(shown)
    dots = lit(rows)
    assert {x for x, _ in dots} == set(range(first, 2 * width))
    for x, value in enumerate(shown, start=first):
        assert (x, dot_row(value, 0, 256, 4 * height)) in dots


@given(finite, finite, finite, sizes)
def test_a_value_outside_the_range_is_drawn_at_its_edge(
    value: float, one: float, other: float, dots: int
) -> None:
    bottom, top = min(one, other), max(one, other) + 1
    if not top > bottom:
        return  # one more is lost in the rounding of a large number
    row = dot_row(value, bottom, top, dots)
    assert 0 <= row < dots
    if value >= top:
        assert row == 0
    if value <= bottom:
        assert row == dots - 1


@given(st.floats(0, 100), st.floats(0, 100), sizes)
def test_a_greater_value_is_never_drawn_lower(one: float, other: float, dots: int) -> None:
    low, high = sorted((one, other))
    assert dot_row(high, 0, 100, dots) <= dot_row(low, 0, 100, dots)


def test_the_ends_of_the_range_are_the_first_and_last_dot() -> None:
    assert dot_row(4096, 0, 4096, 32) == 0
    assert dot_row(0, 0, 4096, 32) == 31


def test_an_empty_range_is_refused() -> None:
    with pytest.raises(ValueError, match="an empty range"):
        dot_row(1, 5, 5, 8)


@given(st.floats(0, 256), sizes, sizes)
def test_a_constant_series_is_one_straight_line(value: float, width: int, height: int) -> None:
    dots = lit(braille_rows([value] * (2 * width), 0, 256, width, height))
    assert len({y for _, y in dots}) == 1
    assert len(dots) == 2 * width


@given(st.lists(st.one_of(st.none(), st.just(math.nan), st.floats(0, 10)), max_size=60))
def test_a_gap_stays_dark_and_the_rest_is_drawn(values: list[float | None]) -> None:
    dots = lit(braille_rows(values, 0, 10, 30, 3))
    first = 60 - len(values)
    there = {
        first + i for i, value in enumerate(values) if value is not None and not math.isnan(value)
    }
    assert {x for x, _ in dots} == there


def test_a_jump_is_joined_without_a_hole() -> None:
    dots = lit(braille_rows([0, 10, 0], 0, 10, 2, 2))
    assert {y for x, y in dots if x == 2} == set(range(7))
    assert {y for x, y in dots if x == 3} == set(range(1, 8))


def test_bars_reach_from_the_least_to_the_greatest() -> None:
    dots = lit(braille_bars([(0, 10), None, (5, 5), (10, 10)], 0, 10, 2, 2))
    assert {y for x, y in dots if x == 0} == set(range(8))
    assert not {y for x, y in dots if x == 1}
    assert [y for x, y in sorted(dots) if x > 1] == [3, 0]


@given(st.lists(st.one_of(st.none(), st.tuples(finite, finite).map(sorted)), max_size=90), sizes)
def test_every_bar_lands_inside(spans: list[Any], width: int) -> None:
    rows = braille_bars(spans, 0.0, 100.0, width, 3)
    assert [len(row) for row in rows] == [width] * 3


@given(st.floats(0, 1e12))
def test_the_top_of_a_scale_is_round_and_reaches_the_value(value: float) -> None:
    top = round_top(value)
    assert top >= value
    mantissa = top / 10 ** math.floor(math.log10(top) + 1e-9)
    assert round(mantissa, 6) in (1, 2, 5, 10)


def test_no_scale_reaches_infinity() -> None:
    with pytest.raises(ValueError, match="no scale"):
        round_top(math.inf)
