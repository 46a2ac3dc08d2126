"""How a guest ended, where that is more than the status line holds: the cause, a traceback."""

from __future__ import annotations

import re
from textwrap import wrap

from rich.cells import cell_len, chop_cells

from kdash.backends.kvm.facts import RunState, Snapshot
from kdash.widgets.printable import printable
from kdash.widgets.vcpu.part import Line, LinePart, Piece
from kdash.widgets.vcpu.status import FINE, cause_of, status_line

NOT_ENDED = "The guest has not ended."
CARETS = re.compile(r"[ ~]*\^[ ~^]*")  # below a line of a traceback, which may be broken here
INDENT = 2  # cells before what continues a line


def is_wanted(snapshot: Snapshot, width: int) -> bool:
    """Whether the guest ended by more than the status line of `width` cells holds."""
    if snapshot.state is not RunState.ENDED:
        return False
    cause = printable(cause_of(snapshot))
    return "\n" in snapshot.failure or cause not in status_line(snapshot, 1, "", width).text


def ending_lines(snapshot: Snapshot | None, width: int) -> list[Line]:
    """All that is known of the end: the cause, then what the failure tells, as data.

    Args:
        snapshot: The guest.
        width: Cells of a line; longer ones are broken.
    """
    if snapshot is None or snapshot.state is not RunState.ENDED:
        return [Line((Piece(NOT_ENDED, "muted"),))]
    tone = "good" if snapshot.outcome in FINE else "bad"
    lines = [Line((Piece(text, tone),)) for text in _broken(cause_of(snapshot), width)]
    for told in snapshot.failure.split("\n")[1:]:
        if CARETS.fullmatch(told) is None:
            lines += [Line((Piece(text),)) for text in _broken(told, width)]
    return lines


def _broken(text: str, width: int) -> list[str]:
    """One line of data, printable, in as many lines as it needs."""
    text = printable(text)
    if cell_len(text) <= width or width <= 2 * INDENT:
        return [text[: max(width, 0)]]
    lines = wrap(text, width, subsequent_indent=" " * INDENT)
    return [part for line in lines for part in chop_cells(line, width)]  # of wide characters


class EndingView(LinePart):
    """The cause and what else is told of it, to be scrolled through."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__("Ending", id=id)
        self._snapshot: Snapshot | None = None
        self._alone = False

    def set_alone(self, alone: bool) -> None:
        """Whether it has all the room."""
        self._alone = alone
        self.lay_out()

    def show(self, snapshot: Snapshot) -> None:
        """Draw how the guest of `snapshot` ended."""
        before = self._snapshot
        self._snapshot = snapshot
        if before is None or _facts(before) != _facts(snapshot):
            self.scroll_to(y=0, animate=False)
            self.lay_out()

    def lay_out(self) -> None:
        """Make the lines."""
        width = self.outer_size.width - self.styles.scrollbar_size_vertical
        lines = ending_lines(self._snapshot, width)
        whole = self._alone or len(lines) <= self.size.height
        self.set_title("Ending", _note(self._snapshot, whole=whole))
        self.set_lines(lines)

    def copy_text(self) -> str:
        """All of it, as it is, for who looks for it elsewhere."""
        return "" if self._snapshot is None else self._snapshot.failure or cause_of(self._snapshot)


def _facts(snapshot: Snapshot) -> tuple[object, ...]:
    return (snapshot.state, snapshot.outcome, snapshot.detail, snapshot.failure, snapshot.recording)


def _note(snapshot: Snapshot | None, *, whole: bool) -> str:
    """How to see all of it, and to go on."""
    if snapshot is None or snapshot.state is not RunState.ENDED:
        return ""
    notes = ["R restarts", "S goes back"] if snapshot.recording is not None else ["R restarts"]
    return ", ".join(notes if whole else [":info ending shows all", *notes])
