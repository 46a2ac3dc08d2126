"""What identifies a finding over rebuilds: its kind, its function and the instructions around it.

Addresses, displacements, immediate values and names of local labels change with every build of
the same source; mnemonics, registers and the order of instructions rarely do.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import Final

from kdash.backends.stack.causes import cause_of
from kdash.backends.stack.facts import Finding

AROUND: Final = 2  # instructions before and behind the site that count

_NUMBER: Final = re.compile(r"\b(?:0x[0-9a-f]+|\d+)\b")
_COMMENT: Final = re.compile(r"  # .*")
_FROM_RIP: Final = re.compile(r"\[rip(?:[+-]N)?\]")  # what a relocation makes an address
_PLACE: Final = re.compile(r"[+-]N\b")
#: What compilers append to the names of copies and parts of a function.
_SUFFIX: Final = re.compile(r"\.(?:isra|constprop|part|cold|lto_priv|llvm)(?:\.\d+)*")


def fingerprint(kind: str, function: str, instructions: Iterable[str]) -> str:
    """16 hexadecimal digits.

    Args:
        kind: of the finding.
        function: its function, or section.
        instructions: the texts around and at the site, in order.
    """
    return cause_of(kind, base_function(function), *map(normalised, instructions))


def base_function(name: str) -> str:
    """The name in the source of a function that the compiler copied or split."""
    return _SUFFIX.sub("", name)


@lru_cache(maxsize=4096)
def normalised(instruction: str) -> str:
    """An instruction without what changes from build to build."""
    text = _FROM_RIP.sub("[N]", _NUMBER.sub("N", _COMMENT.sub("", instruction)))
    mnemonic, _, operands = text.partition(" ")
    if mnemonic.startswith(("j", "call", "loop")):
        operands = _PLACE.sub("", base_function(operands))
    return f"{mnemonic} {operands}".strip()


def numbered(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Findings of one file whose equal fingerprints are told apart by their order."""
    seen: Counter[str] = Counter()
    result = []
    for finding in findings:
        seen[finding.fingerprint] += 1
        times = seen[finding.fingerprint]
        again = finding.fingerprint and times > 1
        result.append(
            replace(finding, fingerprint=f"{finding.fingerprint}-{times}") if again else finding
        )
    return tuple(result)
