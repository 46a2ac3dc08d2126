"""An application that ends in order: by signal, by fault, under a flood of input."""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import TYPE_CHECKING, Any, Final

from textual import events
from textual.app import App
from textual.css.query import NoMatches
from textual.geometry import Size

from kdash import fault

if TYPE_CHECKING:
    from textual.driver import Driver

#: Signals that end the program with status 128 + their number, the terminal as it was.
ENDING: Final = (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM)
#: What is drawn for at least; a terminal with less shows a part of it.
LEAST: Final = Size(20, 6)


class OrderlyApp(App[int]):
    """Whatever ends it, the terminal is left as it was found."""

    async def run_async(self, **options: Any) -> int | None:
        """Run; signals end it in order from before the terminal is sent anything."""
        loop = asyncio.get_running_loop()
        for number in ENDING:
            loop.add_signal_handler(number, self.exit, None, 128 + number)
        return await super().run_async(**options)

    def get_driver_class(self) -> type[Driver]:
        """Textual's driver; on a terminal one that outlives it."""
        driver = super().get_driver_class()
        if driver.__name__ != "LinuxDriver":
            return driver
        from kdash.driver import LastingDriver

        return LastingDriver

    @property
    def size(self) -> Size:
        """Of the terminal, in cells; never so small that Textual's own widgets fail."""
        return _at_least(super().size)

    async def on_event(self, event: events.Event) -> None:
        """Once the end has been asked for, what was typed before it holds it up no longer."""
        if self._exit and isinstance(event, events.InputEvent):
            return
        if isinstance(event, events.Resize):
            size = _at_least(event.size)
            event = events.Resize(size, size, size, event.pixel_size)
        await super().on_event(event)

    def _handle_exception(self, error: Exception) -> None:
        """End with the error, unless it is a message that came while the widgets were leaving."""
        if isinstance(error, NoMatches) and not self.is_running:
            return
        super()._handle_exception(error)

    def _fatal_error(self) -> None:
        """End and show the first fault, as data: it may quote what a file or a guest has named."""
        if not self._exit_renderables:
            self._exit_renderables.append(fault.told(sys.exc_info()[1]))
        self._close_messages_no_wait()

    def _print_error_renderables(self) -> None:
        for told in self._exit_renderables:
            sys.stderr.write(f"{told}\n")
        self._exit_renderables.clear()


def _at_least(size: Size) -> Size:
    return Size(max(size.width, LEAST.width), max(size.height, LEAST.height))
