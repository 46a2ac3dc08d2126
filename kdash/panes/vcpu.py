"""The VCPU pane: wires a KVM session to the views of its guest."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import Future
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Input

from kdash.backends.kvm.facts import GuestError, KvmError, RunState, Snapshot
from kdash.panes import vcpu_vocabulary
from kdash.panes.vcpu_session import Session, cause_and_remedy, open_session, why_emulated
from kdash.settings import Settings
from kdash.widgets.filter_bar import FilterBar
from kdash.widgets.notice import Notice
from kdash.widgets.pane import CommandError, CommandWord, Pane, Tone
from kdash.widgets.vcpu.arrangement import BROAD
from kdash.widgets.vcpu.disassembly import DisassemblyView
from kdash.widgets.vcpu.memory import Examine
from kdash.widgets.vcpu.parts import VcpuParts
from kdash.widgets.vcpu.rate import Rate
from kdash.widgets.vcpu.status import FINE

LOOK = 1 / 15  # seconds between two looks at a guest that runs
SHELL_LINES = 2  # the tab line and the footer
FIRST_MEMORY = 256  # bytes shown before the first x, from the first instruction on

NEED_GUEST = frozenset({
    "step", "run", "next", "until", "breakpoint", "restart", "continue", "filter", "copy",
    "overview",
})  # fmt: skip


class VcpuPane(Pane):
    """A guest on a VCPU: step it, run it, look at it."""

    NAME: ClassVar[str] = "VCPU"
    VIEWS: ClassVar[tuple[str, ...]] = (
        "all", "code", "registers", "exits", "serial", "screen", "memory",
    )  # fmt: skip
    WORDS: ClassVar[tuple[CommandWord, ...]] = vcpu_vocabulary.WORDS

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
        Binding("R", "restart", "Restart", id="vcpu.restart", tooltip="Load the guest anew"),
        Binding("c", "continue", "Continue", show=False, id="vcpu.continue",
                tooltip="Run to a breakpoint or the end"),
        Binding("slash", "filter", "Filter", show=False, id="vcpu.filter", priority=True,
                tooltip="Filter the exits: text, kind:IO, port:0x3f8, !not"),
        Binding("exclamation_mark", "filter('!')", "Filter out", show=False,
                id="vcpu.filter-out", priority=True, tooltip="Leave out the exits that match"),
        Binding("escape", "overview", "All parts", show=False, id="vcpu.overview",
                tooltip="Show all parts again"),
        Binding("y", "copy", "Copy", show=False, id="vcpu.copy",
                tooltip="Copy the current line"),
    ]  # fmt: skip

    def __init__(self, settings: Settings, *, id: str) -> None:
        super().__init__(id=id)
        self.settings = settings
        self.step_size = 1
        self._session: Session | None = None
        self._parts = VcpuParts()
        self._shown: Snapshot | None = None
        self._stop: Snapshot | None = None  # the latest one at which the guest stood still
        self._memory: Examine | None = None
        self._read: tuple[Examine | None, Snapshot | None] = (None, None)
        self._rate = Rate()
        self._timer: Timer | None = None
        self._waiting = 0  # commands given to the session and not done
        self._last_focus: Widget | None = None
        self._status: tuple[str, Tone] = ("", "plain")

    # -- building -----------------------------------------------------------------------

    def make_session(self) -> Session:
        """The session of the guest asked for; raises what `open_session` raises."""
        return open_session(self.settings)

    def compose(self) -> ComposeResult:
        """Open the guest and lay out its views, or say why there is none."""
        try:
            self._session = self.make_session()
        except (KvmError, GuestError) as error:
            self.report_status("unavailable", "bad")
            yield Notice(*cause_and_remedy(error))
        else:
            self._parts.expect(self.app.size.height - SHELL_LINES)
            yield self._parts

    def on_mount(self) -> None:
        """Show the guest."""
        self.show_view(0)
        if self._session is not None:
            self._timer = self.set_interval(LOOK, self._look, pause=True)
            snapshot = self._session.snapshot()
            self._memory = Examine(snapshot.registers.linear_ip, FIRST_MEMORY)
            self._draw(snapshot)
            if snapshot.engine == "emulator" and (why := why_emulated()):
                self.notify(why, title="EMULATED", severity="warning", timeout=15, markup=False)

    def on_unmount(self) -> None:
        """Free the guest."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def focus_content(self) -> None:
        """Give the keyboard back to the part that had it, the code at first."""
        if self._session is None:
            super().focus_content()
            return
        last = self._last_focus
        (last if last is not None and last.display else self._parts.first_shown).focus()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """Remember which part has the keyboard."""
        if self._parts in event.widget.ancestors and not isinstance(event.widget, FilterBar):
            self._last_focus = event.widget

    # -- looking ------------------------------------------------------------------------

    def _look(self) -> None:
        """Draw what is new; rest when nothing is going on."""
        if self._session is None:
            return
        snapshot = self._session.snapshot()
        if snapshot is not self._shown:
            self._draw(snapshot)
        if snapshot.state is not RunState.RUNNING and not self._waiting and self._timer:
            self._timer.pause()

    def _draw(self, snapshot: Snapshot) -> None:
        running = snapshot.state is RunState.RUNNING
        rate = self._rate.add(time.monotonic(), snapshot) if running else ""
        if not running:
            self._rate.clear()
        with self.app.batch_update():
            self._shown = snapshot
            self._draw_status(rate)
            self._parts.show(snapshot, self._stop)
        if not running:
            self._stop = snapshot
            self._read_memory()
        self._report(snapshot)

    def _draw_status(self, rate: str = "") -> None:
        if self._shown is not None:
            self._parts.status.show(self._shown, self.step_size, rate)

    def _report(self, snapshot: Snapshot) -> None:
        status = status_words(snapshot)
        if status != self._status:
            self._status = status
            self.report_status(*status)

    def _read_memory(self) -> None:
        """Read the memory shown, once a stop: what changed since is marked then."""
        wanted = (self._memory, self._stop)
        if self._memory is not None and self._parts.memory.display and wanted != self._read:
            self._read = wanted
            self.run_worker(self._fetch_memory(self._memory), group="memory", exclusive=True)

    async def _fetch_memory(self, what: Examine) -> None:
        session = self._session
        if session is None:
            return
        try:
            data = await asyncio.to_thread(session.read_memory, what.address, what.length)
        except (KvmError, TimeoutError):
            return  # closed meanwhile, or busy: the next stop asks again
        self._parts.memory.show(what, data)

    # -- commands to the session --------------------------------------------------------

    class Done(Message):
        """A command to the session is done."""

        def __init__(self, future: Future[Snapshot]) -> None:
            super().__init__()
            self.future = future

    def follow(self, future: Future[Snapshot]) -> None:
        """Draw what comes of a command to the session while it goes on and when it is done."""
        self._waiting += 1
        future.add_done_callback(lambda done: self.post_message(self.Done(done)))
        if self._timer is not None:
            self._timer.resume()

    def on_vcpu_pane_done(self, event: Done) -> None:
        """Draw what came of a command at once; a refusal is told, and the guest stays."""
        self._waiting -= 1
        if event.future.cancelled() or self._session is None:
            return
        self._look()
        error = event.future.exception()
        if error is not None:
            self.notify(str(error), severity="error", markup=False)

    @property
    def session(self) -> Session:
        """The session; CommandError where no guest could be loaded."""
        if self._session is None:
            raise CommandError("no guest is loaded here")
        return self._session

    # -- keys ---------------------------------------------------------------------------

    def check_action(
        self,
        action: str,
        parameters: tuple[object, ...],  # noqa: ARG002 - part of the interface
    ) -> bool | None:
        """Without a guest there is nothing to step; what is typed into a filter is text."""
        if action in ("until", "filter") and isinstance(self.app.focused, Input):
            return False
        return self._session is not None or action not in NEED_GUEST

    def action_step(self) -> None:
        """Do as many steps as the step size says."""
        self.follow(self.session.step(self.step_size))

    def action_next(self) -> None:
        """Step over a call."""
        self.follow(self.session.step_over())

    def action_run(self) -> None:
        """Run, or pause."""
        running = self.session.snapshot().state is RunState.RUNNING
        self.follow(self.session.pause() if running else self.session.run())

    def action_continue(self) -> None:
        """Run."""
        self.follow(self.session.run())

    async def action_until(self) -> None:
        """Run until the cursor in the code; where it stands on CS:IP, ask for an address."""
        cursor = self._parts.code.cursor
        if cursor is None or self._parts.code.on_current:
            await self.app.run_action("app.command('until ')")
        else:
            self.follow(self.session.run_until(cursor))

    def action_breakpoint(self) -> None:
        """Set or delete the breakpoint at the cursor in the code."""
        cursor = self._parts.code.cursor
        if cursor is not None:
            self._toggle(cursor)

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
        self.follow(self.session.restart())

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
        """Show the next (1) or previous (-1) sub-view; the screen once the guest wrote there."""
        following = (self.view + direction) % len(self.VIEWS)
        unused = self._shown is None or self._shown.screen is None
        if self.VIEWS[following] == "screen" and unused:
            following += direction
        self.show_view(following)

    def view_changed(self, index: int) -> None:
        """Give one part all the room, or all of them their share."""
        if self._session is None:
            return
        self._parts.show_view(VcpuParts.VIEWS[index])
        self._read_memory()
        if self.has_focus_within:
            self.screen.set_focus(self._parts.first_shown)

    def on_resize(self, event: events.Resize) -> None:
        """Memory may have come on screen. The parts place themselves by their own size."""
        event.prevent_default()  # the classes of the base would only cost a pass of the styles
        self.call_after_refresh(self._read_memory)

    # -- command prompt -----------------------------------------------------------------

    def complete(self, line: str) -> Sequence[str]:
        """Completions of a partly typed command line."""
        from kdash.panes import vcpu_words as words

        return words.complete(line)

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

    def examine(self, what: Examine) -> None:
        """Show memory, in a view of its own where the others leave it little room."""
        self._memory = what
        self._parts.memory_wanted = True
        if self._parts.size.width < BROAD:
            self.show_view(self.VIEWS.index("memory"))
        self._read_memory()


def status_words(snapshot: Snapshot) -> tuple[str, Tone]:
    """The few words beside the pane's name, and their tone."""
    emulated = "EMULATED " if snapshot.engine == "emulator" else ""
    if snapshot.state is RunState.ENDED:
        outcome = snapshot.outcome.value if snapshot.outcome else "ended"
        return emulated + outcome, "good" if snapshot.outcome in FINE else "bad"
    return emulated + snapshot.state.value, "plain"
