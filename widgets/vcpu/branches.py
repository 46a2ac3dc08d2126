"""Whether a conditional branch is going to be taken, from the flags it tests."""

from __future__ import annotations

from collections.abc import Callable

from kdash.backends.kvm.facts import Registers

CF, PF, ZF, SF, OF = 1 << 0, 1 << 2, 1 << 6, 1 << 7, 1 << 11

# Intel SDM vol. 2A, "Jcc": every second condition is the opposite of the one before it.
_CONDITIONS: tuple[tuple[str, str, Callable[[int], bool]], ...] = (
    ("jo", "jno", lambda f: bool(f & OF)),
    ("jb", "jae", lambda f: bool(f & CF)),
    ("je", "jne", lambda f: bool(f & ZF)),
    ("jbe", "ja", lambda f: bool(f & (CF | ZF))),
    ("js", "jns", lambda f: bool(f & SF)),
    ("jp", "jnp", lambda f: bool(f & PF)),
    ("jl", "jge", lambda f: bool(f & SF) != bool(f & OF)),
    ("jle", "jg", lambda f: bool(f & ZF) or bool(f & SF) != bool(f & OF)),
)
_COUNTERS = {"jcxz": 0xFFFF, "jecxz": 0xFFFF_FFFF, "jrcxz": 0xFFFF_FFFF_FFFF_FFFF}


def taken(mnemonic: str, registers: Registers) -> bool | None:
    """Whether `mnemonic` will branch; None for an instruction that is no conditional jump."""
    for name, opposite, holds in _CONDITIONS:
        if mnemonic in (name, opposite):
            return holds(registers.rflags) == (mnemonic == name)
    if mnemonic in _COUNTERS:
        return registers.rcx & _COUNTERS[mnemonic] == 0
    return None
