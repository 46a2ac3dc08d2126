"""State of a VCPU that is read when somebody looks: one list for all its views."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

from textual.binding import Binding, BindingType
from textual.content import Content

from kdash.widgets.line_table import Cell, Column, LineTable
from kdash.widgets.printable import printable
from kdash.widgets.vcpu.control_rows import control_rows
from kdash.widgets.vcpu.detailed_list import DetailedList
from kdash.widgets.vcpu.extended_rows import extended_rows
from kdash.widgets.vcpu.msr_rows import msr_rows
from kdash.widgets.vcpu.numbers import TYPES
from kdash.widgets.vcpu.state_row import StateRow
from kdash.widgets.vcpu.state_rows import cpuid_rows, device_rows, walk_rows
from kdash.widgets.vcpu.statistics_rows import statistics_rows

FILTERED = "no row passes the filter; Esc in its line drops it"
READING = "reading ..."
NARROW = 60  # cells; below, the group's column goes


class Kind(NamedTuple):
    """How one view turns its fact into rows."""

    title: str
    #: (fact, the one read before it or None, type of vector elements)
    rows: Callable[[Any, Any, str], Sequence[StateRow]]
    name: int  # cells of the columns; the meaning takes the rest
    value: int  # with room for the mark of a change
    empty: str  # what to do, where there is nothing
    number: int = 0  # cells of the column for numbers; 0: there is none


KINDS = {
    "control": Kind("Control and debug registers, events",
                    lambda fact, _, __: control_rows(fact), 12, 17, "nothing is told"),
    "fpu": Kind("x87, SSE and AVX",
                lambda fact, _, form: extended_rows(fact, form), 8, 0, "nothing is told"),
    "msrs": Kind("Model-specific registers",
                 lambda fact, _, __: msr_rows(fact), 26, 17, "KVM lists no MSRs", 8),
    "cpuid": Kind("CPUID", lambda fact, _, __: cpuid_rows(fact), 10, 36,
                  "nothing is told"),
    "devices": Kind("Devices", lambda fact, _, __: device_rows(fact), 12, 12, "nothing is told"),
    "statistics": Kind("KVM's statistics, dirty pages, exits in the kernel",
                       lambda fact, before, _: statistics_rows(fact, before), 26, 17,
                       "KVM tells no statistics"),
    "walk": Kind("Page walk", lambda fact, _, __: walk_rows(fact), 12, 17,
                 ":walk ADDR shows how an address is translated"),
}  # fmt: skip


def columns(kind: Kind) -> tuple[Column, ...]:
    """Columns of a view."""
    number = Column("number", "number", kind.number, right=True, needs=NARROW)
    return (
        Column("part", "part", 8, needs=NARROW),
        *((number,) if kind.number else ()),
        Column("name", "name", kind.name),
        Column("value", "value", kind.value, share=3),
        Column("meaning", "meaning", needs=NARROW),
    )


FIELDS = ("part", "name", "value", "meaning", "number")  # that filters know, in every view


class StateTable(LineTable[StateRow]):
    """The rows of one view; those whose value differs from the last reading are marked."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            columns(KINDS["control"]), self._toned, fields=_fields, names=FIELDS, id=id
        )
        self.marked: frozenset[tuple[str, str]] = frozenset()

    def _toned(self, row: StateRow) -> tuple[Cell, ...]:
        changed = (row.part, row.name) in self.marked
        value = Cell(f"{row.value}*", "accent", "*") if changed else Cell(row.value, row.tone)
        cells = {
            "part": Cell(row.part, "muted"),
            "number": Cell(row.number, "muted"),
            "name": Cell(row.name, "strong"),
            "value": value,
            "meaning": Cell(row.meaning, "muted"),
        }
        return tuple(cells[column.key] for column in self.columns)

    def copy_text(self) -> str:
        """The row under the cursor."""
        return "" if self.current is None else row_detail(self.current)


def _fields(row: StateRow) -> dict[str, str]:
    return {
        "part": row.part,
        "name": row.name,
        "value": row.value,
        "meaning": row.meaning,
        "number": row.number,
    }


def row_detail(row: StateRow) -> str:
    """All of a row, on one or a few lines."""
    return row.detail or " ".join(filter(None, (row.part, row.name, row.value, row.meaning)))


class StateView(DetailedList[StateRow]):
    """The list with its filter, its title and the whole of one row."""

    DEFAULT_CSS = """
    StateView { border-top: solid $border; border-title-color: $text-muted; }
    StateView:focus-within { border-top: solid $primary; border-title-color: $text;
        border-title-style: bold; }
    StateView .detail { max-height: 8; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close_detail", "Close detail", show=False, id="state.close",
                tooltip="Hide the detail of the row"),
        Binding("t", "next_type", "Type", show=False, id="state.type",
                tooltip="Vector registers as the next type: u8 u16 u32 u64 f32 f64"),
    ]  # fmt: skip

    def __init__(self, *, id: str | None = None) -> None:
        self.table = StateTable()
        super().__init__(self.table, row_detail, id=id)
        self.form = "u32"
        self._view = ""
        self._facts: dict[str, Any] = {}  # the newest of each view
        self._before: dict[str, Any] = {}  # those before them
        self._values: dict[str, dict[tuple[str, str], str]] = {}  # at the latest reading
        self._notes: dict[str, str] = {}  # beside the title of each view, of its newest reading

    def show_view(self, view: str) -> None:
        """Show another view: what was read last, until it is read anew."""
        if view == self._view:
            return
        self._view = view
        self.table.columns = columns(KINDS[view])
        self.table.marked = frozenset()
        self.remove_class("-detail")
        self._fill()

    def show(self, view: str, fact: Any, note: str = "") -> None:
        """Draw a new reading of `view`.

        Args:
            view: A name of KINDS.
            fact: What its row maker takes.
            note: What to say beside the title: which VCPU, which step.
        """
        self._before[view] = self._facts.get(view)
        self._facts[view] = fact
        self._notes[view] = note
        if view != self._view:
            return
        rows = self._rows(fact)
        before = self._values.get(view)
        now = {(row.part, row.name): row.value for row in rows}
        self._values[view] = now
        changed = () if before is None else (k for k, v in now.items() if before.get(k) != v)
        self.table.marked = frozenset(changed)
        self._set_rows(rows)

    def fail(self, view: str, why: str) -> None:
        """Say why a view can't be read."""
        self._facts.pop(view, None)
        self._notes.pop(view, None)
        self._values.pop(view, None)
        if view == self._view:
            self.table.placeholder = why
            self._set_rows(())

    def forget(self) -> None:
        """Another guest: what was read is of no use."""
        self._facts.clear()
        self._notes.clear()
        self._before.clear()
        self._values.clear()
        if self._view:
            self._fill()

    def _fill(self) -> None:
        """Rows of the newest reading, unmarked."""
        fact = self._facts.get(self._view)
        self.table.placeholder = READING
        rows = () if fact is None else self._rows(fact)
        if fact is not None:
            self._values[self._view] = {(row.part, row.name): row.value for row in rows}
        self._set_rows(rows)

    def _rows(self, fact: Any) -> Sequence[StateRow]:
        return KINDS[self._view].rows(fact, self._before.get(self._view), self.form)

    def _set_rows(self, rows: Sequence[StateRow]) -> None:
        if not rows and self._view in self._facts:
            self.table.placeholder = KINDS[self._view].empty
        self.table.set_rows(rows)
        self._entitle()

    def on_filter_bar_applied(self) -> None:
        """Say how many rows pass."""
        if self.table.total_count:
            self.table.placeholder = FILTERED
        self._entitle()

    def _entitle(self) -> None:
        if not self._view:
            return
        shown, held = self.table.row_count, self.table.total_count
        parts = list(filter(None, [self._notes.get(self._view)]))
        if self._view == "fpu":
            parts.append(f"as {self.form} (t changes)")
        if shown < held:
            parts.append(f"{shown:,} of {held:,} pass the filter")
        title = KINDS[self._view].title
        text = f" {title}  {', '.join(parts)} " if parts else f" {title} "
        self.border_title = Content(printable(text))

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Types are for vector registers."""
        if action == "next_type":
            return self._view == "fpu"
        return super().check_action(action, parameters)

    def action_next_type(self) -> None:
        """Show vector registers as elements of the next type."""
        forms = list(TYPES)
        self.form = forms[(forms.index(self.form) + 1) % len(forms)]
        marked = self.table.marked
        self._fill()
        self.table.marked = marked
        if self.table.current is not None:
            self.draw_detail(self.table.current)
