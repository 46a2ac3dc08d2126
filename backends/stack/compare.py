"""Two runs compared: what is new, what was fixed, what only moved; standard library only.

Findings of both are matched by fingerprint (see `fingerprints`), each with one at most: first at
the same place, then in a file of the same name, and once all files are known, anywhere.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Final

from kdash.backends.stack.causes import cause_of
from kdash.backends.stack.facts import FileReport, Finding
from kdash.backends.stack.fingerprints import base_function

#: What names of the same object may end in.
_COMPRESSED: Final = (".gz", ".xz", ".zst")


class Comparison:
    """Reports of a run, seen against an older one.

    Args:
        older: the findings of the older run.
    """

    def __init__(self, older: Iterable[Finding]) -> None:
        #: Not matched yet: by key, and by the name of the object.
        self._left: dict[str, dict[str, list[Finding]]] = {}
        for finding in older:
            names = self._left.setdefault(_key(finding), {})
            names.setdefault(object_name(finding.file), []).append(finding)

    def classified(self, report: FileReport) -> FileReport:
        """A report whose findings say what they are to the older run, as far as is known yet."""
        matched: dict[int, Finding] = {}
        for exactly in (True, False):
            for at, finding in enumerate(report.findings):
                if at not in matched and (old := self._in_file(finding, exactly)):
                    matched[at] = old
        findings = (
            self._changed(finding, matched.get(at)) for at, finding in enumerate(report.findings)
        )
        return replace(report, findings=tuple(findings))

    def settled(self, finding: Finding) -> Finding:
        """A finding once all are classified: what is new may have come from another file."""
        if finding.change != "new":
            return finding
        return self._changed(finding, self._anywhere(finding))

    def settled_report(self, report: FileReport) -> FileReport:
        """The same for all findings of a report."""
        findings = tuple(map(self.settled, report.findings))
        return report if findings == report.findings else replace(report, findings=findings)

    def fixed(self, looked_at: set[str] | None = None) -> list[FileReport]:
        """What the older run has and this one does not, by file.

        Args:
            looked_at: names of the files that this run looked at (see `object_name`); None where
                it looked at all there are.
        """
        by_file: dict[str, list[Finding]] = {}
        for names in self._left.values():
            for name, findings in names.items():
                for one in findings if looked_at is None or name in looked_at else ():
                    by_file.setdefault(one.file, []).append(replace(one, change="fixed"))
        return [
            FileReport(file, tuple(sorted(found, key=lambda one: (one.section, one.address))))
            for file, found in sorted(by_file.items())
        ]

    def _changed(self, finding: Finding, old: Finding | None) -> Finding:
        if old is None:
            return replace(finding, change="new")
        if self._same_place(old, finding):
            return replace(finding, change="same")
        return replace(finding, change="moved", was=f"{old.file}: {old.place}")

    def _same_place(self, old: Finding, new: Finding) -> bool:
        if object_name(old.file) != object_name(new.file):
            return False
        if not (old.placed and new.placed):
            return (old.function or old.section) == (new.function or new.section)
        return (old.function, old.offset) == (new.function, new.offset)

    def _in_file(self, finding: Finding, exactly: bool) -> Finding | None:
        """Take what matches in a file of the same name, at the same place if asked for."""
        left = self._left.get(_key(finding), {}).get(object_name(finding.file), [])
        if exactly:
            return _nearest(left, finding, [self._same_place(old, finding) for old in left])
        return _nearest(left, finding, [True] * len(left))

    def _anywhere(self, finding: Finding) -> Finding | None:
        """Take what matches in any file."""
        for left in self._left.get(_key(finding), {}).values():
            if left:
                return left.pop(0)
        return None


def _nearest(left: list[Finding], finding: Finding, fitting: list[bool]) -> Finding | None:
    """Take, of what fits, that from the file whose path ends most alike."""
    places = [at for at, fits in enumerate(fitting) if fits]
    if not places:
        return None
    return left.pop(max(places, key=lambda at: _alike(left[at].file, finding.file)))


def changes(reports: Iterable[FileReport]) -> Counter[str]:
    """How many findings are of each change."""
    return Counter(finding.change for report in reports for finding in report.findings)


def looked_at(reports: Iterable[FileReport]) -> set[str]:
    """The names of the objects that a run looked at and could read."""
    return {object_name(report.file) for report in reports if not report.error}


@lru_cache(maxsize=1 << 12)
def object_name(path: str) -> str:
    """The name by which an object is known in both runs: without folder and compression."""
    name = os.path.basename(path)
    for suffix in _COMPRESSED:
        name = name.removesuffix(suffix)
    return name


def _key(finding: Finding) -> str:
    where = base_function(finding.function or finding.section)
    return finding.fingerprint or cause_of(finding.kind, where, finding.message)


def _alike(one: str, other: str) -> int:
    """How many of the last parts of two paths are equal."""
    equal = 0
    pairs = zip(reversed(one.split(os.sep)), reversed(other.split(os.sep)), strict=False)
    for first, second in pairs:
        if first != second:
            break
        equal += 1
    return equal
