"""The table for long lists, driven by keys."""

from collections.abc import Sequence
from typing import Any

import pytest
from textual import on
from textual.app import App, ComposeResult

from kdash.widgets.filter_bar import FilterBar
from kdash.widgets.line_table import Cell, Column, LineTable

COLUMNS = (
    Column("name", "Name"),
    Column("size", "Size", width=6, right=True),
    Column("note", "Note", needs=50),
)


def cells(row: tuple[str, int]) -> Sequence[Cell]:
    return (Cell(row[0]), Cell(str(row[1]), "warning"), Cell("a note"))


class TableApp(App[None]):
    def __init__(self, rows: Sequence[tuple[str, int]] = (), follow: bool = False) -> None:
        super().__init__()
        self.rows = rows
        self.follow = follow
        self.seen: list[Any] = []
        self.chosen: list[Any] = []

    def compose(self) -> ComposeResult:
        self.table: LineTable[tuple[str, int]] = LineTable(COLUMNS, cells, follow=self.follow)
        self.bar = FilterBar(self.table)
        yield self.table
        yield self.bar

    def on_mount(self) -> None:
        self.table.set_rows(self.rows)
        self.table.focus()

    @on(LineTable.Highlighted)
    def _highlighted(self, event: LineTable.Highlighted) -> None:
        self.seen.append(event.row)

    @on(LineTable.Chosen)
    def _chosen(self, event: LineTable.Chosen) -> None:
        self.chosen.append(event.row)

    def line(self, y: int) -> str:
        return self.table.render_line(y).text


HUNDRED = [(f"row{i:02}", i) for i in range(100)]


async def test_the_header_stays_above_the_rows_when_scrolled() -> None:
    app = TableApp(HUNDRED)
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.press("G")
        await pilot.pause()
        assert app.line(0).split() == ["Name", "Size"]
        assert app.line(app.table.size.height - 1).split() == ["▸", "row99", "99"]


@pytest.mark.parametrize(
    ("keys", "row"),
    [
        (["j", "j", "down"], 3),
        (["j", "k", "up"], 0),
        (["G"], 99),
        (["G", "g", "g"], 0),
        (["G", "g", "j", "g"], 99),
        (["end", "home"], 0),
        (["ctrl+d"], 4),
        (["ctrl+d", "ctrl+u"], 0),
    ],
)
async def test_keys_move_the_cursor(keys: list[str], row: int) -> None:
    app = TableApp(HUNDRED)
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.press(*keys)
        assert app.table.current == HUNDRED[row]


async def test_the_row_under_the_cursor_is_always_on_screen() -> None:
    app = TableApp(HUNDRED)
    async with app.run_test(size=(40, 10)) as pilot:
        for key in ["ctrl+d"] * 3 + ["k"] * 10 + ["G", "k"]:
            await pilot.press(key)
            await pilot.pause()
            shown = "".join(app.line(y) for y in range(app.table.size.height))
            assert app.table.current is not None
            assert f"▸ {app.table.current[0]}" in shown


async def test_enter_opens_a_row_and_is_no_second_highlight() -> None:
    app = TableApp(HUNDRED)
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.press("j")
        before = list(app.seen)
        await pilot.press("enter")
        assert app.chosen == [HUNDRED[1]]
        assert app.seen == before


async def test_a_click_moves_the_cursor_and_a_double_click_opens() -> None:
    app = TableApp(HUNDRED)
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.click(LineTable, offset=(3, 3))
        assert app.table.current == HUNDRED[2]
        await pilot.click(LineTable, offset=(3, 4), times=2)
        assert app.chosen == [HUNDRED[3]]


async def test_a_click_below_the_last_row_does_nothing() -> None:
    app = TableApp(HUNDRED[:2])
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.click(LineTable, offset=(3, 7))
        assert app.table.current == HUNDRED[0]


async def test_an_empty_table_shows_its_placeholder_and_takes_every_key() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.placeholder = "nothing [bold]here[/]"
        await pilot.press("j", "k", "G", "g", "g", "ctrl+d", "ctrl+u", "enter")
        assert app.line(1).strip() == "nothing [bold]here[/]"
        assert app.table.current is None
        assert app.chosen == []


async def test_markup_and_escape_sequences_are_shown_as_they_are() -> None:
    app = TableApp([("[bold]x[/]", 1), ("\x1b[31mred\n", 2)])
    async with app.run_test(size=(48, 10)):
        assert "[bold]x[/]" in app.line(1)
        assert "\\x1b[31mred" in app.line(2)


async def test_the_cursor_stays_on_its_row_through_filter_and_sort() -> None:
    app = TableApp(HUNDRED)
    async with app.run_test(size=(40, 10)):
        app.table.cursor = 42
        app.table.filter("row4")
        assert app.table.current == HUNDRED[42]
        app.table.sort(lambda row: -row[1], column="size")
        assert app.table.current == HUNDRED[42]
        assert "Size ▲" in app.line(0)
        app.table.filter("")
        app.table.sort(None)
        assert app.table.current == HUNDRED[42]
        assert app.table.cursor == 42


async def test_the_cursor_stays_valid_when_its_row_goes() -> None:
    app = TableApp(HUNDRED)
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.press("G")
        app.table.filter("row1")
        assert app.table.current == HUNDRED[19]
        app.table.filter("no such row")
        assert not app.table.row_count
        app.table.set_rows(HUNDRED[:1])
        app.table.filter("")
        assert app.table.current == HUNDRED[0]


async def test_rows_that_come_later_appear_where_the_order_wants_them() -> None:
    app = TableApp([("b", 2), ("d", 4)])
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.sort(lambda row: row[0])
        await pilot.press("j")
        app.table.append_rows([("a", 1), ("c", 3), ("e", 5)])
        assert [row[0] for row in app.table.shown_rows] == ["a", "b", "c", "d", "e"]
        assert app.table.current == ("d", 4)


async def test_rows_that_come_later_are_filtered_by_the_fields_of_the_first() -> None:
    app = TableApp()
    async with app.run_test(size=(40, 10)):
        app.table.filter("size:^1")
        app.table.append_rows(HUNDRED[:20])
        assert app.table.row_count == 11
        assert app.table.total_count == 20


async def test_a_row_that_comes_into_view_is_drawn() -> None:
    app = TableApp(HUNDRED[:2])
    async with app.run_test(size=(40, 10)) as pilot:
        app.table.append_rows(HUNDRED[2:4])
        await pilot.pause()
        assert "row03" in str(app.screen._compositor.render_strips()[4].text)


async def test_a_following_table_stays_at_the_newest_row_until_the_cursor_leaves_it() -> None:
    app = TableApp(HUNDRED[:3], follow=True)
    async with app.run_test(size=(40, 10)) as pilot:
        await pilot.press("G")
        app.table.append_rows(HUNDRED[3:50])
        assert app.table.current == HUNDRED[49]
        await pilot.press("k")
        app.table.append_rows(HUNDRED[50:])
        assert app.table.current == HUNDRED[48]


async def test_select_puts_the_cursor_on_the_first_row_wanted() -> None:
    app = TableApp(HUNDRED)
    async with app.run_test(size=(40, 10)):
        assert app.table.select(lambda row: row[1] > 60)
        assert app.table.current == HUNDRED[61]
        assert not app.table.select(lambda row: row[1] > 1000)
        assert app.table.current == HUNDRED[61]


async def test_a_column_appears_when_there_is_room_for_it() -> None:
    app = TableApp(HUNDRED)
    async with app.run_test(size=(40, 10)) as pilot:
        assert "a note" not in app.line(1)
        await pilot.resize_terminal(80, 10)
        await pilot.pause()
        assert "a note" in app.line(1)
