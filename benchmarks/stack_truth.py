"""The stack validator beside the real objtool, on Debian's kernel (`python stack_truth.py`).

Downloads the newest signed 6.1 image, objtool, headers and source into a cache, runs both tools
on the same files and prints versions, counts, the agreement and the disagreements.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from measurement import Measurement, tell
from stack_packages import fetch

import kdash

PARTS = ("modules", "assembly", "mutants", "orc")


def measure(
    *, full: bool = True, parts: Sequence[str] = PARTS, most: int = 0
) -> Iterator[Measurement]:
    """The comparisons asked for, of so many modules or mutants at most."""
    packages = fetch()
    print(
        f"stack truth: kdash {kdash.__version__} beside objtool of linux-kbuild-6.1"
        f" {packages.version}, linux-image-{packages.release}"
    )
    for part in parts:
        yield from importlib.import_module(f"stack_{part}").measure(packages, most)


def main() -> None:
    """Run the comparisons that were asked for; all by default."""
    parser = argparse.ArgumentParser(description="Compare the stack validator with objtool.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--most", type=int, default=0, help="modules, or mutants, at most")
    given = parser.parse_args()
    unknown = [part for part in given.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part '{unknown[0]}'; one of: {', '.join(PARTS)}")
    tell(measure(parts=given.parts or PARTS, most=given.most))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    main()
