"""The VCPU pane: wires a KVM session to the views of its guest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult

from kdash.panes import vcpu_vocabulary
from kdash.panes.vcpu_borders import keep_borders, kept_borders
from kdash.panes.vcpu_console import ConsoleKeys
from kdash.panes.vcpu_keys import GuestKeys
from kdash.panes.vcpu_listing import ListingKeys
from kdash.panes.vcpu_memory import MemoryKeys
from kdash.panes.vcpu_state import StateViews
from kdash.widgets.pane import CommandWord
from kdash.widgets.vcpu.arrangement import BROAD, STATE_VIEWS
from kdash.widgets.vcpu.memory_lines import Examine
from kdash.widgets.vcpu.parts import VcpuParts


class VcpuPane(StateViews, ConsoleKeys, MemoryKeys, ListingKeys):
    """A guest on a VCPU: step it, run it, look at it."""

    WORDS: ClassVar[tuple[CommandWord, ...]] = vcpu_vocabulary.WORDS
    VIEWS: ClassVar[tuple[str, ...]] = (*GuestKeys.VIEWS, *STATE_VIEWS)

    _names: tuple[object, Sequence[str]] = (None, ())  # symbols and their names in order

    # -- borders ------------------------------------------------------------------------

    def compose(self) -> ComposeResult:
        """Put the borders between the parts where they were left."""
        self._parts.put_borders(kept_borders())
        yield from super().compose()

    def on_unmount(self) -> None:
        """Keep where the borders are."""
        keep_borders(self._parts.moved)

    # -- views --------------------------------------------------------------------------

    def view_changed(self, index: int) -> None:
        """Give one part all the room, or all of them their share."""
        if self._session is None:
            return
        self._parts.show_view(VcpuParts.VIEWS[index])
        self.look_closer()
        self.read_state()
        if self.has_focus_within:
            first = self._parts.first_shown
            if first.is_attached:
                self.screen.set_focus(first)
            else:  # it has just been made
                self.call_after_refresh(self.screen.set_focus, first)

    def on_resize(self, event: events.Resize) -> None:
        """Memory may have come on screen. The parts place themselves by their own size."""
        event.prevent_default()  # the classes of the base would only cost a pass of the styles
        self.call_after_refresh(self.look_closer)

    # -- command prompt -----------------------------------------------------------------

    def complete(self, line: str) -> Sequence[str]:
        """Completions of a partly typed command line."""
        from kdash.panes.vcpu_completion import complete

        return complete(line, self._symbol_names())

    def _symbol_names(self) -> Sequence[str]:
        """Names of the guest's addresses, sorted once: a kernel has a hundred thousand."""
        if self._session is None:
            return ()
        symbols = self._session.symbols
        if self._names[0] is not symbols:
            self._names = (symbols, sorted(symbols.addresses))
        return self._names[1]

    def run_command(self, line: str) -> str:
        """Carry out one line of the command prompt.

        Raises:
            CommandError: See kdash.panes.vcpu_commands.
        """
        from kdash.panes.vcpu_commands import carry_out

        return carry_out(self, line)

    def set_step_size(self, count: int) -> None:
        """Let `s` do `count` steps."""
        self.step_size = count
        self._draw_status()

    async def action_watch(self) -> None:
        """Ask what to watch: the memory shown where some was asked for."""
        shown = self.memory_shown if self._parts.memory_wanted else None
        place = f"{shown.address:#x}:{shown.unit}" if shown is not None else ""
        await self.app.run_action(f"app.command('watch {place}')")

    def examine(self, what: Examine) -> None:
        """Show memory, in a view of its own where the others leave it little room."""
        self._parts.memory_wanted = True
        if self._parts.size.width < BROAD:
            self.show_view(self.VIEWS.index("memory"))
        self.show_memory(what)
