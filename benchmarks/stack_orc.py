"""The unwind tables that modules are shipped with, as an independent oracle of every state.

Layout of `.orc_unwind`, struct orc_entry of arch/x86/include/asm/orc_types.h (6.1): offsets of
the stack and frame pointer's values, 16 bits each, then 16 bits of fields: 4 for the register of
the CFA, 4 for that of rbp, 2 for the type, 1 for the end of the stack. `.orc_unwind_ip` holds the
address that each entry begins at.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from measurement import Aim, Measurement
from stack_packages import Packages

from kdash.backends.stack.branches import resolve
from kdash.backends.stack.facts import CheckOptions
from kdash.backends.stack.image import Ints, ObjectImage
from kdash.backends.stack.listing import state_before
from kdash.backends.stack.program import Program
from kdash.backends.stack.state import (
    CFA,
    INDIRECT_RBP,
    INDIRECT_RSP,
    RBP,
    REGISTERS,
    RSP,
    SLOT,
    State,
    describe,
)
from kdash.backends.stack.validation import Validator
from kdash.backends.stack.walk import Walk

AIM = 0.999
PROCESSES = 2
_BASES = {2: 2, 3: 7, 4: RBP, 5: RSP, 6: 10, 7: 13, 8: INDIRECT_RBP, 9: INDIRECT_RSP}
_CALL = 0  # ORC_TYPE_CALL
_OF_CFA, _OF_RBP = 1, 4  # what the saved rbp is told relative to


@dataclass
class Score:
    """Addresses that both know, and how many agree."""

    known: int = 0
    equal: int = 0
    frame_pointers: int = 0  # addresses where the place of rbp agrees, too
    differences: Counter[str] = field(default_factory=Counter)

    def add(self, other: Score) -> None:
        """Put two together."""
        self.known += other.known
        self.equal += other.equal
        self.frame_pointers += other.frame_pointers
        self.differences += other.differences


def entries(image: ObjectImage, program: Program) -> tuple[Ints, Ints, Ints, Ints]:
    """Positions that entries begin at, ascending, with both offsets and the fields."""
    (table,) = image.sections_named(".orc_unwind")
    (addresses,) = image.sections_named(".orc_unwind_ip")
    position = resolve(image, program.code, image.relocations(addresses))
    raw = np.frombuffer(image.content(table), "<i2").reshape(-1, 3).astype(np.int64)
    order = np.argsort(position, kind="stable")
    return position[order], raw[order, 0], raw[order, 1], raw[order, 2] & 0xFFFF


def compare(path: Path) -> Score:
    """Compare the states of one module with its table."""
    image = ObjectImage(path.read_bytes())
    score = Score()
    if not image.sections_named(".orc_unwind"):
        return score
    program = Program(image)
    walk = Validator(CheckOptions()).walk(program, False)
    position, cfa_offset, rbp_offset, fields = entries(image, program)
    code = program.code
    at = np.searchsorted(position, code.start, "right") - 1
    inside = (at >= 0) & (program.functions.containing(code.start) >= 0)
    told = inside & ((fields[at] & 15) != 0) & ((fields[at] >> 8 & 3) == _CALL)
    states = walk.transitions.table.states
    last: dict[tuple[int, int, int, int], tuple[bool, bool, str]] = {}
    for index in np.flatnonzero(told).tolist():
        number = state_before(walk, index)
        if number < 0 or states[number].unknown:
            continue
        entry = int(at[index])
        key = (number, int(cfa_offset[entry]), int(rbp_offset[entry]), int(fields[entry]))
        verdict = last.get(key)
        if verdict is None:
            verdict = last[key] = judge(states[number], *key[1:])
        score.known += 1
        score.equal += verdict[0]
        score.frame_pointers += verdict[1]
        if not verdict[0]:
            score.differences[f"{path.name} {place(walk, index)}: {verdict[2]}"] += 1
    return score


def judge(state: State, cfa_offset: int, rbp_offset: int, fields: int) -> tuple[bool, bool, str]:
    """Whether the CFA agrees, and the place of rbp; both in words."""
    base = _BASES.get(fields & 15, -1)
    equal = (state.base, state.offset) == (base, cfa_offset)
    saved = state.saved[SLOT[RBP]]
    relative = {_OF_CFA: CFA, _OF_RBP: RBP}.get(fields >> 4 & 15)
    same_place = saved == (None if relative is None else (relative, rbp_offset))
    name = REGISTERS[base] if 0 <= base < len(REGISTERS) else f"base {fields & 15}"
    return equal, same_place, f"kdash {describe(state)}; table {name}{cfa_offset:+d}"


def place(walk: Walk, index: int) -> str:
    """The function of an instruction."""
    functions = walk.program.functions
    holder = functions.containing(walk.program.code.start[index : index + 1])
    return functions.name(int(holder[0]))


def scored(paths: list[Path]) -> Score:
    """All of a list of modules."""
    total = Score()
    for path in paths:
        total.add(compare(path))
    return total


def measure(packages: Packages, most: int = 0) -> Iterator[Measurement]:
    """The share of addresses that agree; where they do not is printed."""
    modules = packages.modules[: most or None]
    count = PROCESSES * 8
    total = Score()
    with ProcessPoolExecutor(PROCESSES) as pool:
        for score in pool.map(scored, [modules[at::count] for at in range(count)]):
            total.add(score)
    rate = total.equal / total.known if total.known else 1.0
    places = total.frame_pointers / total.known if total.known else 1.0
    print(f"unwind tables: the place of rbp agrees on {100 * places:.4f} %")
    yield Measurement(
        f"CFA of {total.known:,} instructions of {len(modules):,} modules as their unwind tables",
        (100 * rate,), "%", aim=Aim(100 * AIM, least=True),
    )  # fmt: skip
    for text, number in total.differences.most_common(20):
        print(f"  {text} ({number})")
