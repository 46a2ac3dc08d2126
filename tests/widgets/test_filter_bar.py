"""The line in which a filter is typed."""

from textual import on

from kdash.widgets.filter_bar import FilterBar
from tests.widgets.test_line_table import HUNDRED, TableApp


class BarApp(TableApp):
    def __init__(self) -> None:
        super().__init__(HUNDRED)
        self.applied: list[str] = []

    @on(FilterBar.Applied)
    def _applied(self, event: FilterBar.Applied) -> None:
        self.applied.append(event.text)


async def test_the_list_is_filtered_while_the_filter_is_typed() -> None:
    app = BarApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.bar.open()
        await pilot.press(*"row4")
        assert app.table.row_count == 10
        await pilot.press("2")
        assert app.table.row_count == 1
        assert app.applied[-2:] == ["row4", "row42"]


async def test_enter_keeps_the_filter_and_returns_to_the_list() -> None:
    app = BarApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.bar.open()
        await pilot.press(*"row4", "enter", "j")
        assert app.focused is app.table
        assert app.bar.display
        assert app.table.current == HUNDRED[41]


async def test_the_line_begins_with_the_key_that_opens_it() -> None:
    app = BarApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.bar.open()
        await pilot.press(*"row4", "enter")
        await pilot.pause()
        line = app.screen._compositor.render_strips()[app.bar.region.y].text
        assert line.rstrip().endswith("/row4")


async def test_an_empty_filter_needs_no_line() -> None:
    app = BarApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.bar.open()
        await pilot.press("enter")
        assert not app.bar.display
        assert app.focused is app.table


async def test_escape_shows_every_row_again() -> None:
    app = BarApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.bar.open()
        await pilot.press(*"row4", "escape")
        assert app.table.row_count == 100
        assert not app.bar.display
        assert app.focused is app.table


async def test_keys_of_the_list_are_letters_in_the_bar() -> None:
    app = BarApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.bar.open()
        await pilot.press("j", "g", "G", "question_mark")
        assert app.bar.value == "jgG?"


async def test_tab_completes_a_field_name_and_keeps_what_stands_before_it() -> None:
    app = BarApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.bar.open()
        await pilot.press(*"row", "space", *"!si")
        await pilot.pause()
        await pilot.press("tab", *"4$")
        assert app.bar.value == "row !size:4$"
        assert app.table.row_count == 90


async def test_the_bar_opens_behind_a_prefix() -> None:
    app = BarApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.bar.open("!")
        await pilot.press(*"row4")
        assert app.table.row_count == 90
        app.bar.open("!")
        assert app.bar.value == "!row4 !"


async def test_a_filter_set_from_elsewhere_shows_without_taking_the_keyboard() -> None:
    app = BarApp()
    async with app.run_test(size=(40, 10)):
        app.bar.set_filter("row4")
        assert app.bar.has_class("-open")
        assert app.focused is app.table
        app.bar.set_filter("")
        assert not app.bar.has_class("-open")
        assert app.table.row_count == 100


def below(bar: FilterBar) -> str:
    return " ".join(bar.render_line(y).text.strip() for y in range(1, bar.size.height))


async def test_a_field_that_does_not_exist_is_named_with_those_that_do() -> None:
    app = BarApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.bar.open()
        await pilot.press(*"colour:red")
        await pilot.pause()
        assert below(app.bar) == "no field colour; there are name, size, note"
        await pilot.press("escape")
        await pilot.pause()
        assert app.bar.size.height <= 1


async def test_fields_are_told_on_as_many_lines_as_they_need() -> None:
    app = BarApp()
    async with app.run_test(size=(24, 10)) as pilot:
        app.bar.open()
        await pilot.press(*"!colour:red")
        await pilot.pause()
        assert app.bar.size.height == 3
        assert below(app.bar) == "no field colour; there are name, size, note"


async def test_a_field_may_be_typed_in_capitals() -> None:
    app = BarApp()
    async with app.run_test(size=(40, 10)) as pilot:
        app.bar.open()
        await pilot.press(*"Name:row42")
        assert app.table.row_count == 1
