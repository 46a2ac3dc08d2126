"""A pane that holds a guest: opens its session, draws what is new, follows commands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.message import Message
from textual.timer import Timer
from textual.widget import Widget

from kdash.backends.kvm.facts import GuestError, KvmError, RunState, Snapshot
from kdash.backends.kvm.stop_requests import again
from kdash.panes.vcpu_opening import cause_and_remedy, open_session, why_emulated
from kdash.panes.vcpu_session import Session
from kdash.settings import Settings
from kdash.widgets.filter_bar import FilterBar
from kdash.widgets.notice import Notice
from kdash.widgets.pane import CommandError, Pane, Tone
from kdash.widgets.printable import printable
from kdash.widgets.vcpu.parts import VcpuParts
from kdash.widgets.vcpu.rate import Rate
from kdash.widgets.vcpu.status import FINE

LOOK = 1 / 10  # seconds between two looks at a guest that runs
SHELL_LINES = 2  # the tab line and the footer


class GuestPane(Pane):
    """Holds a session and its parts on screen; subclasses add the keys."""

    NAME: ClassVar[str] = "VCPU"

    def __init__(self, settings: Settings, *, id: str) -> None:
        super().__init__(id=id)
        self.settings = settings
        self.step_size = 1
        self._session: Session | None = None
        self._parts = VcpuParts()
        self._shown: Snapshot | None = None
        self._stop: Snapshot | None = None  # the latest one at which the guest stood still
        self._framed_title = ""
        self._rate = Rate()
        self._speed = ""  # in words, while the guest runs
        self._timer: Timer | None = None
        self._waiting = 0  # commands given to the session and not done
        self._last_focus: Widget | None = None
        self._status: tuple[str, Tone] = ("", "plain")

    # -- building -----------------------------------------------------------------------

    def make_session(self, settings: Settings) -> Session:
        """The session of the guest asked for; raises what `open_session` raises."""
        return open_session(settings)

    def why_emulated(self) -> str:
        """What keeps KVM from being used and what to do; empty where nothing does."""
        return why_emulated(self.settings)

    def compose(self) -> ComposeResult:
        """Open the guest and lay out its views, or say why there is none."""
        try:
            self._session = self.make_session(self.settings)
        except (KvmError, GuestError) as error:
            self.report_status("unavailable", "bad")
            yield Notice(*cause_and_remedy(error))
        else:
            self._parts.expect(self.app.size.height - SHELL_LINES)
            yield self._parts

    def on_mount(self) -> None:
        """Show the guest."""
        self.show_view(0)
        self._timer = self.set_interval(LOOK, self._look, pause=True)
        if self._session is not None:
            self._begin(self._session)

    def _begin(self, session: Session) -> None:
        """Show the guest of a session that is new."""
        snapshot = session.snapshot()
        self._stop = self._shown = None
        self.guest_is_new(snapshot)
        self._draw(snapshot)
        if snapshot.engine == "emulator" and (why := self.why_emulated()):
            self.post_message(self.Answered(self, f"EMULATED: {why}"))  # hides no part

    def on_unmount(self) -> None:
        """Free the guest."""
        if self._session is not None:
            self._session.close()
            self._session = None

    # -- another guest ------------------------------------------------------------------

    def open_guest(self, settings: Settings) -> None:
        """Load the guest of other settings; where that fails the old one stays."""
        self.run_worker(self._open_guest(settings), group="open", exclusive=True)

    async def _open_guest(self, settings: Settings) -> None:
        try:
            session = await asyncio.to_thread(self.make_session, settings)
        except (KvmError, GuestError) as error:
            if self._session is None:
                await self.show_failure(*cause_and_remedy(error))
                self._take_keyboard()
            else:
                self.notify(str(error), title="The guest stays", severity="error", markup=False)
            return
        self._remember(self.settings, settings)
        old, self._session, self.settings = self._session, session, settings
        if old is None:
            await self.remove_children()
            await self.mount(self._parts)
            self.show_view(0)
        self._begin(session)  # before anything is waited for: keys and ticks find the new guest
        self._take_keyboard()
        if old is not None:
            await asyncio.to_thread(old.close)

    def _remember(self, *opened: Settings) -> None:
        """The guests opened last come first when another one is looked for."""
        from kdash.panes.recent_guests import remember

        def write() -> None:
            for settings in opened:
                remember(settings)

        self.run_worker(write, thread=True, group="remember", exit_on_error=False)

    def reload(self) -> None:
        """Read the guest's file again; breakpoints stay."""
        self.run_worker(self._reload(), group="open", exclusive=True)

    async def _reload(self) -> None:
        kept = self._shown.stops if self._shown is not None else ()
        before = self._session
        await self._open_guest(self.settings)
        if self._session is not None and self._session is not before:
            for point in kept:
                try:
                    self.follow(self._session.add_stop(again(point)))
                except ValueError as error:  # a name in its condition is gone
                    self.notify(str(error), title=f"Stop {point.number} is gone", markup=False)

    # -- keyboard focus -----------------------------------------------------------------

    def focus_content(self) -> None:
        """Give the keyboard back to the part that had it, the code at first."""
        if self._session is None:
            super().focus_content()
            return
        last = self._last_focus
        wanted = last if last is not None and last.display else self._parts.first_shown
        self.screen.set_focus(wanted)  # at once: a prompt may be opened next

    def _take_keyboard(self) -> None:
        """Loading may have taken long enough for the user to have gone elsewhere."""
        if self.screen.focused is None or self.has_focus_within:
            self.focus_content()

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
        elif snapshot.state is RunState.RUNNING:
            self._draw_speed(snapshot)  # nothing new is told while it waits
        self.look_again()
        if snapshot.state is not RunState.RUNNING and not self._waiting and self._timer:
            self._timer.pause()

    def _draw(self, snapshot: Snapshot) -> None:
        running = snapshot.state is RunState.RUNNING
        before = self._shown
        self._speed = self._rate.add(time.monotonic(), snapshot) if running else ""
        if not running:
            self._rate.clear()
        with self.app.batch_update():
            self._shown = snapshot
            self._draw_status()
            self._parts.show(snapshot, self._stop)
        if not running:
            self._stop = snapshot
            self.look_closer()
        self._report(snapshot)
        self._tell_live(before, snapshot)

    def _draw_speed(self, snapshot: Snapshot) -> None:
        speed = self._rate.add(time.monotonic(), snapshot)
        if speed != self._speed:
            self._speed = speed
            self._draw_status()

    def _tell_live(self, before: Snapshot | None, snapshot: Snapshot) -> None:
        """What was a recording from a file is a guest that runs from here on."""
        was = before.recording if before is not None else None
        now = snapshot.recording
        if was and was.from_file and now and not now.from_file:
            kept = f"; {was.file} stays as it is" if was.file else ""
            self.notify(
                f"The recording ends at moment {was.last:,}. From there the guest goes on LIVE, "
                f"on a machine of its own{kept}.",
                title="LIVE", severity="warning", timeout=8, markup=False,
            )  # fmt: skip

    def guest_is_new(self, snapshot: Snapshot) -> None:
        """Another guest is about to be drawn for the first time."""

    def look_again(self) -> None:
        """A look that found nothing new, or what it found is drawn."""

    def look_closer(self) -> None:
        """The guest stands still: ask for what is shown of it and not in a snapshot."""

    def _draw_status(self) -> None:
        if self._shown is not None:
            self._parts.status.show(
                self._shown, self.step_size, self.pace_words(), animated=self.animated
            )

    def pace_words(self) -> str:
        """How fast the guest goes; empty when it stands."""
        return self._speed

    @property
    def animated(self) -> bool:
        """Whether the guest is stepped by itself, slowly."""
        return False

    def arrived(self, snapshot: Snapshot) -> None:
        """A command to the session is done, and `snapshot` drawn."""

    def _report(self, snapshot: Snapshot) -> None:
        engine = "EMULATED" if snapshot.engine == "emulator" else f"on {snapshot.engine}"
        title = f"{self.NAME}  {printable(snapshot.guest)} {engine}".replace("\n", " ")
        if title != self._framed_title:
            self._framed_title = title
            self.border_title = Content(title)  # data, never markup
        status = status_words(snapshot, animated=self.animated)
        if status != self._status:
            self._status = status
            self.report_status(*status)

    # -- commands to the session --------------------------------------------------------

    class Done(Message):
        """A command to the session is done."""

        def __init__(
            self, future: Future[Any], session: Session, done: Callable[[Any], None], title: str
        ) -> None:
            super().__init__()
            self.future = future
            self.session = session
            self.done = done
            self.title = title

    def follow(
        self,
        future: Future[Any],
        done: Callable[[Any], None] = lambda _: None,
        title: str = "",
    ) -> None:
        """Draw what comes of a command to the session while it goes on and when it is done.

        Args:
            future: The command's.
            done: Called with its result, here, where it succeeds.
            title: Stands over the error where it fails.
        """
        self._waiting += 1
        session = self.session
        future.add_done_callback(
            lambda ended: self.post_message(self.Done(ended, session, done, title))
        )
        if self._timer is not None:
            self._timer.resume()

    def on_guest_pane_done(self, event: Done) -> None:
        """Draw what came of a command at once; a refusal is told, and the guest stays."""
        self._waiting -= 1
        if event.future.cancelled() or self._session is not event.session:
            return
        self._look()
        if self._shown is not None:
            self.arrived(self._shown)
        error = event.future.exception()
        if error is not None:
            self.notify(str(error), title=event.title, severity="error", markup=False)
        else:
            event.done(event.future.result())

    def has_ended(self) -> bool:
        """Whether there is nothing to let go; then it is told what there is to do."""
        snapshot = self.session.snapshot()
        if snapshot.state is not RunState.ENDED:
            return False
        back = ", S goes back" if snapshot.recording is not None else ""
        self.notify(f"The guest has ended: R restarts it{back}.", timeout=3)
        return True

    @property
    def session(self) -> Session:
        """The session; CommandError where no guest could be loaded."""
        if self._session is None:
            raise CommandError("no guest is loaded here")
        return self._session


def status_words(snapshot: Snapshot, *, animated: bool = False) -> tuple[str, Tone]:
    """The few words beside the pane's name, and their tone."""
    emulated = "EMULATED " if snapshot.engine == "emulator" else ""
    recording = snapshot.recording
    if recording is not None and (recording.replay or recording.from_file):
        label = "RECORDED" if recording.from_file else "REPLAY"
        return f"{emulated}{label} {recording.position:,}/{recording.last:,}", "warning"
    if snapshot.state is RunState.ENDED:
        outcome = snapshot.outcome.value if snapshot.outcome else "ended"
        return emulated + outcome, "good" if snapshot.outcome in FINE else "bad"
    return emulated + ("animated" if animated else snapshot.state.value), "plain"
