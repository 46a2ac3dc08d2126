"""The figures that README.md tells, put there from results that are kept (`make readme`).

`make bench` writes build/bench.json; copied to benchmarks/results.json it becomes what the README
is made of. With `--check` nothing is written: exit status 1 where the README tells other figures.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from results import read, table

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "benchmarks" / "results.json"
README = ROOT / "README.md"
BEGIN, END = "<!-- measured: made by `make readme` -->", "<!-- end of measured -->"
#: What of all figures a reader wants to know: parts of their subjects.
TOLD = (
    "first screen",
    "VCPU: ",
    "recorded steps, registers alone",
    "recorded steps, pushes",
    "recorded steps shown, pushes",
    "key answered beside a guest",
    "100 times stepi",
    "stack validation of ",
    "named by kdash or objtool alone",
    "the kernel's assembly",
    "modules with an instruction changed",
    "CFA of",
    "browser: key to row",
    "every signal of the generator",
    "extraction in native code",
    "stream health",
)


def measured() -> str:
    """The lines between the marks."""
    results = read(KEPT)
    told = [one for one in results.measurements if any(part in one.subject for part in TOLD)]
    facts = results.machine
    on = f"{facts['processor']}, {facts['cores']} cores, KVM by {facts['KVM']}, {facts['kernel']}"
    return f"On {on}, {results.date}:\n\n{table(told)}"


def renewed(text: str) -> str:
    """A README with the figures of today's results."""
    marks = re.compile(f"(?<={re.escape(BEGIN)}\n).*?(?={re.escape(END)})", re.DOTALL)
    return marks.sub(lambda _: f"\n{measured()}\n", text)


def main() -> int:
    """Write the README, or compare it."""
    before = README.read_text(encoding="utf-8")
    after = renewed(before)
    if "--check" in sys.argv[1:]:
        return int(before != after)
    README.write_text(after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
