"""How much there is to scroll through, with a layout pass only where one is needed."""

from textual.app import App, ComposeResult
from textual.geometry import Size
from textual.pilot import Pilot
from textual.scroll_view import ScrollView

from kdash.widgets.extent import set_extent


class ViewApp(App[None]):
    CSS = "ScrollView { height: 1fr; overflow-x: hidden; }"

    def __init__(self) -> None:
        super().__init__()
        self.view = ScrollView()
        self.layouts = 0

    def compose(self) -> ComposeResult:
        yield self.view

    def on_mount(self) -> None:
        self.screen.screen_layout_refresh_signal.subscribe(self, self._laid_out)

    def _laid_out(self, _: object) -> None:
        self.layouts += 1


async def settled(app: ViewApp, pilot: Pilot[None]) -> int:
    """How many layouts there were once a tenth of a second passed without one."""
    while True:
        before = app.layouts
        await pilot.pause(0.1)
        if app.layouts == before:
            return before


async def test_a_list_that_grows_below_the_screen_costs_no_layout_pass() -> None:
    app = ViewApp()
    async with app.run_test(size=(40, 10)) as pilot:
        set_extent(app.view, Size(40, 50))
        before = await settled(app, pilot)
        set_extent(app.view, Size(40, 60))
        assert await settled(app, pilot) == before
        assert app.view.max_scroll_y == 50
        assert app.view.vertical_scrollbar.window_virtual_size == 60


async def test_the_scroll_bar_comes_and_goes() -> None:
    app = ViewApp()
    async with app.run_test(size=(40, 10)) as pilot:
        set_extent(app.view, Size(40, 11))
        await pilot.pause(0.1)
        assert app.view.show_vertical_scrollbar
        set_extent(app.view, Size(40, 10))
        await pilot.pause(0.1)
        assert not app.view.show_vertical_scrollbar


async def test_a_list_that_shrinks_is_not_scrolled_beyond_its_end() -> None:
    app = ViewApp()
    async with app.run_test(size=(40, 10)) as pilot:
        set_extent(app.view, Size(40, 50))
        await pilot.pause(0.1)
        app.view.scroll_to(y=40, animate=False)
        set_extent(app.view, Size(40, 30))
        assert app.view.scroll_offset.y == 20
