"""The list of findings: level, file, place, rule, and the message when there is room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from typing import ClassVar

from textual.binding import Binding, BindingType

from kdash.backends.stack.facts import FileReport, Finding
from kdash.widgets.columns import Cell, Column
from kdash.widgets.stack.entry import GROUPINGS, ORDERS, Entry, Verdicts, fields, judged
from kdash.widgets.tree_table import TreeTable

COLUMNS = (
    Column("level", "", width=1),
    Column("file", "file", share=4),
    Column("function", "function", share=5),
    Column("kind", "rule", share=4),
    Column("message", "message", share=8, needs=100),
)
#: Shown where findings are compared with ours, or with an older run.
OURS = Column("ours", "kdash", share=3, needs=60)
CHANGE = Column("change", "", width=5)
VERDICT = Column("verdict", "", width=4)  # where the user decided about some
CHANGE_TONES = {"new": "bad", "fixed": "good", "moved": "warning", "same": "muted"}
TONES = {"E": "bad", "W": "warning", "!": "warning"}
SAMPLE = "*"  # behind the name of a bundled object
MARKED = {
    "found": "level", "file": "file", "function": "function", "rule": "kind", "verdict": "level",
}  # fmt: skip
BRIEF = {"to-fix": "fix", "false-positive": "fp", "toolchain": "tool", "wont-fix": "wont"}
EXPIRED = "exp"


def cells(entry: Entry) -> Sequence[Cell]:
    """The cells of one row."""
    mark = SAMPLE if entry.report.sample else ""
    place = entry.place or "(not checked)"
    at = entry.finding
    offset = f"+{at.offset:#x}" if at and at.placed else ""
    quiet = entry.settled
    return (
        Cell(entry.letter, "muted" if quiet else TONES[entry.letter]),
        Cell(entry.base_name + mark, "muted" if quiet else "", keep=mark),
        Cell(place, "muted" if quiet or not entry.finding else "strong", keep=offset),
        Cell(entry.kind, "muted" if quiet else ""),
        Cell(entry.message, "muted"),
    )


def _ours(entry: Entry) -> Cell:
    text = entry.ours
    return Cell(text, "muted" if text.startswith(("same", "not known")) else "accent")


def _change(entry: Entry) -> Cell:
    change = entry.finding.change if entry.finding else ""
    return Cell(change, CHANGE_TONES.get(change, ""))


def _cells_with(
    makers: Sequence[tuple[int, Callable[[Entry], Cell]]],
) -> Callable[[Entry], Sequence[Cell]]:
    """The cells of a row with further ones at some places, the last place first."""

    def all_cells(entry: Entry) -> Sequence[Cell]:
        made = list(cells(entry))
        for place, make in makers:
            made.insert(place, make(entry))
        return made

    return all_cells


def _verdict(entry: Entry) -> Cell:
    if entry.verdict is None:
        return Cell("")
    if entry.expired:
        return Cell(EXPIRED, "warning")
    return Cell(BRIEF[entry.verdict.word], "muted" if entry.settled else "accent")


class Findings(TreeTable[Entry]):
    """The findings in one of the orders of `ORDERS`, below headings of `GROUPINGS`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "choose", "Detail", id="list.open", tooltip="Detail of this finding"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        names = tuple(fields(Entry(FileReport(""))))
        super().__init__(COLUMNS, cells, fields=fields, names=names, id=id)
        self._rows.groupings = tuple(GROUPINGS.values())
        self.order = "found"
        self.reversed = False
        self.grouping: tuple[str, ...] = ()

    def judge(self, verdicts: Verdicts, today: date) -> None:
        """Show other verdicts; only rows whose verdict is another one change."""
        held = self._rows.held
        of = verdicts.get
        changed = {
            place: judged(row, verdicts, today)
            for place, row in enumerate(held)
            if row.finding is not None and of(row.finding.fingerprint) is not row.verdict
        }
        if changed:
            self.exchange_rows(changed)

    @property
    def of_this_run(self) -> list[Entry]:
        """All rows, whatever the filter, but what was fixed since an older run."""
        return [
            row for row in self._rows.held if row.finding is None or row.finding.change != "fixed"
        ]

    def settle(self, settled: Callable[[Finding], Finding]) -> list[tuple[str, str]]:
        """Let findings change what they are to an older run; what each was and is, if another."""
        changed: dict[int, Entry] = {}
        told = []
        for place, row in enumerate(self._rows.held):
            new = settled(row.finding) if row.finding else None
            if row.finding and new and new.change != row.finding.change:
                changed[place] = row._replace(finding=new)
                told.append((row.finding.change, new.change))
        if changed:
            self.exchange_rows(changed)
        return told

    @property
    def held_rows(self) -> Sequence[Entry]:
        """All rows, those that do not pass the filter too."""
        return self._rows.held

    def next_grouping(self) -> None:
        """Group by the next field; after the last one the list is flat."""
        names = ("", *GROUPINGS)
        now = self.grouping[0] if self.grouping else ""
        following = names[(names.index(now) + 1) % len(names)]
        self.group_by((following,) if following else ())

    def group_by(self, names: Sequence[str]) -> None:
        """Group by fields of `GROUPINGS`, the outermost first; by none for a flat list."""
        self.grouping = tuple(names)
        self.group([GROUPINGS[name] for name in names])

    def compare(self, *, ours: bool, change: bool, verdicts: bool = False) -> None:
        """Show further columns.

        Args:
            ours: What kdash says beside what others say.
            change: What changed since an older run.
            verdicts: What the user decided.
        """
        change_at, verdict_at, ours_at = 1, 1, 4  # behind the level; behind the rule
        columns, makers = list(COLUMNS), []
        if ours:
            columns.insert(ours_at, OURS)
            makers.append((ours_at, _ours))
        if verdicts:
            columns.insert(verdict_at, VERDICT)
            makers.append((verdict_at, _verdict))
        if change:
            columns.insert(change_at, CHANGE)
            makers.append((change_at, _change))
        if tuple(columns) != self.columns:
            self._cells = _cells_with(makers)
            self.columns = tuple(columns)
            self.refresh()

    def next_order(self) -> None:
        """Sort by the next field."""
        names = tuple(ORDERS)
        self.order_by(names[(names.index(self.order) + 1) % len(names)])

    def order_by(self, name: str, *, reverse: bool = False) -> None:
        """Sort by one of `ORDERS`."""
        self.order, self.reversed = name, reverse
        marked = MARKED[name] if reverse or name != "found" else ""
        self.sort(ORDERS[name], reverse=reverse, column=marked)

    def turn_round(self) -> None:
        """Reverse the order."""
        self.order_by(self.order, reverse=not self.reversed)
