"""One calm line about a guest: state, steps, exits, rate, outcome."""

from __future__ import annotations

from rich.cells import cell_len
from textual import events
from textual.message import Message

from kdash.backends.kvm.facts import Outcome, RunState, Snapshot, VcpuState
from kdash.widgets.printable import printable
from kdash.widgets.vcpu.console import LABEL
from kdash.widgets.vcpu.part import Line, LinePart, Piece

GAP = 3  # cells
FINE = frozenset({Outcome.HLT, Outcome.EXIT_PORT, Outcome.SYSTEM_EVENT})

_STATES: dict[RunState, Piece] = {
    RunState.READY: Piece("○ ready", "strong"),
    RunState.RUNNING: Piece("▶ running", "accent"),
    RunState.STOPPED: Piece("‖ stopped", "strong"),
    RunState.ENDED: Piece("■ ended", "strong"),
}


VCPU_MARKS: dict[VcpuState, str] = {
    VcpuState.RUNNABLE: "",
    VcpuState.HALTED: "‖",
    VcpuState.WAITING: "…",
    VcpuState.ENDED: "■",
}


def amount(count: float) -> str:
    """A rate or a count in at most five characters: 950, 12.3k, 4.1M."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if count >= limit:
            scaled = count / (1000 if unit == "k" else limit)
            return f"{scaled:.1f}{unit}" if scaled < 100 else f"{scaled:.0f}{unit}"
    return f"{count:.0f}"


def status_line(
    snapshot: Snapshot, step_size: int, rate: str, width: int, *, typing: bool = False
) -> Line:
    """The parts in order of reading; the least important go first when room is short."""
    parts: list[tuple[int, tuple[Piece, ...]]] = [(0, (_STATES[snapshot.state],))]
    if snapshot.engine == "emulator":
        parts.append((0, (Piece("EMULATED", "accent"),)))
    if snapshot.state is RunState.ENDED:
        tone = "good" if snapshot.outcome in FINE else "bad"
        outcome = snapshot.outcome.value if snapshot.outcome else ""
        text = printable(snapshot.failure or snapshot.detail or outcome).replace("\n", " ")
        parts.append((1, (Piece(text, tone),)))
        parts.append((2, (Piece("R", "accent"), Piece(" restarts", "label"))))
    if len(snapshot.vcpus) > 1:
        parts.append((1, vcpu_tabs(snapshot)))
    if typing:
        parts.append((0, (Piece(LABEL, "accent"),)))
    elif snapshot.state is not RunState.ENDED and snapshot.detail:
        text = printable(snapshot.detail).replace("\n", " ")
        parts.append((2, (Piece(text, "accent"),)))
    if rate:
        parts.append((2, (Piece(rate, "accent"),)))
    recording = snapshot.recording
    if recording is not None and recording.replay:
        here = f"REPLAY step {recording.position:,} of {recording.last:,}"
        parts.append((0, (Piece(here, "changed"),)))
        parts.append((3, (Piece("output is not sent again", "label"),)))
    else:
        if recording is not None and recording.from_file:
            parts.append((1, (Piece("RECORDED", "changed"),)))
        fast = not snapshot.steps and snapshot.exits_total and not rate
        step = (Piece("at full speed", "label"),) if fast else (
            Piece("step ", "label"), Piece(f"{snapshot.steps:,}"),
        )  # fmt: skip
        parts.append((1, step))
    parts.append((3, (Piece("exits ", "label"), Piece(f"{snapshot.exits_total:,}"))))
    if snapshot.state in (RunState.READY, RunState.STOPPED):
        size = f"steps {step_size:,}" if step_size > 1 else "steps 1"
        parts.append((4, (Piece("s ", "accent"), Piece(size, "label"))))
    parts.append((6, (Piece(printable(snapshot.guest).replace("\n", " "), "label"),)))
    parts.append((7, (Piece(f"on {snapshot.engine}", "label"),)))
    return _fitted(parts, width)


def vcpu_tabs(snapshot: Snapshot) -> tuple[Piece, ...]:
    """One piece a VCPU behind the first, the one shown in brackets, with how it is doing."""
    tabs = [Piece("VCPU", "label")]
    for brief in snapshot.vcpus:
        shown = brief.index == snapshot.vcpu
        text = f"{brief.index}{VCPU_MARKS[brief.state]}"
        tabs.append(Piece(f"[{text}]" if shown else f" {text} ", "strong" if shown else "label"))
    return tuple(tabs)


def _fitted(parts: list[tuple[int, tuple[Piece, ...]]], width: int) -> Line:
    kept = list(parts)
    while len(kept) > 1 and sum(Line(p).width + GAP for _, p in kept) - GAP > width:
        kept.remove(max(kept, key=lambda part: part[0]))
    pieces: list[Piece] = []
    for _, part in kept:
        if pieces:
            pieces.append(Piece(" " * GAP))
        pieces += part
    return Line(tuple(pieces))


class StatusLine(LinePart, can_focus=False):
    """Draws `status_line` for the latest snapshot."""

    DEFAULT_CSS = """
    StatusLine { height: 1; overflow-y: hidden; }
    """

    class VcpuChosen(Message):
        """The tab of a VCPU was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._snapshot: Snapshot | None = None
        self._step_size = 1
        self._rate = ""
        self._typing = False

    def show(self, snapshot: Snapshot, step_size: int, rate: str = "") -> None:
        """Draw the state of `snapshot`.

        Args:
            snapshot: The guest.
            step_size: Steps that `s` does.
            rate: How fast the guest goes, in words; empty when it does not run.
        """
        self._snapshot, self._step_size, self._rate = snapshot, step_size, rate
        self.lay_out()

    def say_typing(self, typing: bool) -> None:
        """Say that keys go to the guest, or no longer."""
        self._typing = typing
        self.lay_out()

    def on_click(self, event: events.Click) -> None:
        """Ask for the VCPU whose tab was clicked."""
        if self._snapshot is None or len(self._snapshot.vcpus) < 2 or not self.lines:
            return
        tabs = vcpu_tabs(self._snapshot)[1:]
        end = 0
        for piece in self.lines[0].pieces:
            end += cell_len(piece.text)
            if event.x < end:
                if piece in tabs:
                    self.post_message(self.VcpuChosen(tabs.index(piece)))
                return

    def lay_out(self) -> None:
        """Make the line for the room there is."""
        width = self.room.width
        if self._snapshot is not None and width:
            line = status_line(
                self._snapshot, self._step_size, self._rate, width, typing=self._typing
            )
            self.set_lines([line])
