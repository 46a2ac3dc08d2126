"""The real objtool on a copy of an object, and what it says in kdash's words."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from kdash.backends.stack.build_log import read_log
from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import Finding

#: objtool has one message for all code that nothing reaches, and tells it once a file.
UNREACHED = frozenset(("unreachable", "missing-noreturn", "return-outside", "not-callable"))


@dataclass(frozen=True)
class Said:
    """One finding, by what both tools can be compared by."""

    where: str  # function, else section
    kind: str
    section: str = field(default="", compare=False)


def peer_says(objtool: Path, data: bytes, copy: Path, *actions: str) -> set[Said]:
    """What objtool says of an object.

    Args:
        objtool: the program.
        data: the object; objtool opens it for writing, so it gets a copy.
        copy: where that is put.
        actions: `--orc`, `--stackval` and so on.
    """
    copy.write_bytes(data)
    done = subprocess.run(
        [str(objtool), *actions, "--dry-run", str(copy)],
        capture_output=True, text=True, errors="replace", check=False, timeout=120,
    )  # fmt: skip
    return {
        Said(w.function or w.section, w.meaning.kind)
        for w in read_log((done.stdout + done.stderr).splitlines())
        if "skipping" not in w.message
    }


def we_say(checker: Checker, path: Path) -> set[Said]:
    """What the validator says of an object, in the same form."""
    report = checker.check(str(path))
    if report.error:
        return {Said(report.error, "error")}
    return {said(finding) for finding in report.findings}


def said(finding: Finding) -> Said:
    """A finding in the form that is compared."""
    return Said(finding.function or finding.section, finding.kind, finding.section)


def same(one: Said, other: Said) -> bool:
    """Whether two tools say the same of a place."""
    if one.kind in UNREACHED and other.kind in UNREACHED:
        # A return outside is in no function; objtool names the symbol in front.
        return True
    return one == other or same_end(one, other)


def same_end(peer: Said, ours: Said) -> bool:
    """Whether both tell of the end of one section; objtool names no function there."""
    return peer.kind == ours.kind == "end-of-section" and peer.where == ours.section


def silent_for_a_reason(ours: Said, peer: Iterable[Said]) -> bool:
    """Whether objtool could not say it: it tells unreached code once, and only alone."""
    return ours.kind in UNREACHED and any(True for _ in peer)
