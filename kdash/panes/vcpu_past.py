"""Going back in the VCPU pane: what the recording of a guest can show again."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, ClassVar, Final

from textual.binding import Binding, BindingType

from kdash.backends.kvm.facts import Snapshot
from kdash.panes.vcpu_animation import AnimationKeys
from kdash.panes.vcpu_session import Session
from kdash.settings import Settings
from kdash.widgets.pane import CommandError

if TYPE_CHECKING:
    from kdash.widgets.vcpu.timeline import Timeline

#: Seconds after which it is told that a search goes on.
WONDER: Final = 0.3


class PastKeys(AnimationKeys):
    """S N C go back, the time line goes anywhere."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("S", "step_back", "Step back", show=False, id="vcpu.step-back",
                tooltip="Go back by the step size; a run at full speed is one moment"),
        Binding("N", "reverse_next", "Back over", show=False, id="vcpu.reverse-next",
                tooltip="Go back one step; over a call that has returned"),
        Binding("C", "reverse_continue", "Back to a stop", show=False,
                id="vcpu.reverse-continue",
                tooltip="Go back to a breakpoint, or to where the recording begins"),
    ]  # fmt: skip

    def __init__(self, settings: Settings, *, id: str) -> None:
        super().__init__(settings, id=id)
        self._seeking = False
        self._back: Future[Snapshot] | None = None  # of the way back that was asked for last
        self._back_since = 0.0  # time at which that was
        self._stays_at: int | None = None  # asked to go back from the first moment
        self._next_moment: int | None = None  # asked for while another is on its way

    @property
    def past(self) -> Session:
        """The session, where it has recorded something.

        Raises:
            CommandError: There is no recording, and why.
        """
        snapshot = self.session.snapshot()
        if snapshot.recording is None:
            why = snapshot.unrecorded or "nothing is recorded yet: step or run the guest first"
            raise CommandError(why)
        return self.session

    def _go_back(self, how: Callable[[Session], Future[Snapshot]]) -> None:
        self.end_slow()
        try:
            past = self.past
        except CommandError as error:
            self.notify(str(error), severity="warning", markup=False)
        else:
            recording = past.snapshot().recording
            if recording is not None and recording.position == recording.first:
                self._stays_at = recording.first
            self._back, self._back_since = how(past), time.monotonic()
            self.follow(self._back)

    def action_step_back(self) -> None:
        """Show the guest as many moments earlier as the step size says."""
        self._go_back(lambda past: past.step_back(self.step_size))

    def action_reverse_next(self) -> None:
        """Show the guest before the step or the call that has just been done."""
        self._go_back(lambda past: past.reverse_next())

    def action_reverse_continue(self) -> None:
        """Show the guest at the breakpoint before."""
        self._go_back(lambda past: past.reverse_continue())

    @property
    def searching(self) -> bool:
        """Whether a way back takes so long that a person wonders."""
        under_way = self._back is not None and not self._back.done()
        return under_way and time.monotonic() - self._back_since > WONDER

    def pace_words(self) -> str:
        """That the past is searched, where that takes long; else as elsewhere."""
        return "searches back; space stops it" if self.searching else super().pace_words()

    def look_again(self) -> None:
        """Tell of a search that goes on."""
        super().look_again()
        if self.searching:
            self._draw_status()

    # -- anywhere -----------------------------------------------------------------------

    def on_timeline_sought(self, event: Timeline.Sought) -> None:
        """Scrubbing: only the newest wish counts while another is being fulfilled."""
        self.seek(event.moment)

    def seek(self, moment: int) -> None:
        """Show a moment of the recording."""
        if self._seeking:
            self._next_moment = moment
            return
        self._seeking = True
        self._go_back(lambda past: past.seek(moment))

    def arrived(self, snapshot: Snapshot) -> None:
        """Go on to the moment wished for meanwhile."""
        super().arrived(snapshot)
        at, self._stays_at = self._stays_at, None
        if self._back is not None and self._back.done():
            self._back = None
            self._draw_status()
        if at is not None and snapshot.recording and snapshot.recording.position == at:
            self.notify(
                f"Nothing lies before moment {at:,}: "
                + ("older ones were dropped." if at else "the recording begins here."),
                title="Back", timeout=4,
            )  # fmt: skip
        if not self._seeking:
            return
        self._seeking = False
        if self._parts.timeline is not None:
            self._parts.timeline.settle()
        if self._next_moment is not None:
            moment, self._next_moment = self._next_moment, None
            self.seek(moment)

    # -- changing the past --------------------------------------------------------------

    def ask_to_forget(self, change: Callable[[], None]) -> None:
        """Do `change`, after a question where that drops what was recorded later."""
        recording = self.session.snapshot().recording
        if recording is None or not recording.replay:
            change()
            return

        def answered(yes: bool | None) -> None:
            if yes:
                change()

        lost = recording.last - recording.position
        from kdash.widgets.question import Question  # most guests are asked nothing

        question = Question(
            f"The guest goes on from moment {recording.position:,}: "
            + ("the moment recorded after it is forgotten."
               if lost == 1
               else f"the {lost:,} moments recorded after it are forgotten."),
            "go on from here", "leave it",
        )  # fmt: skip
        self.app.push_screen(question, answered)

    def run_from_here(self) -> str:
        """Let the guest go on from the moment shown.

        Raises:
            CommandError: It is no moment of the past.
        """
        past, recording = self.past, self.session.snapshot().recording
        if recording is None or not (recording.replay or recording.from_file):
            raise CommandError("run-from-here: this is where the guest really is")
        self.ask_to_forget(lambda: self.follow(past.run_from_here()))
        return ""
