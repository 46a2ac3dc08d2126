"""The line above the findings: how far the check is, totals, counts of each kind."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from kdash.backends.wording import counted
from kdash.widgets.printable import printable
from kdash.widgets.stack.tally import Tally


class Summary(Static):
    """One line of totals and one of kinds, the most frequent first."""

    DEFAULT_CSS = """
    Summary { height: auto; max-height: 2; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def show(self, tally: Tally, progress: str, shown: int, settled: int = 0) -> None:
        """Show new numbers.

        Args:
            tally: Counts so far.
            progress: "checking 3/12" while the check goes on, else empty.
            shown: Rows that pass the filter.
            settled: Rows that the user accepts as they are.
        """
        rows = tally.rows
        parts = [Content.styled(progress, "bold $text-accent")] if progress else []
        if rows:
            style = "bold $text-error" if tally.errors else "bold $text-warning"
            parts.append(Content.styled(tally.outcome(), style))
        if settled:
            parts.append(Content.styled(f"{settled} settled", "$text-success"))
        if shown != rows:
            parts.append(Content.styled(f"filter shows {shown} of {rows}", "$text-accent"))
        if tally.files:
            size = f"{counted(tally.files, 'file')}, {counted(tally.functions, 'function')}"
            parts.append(Content.styled(size, "$text-muted"))
        lines = [Content("  ").join(parts)]
        if tally.kinds:
            kinds = "  ".join(f"{kind} {n}" for kind, n in tally.kinds.most_common())
            lines.append(Content.styled(printable(kinds), "$text-muted"))
        self.update(Content("\n").join(lines))
