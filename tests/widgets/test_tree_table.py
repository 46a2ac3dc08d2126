"""Rows below headings."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from kdash.widgets.columns import Cell, Column
from kdash.widgets.outline import Grouping, Outline
from kdash.widgets.tree_table import TreeTable

BY_LETTER: Grouping[str] = Grouping("letter", lambda row: row[0])
BY_LENGTH: Grouping[str] = Grouping("length", lambda row: str(len(row)), largest_first=True)
ROWS = ("a1", "b1", "a22", "c1", "b2", "[b]", "a3")


class TreeApp(App[None]):
    def compose(self) -> ComposeResult:
        self.table = TreeTable[str](
            (Column("name", "Name"),), lambda row: (Cell(row),), fields=lambda row: {"name": row}
        )
        yield self.table

    def lines(self) -> list[str]:
        strips = self.screen._compositor.render_strips()
        return [text for strip in strips[1:] if (text := strip.text.rstrip())]


def test_rows_stand_in_the_order_of_their_headings_first_rows() -> None:
    outline = Outline[str]()
    outline.group((BY_LETTER,))
    outline.fold_all(folded=False)
    held = list(ROWS)
    lines = outline.arrange(held, list(range(len(held))))
    shown = [held[n] if n >= 0 else outline.headings[~n].path[-1] for n in lines]
    assert shown == ["a", "a1", "a22", "a3", "b", "b1", "b2", "c", "c1", "[", "[b]"]


def test_the_largest_heading_comes_first_where_that_matters() -> None:
    outline = Outline[str]()
    outline.group((BY_LENGTH, BY_LETTER))
    outline.arrange(list(ROWS), list(range(len(ROWS))))
    assert [(one.path, one.size) for one in outline.headings] == [(("2",), 5), (("3",), 2)]


@given(
    st.lists(st.text("ab", min_size=1, max_size=3), min_size=1),
    st.sampled_from([(BY_LETTER,), (BY_LENGTH,)]),
    st.randoms(),
)
def test_folded_headings_are_those_that_open_ones_have(
    held: list[str], levels: tuple[Grouping[str], ...], chance: Random
) -> None:
    passing = chance.sample(range(len(held)), len(held))
    outline = Outline[str]()
    outline.foresee((BY_LETTER, BY_LENGTH), held, len(held) // 2)
    outline.group(levels)
    lines = outline.arrange(held, passing)
    folded = list(outline.headings)
    assert [outline.place_of(one.path) for one in folded] == list(range(len(folded)))
    assert lines == [~place for place in range(len(folded))]
    outline.fold_all(folded=False)
    outline.arrange(held, passing)
    assert [one._replace(folded=True) for one in outline.headings] == folded


def test_rows_exchanged_stand_below_their_new_headings() -> None:
    held = list(ROWS)
    outline = Outline[str]()
    outline.foresee((BY_LENGTH,), held, len(held))
    outline.group((BY_LETTER,))
    outline.arrange(held, [0, 1])
    held[0] = "b9"
    outline.exchange({0: "b9"})
    outline.arrange(held, [0, 1])
    assert [(one.path, one.size) for one in outline.headings] == [(("b",), 2)]
    assert outline.path_of(0) == ("b",)


async def test_headings_are_folded_first_and_open_one_by_one_or_all() -> None:
    app = TreeApp()
    async with app.run_test(size=(40, 20)) as pilot:
        app.table.set_rows(ROWS)
        app.table.focus()
        app.table.group((BY_LETTER,))
        await pilot.pause()
        assert app.lines() == ["▸ + a  3", "  + b  2", "  + c  1", "  + [  1"]
        await pilot.press("enter", "j")
        assert app.lines()[:3] == ["  - a  3", "▸   a1", "    a22"]
        await pilot.press("h")
        assert app.lines()[:2] == ["▸ + a  3", "  + b  2"]
        await pilot.press("asterisk")
        assert len(app.lines()) == 4 + len(ROWS)
        await pilot.press("asterisk")
        assert len(app.lines()) == 4


async def test_the_cursor_stays_on_its_row_or_on_the_heading_that_hides_it() -> None:
    app = TreeApp()
    async with app.run_test(size=(40, 20)) as pilot:
        app.table.set_rows(ROWS)
        app.table.focus()
        assert app.table.select(lambda row: row == "b2")
        app.table.group((BY_LETTER,))
        assert app.table.heading is not None
        assert app.table.heading.path == ("b",)
        assert app.table.select(lambda row: row == "b2")
        assert app.table.current == "b2"
        await pilot.pause()
        assert app.lines()[1:4] == ["  - b  2", "    b1", "▸   b2"]
        app.table.group(())
        assert app.table.current == "b2"
        await pilot.pause()


async def test_an_action_on_a_heading_is_about_the_rows_that_pass_below_it() -> None:
    app = TreeApp()
    async with app.run_test(size=(40, 20)):
        app.table.set_rows(ROWS)
        app.table.group((BY_LETTER,))
        assert app.table.chosen_rows == ["a1", "a22", "a3"]
        app.table.filter("!22")
        assert app.table.chosen_rows == ["a1", "a3"]
        app.table.select(lambda row: row == "a3")
        assert app.table.chosen_rows == ["a3"]
        app.table.filter("nothing")
        assert app.table.chosen_rows == []


async def test_rows_that_come_later_are_counted_in_without_moving_the_cursor() -> None:
    app = TreeApp()
    async with app.run_test(size=(40, 20)) as pilot:
        app.table.set_rows(ROWS)
        app.table.focus()
        app.table.group((BY_LETTER,))
        await pilot.press("j")
        app.table.append_rows(("a4", "d1"))
        await pilot.pause()
        assert app.lines() == ["  + a  4", "▸ + b  2", "  + c  1", "  + [  1", "  + d  1"]


async def test_a_row_that_is_exchanged_is_filtered_and_grouped_anew() -> None:
    app = TreeApp()
    async with app.run_test(size=(40, 20)) as pilot:
        app.table.set_rows(ROWS)
        app.table.filter("a")
        app.table.group((BY_LETTER,))
        app.table.exchange_rows({0: "b9", 1: "ba"})
        await pilot.pause()
        assert app.lines() == ["  + b  1", "▸ + a  2"]


async def test_a_click_on_the_heading_under_the_cursor_opens_it() -> None:
    app = TreeApp()
    async with app.run_test(size=(40, 20)) as pilot:
        app.table.set_rows(ROWS)
        app.table.group((BY_LETTER,))
        await pilot.pause()
        await pilot.click(TreeTable, offset=(4, 3))
        assert len(app.lines()) == 4
        await pilot.pause(0.6)
        await pilot.click(TreeTable, offset=(4, 3))
        assert len(app.lines()) == 5


async def test_rows_stand_to_the_right_of_their_headings_and_paths_keep_their_end() -> None:
    by_path: Grouping[str] = Grouping(
        "path", lambda _: "drivers/net/ethernet/vendor/x.o", ends=True
    )
    app = TreeApp()
    async with app.run_test(size=(22, 10)) as pilot:
        app.table.set_rows(("a1",))
        app.table.group((by_path, BY_LETTER))
        app.table.action_fold_all()
        await pilot.pause()
        path, *below = app.lines()
        assert path.startswith("  - …")
        assert path.endswith("vendor/x.o  1")
        assert below == ["    - a  1", "▸     a1"]
