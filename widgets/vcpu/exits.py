"""The exits of a guest: which, when, where, and what each means."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.timer import Timer

from kdash.backends.kvm.facts import Exit, ExitReason, IoExit, MmioExit, RunState, Snapshot
from kdash.widgets.key_names import key_of
from kdash.widgets.line_table import Cell, Column, LineTable
from kdash.widgets.vcpu.detailed_list import DetailedList
from kdash.widgets.vcpu.status import amount

if TYPE_CHECKING:
    from kdash.widgets.vcpu.histogram import Histogram

LIMIT = 20_000  # exits kept
KEPT = 5_000  # exits kept when LIMIT is passed
LIVE = 0.25  # seconds between two looks at a list that runs by: no one reads it faster
EMPTY = "no exits yet: {step} steps, {run} runs"
EMPTY_IN = {
    RunState.RUNNING: "no exits yet: {run} pauses",
    RunState.ENDED: "the guest ended without an exit; {restart} restarts it",
}
KEYS = {"step": "s", "run": "space", "restart": "R"}  # of the pane's bindings, as they usually are
DROPS = "Esc in its line drops it"
FILTERED = f"no exit passes the filter; {DROPS}"

COLUMNS = (
    Column("n", "#", 6, right=True, needs=80),
    Column("step", "step", 6, right=True),
    Column("vcpu", "vcpu", 4, right=True),  # of machines with several
    Column("kind", "kind", 8, needs=44),
    Column("ip", "ip", 6, right=True, needs=44),
    Column("meaning", "meaning"),
)

FIELDS = (*(column.key for column in COLUMNS), "port", "address", "direction")
NUMBERS = ("n", "step", "vcpu", "port")  # the fields that filters compare as whole numbers
SINGLE = tuple(column for column in COLUMNS if column.key != "vcpu")

BAD = frozenset({
    ExitReason.SHUTDOWN, ExitReason.FAIL_ENTRY, ExitReason.INTERNAL_ERROR, ExitReason.UNKNOWN,
})  # fmt: skip


def exit_fields(row: Exit) -> Mapping[str, str]:
    """What filters search in an exit, by field name; every exit has the same names."""
    port = address = direction = ""  # FIELDS has the names in their order
    if isinstance(row.detail, IoExit):
        port, direction = f"0x{row.detail.port:x}", row.detail.direction
    elif isinstance(row.detail, MmioExit):
        address, direction = f"0x{row.detail.address:x}", "write" if row.detail.write else "read"
    return {
        "n": str(row.index),
        "step": "" if row.step is None else str(row.step),
        "vcpu": str(row.vcpu),
        "kind": row.name,
        "ip": f"{row.ip:x}",
        "meaning": row.meaning,
        "port": port,
        "address": address,
        "direction": direction,
    }


def exit_detail(row: Exit) -> str:
    """Everything known of one exit, on one or a few lines."""
    when = "at full speed" if row.step is None else f"in step {row.step}"
    parts = [
        f"exit {row.index}, KVM_EXIT_{row.name} ({row.reason}), VCPU {row.vcpu}, {when}, "
        f"ip 0x{row.ip:x}",
        row.meaning,
    ]
    if isinstance(row.detail, IoExit | MmioExit) and row.detail.data:
        parts.append(f"data {row.detail.data.hex(' ')}")
    return "\n".join(parts)


class ExitTable(LineTable[Exit]):
    """The list itself; its columns depend on the room."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            SINGLE, self._toned,
            fields=exit_fields, names=FIELDS, numbers=NUMBERS, follow=True, id=id,
        )  # fmt: skip
        self.placeholder = EMPTY.format(**KEYS)

    def name_vcpus(self, several: bool) -> None:
        """Say of each exit on which VCPU it came, where there are several."""
        columns = COLUMNS if several else SINGLE
        if columns != self.columns:
            self.columns = columns
            self.refresh()

    def _toned(self, row: Exit) -> tuple[Cell, ...]:
        fields = exit_fields(row)
        tones = {"n": "muted", "step": "muted", "ip": "muted", "kind": "strong"}
        if row.reason in BAD:
            tones |= {"kind": "bad", "meaning": "bad"}
        return tuple(Cell(fields[c.key] or "-", tones.get(c.key, "")) for c in self.columns)

    def keep_last(self, count: int) -> None:
        """Forget all but the latest `count` exits."""
        self.set_rows(self._rows.held[-count:])

    def copy_text(self) -> str:
        """The exit under the cursor."""
        return "" if self.current is None else exit_detail(self.current)


class ExitList(DetailedList[Exit]):
    """The exits with their filter and the detail of one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close_detail", "Close detail", show=False, id="exits.close",
                tooltip="Hide the detail of the exit"),
    ]  # fmt: skip

    class EarlierWanted(Message):
        """The exits before the oldest that is listed are wanted."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index  # of the oldest

    def __init__(self, *, id: str | None = None) -> None:
        self.table = ExitTable()
        self._asked = 0  # ordinal of the exit before which more were asked for
        super().__init__(self.table, exit_detail, id=id)
        self._last = -1  # index of the newest exit held
        self._total = 0
        self._counts: tuple[tuple[str, int], ...] = ()
        self._state = RunState.READY
        self._alone = False
        self._drawn = 0.0  # time when the list was drawn last
        self._late: tuple[Snapshot, Timer] | None = None  # to be drawn then
        self.histogram: Histogram | None = None  # made when the list first has all the room

    def set_alone(self, alone: bool) -> None:
        """With all the room, kinds are shown with bars and rates."""
        self._alone = alone
        if alone and self.histogram is None:
            from kdash.widgets.vcpu.histogram import Histogram

            self.histogram = Histogram()
            self.mount(self.histogram, before=self.table)
        if self.histogram is not None:
            self.histogram.display = alone
        self._entitle()

    def on_mount(self) -> None:
        """Name the part."""
        self._entitle()

    def show(self, snapshot: Snapshot) -> None:
        """Add the exits that are new since the last snapshot; of a guest that runs a bit later.

        The list has no gaps: where more came than a snapshot holds, it starts anew with those.
        """
        left = self._drawn + LIVE - time.monotonic()
        if snapshot.state is RunState.RUNNING and left > 0:
            timer = self._late[1] if self._late else self.set_timer(left, self._catch_up)
            self._late = (snapshot, timer)
            return
        if self._late is not None:
            self._late[1].stop()
            self._late = None
        self._show(snapshot)

    def _catch_up(self) -> None:
        if self._late is not None:
            snapshot, self._late = self._late[0], None
            self._show(snapshot)

    def _show(self, snapshot: Snapshot) -> None:
        self._drawn = time.monotonic()
        self.table.name_vcpus(len(snapshot.vcpus) > 1)
        first = snapshot.exits[0].index if snapshot.exits else 0
        newest = snapshot.exits[-1].index if snapshot.exits else -1
        if newest < self._last or first > self._last + 1:
            self._add(snapshot.exits, anew=True)
        elif newest > self._last:
            self._add([row for row in snapshot.exits if row.index > self._last], anew=False)
        self._last = newest
        now = (snapshot.exits_total, snapshot.exit_counts, snapshot.state)
        if now != (self._total, self._counts, self._state):
            self._total, self._counts, self._state = now
            self._entitle()
        if self._alone and self.histogram is not None:
            self.histogram.show(time.monotonic(), snapshot)

    def _add(self, rows: Sequence[Exit], *, anew: bool) -> None:
        table = self.table
        at_end = table.cursor >= table.row_count - 1
        if anew:
            table.set_rows(rows)
            self.remove_class("-detail")
        else:
            if table.total_count + len(rows) > LIMIT:
                table.keep_last(KEPT)
            table.append_rows(rows)
        if at_end:
            table.action_bottom()

    def open_filter(self, prefix: str = "") -> None:
        """Ask for a filter, and for all that it may be about."""
        super().open_filter(prefix)
        self._ask_for_earlier()

    def on_line_table_highlighted(self, event: LineTable.Highlighted) -> None:
        """The detail goes with the cursor; at the top there may be more above."""
        super().on_line_table_highlighted(event)
        if self.table.cursor == 0 and self.table.has_focus:
            self._ask_for_earlier()

    def _ask_for_earlier(self) -> None:
        first = self.table.first
        if first is not None and first.index > 0 and first.index != self._asked:
            self._asked = first.index
            self.post_message(self.EarlierWanted(first.index))

    def put_before(self, rows: Sequence[Exit]) -> None:
        """List exits above the oldest, as far as they come right before it without a gap."""
        first = self.table.first
        if first is None:
            return
        wanted, place = first.index - 1, len(rows)
        while place and rows[place - 1].index == wanted:
            place, wanted = place - 1, wanted - 1
        if place < len(rows):
            self.table.prepend_rows(rows[place:])
            self._entitle()

    def on_filter_bar_applied(self) -> None:
        """Say how many rows pass."""
        self._entitle()

    def _entitle(self) -> None:
        shown, held = self.table.row_count, self.table.total_count
        filtered = FILTERED
        if held < self._total:
            filtered = f"none of the {held:,} exits that are listed passes the filter; {DROPS}"
        keys = {name: key_of(self, f"vcpu.{name}", usual) for name, usual in KEYS.items()}
        empty = filtered if held else EMPTY_IN.get(self._state, EMPTY).format(**keys)
        if self.table.placeholder != empty:
            self.table.placeholder = empty
        listed = f"the last {held:,} of " if held < self._total else ""
        parts = [f"{listed}{self._total:,}"] if self._total else []
        if len(self._counts) > 1 and not self._alone:
            parts.append(" ".join(f"{name} {amount(count)}" for name, count in self._counts[:4]))
        if shown < held:
            parts.append(f"{shown:,} of {held:,} listed pass the filter")
        title = f" Exits  {', '.join(parts)} " if parts else " Exits "
        self.border_title = Content(title)
