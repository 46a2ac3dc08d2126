"""A listing of instructions that stands still while the guest steps through it."""

from __future__ import annotations

from collections.abc import Sequence

from kdash.backends.kvm.facts import Instruction

LIMIT = 400  # instructions; a longer listing starts anew


def merged(old: Sequence[Instruction], new: Sequence[Instruction]) -> tuple[Instruction, ...]:
    """The listing to show next: `old`, extended where `new` goes on from it.

    Only the instructions from the current one on are certain: what a disassembler makes of the
    bytes before CS:IP is a guess. So `old` is kept as long as it agrees with those.
    """
    start = next((i for i, row in enumerate(new) if row.current), 0)
    ahead = new[start:]
    known = {row.ip: place for place, row in enumerate(old)}
    if not ahead or not old or len(old) > LIMIT:
        return tuple(new)
    if ahead[0].ip not in known and _end(old[-1]) != ahead[0].ip:
        return tuple(new)
    if any(row.ip in known and old[known[row.ip]].code != row.code for row in ahead):
        return tuple(new)
    if any(row.ip not in known and row.ip < _end(old[-1]) for row in ahead):
        return tuple(new)
    # What is known of an instruction besides its bytes, such as its source line, may be new.
    fresh = {row.ip: row for row in new}
    same = (fresh.get(row.ip, row) for row in old)
    kept = (now if now.code == was.code else was for was, now in zip(old, same, strict=True))
    return (*kept, *(row for row in ahead if row.ip not in known))


def _end(row: Instruction) -> int:
    return row.ip + len(row.code)
