"""Registers: their names and widths, and KVM's structures turned into facts."""

from __future__ import annotations

from typing import Any, Final

from kdash.backends.kvm.facts import Registers, Segment
from kdash.backends.kvm.records import REGISTER_NAMES

ENCODED_SEGMENTS: Final = ("es", "cs", "ss", "ds", "fs", "gs")  # as instructions number them
SEGMENTS: Final = ("cs", "ds", "es", "fs", "gs", "ss")
CONTROLS: Final = ("cr0", "cr2", "cr3", "cr4", "cr8", "efer")

#: Every field of `Registers`.
NAMES: Final = (*REGISTER_NAMES, *SEGMENTS, *CONTROLS)
#: The hidden parts that can be set by themselves.
BASES: Final = tuple(f"{name}_base" for name in SEGMENTS)


def check_register(name: str, value: int) -> None:
    """Refuse a register that does not exist or a value that does not fit.

    Raises:
        ValueError: saying what would be right.
    """
    if name not in NAMES and name not in BASES:
        known = ", ".join((*NAMES, *BASES))
        raise ValueError(f"no register {name!r}; known are {known}")
    bits = 16 if name in SEGMENTS else 64
    if not 0 <= value < 1 << bits:
        raise ValueError(f"{name}: {value:#x} does not fit {bits} bits")


def read_registers(words: Any, sregs: Any) -> Registers:
    """Facts from the words of a `struct kvm_regs` and a `struct kvm_sregs`."""
    values: dict[str, Any] = dict(zip(REGISTER_NAMES, words, strict=True))
    values.update((name, read_segment(getattr(sregs, name))) for name in SEGMENTS)
    values.update((name, getattr(sregs, name)) for name in CONTROLS)
    return Registers(**values)


def read_segment(native: Any) -> Segment:
    """Facts from a `struct kvm_segment`."""
    return Segment(
        selector=native.selector,
        base=native.base,
        limit=native.limit,
        type=native.type,
        present=native.present,
        dpl=native.dpl,
        db=native.db,
        s=native.s,
        l=native.l,
        g=native.g,
    )


def changed(before: Registers, after: Registers) -> frozenset[str]:
    """Names of the registers whose value differs."""
    return frozenset(name for name in NAMES if getattr(before, name) != getattr(after, name))
