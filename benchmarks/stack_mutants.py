"""Real modules with one instruction changed: what objtool then flags, kdash must find there."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from measurement import Aim, Measurement
from stack_notes import with_reachable_notes
from stack_packages import Packages
from stack_peer import Said, peer_says, said, same_end

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import CheckOptions
from kdash.backends.stack.image import ObjectImage
from kdash.backends.stack.program import Program

AIM = 0.99
MUTANTS = 2000
LARGEST = 400_000  # bytes of a module: many small ones tell more than a few large ones
SEED = 61
_NOPS = {
    1: "90", 2: "6690", 3: "0f1f00", 4: "0f1f4000", 5: "0f1f440000", 6: "660f1f440000",
    7: "0f1f8000000000", 8: "0f1f840000000000",
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: where in the file, and what stands there then."""

    offset: int
    code: bytes
    what: str


def candidates(data: bytes) -> list[Mutant]:
    """All changes of pushes, pops, returns, calls and jumps in functions."""
    program = Program(ObjectImage(data))
    code = program.code
    inside = program.functions.containing(code.start) >= 0
    found = []
    for index in np.flatnonzero(inside & (code.length <= 8)).tolist():
        raw = code.raw(index)
        section = code.section_at(int(code.start[index]))
        offset = section.section.offset + int(code.start[index]) - section.base
        relocated = int(program.relocations.by_instruction[index]) >= 0
        found += [Mutant(offset, new, what) for what, new in changes(raw, relocated)]
    return found


def changes(raw: bytes, relocated: bool) -> list[tuple[str, bytes]]:
    """What one instruction can be changed into, by a name."""
    nop = bytes.fromhex(_NOPS[len(raw)])
    opcode = raw[-1] if len(raw) <= 2 and raw[0] & 0xF0 == 0x40 else raw[0]
    if len(raw) <= 2 and 0x50 <= opcode <= 0x57:
        return [("push removed", nop), ("push to pop", raw[:-1] + bytes([raw[-1] + 8]))]
    if len(raw) <= 2 and 0x58 <= opcode <= 0x5F:
        return [("pop removed", nop), ("pop to push", raw[:-1] + bytes([raw[-1] - 8]))]
    if raw == b"\xc3":
        return [("return removed", nop)]
    if raw[0] == 0xE8 and relocated:
        return [("call to jump", b"\xe9" + raw[1:])]
    if raw[0] == 0xE9 and relocated:
        return [("jump to call", b"\xe8" + raw[1:])]
    if raw[0] in (0xE9, 0xEB):
        return [("jump removed", nop)]
    if 0x70 <= raw[0] <= 0x7F:
        return [("branch to jump", b"\xeb" + raw[1:]), ("branch removed", nop)]
    return []


@dataclass
class Score:
    """Of the functions that objtool newly flags, those that kdash finds, too."""

    mutants: int = 0
    flagged: int = 0
    found: int = 0
    missed: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    alone: Counter[str] = field(default_factory=Counter)


class Module:
    """A module that mutants are made of, and what both tools say of it unchanged."""

    def __init__(self, path: Path, objtool: Path, folder: Path) -> None:
        self.name = path.name
        self.data = path.read_bytes()
        self._objtool = objtool
        self._mutant, self._copy = folder / "mutant.ko", folder / "copy.ko"
        self._checker = Checker(CheckOptions())
        self.before = self._judge(self.data)

    def _judge(self, data: bytes) -> tuple[set[Said], set[Said]]:
        self._mutant.write_bytes(data)
        peer = peer_says(self._objtool, with_reachable_notes(data), self._copy, "--orc")
        report = self._checker.check(str(self._mutant))
        return peer, {said(finding) for finding in report.findings}

    def try_one(self, mutant: Mutant, score: Score) -> None:
        """Change one instruction, and count who notices."""
        data = bytearray(self.data)
        data[mutant.offset : mutant.offset + len(mutant.code)] = mutant.code
        peer, ours = self._judge(bytes(data))
        peer, ours = peer - self.before[0], ours - self.before[1]
        score.mutants += 1
        noticed = {one.where for one in ours}
        for one in sorted(peer, key=lambda one: (one.where, one.kind)):
            score.flagged += 1
            score.kinds[one.kind] += 1
            if one.where in noticed or any(same_end(one, other) for other in ours):
                score.found += 1
            else:
                there = ", ".join(sorted(f"{o.where}: {o.kind}" for o in ours)) or "nothing"
                score.missed[
                    f"{mutant.what}: {self.name}+{mutant.offset:#x} {one.where}: {one.kind};"
                    f" kdash: {there}"
                ] += 1
        if ours and not peer:
            score.alone[mutant.what + ": " + ", ".join(sorted({o.kind for o in ours}))] += 1


def measure(packages: Packages, most: int = 0) -> Iterator[Measurement]:
    """The share that is found; what is missed is printed."""
    chance = random.Random(SEED)
    small = [path for path in packages.modules if path.stat().st_size <= LARGEST]
    score = Score()
    wanted = most or MUTANTS
    with tempfile.TemporaryDirectory() as folder:
        while score.mutants < wanted:
            module = Module(chance.choice(small), packages.objtool, Path(folder))
            if any(module.before):
                continue
            kinds: dict[str, list[Mutant]] = {}
            for mutant in candidates(module.data):
                kinds.setdefault(mutant.what, []).append(mutant)
            for mutants in kinds.values():
                for mutant in chance.sample(mutants, min(2, len(mutants))):
                    module.try_one(mutant, score)
    rate = score.found / score.flagged if score.flagged else 1.0
    print(
        f"mutants: {score.mutants}; objtool newly flags {score.flagged} functions, kdash"
        f" {score.found} of them"
    )
    yield Measurement(
        f"{score.mutants:,} modules with an instruction changed: objtool's new findings found",
        (100 * rate,), "%", aim=Aim(100 * AIM, least=True),
    )  # fmt: skip
    print("  by kind: " + ", ".join(f"{kind} {n}" for kind, n in score.kinds.most_common()))
    for text, counts in (("missed", score.missed), ("kdash alone", score.alone)):
        for place, count in counts.most_common(25):
            print(f"  {text}: {place}{f' ({count})' if count > 1 else ''}")
