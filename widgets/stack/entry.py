"""The rows of the findings list: one a finding, and one a file that could not be read."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import PurePath
from typing import Any, NamedTuple

from kdash.backends.stack.facts import OWN, FileReport, Finding, Level, Verdict
from kdash.widgets.outline import Grouping

UNREADABLE = "unreadable"  # stands where the kind of a finding stands
LETTERS = {Level.ERROR: "E", Level.WARNING: "W"}


class Entry(NamedTuple):
    """One row: a finding of a report, or the report itself when the file can't be read."""

    report: FileReport
    finding: Finding | None = None
    verdict: Verdict | None = None  # of the user, on the finding
    expired: bool = False  # the verdict counts no more

    @property
    def settled(self) -> bool:
        """Whether the user accepts the finding as it is."""
        return self.verdict is not None and self.verdict.settled and not self.expired

    @property
    def kind(self) -> str:
        """The rule's name, or "unreadable"."""
        return self.finding.kind if self.finding else UNREADABLE

    @property
    def letter(self) -> str:
        """One letter for the level: E, W, or ! for a file that can't be read."""
        return LETTERS[self.finding.level] if self.finding else "!"

    @property
    def place(self) -> str:
        """Where it is: "x_probe+0x1d", outside functions ".text+0x4d"."""
        return self.finding.place if self.finding else ""

    @property
    def ours(self) -> str:
        """What the validator says where others found this: "same", "nothing", or what instead."""
        finding = self.finding
        if finding is None or not is_imported(finding):
            return ""
        if finding.agrees is None:
            return "not known"
        if not finding.ours:
            return "same" if finding.agrees else "nothing"
        nearest = finding.ours[0]
        if not finding.agrees:
            return f"{nearest.kind}+{nearest.offset:#x}"
        there = nearest.offset == finding.offset
        return "same" if there else f"same, at +{nearest.offset:#x}"

    @property
    def message(self) -> str:
        """One line that says what is wrong."""
        return self.finding.message if self.finding else self.report.error

    @property
    def base_name(self) -> str:
        """The file's name without its folder."""
        return PurePath(self.report.file).name


def is_imported(finding: Finding) -> bool:
    """Whether it is of others, or of an earlier run, and ours stands beside it."""
    return finding.origin != OWN or finding.agrees is not None or bool(finding.verdict)


Verdicts = Mapping[str, Verdict]  # by fingerprint


def entries(
    report: FileReport, verdicts: Verdicts | None = None, today: date = date.max
) -> tuple[Entry, ...]:
    """The rows of one report; none when the file is clean.

    Args:
        report: On one file.
        verdicts: What the user decided.
        today: On which a verdict counts or does not.
    """
    if report.error:
        return (Entry(report),)
    rows = (Entry(report, finding) for finding in report.findings)
    return tuple(judged(row, verdicts, today) for row in rows) if verdicts else tuple(rows)


def judged(entry: Entry, verdicts: Verdicts, today: date) -> Entry:
    """A row with the verdict there is on its finding."""
    verdict = verdicts.get(entry.finding.fingerprint) if entry.finding else None
    if verdict is entry.verdict:
        return entry
    expired = verdict is not None and not verdict.in_force(today)
    return Entry(entry.report, entry.finding, verdict, expired)


def verdict_words(entry: Entry) -> str:
    """The verdict as filters know it: its word, and whether it settles the finding (`ok`)."""
    if entry.finding is None:
        return ""
    if entry.verdict is None:
        return "open"
    if entry.expired:
        return f"open expired {entry.verdict.word}"
    return f"{entry.verdict.word} ok" if entry.settled else entry.verdict.word


def fields(entry: Entry) -> Mapping[str, str]:
    """What filters search in an entry, by field name."""
    finding = entry.finding
    source = finding.source if finding else None
    return {
        "level": finding.level.value if finding else UNREADABLE,
        "file": entry.report.file,
        "function": finding.function if finding else "",
        "kind": entry.kind,
        "message": entry.message,
        "section": finding.section if finding else "",
        "callee": finding.callee if finding else "",
        "source": f"{source.file}:{source.line}" if source else "",
        "cause": finding.cause if finding else "",
        "origin": finding.origin if finding else "",
        "agrees": _agreement(finding),
        "ours": entry.ours,
        "change": finding.change if finding else "",
        "verdict": verdict_words(entry),
        "note": entry.verdict.note if entry.verdict else "",
    }


def _agreement(finding: Finding | None) -> str:
    if finding is None or finding.agrees is None:
        return ""
    return "yes" if finding.agrees else "no"


def _file_order(entry: Entry) -> Any:
    return entry.report.file


def _function_order(entry: Entry) -> Any:
    return entry.finding.function if entry.finding else ""


def _rule_order(entry: Entry) -> Any:
    return entry.kind


ORDERS: Mapping[str, Callable[[Entry], Any] | None] = {
    "found": None,
    "file": _file_order,
    "function": _function_order,
    "rule": _rule_order,
    "verdict": verdict_words,
}


def _cause_key(entry: Entry) -> str:
    return (entry.finding.cause if entry.finding else "") or entry.message


#: Kinds that a call taken for one that returns, or not, leads to.
BEHIND_CALLS = ("unreachable", "fallthrough", "end-of-section", "missing-noreturn")
CALL = re.compile(r"call ([A-Za-z_.$][\w.$]*)")


def last_called(finding: Finding) -> str:
    """The function that is called at a finding; where code runs on, by its last instruction."""
    if finding.kind not in ("fallthrough", "end-of-section"):
        return finding.callee
    site = next((line.text for line in finding.disassembly if line.site), "")
    called = CALL.fullmatch(site)
    return called[1] if called else ""


def _cause_label(entry: Entry) -> str:
    """A root cause in words, by one of its findings."""
    finding = entry.finding
    if finding is None:
        return entry.message
    callee = last_called(finding)
    if callee and finding.kind in BEHIND_CALLS:
        return f"does {callee}() return?  {finding.kind}"
    return f"{finding.kind} in {finding.function or finding.section}"


def _verdict_key(entry: Entry) -> str:
    return verdict_words(entry).removesuffix(" ok") or UNREADABLE


def _change_key(entry: Entry) -> str:
    return (entry.finding.change if entry.finding else "") or "(no older run)"


def _function_key(entry: Entry) -> str:
    return entry.finding.function or entry.finding.section if entry.finding else UNREADABLE


GROUPINGS: Mapping[str, Grouping[Entry]] = {
    one.name: one
    for one in (
        Grouping("file", _file_order, ends=True),
        Grouping("function", _function_key),
        Grouping("kind", _rule_order, largest_first=True),
        Grouping("cause", _cause_key, _cause_label, largest_first=True),
        Grouping("verdict", _verdict_key),
        Grouping("change", _change_key),
    )
}
