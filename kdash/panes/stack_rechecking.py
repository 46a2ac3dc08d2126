"""The part of the Stack pane that checks again by other rules, and stays near the finding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from kdash.backends.stack.facts import CheckOptions, Finding
from kdash.backends.wording import counted
from kdash.panes.stack_checking import Check
from kdash.panes.stack_watching import Watching
from kdash.widgets.stack.entry import Entry


@dataclass(frozen=True, slots=True)
class Before:
    """What was known before a check that is made again."""

    check: Check  # the one that is made
    rule: str  # what is other in it, in words
    findings: int
    at: Finding | None  # under the cursor


class Rechecking(Watching):
    """A check by other rules ends near the finding it was asked for at, and says what it did."""

    _before: Before | None = None

    def noreturn(self, names: Sequence[str]) -> str:
        """Check again; these functions, and those named before, never return."""
        known = tuple(dict.fromkeys((*self.check.options.noreturn, *names)))
        options = replace(self.check.options, noreturn=known)
        return self._check_by(options, f"noreturn: {', '.join(known)}")

    def frame_pointer(self, value: str) -> str:
        """Check again with the frame pointer rules auto, on or off."""
        options = replace(self.check.options, frame_pointer=value)
        return self._check_by(options, f"frame pointer rules: {value}")

    def _check_by(self, options: CheckOptions, rule: str) -> str:
        check = replace(self.check, options=options)
        self._before = None
        if self.is_whole and self.browser_shown:
            current = self.browser.current
            at = current.finding if current else None
            self._before = Before(check, rule, self.browser.tally.findings, at)
        self.start(check)
        return f"checking again; {rule}"

    def end_of_check(self) -> None:
        """Go back to where the user was, and say what the other rules changed."""
        super().end_of_check()
        before, self._before = self._before, None
        if before is None or before.check is not self.check:
            return
        now = self.browser.tally.findings
        told = f"{before.rule}: {counted(now, 'finding')} now, {before.findings} before"
        self.say(f"{told}{self._go_back(before.at)}")

    def _go_back(self, to: Finding | None) -> str:
        """Put the cursor on a finding, or near it where it is gone; what there is to tell."""
        findings = self.browser.findings
        if to is None or findings.cursor:  # the user went elsewhere meanwhile
            return ""
        near = nearest(findings.shown_rows, to)
        if near is None:
            self.browser.close_detail()
            return "; none is left in this file"
        findings.select(lambda row: row is near)
        if near.finding is None or _is_same(near.finding, to):
            return ""
        return f"; the one at {to.place} is gone, the next one is at {near.place}"


def nearest(rows: Iterable[Entry], to: Finding) -> Entry | None:
    """The row of a finding, else the one nearest to it in its function, else in its file."""
    near: tuple[tuple[bool, bool, bool, bool, int], Entry] | None = None
    for row in rows:
        one = row.finding
        if row.report.file != to.file:
            continue
        if one is None:
            return row  # the file can't be read any more
        rank = (
            not _is_same(one, to),
            one.section != to.section,
            one.function != to.function,
            one.address < to.address,
            abs(one.address - to.address),
        )
        if near is None or rank < near[0]:
            near = rank, row
    return near[1] if near else None


def _is_same(one: Finding, other: Finding) -> bool:
    places = [(at.file, at.section, at.address, at.kind) for at in (one, other)]
    return places[0] == places[1]
