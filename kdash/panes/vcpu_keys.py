"""The keys of the VCPU pane that move its guest on, and those that show it."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from kdash.backends.kvm.facts import IN_DEVICE, RunState, Snapshot
from kdash.panes.vcpu_past import PastKeys
from kdash.settings import Settings
from kdash.widgets.key_taker import KeyTaker, takes_keys
from kdash.widgets.vcpu.disassembly import DisassemblyView
from kdash.widgets.vcpu.status import StatusLine

if TYPE_CHECKING:
    from kdash.widgets.vcpu.stops import StopsView

NEED_GUEST = frozenset({
    "step", "run", "next", "until", "breakpoint", "restart", "continue", "filter", "copy",
    "overview", "vcpu", "watch", "animate", "speed",
    "border", "edit", "reset_borders", "type_in", "step_back", "reverse_next", "reverse_continue",
})  # fmt: skip


class GuestKeys(PastKeys):
    """Step, run, break, show."""

    VIEWS: ClassVar[tuple[str, ...]] = (
        "all", "code", "registers", "exits", "serial", "screen", "memory", "stops", "ending",
    )  # fmt: skip

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "step", "Step", id="vcpu.step",
                tooltip="Step the guest (:step N sets how far)"),
        Binding("space", "run", "Run/Pause", id="vcpu.run",
                tooltip="Run the guest, or pause it"),
        Binding("n", "next", "Over", id="vcpu.next",
                tooltip="Step; a call with all that it leads to"),
        # With priority where text follows, so that what is typed ahead reaches the line.
        Binding("u", "until", "Until", id="vcpu.until", priority=True,
                tooltip="Run until the cursor in the code, or until an address"),
        Binding("b", "breakpoint", "Break", id="vcpu.breakpoint",
                tooltip="Set or delete a breakpoint at the cursor in the code"),
        Binding("w", "watch", "Watch", show=False, id="vcpu.watch", priority=True,
                tooltip="Set a watchpoint: stop when memory changes"),
        Binding("R", "restart", "Restart", id="vcpu.restart", tooltip="Load the guest anew"),
        Binding("c", "continue", "Continue", show=False, id="vcpu.continue",
                tooltip="Run to a breakpoint or the end, every step recorded"),
        Binding("slash", "filter", "Filter", show=False, id="vcpu.filter", priority=True,
                tooltip="Filter the exits: text, kind:IO, !not; port:60 step:5 are whole numbers"),
        Binding("exclamation_mark", "filter('!')", "Filter out", show=False,
                id="vcpu.filter-out", priority=True, tooltip="Leave out the exits that match"),
        Binding("escape", "overview", "All parts", show=False, id="vcpu.overview",
                tooltip="Show all parts again"),
        Binding("o", "open", "Open", show=False, id="vcpu.open",
                tooltip="Open another guest, found by its folder or its name"),
        Binding("r", "retry", "Try again", id="vcpu.retry",
                tooltip="Try to load the guest again, where that failed"),
        Binding("v", "vcpu(1)", "Next VCPU", show=False, id="vcpu.next-vcpu",
                tooltip="Show and step the next VCPU of the machine"),
        Binding("V", "vcpu(-1)", "Previous VCPU", show=False, id="vcpu.previous-vcpu",
                tooltip="Show and step the previous VCPU of the machine"),
        Binding("H", "border(-1, 0)", "Narrower", show=False, id="vcpu.border-left",
                tooltip="Move the border between the columns to the left"),
        Binding("L", "border(1, 0)", "Wider", show=False, id="vcpu.border-right",
                tooltip="Move the border between the columns to the right"),
        Binding("K", "border(0, -1)", "Border up", show=False, id="vcpu.border-up",
                tooltip="Move the border of this part up"),
        Binding("J", "border(0, 1)", "Border down", show=False, id="vcpu.border-down",
                tooltip="Move the border of this part down"),
        Binding("equals_sign", "reset_borders", "Borders", show=False, id="vcpu.borders-reset",
                tooltip="Put all borders back"),
        Binding("y", "copy", "Copy", show=False, id="vcpu.copy",
                tooltip="Copy the current line"),
    ]  # fmt: skip

    def __init__(self, settings: Settings, *, id: str) -> None:
        super().__init__(settings, id=id)
        self._last_run: Future[Snapshot] = Future()  # of the run that was asked for last
        self._last_run.cancel()

    def check_action(
        self,
        action: str,
        parameters: tuple[object, ...],  # noqa: ARG002 - part of the interface
    ) -> bool | None:
        """Without a guest there is nothing to step; what is typed into a filter is text."""
        focused = self.app.focused
        if isinstance(focused, KeyTaker) and focused.takes_keys:
            return False
        if action in ("until", "filter", "watch", "type_in") and takes_keys(self.app.focused):
            return False
        if action == "retry":
            return self._session is None
        return self._session is not None or action not in NEED_GUEST

    def action_step(self) -> None:
        """Do as many steps as the step size says."""
        if self.has_ended():
            return
        self.end_slow()
        self.follow(self.session.step(self.step_size))

    def action_next(self) -> None:
        """Step over a call."""
        if self.has_ended():
            return
        self.end_slow()
        self.follow(self.session.step_over())

    def action_run(self) -> None:
        """Run, or pause."""
        if self.animated:
            self.end_slow()
            if not self.session.snapshot().detail.startswith(IN_DEVICE):
                return
        if self.searching:
            self.follow(self.session.pause())
            return
        if self.has_ended():
            return
        # Asked to run, the guest runs, even where nothing has been seen of it yet.
        if self.session.snapshot().state is RunState.RUNNING or not self._last_run.done():
            self.follow(self.session.pause())
        else:
            self._last_run = self.session.run()
            self.follow(self._last_run)

    def action_continue(self) -> None:
        """Run step by step, so that every step is recorded."""
        if self.has_ended():
            return
        self.end_slow()
        self.follow(self.session.run_stepped())

    async def action_until(self) -> None:
        """Run until the cursor in the code; where it stands on CS:IP, ask for an address."""
        cursor = self._parts.code.cursor
        if cursor is None or self._parts.code.on_current:
            await self.app.run_action("app.command('until ')")
        else:
            self.end_slow()
            self.follow(self.session.run_until(cursor))

    def action_breakpoint(self) -> None:
        """Set or delete the breakpoint at the cursor in the code."""
        cursor = self._parts.code.cursor
        if cursor is not None:
            self._toggle(cursor)

    def on_stops_view_deleted(self, event: StopsView.Deleted) -> None:
        """A stop point was deleted in the list."""
        self.follow(self.session.remove_stop(event.number))

    def on_disassembly_view_breakpoint_toggled(
        self, event: DisassemblyView.BreakpointToggled
    ) -> None:
        """A double click on an instruction."""
        self._toggle(event.ip)

    def _toggle(self, ip: int) -> None:
        session = self.session
        known = ip in session.snapshot().breakpoints
        self.follow(session.remove_breakpoint(ip) if known else session.add_breakpoint(ip))

    def action_restart(self) -> None:
        """Load the guest anew."""
        self.end_slow()
        self.follow(self.session.restart())

    def action_vcpu(self, direction: int) -> None:
        """Show and step another VCPU."""
        snapshot = self.session.snapshot()
        if len(snapshot.vcpus) > 1:
            self.select_vcpu((snapshot.vcpu + direction) % len(snapshot.vcpus))

    def select_vcpu(self, index: int) -> None:
        """Show and step VCPU `index`."""
        self.end_slow()
        self.follow(self.session.select_vcpu(index))

    def on_status_line_vcpu_chosen(self, event: StatusLine.VcpuChosen) -> None:
        """A click on a VCPU's tab."""
        self.select_vcpu(event.index)

    def action_border(self, dx: int, dy: int) -> None:
        """Move the border of the part that has the keyboard."""
        self._parts.move_border(dx, dy)

    def action_reset_borders(self) -> None:
        """Put all borders back."""
        self._parts.reset_borders()

    def action_open(self) -> None:
        """Look for another guest."""
        from kdash.panes.guest_files import guest_dialog

        self.app.push_screen(guest_dialog(self))

    def action_retry(self) -> None:
        """Load the guest that could not be loaded."""
        self.open_guest(self.settings)

    def action_filter(self, prefix: str = "") -> None:
        """Ask for a filter of the exits, where they are not on screen in their own view."""
        if not self._parts.exits.display:
            self.show_view(self.VIEWS.index("exits"))
        self._parts.exits.open_filter(prefix)

    def action_overview(self) -> None:
        """Show all parts again."""
        if self.view:
            self.show_view(0)

    def action_copy(self) -> None:
        """Copy the current line of the part that has the keyboard."""
        part = self._parts.focused_part
        text = "" if part is None else part.copy_text()
        if text:
            self.app.copy_to_clipboard(text)
            lines = text.count("\n") + 1
            self.notify(
                text if lines == 1 else f"{lines} lines", title="Copied", timeout=2, markup=False
            )

    def action_switch_view(self, direction: int) -> None:
        """Show the next (1) or previous (-1) sub-view.

        The screen comes once the guest wrote there, the stop points once there are any, the
        ending when there is one.
        """
        following = (self.view + direction) % len(self.VIEWS)
        while self._is_empty(self.VIEWS[following]):
            following = (following + direction) % len(self.VIEWS)
        self.show_view(following)

    def _is_empty(self, view: str) -> bool:
        """Whether a view that comes with what it shows has nothing to show."""
        shown = self._shown
        match view:
            case "screen":
                return shown is None or shown.screen is None
            case "stops":
                return shown is None or not shown.stops
            case "ending":
                return shown is None or shown.state is not RunState.ENDED
        return False
