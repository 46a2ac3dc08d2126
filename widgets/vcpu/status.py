"""One calm line about a guest: state, steps, exits, rate, outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from textual import events
from textual.message import Message

from kdash.backends.kvm.facts import (
    IN_DEVICE,
    KEY_WANTED,
    Outcome,
    RunState,
    Snapshot,
    VcpuState,
)
from kdash.widgets.key_names import key_of
from kdash.widgets.printable import printable
from kdash.widgets.vcpu.console import HOW, LABEL
from kdash.widgets.vcpu.part import Line, LinePart, Piece

GAP = 3  # cells
EXTRA = 3  # rank from which on parts go before others become shorter
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


class Part(NamedTuple):
    """What stands together in the line."""

    rank: int  # the highest goes first
    forms: tuple[tuple[Piece, ...], ...]  # the longest first; a shorter one before none
    least: int = 0  # cells to which its last piece may be cut; 0: it is not cut

    @property
    def width(self) -> int:
        """Cells it takes."""
        return Line(self.forms[0]).width

    def cut(self, cells: int) -> Part:
        """It with so many cells less, as far as it may be cut."""
        *before, last = self.forms[0]
        left = max(self.least, cell_len(last.text) - cells)
        if not self.least or left >= cell_len(last.text):
            return self
        kept = Piece(set_cell_size(last.text, left - 1).rstrip() + "…", last.tone)
        return self._replace(forms=((*before, kept),))


def cause_of(snapshot: Snapshot) -> str:
    """Why a guest ended, in one line; the rest is below it in `Snapshot.failure`."""
    outcome = snapshot.outcome.value if snapshot.outcome else ""
    return (snapshot.failure or snapshot.detail or outcome).partition("\n")[0]


def status_line(  # noqa: PLR0913 - what stands in it
    snapshot: Snapshot,
    step_size: int,
    rate: str,
    width: int,
    *,
    typing: bool = False,
    animated: bool = False,
    key: str = "s",
) -> Line:
    """The parts in order of reading; the least important go first when room is short."""
    parts = [*_how(snapshot, animated=animated)]
    if len(snapshot.vcpus) > 1:
        parts.append(Part(1, (vcpu_tabs(snapshot),)))
    if typing:
        parts.append(Part(0, ((Piece(LABEL, "accent"),),)))
    elif snapshot.state is not RunState.ENDED and snapshot.detail:
        text = printable(snapshot.detail).replace("\n", " ")
        told = (Piece(text, "accent"),)
        if snapshot.detail == KEY_WANTED:
            parts.append(Part(1, ((*told, Piece(f": {HOW}", "label")), told)))
        elif snapshot.detail.startswith(IN_DEVICE):
            parts.append(Part(0, ((*told, Piece("; space ends it", "label")),)))
        else:
            parts.append(Part(2, (told,), least=16))
    if rate:
        parts.append(Part(2, ((Piece(rate, "accent"),),)))
    parts += _where(snapshot)
    exits = (Piece("exits ", "label"), Piece(f"{snapshot.exits_total:,}"))
    parts.append(Part(3, (exits,)))
    if snapshot.state in (RunState.READY, RunState.STOPPED) and not animated:
        size = "1 step" if step_size == 1 else f"{step_size:,} steps"
        parts.append(Part(4, ((Piece(f"{key} ", "accent"), Piece(size, "label")),)))
    guest = printable(snapshot.guest).replace("\n", " ")
    parts.append(Part(6, ((Piece(guest, "label"),),), least=12))
    parts.append(Part(7, ((Piece(f"on {snapshot.engine}", "label"),),)))
    return _fitted(parts, width)


def _how(snapshot: Snapshot, *, animated: bool) -> Iterator[Part]:
    """What the guest does, on what, and how it ended."""
    recording = snapshot.recording
    recorded = recording is not None and recording.from_file
    if snapshot.state is RunState.ENDED:
        state = _STATES[snapshot.state]
    elif animated:
        state = Piece("▶ animated", "accent")
    elif recorded:
        state = Piece("‖ RECORDED", "changed")
    else:
        state = _STATES[snapshot.state]
    yield Part(-1, ((state,),))
    if snapshot.engine == "emulator":
        yield Part(0, ((Piece("EMULATED", "accent"),),))
    if snapshot.state is RunState.ENDED:
        tone = "good" if snapshot.outcome in FINE else "bad"
        yield Part(0, ((Piece(printable(cause_of(snapshot)), tone),),), least=12)
        yield Part(2, ((Piece("R", "accent"), Piece(" restarts", "label")),))
    if recording is not None and recorded:
        if state not in (_STATES[RunState.STOPPED], Piece("‖ RECORDED", "changed")):
            yield Part(1, ((Piece("RECORDED", "changed"),),))
        if recording.file:
            yield Part(1, ((Piece(printable(recording.file), "label"),),), least=6)


def _where(snapshot: Snapshot) -> Iterator[Part]:
    """The place in the recording where it is not its end, and the steps done."""
    recording = snapshot.recording
    if recording is not None and (recording.replay or recording.from_file):
        label = "moment " if recording.from_file else "REPLAY moment "
        place = f"{recording.position:,} of {recording.last:,}"
        short = f"{recording.position:,}/{recording.last:,}"
        long = (Piece(f"{label}{place}", "changed"),)
        yield Part(0, (long, (Piece(f"{label.removesuffix('moment ')}{short}", "changed"),)))
        if not recording.from_file:
            yield Part(3, ((Piece("output is not sent again", "label"),),))
        yield Part(5, (_steps(snapshot),))
        return
    if recording is not None and recording.live_from is not None:
        live = Piece(f"LIVE from moment {recording.live_from:,}", "changed")
        yield Part(1, ((live,), (Piece("LIVE", "changed"),)))
    yield Part(1, (_steps(snapshot),))


def _steps(snapshot: Snapshot) -> tuple[Piece, ...]:
    """The logical steps done; at full speed nobody counts them."""
    steps = (Piece("steps ", "label"), Piece(f"{snapshot.steps:,}"))
    if not snapshot.full_speed:
        return steps
    running = snapshot.state is RunState.RUNNING
    if not snapshot.steps:
        return (Piece("at full speed" if running else "ran at full speed", "label"),)
    return (*steps, Piece(f", {'now' if running else 'then'} at full speed", "label"))


def vcpu_tabs(snapshot: Snapshot) -> tuple[Piece, ...]:
    """One piece a VCPU behind the first, the one shown in brackets, with how it is doing."""
    tabs = [Piece("VCPU", "label")]
    for brief in snapshot.vcpus:
        shown = brief.index == snapshot.vcpu
        text = f"{brief.index}{VCPU_MARKS[brief.state]}"
        tabs.append(Piece(f"[{text}]" if shown else f" {text} ", "strong" if shown else "label"))
    return tuple(tabs)


def _fitted(parts: Sequence[Part], width: int) -> Line:
    """Extras go, then forms become shorter; then what has the highest rank is cut, then goes."""
    kept = list(parts)
    while len(kept) > 1 and (over := _cells(part.width for part in kept) - width) > 0:
        part = max(kept, key=lambda part: (part.rank >= EXTRA, len(part.forms), part.rank))
        place = kept.index(part)
        if len(part.forms) > 1:
            kept[place] = part._replace(forms=part.forms[1:])
        elif (cut := part.cut(over)) != part and (
            part.rank < EXTRA or cut.width <= part.width - over
        ):
            kept[place] = cut
        else:
            del kept[place]
    if over := max(0, _cells(part.width for part in kept) - width):
        kept[0] = kept[0].cut(over)
    pieces: list[Piece] = []
    for part in kept:
        if pieces:
            pieces.append(Piece(" " * GAP))
        pieces += part.forms[0]
    return Line(tuple(pieces))


def _cells(widths: Iterable[int]) -> int:
    """Cells of parts beside each other."""
    return sum(width + GAP for width in widths) - GAP


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
        self._animated = False

    def show(
        self, snapshot: Snapshot, step_size: int, rate: str = "", *, animated: bool = False
    ) -> None:
        """Draw the state of `snapshot`.

        Args:
            snapshot: The guest.
            step_size: Steps that `s` does.
            rate: How fast the guest goes, in words; empty when it does not run.
            animated: Whether it is stepped by itself, slowly.
        """
        self._snapshot, self._step_size, self._rate = snapshot, step_size, rate
        self._animated = animated
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
                self._snapshot, self._step_size, self._rate, width,
                typing=self._typing, animated=self._animated,
                key=key_of(self, "vcpu.step", "s"),
            )  # fmt: skip
            self.set_lines([line])
