"""Animated continue: steps at a speed that a person can follow."""

from __future__ import annotations

from typing import ClassVar, Final

from textual.binding import Binding, BindingType
from textual.timer import Timer

from kdash.backends.kvm.facts import RunState, Snapshot
from kdash.panes.vcpu_guest import GuestPane
from kdash.settings import Settings

SPEEDS: Final = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)  # steps a second
PICTURES: Final = 15  # a second at most; above, several steps are done for each


class AnimationKeys(GuestPane):
    """`a` lets the guest go slowly, `+` and `-` change how slowly."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "animate", "Animate", show=False, id="vcpu.animate",
                tooltip="Continue at a speed to follow; again, or space, stops"),
        Binding("plus", "speed(1)", "Faster", show=False, id="vcpu.faster",
                key_display="+", tooltip="More steps a second while animated"),
        Binding("minus", "speed(-1)", "Slower", show=False, id="vcpu.slower",
                tooltip="Fewer steps a second while animated"),
    ]  # fmt: skip

    def __init__(self, settings: Settings, *, id: str) -> None:
        super().__init__(settings, id=id)
        self.speed = settings.animation
        self._ticks: Timer | None = None
        self._from: int | None = None  # the place at which the steps under way began

    @property
    def animated(self) -> bool:
        """Whether the guest is going slowly."""
        return self._ticks is not None

    def action_animate(self) -> None:
        """Let the guest go slowly, or stop it."""
        if self.animated:
            self.end_slow()
        elif not self.has_ended():
            self.go_slowly(self.speed)

    def go_slowly(self, speed: int) -> None:
        """Let the guest go at `speed` steps a second."""
        self.end_slow()
        self.speed = speed
        if self.session.snapshot().state is RunState.RUNNING:
            self.follow(self.session.pause())
        self._ticks = self.set_interval(1 / min(speed, PICTURES), self._tick)
        self._redraw()

    def guest_is_new(self, snapshot: Snapshot) -> None:
        """A guest that was just opened stands still."""
        super().guest_is_new(snapshot)
        self.end_slow()

    def end_slow(self) -> None:
        """Let the guest stand where it is."""
        if self._ticks is not None:
            self._ticks.stop()
            self._ticks = None
            self._from = None
            self._redraw()

    def _redraw(self) -> None:
        self._draw_status()
        if self._shown is not None:
            self._report(self._shown)

    def action_speed(self, direction: int) -> None:
        """Change the speed by one notch."""
        if direction > 0:
            speed = next((one for one in SPEEDS if one > self.speed), SPEEDS[-1])
        else:
            speed = next((one for one in reversed(SPEEDS) if one < self.speed), SPEEDS[0])
        self.speed = speed
        if self.animated:
            self.go_slowly(speed)
        else:
            self.notify(f"{speed:,} steps a second; a starts", title="Animation", timeout=2)

    def _tick(self) -> None:
        if self._session is None:
            self.end_slow()
        elif not self._waiting:  # a slow step is not overtaken by the next
            snapshot = self._session.snapshot()
            if snapshot.state is RunState.ENDED:
                self.end_slow()
                return
            self._from = _place(snapshot)
            self.follow(self._session.step(max(1, self.speed // PICTURES)))

    def arrived(self, snapshot: Snapshot) -> None:
        """A stop point, the end of the guest or of a file ends the animation, and is told."""
        super().arrived(snapshot)
        if not self.animated or self._from is None:
            return
        recording = snapshot.recording
        if recording is not None and recording.from_file and not recording.replay:
            self.end_slow()  # from there on the guest would go live
        elif snapshot.stopped_at or snapshot.state is RunState.ENDED:
            self.end_slow()
        elif _place(snapshot) == self._from:
            self.end_slow()
            self.notify("No step was done: the VCPU executes nothing now.", title="Animation")

    def pace_words(self) -> str:
        """How fast the guest goes, by itself or step by step."""
        return f"{self.speed:,} steps/s (+ -)" if self.animated else super().pace_words()


def _place(snapshot: Snapshot) -> int:
    """How far the guest is; a run at full speed that is shown again counts as one step."""
    recording = snapshot.recording
    return snapshot.steps if recording is None else recording.position
