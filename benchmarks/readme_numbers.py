"""The figures that README.md and docs/figures.md tell, of results that are kept (`make readme`).

`make bench` writes build/bench.json; copied to benchmarks/results.json it becomes what they are
made of. With `--check` nothing is written: exit status 1 where one of them tells other figures.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from results import read, table

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "benchmarks" / "results.json"
BEGIN, END = "<!-- measured: made by `make readme` -->", "<!-- end of measured -->"
#: What each document tells of all figures: parts of their subjects; "" is part of every one.
TOLD = {
    ROOT / "README.md": (
        "first screen",
        "VCPU: steps with registers",
        "VCPU: exits at full speed, OUT",
        "recorded steps, registers alone",
        "browser: key to row",
        "processor time",
        "named by kdash or objtool alone",
        "every signal of the generator",
    ),
    ROOT / "docs" / "figures.md": ("",),
}


def measured(parts: tuple[str, ...]) -> str:
    """The lines between the marks."""
    results = read(KEPT)
    told = [one for one in results.measurements if any(part in one.subject for part in parts)]
    facts = results.machine
    on = f"{facts['processor']}, {facts['cores']} cores, KVM by {facts['KVM']}, {facts['kernel']}"
    return f"On {on}, {results.date}:\n\n{table(told)}"


def renewed(text: str, parts: tuple[str, ...]) -> str:
    """A document with the figures of today's results."""
    marks = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)
    return marks.sub(lambda _: f"\n{measured(parts)}\n", text)


def main() -> int:
    """Write the documents, or compare them."""
    check, changed = "--check" in sys.argv[1:], False
    for document, parts in TOLD.items():
        before = document.read_text(encoding="utf-8")
        after = renewed(before, parts)
        changed |= before != after
        if not check:
            document.write_text(after, encoding="utf-8")
    return int(check and changed)


if __name__ == "__main__":
    sys.exit(main())
