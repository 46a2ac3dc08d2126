"""The stack validator beside the real objtool, on Debian's kernel (`python stack_truth.py`).

Downloads the newest signed 6.1 image, objtool, headers and source into a cache, runs both tools
on the same files and prints versions, counts, the agreement and the disagreements.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from stack_packages import MissingError, fetch

import kdash

PARTS = ("modules", "assembly", "mutants", "orc")


def main(arguments: list[str] | None = None) -> None:
    """Run the comparisons that were asked for; all by default."""
    parser = argparse.ArgumentParser(description="Compare the stack validator with objtool.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}")
    parser.add_argument("--most", type=int, default=0, help="modules, or mutants, at most")
    given = parser.parse_args(arguments)
    unknown = [part for part in given.parts if part not in PARTS]
    if unknown:
        parser.error(f"no part '{unknown[0]}'; one of: {', '.join(PARTS)}")
    try:
        packages = fetch()
    except MissingError as error:
        print(f"stack truth: not measured: {error}")
        return
    print(
        f"stack truth: kdash {kdash.__version__} beside objtool of linux-kbuild-6.1"
        f" {packages.version}, linux-image-{packages.release}"
    )
    for part in given.parts or PARTS:
        importlib.import_module(f"stack_{part}").main(packages, given.most)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    main()
