"""Browsing findings: the list, its filter and order, and the detail of one finding."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from time import monotonic
from typing import ClassVar

from textual import events, on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static

from kdash.backends.stack.facts import VERDICTS, FileReport, Finding, Flow, Rule, SourceLine
from kdash.backends.wording import counted
from kdash.widgets.filter_bar import FilterBar
from kdash.widgets.line_table import LineTable
from kdash.widgets.printable import printable
from kdash.widgets.restyle import set_classes
from kdash.widgets.stack.detail import Detail
from kdash.widgets.stack.entry import Entry, Verdicts, entries
from kdash.widgets.stack.findings import Findings
from kdash.widgets.stack.summary import Summary
from kdash.widgets.stack.tally import Tally

BROAD = 110  # cells; from here on the detail stands beside the list
QUICK = 0.15  # seconds; keys closer to each other than this come in quick succession
QUIET = 0.04  # seconds without a key after which the detail follows such keys
LATEST = 0.12  # seconds after which it follows them all the same
SAMPLES = "* samples: give object files or folders to check yours, or type :check PATH"


#: Actions that need a row.
OF_LIST = frozenset(
    {"filter", "sort", "reverse", "group", "same_cause", "move", "step", "verdict", "edit"}
)


class Browser(Container):
    """Shows the reports it is given; knows nothing of how they come about."""

    DEFAULT_CSS = """
    Browser { height: 1fr; }
    Browser #stack-samples { height: auto; color: $text-accent; display: none; }
    Browser.-samples #stack-samples { display: block; }
    Browser #stack-empty { display: none; height: 1fr; padding: 1 2; }
    Browser.-empty #stack-empty { display: block; }
    Browser.-empty #stack-body { display: none; }
    Browser #stack-body { height: 1fr; layout: vertical; }
    Browser #stack-list { height: 2fr; min-height: 4; }
    Browser Detail { height: 3fr; }
    Browser.-broad #stack-body { layout: horizontal; }
    Browser.-broad #stack-list { width: 6fr; height: 1fr; margin-right: 1; }
    Browser.-broad Detail { width: 5fr; height: 1fr; }
    Browser.-open #stack-list, Browser.-open Summary, Browser.-open #stack-samples {
        display: none; }
    Browser.-none Detail { display: none; }
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "filter", "Filter", key_display="/", id="stack.filter",
                tooltip="Filter: text, field:value, !not, regex"),
        Binding("exclamation_mark", "filter('!')", "Filter out", show=False, id="stack.filter-out",
                tooltip="Filter: leave out what matches"),
        Binding("s", "sort", "Sort", id="stack.sort",
                tooltip="Next order: found, file, function, rule, verdict"),
        Binding("I", "reverse", "Reverse", show=False, id="stack.reverse",
                tooltip="Reverse the order"),
        Binding("T", "group", "Tree", id="stack.tree",
                tooltip="List as a tree: by file, function, kind, cause, verdict; flat again"),
        Binding("c", "same_cause", "Same cause", show=False, id="stack.cause",
                tooltip="Only findings with the same cause"),
        Binding("left_curly_bracket", "move(-1)", "Previous finding", show=False,
                id="stack.previous", tooltip="Previous finding"),
        Binding("right_curly_bracket", "move(1)", "Next finding", show=False,
                id="stack.next", tooltip="Next finding"),
        Binding("left_square_bracket", "step(-1)", "Step back", show=False,
                id="stack.step-back", tooltip="Previous step of the path to the finding"),
        Binding("right_square_bracket", "step(1)", "Step on", show=False,
                id="stack.step-on", tooltip="Next step of the path to the finding"),
        Binding("escape", "back", "Back", id="stack.back",
                tooltip="Close the detail, else drop the filter"),
    ]  # fmt: skip

    opened: reactive[bool] = reactive(False, toggle_class="-open", bindings=True)

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.findings = Findings()
        self.findings.placeholder = "no finding passes the filter; Esc drops it"
        self._bar = FilterBar(self.findings, values=self.filter_values)
        self._detail = Detail()
        self._summary = Summary()
        self._empty = Static("", markup=False, id="stack-empty")
        self._empty.can_focus = True  # so that keys stay with the browser while nothing is listed
        self.rules: Mapping[str, Rule] = {}
        self.tally = Tally()
        self._reports: dict[str, FileReport] = {}  # by file, as they came
        self._verdicts: Verdicts = {}
        self._today = date.max
        self._settled = 0  # rows that the user accepts as they are
        self._judged = 0  # rows with a verdict
        self._progress = ""
        self._message = ""
        self._following = False  # the detail is going to be drawn
        self._moved = 0.0  # when the cursor last went to another row
        self._settling: Timer | None = None  # the detail waits for quiet
        self._waits_since = 0.0

    def compose(self) -> ComposeResult:
        """Lay out summary, list and detail; or the text that stands for an empty list."""
        yield Static(SAMPLES, markup=False, id="stack-samples")
        yield self._summary
        with Container(id="stack-body"):
            with Vertical(id="stack-list"):
                yield self.findings
                yield self._bar
            yield self._detail
        yield self._empty

    # -- what is shown ------------------------------------------------------------------

    @property
    def current(self) -> Entry | None:
        """The row under the cursor."""
        return self.findings.current

    @property
    def main_part(self) -> Widget:
        """What takes the keys: the list, or the text that stands in its place."""
        return self._empty if self.has_class("-empty") else self.findings

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without rows there is nothing to filter or sort, without detail or filter no way back."""
        if action in OF_LIST and self.has_class("-empty"):
            return False
        if action == "back" and not (self.opened or self._bar.value):
            return False
        return super().check_action(action, parameters)

    @property
    def detail_follows(self) -> bool:
        """Whether the detail is of the row under the cursor; not for a moment after quick keys."""
        return self._detail.entry is self.current

    def begin(self, message: str) -> None:
        """Start over with an empty list; `message` stands in its place until a row comes."""
        self.tally = Tally()
        self._settled = self._judged = 0
        self._reports = {}
        self.findings.set_rows(())
        self.progress("checking", message)

    def add(self, reports: Iterable[FileReport]) -> None:
        """Show more reports."""
        rows: list[Entry] = []
        for report in reports:
            self.tally.add(report)
            self._reports[report.file] = report
            rows += entries(report, self._verdicts, self._today)
        self._count_verdicts(rows)
        if rows:
            self.findings.append_rows(rows)
            self._follow()
        self._refresh_frame()

    def _count_verdicts(self, rows: Iterable[Entry]) -> None:
        for row in rows:
            if row.verdict is not None:
                self._judged += 1
                self._settled += row.settled

    def replace(self, reports: Iterable[FileReport]) -> None:
        """Show new reports in the place of those on the same files; the cursor stays."""
        before = self.current.finding if self.current else None
        self._reports |= {report.file: report for report in reports}
        self.tally = Tally()
        rows: list[Entry] = []
        for report in self._reports.values():
            self.tally.add(report)
            rows += entries(report, self._verdicts, self._today)
        self._settled = self._judged = 0
        self._count_verdicts(rows)
        self.findings.set_rows(rows)
        if before is not None and before.fingerprint:
            self.findings.select(
                lambda row: (
                    row.finding is not None
                    and row.finding.fingerprint == before.fingerprint
                    and row.finding.file == before.file
                )
            )
        self._follow()
        self._refresh_frame()

    def settle(self, settled: Callable[[Finding], Finding]) -> None:
        """Show what findings are to the older run now that all of this one are known."""
        for old, new in self.findings.settle(settled):
            self.tally.changes[old] -= 1
            self.tally.changes[new] += 1
        self._follow()
        self._refresh_frame()

    def judge(self, verdicts: Verdicts, today: date) -> None:
        """Show what the user decided, as of a day."""
        self._verdicts, self._today = verdicts, today
        self.findings.judge(verdicts, today)
        self._settled = self._judged = 0
        self._count_verdicts(self.findings.held_rows)
        self._follow()
        self._refresh_frame()

    def progress(self, text: str, message: str) -> None:
        """Say how far the check is.

        Args:
            text: A few words for the summary, empty at the end.
            message: What stands in place of the list while it has no row.
        """
        self._progress = text
        self._message = message
        self._refresh_frame()

    def set_filter(self, text: str) -> None:
        """Filter the list without opening the filter line for typing."""
        self._bar.set_filter(text)

    def show_flow(self, finding: Finding, flow: Flow | str) -> None:
        """Show the control flow around a finding (`Detail.FlowWanted`), or why there is none."""
        self._detail.show_flow(finding, flow)

    def show_sources(self, finding: Finding, texts: Mapping[SourceLine, str]) -> None:
        """Show what stands in the source lines of a finding (`Detail.SourcesWanted`)."""
        self._detail.show_sources(finding, texts)

    def close_detail(self) -> None:
        """Show the list again, where the detail has all the room."""
        if self.opened:
            self.opened = False
            if self.has_focus_within:
                self.screen.set_focus(self.findings)

    def show_view(self, index: int) -> None:
        """Show one of the sub-views of the detail."""
        self._detail.show_view(index)

    def _refresh_frame(self) -> None:
        empty = not self.findings.total_count
        changed = empty != self.has_class("-empty")
        if changed and self.has_focus_within:
            self.call_after_refresh(self._keep_focus)
        none = not self.findings.row_count
        set_classes(self, {"-samples": self.tally.samples, "-empty": empty, "-none": none})
        if changed:
            self.refresh_bindings()
        self.findings.compare(
            ours=self.tally.imported > 0,
            change=bool(self.tally.changes),
            verdicts=self._judged > 0,
        )
        self._summary.show(self.tally, self._progress, self.findings.row_count, self._settled)
        self._empty.update(Content(printable(self._message)))

    def _keep_focus(self) -> None:
        """What had the keyboard is no longer shown: what stands in its place has it now."""
        if self.screen.focused and not self.has_focus_within:
            return  # the user has gone elsewhere meanwhile
        shown = self.main_part
        typing = shown is self.findings and self._bar.has_focus_within
        if not typing:
            self.screen.set_focus(shown)

    def filter_values(self) -> Sequence[str]:
        """Words that a filter may be completed to."""
        kinds = [f"kind:{kind}" for kind, _ in self.tally.kinds.most_common()]
        changes = [f"change:{change}" for change in self.tally.changes]
        verdicts = [f"verdict:{word}" for word in ("ok", "open", *VERDICTS)]
        return [*kinds, *changes, *verdicts]

    # -- what the user does -------------------------------------------------------------

    @on(LineTable.Highlighted)
    def _highlighted(self, event: LineTable.Highlighted) -> None:
        event.stop()
        if self.current is self._detail.entry:
            self._follow()
            return
        now = monotonic()
        quick, self._moved = now - self._moved < QUICK, now
        if not quick:
            self._follow()
        elif self._settling is None:
            self._waits_since = now
            self._settling = self.set_timer(QUIET, self._show_detail)
        elif now - self._waits_since < LATEST - QUIET:
            self._settling.reset()

    def _follow(self) -> None:
        """Draw the detail once the list is drawn, and once for a key that is held down."""
        if not self._following:
            self._following = True
            self.call_after_refresh(self._show_detail)

    def _show_detail(self) -> None:
        self._following = False
        if self._settling is not None:
            self._settling.stop()
            self._settling = None
        entry = self.current
        rule = self.rules.get(entry.kind) if entry else None
        cause = entry.finding.cause if entry and entry.finding else ""
        same = self.tally.causes[cause] if cause else 0
        self._detail.show(entry, rule, self._note(), same)

    def _note(self) -> str:
        """Which of the rows is shown."""
        heading = self.findings.heading
        if heading is not None:
            return f"first of {heading.size}"
        if self.findings.grouping:
            return counted(self.findings.row_count, "finding")
        return f"{self.findings.cursor + 1} of {self.findings.row_count}"

    @on(LineTable.Chosen)
    def _chosen(self, event: LineTable.Chosen) -> None:
        event.stop()
        self._show_detail()
        self.opened = True
        self._detail.focus_part()

    @on(FilterBar.Applied)
    def _filtered(self, event: FilterBar.Applied) -> None:
        event.stop()
        self._refresh_frame()
        self.refresh_bindings()

    def action_filter(self, prefix: str = "") -> None:
        """Type a filter."""
        self.opened = False
        self._bar.open(prefix)

    def action_sort(self) -> None:
        """Next order."""
        self.findings.next_order()

    def action_reverse(self) -> None:
        """Reverse the order."""
        self.findings.turn_round()

    def action_group(self) -> None:
        """Show the list as a tree by the next field, after the last one flat again."""
        self.findings.next_grouping()

    def action_same_cause(self) -> None:
        """Filter by the cause of the finding under the cursor."""
        finding = self.current.finding if self.current else None
        if finding and finding.cause:
            self.opened = False
            self.set_filter(f"cause:^{finding.cause}$")
            self.screen.set_focus(self.findings)

    def action_move(self, by: int) -> None:
        """Next or previous finding."""
        self.findings.action_cursor(by)

    def action_step(self, by: int) -> None:
        """Next or previous step of the path."""
        self._show_detail()  # of the row under the cursor, whose path it is
        self._detail.step(by)

    def action_back(self) -> None:
        """Close the detail, else drop the filter."""
        if self.opened:
            self.opened = False
            self.screen.set_focus(self.findings)
        else:
            self._bar.action_drop()

    def on_resize(self, event: events.Resize) -> None:
        """List and detail below each other, or side by side."""
        self.set_class(event.size.width >= BROAD, "-broad")
