"""Columns of a list."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from kdash.widgets.columns import Column, fit, widths
from kdash.widgets.printable import printable

COLUMNS = (Column("a", "A"), Column("b", "B", width=4), Column("c", "C", share=3, needs=30))


@given(st.integers(6, 200))
def test_the_columns_fill_the_room_there_is(available: int) -> None:
    shown = [width for width in widths(COLUMNS, available) if width]
    assert sum(shown) + len(shown) - 1 == available


@given(st.integers(0, 200))
def test_a_column_that_needs_more_room_is_left_out(available: int) -> None:
    assert bool(widths(COLUMNS, available)[2]) == (available >= 30)


def test_columns_share_the_room_as_they_ask() -> None:
    a, b, c = widths(COLUMNS, 86)
    assert (a, b, c) == (20, 4, 60)


@given(st.text(max_size=12), st.integers(0, 12), st.booleans(), st.integers(0, 12))
def test_fitted_text_has_exactly_the_width_wanted(
    text: str, width: int, right: bool, keep: int
) -> None:
    shown = printable(text).replace("\n", " ")
    assert cell_len(fit(shown, width, right=right, keep=shown[keep:])) == width


def test_the_end_that_matters_is_kept_when_a_text_is_cut() -> None:
    assert fit("some_function+0x1d", 12, keep="+0x1d") == "some_f…+0x1d"
    assert fit("some_function+0x1d", 4, keep="+0x1d") == "som…"
