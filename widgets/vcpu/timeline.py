"""The time line of a recording: what can be shown again, where we are, what it takes."""

from __future__ import annotations

from typing import ClassVar, Final

from rich.cells import cell_len
from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message

from kdash.backends.kvm.facts import RecordingView
from kdash.widgets.vcpu.part import Line, LinePart, Piece

PAST, HERE, AHEAD = "━", "●", "─"
LEAST: Final = 10  # cells of the bar; with less there is none
MIB: Final = 1 << 20
NOTCHES: Final = 50  # turns of the wheel from one end to the other


def memory_text(recording: RecordingView) -> str:
    """Memory that the moments take, and may take beside the copy of the state they start from."""
    taken = max(0, recording.bytes - recording.base) / MIB
    allowed = max(0, recording.limit - recording.base) // MIB
    return f"{taken:.{1 if taken < 100 else 0}f} of {allowed:,} MiB"


def bar_cell(recording: RecordingView, width: int) -> int:
    """The cell of a bar of `width` cells in which the moment shown lies."""
    span = max(1, recording.last - recording.first)
    return (recording.position - recording.first) * (width - 1) // span


def moment_at(recording: RecordingView, cell: int, width: int) -> int:
    """The moment that a cell of the bar stands for."""
    span = recording.last - recording.first
    cell = max(0, min(cell, width - 1))
    return recording.first + round(cell * span / max(1, width - 1))


def timeline(recording: RecordingView, width: int) -> tuple[Line, int, int]:
    """The line, the first cell of its bar and the bar's width, 0 where it does not fit."""
    first, last = f"{recording.first:,} ", f" {recording.last:,}"
    place = f"{recording.position:,}".rjust(len(last) - 1)
    memory = memory_text(recording)
    head = tail = ""
    for head, tail in (
        (f"moment {place}  ", f"  {memory} of history"),
        (f"moment {place}  ", f"  {memory}"),
        (f"moment {place}  ", ""),
        ("", ""),
    ):
        if width - len(head) - len(first) - len(last) - len(tail) >= 2 * LEAST:
            break
    bar = width - len(head) - len(first) - len(last) - len(tail)
    if bar < LEAST:
        text = f"moment {recording.position:,} of {recording.last:,}"
        return Line((Piece(text[:width], "label"),)), 0, 0
    here = bar_cell(recording, bar)
    pieces = (
        Piece(head, "strong"),
        Piece(first, "label"),
        Piece(PAST * here, "accent"),
        Piece(HERE, "changed"),
        Piece(AHEAD * (bar - here - 1), "muted"),
        Piece(last, "label"),
        Piece(tail, "muted"),
    )
    return Line(tuple(piece for piece in pieces if piece.text)), cell_len(head + first), bar


class Timeline(LinePart):
    """One line to scrub in, with keys, mouse and wheel."""

    DEFAULT_CSS = """
    Timeline { height: 1; overflow-y: hidden; }
    Timeline:focus { background: $block-cursor-blurred-background; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "scrub(-1)", "Back", show=False, id="timeline.back",
                tooltip="One moment back in the recording"),
        Binding("right,l", "scrub(1)", "Forward", show=False, id="timeline.forward",
                tooltip="One moment forward in the recording"),
        Binding("ctrl+u,pageup", "leap(-1)", "Far back", show=False, id="timeline.far-back",
                tooltip="A tenth of the recording back"),
        Binding("ctrl+d,pagedown", "leap(1)", "Far forward", show=False,
                id="timeline.far-forward", tooltip="A tenth of the recording forward"),
        Binding("home", "edge(-1)", "Start", show=False, id="timeline.start",
                tooltip="The oldest moment recorded"),
        Binding("end,G", "edge(1)", "End", show=False, id="timeline.end",
                tooltip="The newest moment: where the guest really is"),
    ]  # fmt: skip

    class Sought(Message):
        """Another moment shall be shown."""

        def __init__(self, moment: int) -> None:
            super().__init__()
            self.moment = moment

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._recording: RecordingView | None = None
        self._bar = (0, 0)  # first cell and width
        self._target: int | None = None  # asked for, not yet shown
        self._dragged = False

    def show(self, recording: RecordingView) -> None:
        """Draw where the recording is."""
        if recording != self._recording:
            self._recording = recording
            self.lay_out()

    def settle(self) -> None:
        """What was asked for is shown, or can't be."""
        self._target = None

    def lay_out(self) -> None:
        """Make the line for the room there is."""
        if self._recording is not None and self.room.width:
            line, start, width = timeline(self._recording, self.room.width)
            self._bar = (start, width)
            self.set_lines([line])

    # -- scrubbing ----------------------------------------------------------------------

    def _seek(self, moment: int) -> None:
        recording = self._recording
        if recording is None:
            return
        moment = max(recording.first, min(moment, recording.last))
        if moment != (recording.position if self._target is None else self._target):
            self._target = moment
            self.post_message(self.Sought(moment))

    def _by(self, steps: int) -> None:
        if self._recording is not None:
            here = self._recording.position if self._target is None else self._target
            self._seek(here + steps)

    def _notch(self, notches: int) -> int:
        recording = self._recording
        return 1 if recording is None else max(1, (recording.last - recording.first) // notches)

    def action_scrub(self, by: int) -> None:
        """Move by steps."""
        self._by(by)

    def action_leap(self, direction: int) -> None:
        """Move by a tenth of all there is."""
        self._by(direction * self._notch(10))

    def action_edge(self, direction: int) -> None:
        """Go to the oldest or the newest moment."""
        if self._recording is not None:
            self._seek(self._recording.first if direction < 0 else self._recording.last)

    def on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        """The wheel goes back."""
        event.stop()
        event.prevent_default()
        self._by(-self._notch(NOTCHES))

    def on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        """The wheel goes forward."""
        event.stop()
        event.prevent_default()
        self._by(self._notch(NOTCHES))

    def on_mouse_down(self, event: events.MouseDown) -> None:
        """Go to the moment under the mouse, and follow it while the button is down."""
        self._dragged = True
        self.capture_mouse()
        self._seek_cell(event.x)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        """Follow the mouse."""
        if self._dragged:
            self._seek_cell(event.x)

    def on_mouse_up(self) -> None:
        """Stay there."""
        if self._dragged:
            self._dragged = False
            self.release_mouse()

    def _seek_cell(self, x: int) -> None:
        start, width = self._bar
        if self._recording is not None and width:
            self._seek(moment_at(self._recording, x - start, width))
