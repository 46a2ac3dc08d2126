"""The stop points of a guest: number, kind, where, condition, hits."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.message import Message

from kdash.backends.kvm.facts import RunState, Snapshot, StopKind, StopPoint
from kdash.widgets.printable import printable
from kdash.widgets.vcpu.part import Line, LinePart, Piece
from kdash.widgets.vcpu.status import amount

KINDS = {
    StopKind.BREAKPOINT: "break",
    StopKind.WATCH: "watch",
    StopKind.ACCESS: "access",
    StopKind.EXIT: "exit",
}
NONE = (
    "No stop points.",
    "b sets a breakpoint at the cursor in the code, w a watchpoint.",
    ":break main if rax == 5   :watch 0x2000:4   :awatch 0x2000:4   :catch IO 0x3f8",
)
WATCHING = (StopKind.WATCH, StopKind.ACCESS)


class StopsView(LinePart):
    """The stop points with a cursor; those that stopped the guest are marked."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d,delete", "delete", "Delete", show=False, id="stops.delete",
                tooltip="Delete the stop point under the cursor"),
    ]  # fmt: skip

    class Deleted(Message):
        """A stop point was asked to go."""

        def __init__(self, number: int) -> None:
            super().__init__()
            self.number = number

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Stops", id=id)
        self._stops: tuple[StopPoint, ...] = ()
        self._met: tuple[int, ...] = ()
        self._note = ""
        self._cursor = 0

    def show(self, snapshot: Snapshot) -> None:
        """Draw the stop points of `snapshot`."""
        note = _note(snapshot)
        if (snapshot.stops, snapshot.stopped_at, note) == (self._stops, self._met, self._note):
            return
        self._stops, self._met, self._note = snapshot.stops, snapshot.stopped_at, note
        self._cursor = max(0, min(self._cursor, len(self._stops) - 1))
        self.set_title("Stops", note)
        self.lay_out()

    def lay_out(self) -> None:
        """Make the lines."""
        if not self._stops:
            self.set_lines([Line((Piece(text, "muted"),)) for text in NONE])
            return
        wide = max(len(one.where) for one in self._stops)
        self.set_lines([
            self._line(one, wide, cursor=place == self._cursor)
            for place, one in enumerate(self._stops)
        ])  # fmt: skip

    def _line(self, one: StopPoint, wide: int, *, cursor: bool) -> Line:
        met = one.number in self._met
        pieces = [
            Piece("▶" if met else " ", "accent"),
            Piece(f"{one.number:>3}  ", "strong" if met else "label"),
            Piece(f"{KINDS[one.kind]:<7}", "label"),
            Piece(f"{printable(one.where):<{wide}}", "strong" if met else ""),
        ]
        if one.condition:
            pieces += [Piece("  if ", "label"), Piece(printable(one.condition))]
        pieces += [Piece("  hits ", "label"), Piece(amount(one.hits))]
        if one.ignore:
            pieces += [Piece("  ignores ", "label"), Piece(f"{one.ignore:,}")]
        if one.temporary:
            pieces.append(Piece("  once", "label"))
        if one.hardware:
            pieces.append(Piece("  in a debug register", "label"))
        return Line(tuple(pieces), "cursor" if cursor else "")

    def copy_text(self) -> str:
        """The line under the cursor."""
        return self._lines[self._cursor].text.strip() if self._stops else ""

    def action_move(self, by: int) -> None:
        """Move the cursor."""
        self._cursor = max(0, min(self._cursor + by, len(self._stops) - 1))
        self.lay_out()
        top, height = self.scroll_offset.y, self.size.height
        if not top <= self._cursor < top + height:
            self.scroll_to(y=self._cursor - height // 2, animate=False)

    def action_edge(self, direction: int) -> None:
        """First or last stop point."""
        self.action_move(-len(self._stops) if direction < 0 else len(self._stops))

    def action_delete(self) -> None:
        """Ask for the stop point under the cursor to go."""
        if self._stops:
            self.post_message(self.Deleted(self._stops[self._cursor].number))


def _note(snapshot: Snapshot) -> str:
    """What stopped the guest, and how fast it went while memory was watched."""
    notes = []
    if snapshot.state is RunState.STOPPED and snapshot.stopped_at and snapshot.detail:
        notes.append(printable(snapshot.detail))
    if snapshot.step_rate and any(one.kind in WATCHING for one in snapshot.stops):
        notes.append(f"watching at {amount(snapshot.step_rate)} steps/s")
    return ", ".join(notes)
