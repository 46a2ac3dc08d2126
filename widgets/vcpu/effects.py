"""What an instruction is about to read, and what the last one changed, in a few words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields

from kdash.backends.kvm.facts import MemoryOperand, Registers, Segment
from kdash.widgets.vcpu.flags import RFLAGS

# Intel SDM vol. 1, 3.4.1: the parts of the general registers that have names of their own.
_PARTS: dict[str, tuple[str, int, int]] = {}  # name -> (register, shift, bits)
for _letter in "abcd":
    _PARTS[f"r{_letter}x"] = (f"r{_letter}x", 0, 64)
    _PARTS[f"e{_letter}x"] = (f"r{_letter}x", 0, 32)
    _PARTS[f"{_letter}x"] = (f"r{_letter}x", 0, 16)
    _PARTS[f"{_letter}l"] = (f"r{_letter}x", 0, 8)
    _PARTS[f"{_letter}h"] = (f"r{_letter}x", 8, 8)
for _name in ("si", "di", "bp", "sp"):
    _PARTS[f"r{_name}"] = (f"r{_name}", 0, 64)
    _PARTS[f"e{_name}"] = (f"r{_name}", 0, 32)
    _PARTS[_name] = (f"r{_name}", 0, 16)
    _PARTS[f"{_name}l"] = (f"r{_name}", 0, 8)
for _number in range(8, 16):
    _PARTS[f"r{_number}"] = (f"r{_number}", 0, 64)
    _PARTS[f"r{_number}d"] = (f"r{_number}", 0, 32)
    _PARTS[f"r{_number}w"] = (f"r{_number}", 0, 16)
    _PARTS[f"r{_number}b"] = (f"r{_number}", 0, 8)
    _PARTS[f"r{_number}l"] = (f"r{_number}", 0, 8)
_WORD = re.compile(r"\b[a-z][a-z0-9]*\b")


def register_part(name: str, registers: Registers) -> int | None:
    """Value of a register or a named part of one ("al", "r8d"); None for any other word."""
    part = _PARTS.get(name)
    if part is None:
        return None
    register, shift, bits = part
    return int(getattr(registers, register)) >> shift & ((1 << bits) - 1)


def operands(text: str, registers: Registers, memory: Sequence[MemoryOperand] = ()) -> str:
    """What an instruction names, with what it holds: "dx=3f8 al=34", "[8000]=1234 bx=8000"."""
    mnemonic, _, rest = text.partition(" ")
    # What a mov, lea or pop writes first says nothing about what it is going to do.
    if mnemonic in ("mov", "movzx", "movsx", "movsxd", "lea", "pop") and not rest.startswith("["):
        rest = rest.partition(",")[2] if "," in rest else ""
    found: dict[str, int] = {}
    for name in _WORD.findall(rest):
        value = register_part(name, registers)
        if value is not None:
            found.setdefault(name, value)
    shown = [_memory(one) for one in memory]
    return " ".join([*shown, *(f"{name}={value:x}" for name, value in found.items())])


def _memory(operand: MemoryOperand) -> str:
    if operand.value is None:
        return f"[{operand.linear:x}] not mapped"
    return f"[{operand.linear:x}]={operand.value:0{2 * operand.size}x}"


def effects(before: Registers, after: Registers) -> str:
    """What differs between two stops, RIP aside: "rax 2→4 +pf"."""
    parts: list[str] = []
    for field in fields(Registers):
        old, new = getattr(before, field.name), getattr(after, field.name)
        if old == new or field.name in ("rip", "rflags"):
            continue
        if isinstance(new, Segment):
            parts.append(f"{field.name} {old.selector:x}→{new.selector:x}")
        else:
            parts.append(f"{field.name} {old:x}→{new:x}")
    for bit, name in RFLAGS:
        if (before.rflags ^ after.rflags) >> bit & 1:
            parts.append(f"{'+' if after.rflags >> bit & 1 else '-'}{name}")
    return " ".join(parts)
