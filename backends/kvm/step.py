"""One logical step: one whole instruction of the guest, REP included, on every host.

Hosts answer KVM_RUN differently while single-stepping: where RIP is at an OUT, whether a
DEBUG exit follows an access, whether HLT shows as an exit, how often a REP instruction
returns. A step begins with what was decoded before it and ends when RIP left the
instruction and no access of it is pending.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from kdash.backends.kvm.exit_reasons import ACCESSES
from kdash.backends.kvm.exits import RawExit
from kdash.backends.kvm.facts import ExitReason


class Kind(Enum):
    """What the instruction is, as far as a step depends on it."""

    PLAIN = auto()
    HLT = auto()
    REP = auto()  # a string instruction with REP, REPE or REPNE
    UNKNOWN = auto()  # no bytes at CS:IP


@dataclass(frozen=True, slots=True)
class Start:
    """The instruction about to be stepped."""

    rip: int
    kind: Kind
    length: int = 0  # bytes, of HLT only
    bits: int = 64  # default code size; RIP wraps at 16 and 32


class StepEnd(Enum):
    """How stepping an instruction ended."""

    COMPLETE = auto()  # executed as a whole
    HALTED = auto()  # executed, and it was HLT
    KICKED = auto()  # interrupted; stepping again goes on with the same instruction
    EXIT = auto()  # an exit that is no access: the caller's to judge


class Vcpu(Protocol):
    """What a step needs of a VCPU; single-stepping is on."""

    def look(self) -> Start:
        """Decode at CS:IP, without executing."""
        ...

    def enter(self, complete_only: bool) -> bool:
        """KVM_RUN, with immediate_exit when `complete_only`; False: EINTR."""
        ...

    def exit(self) -> RawExit:
        """The exit with which `enter` returned True."""
        ...

    @property
    def rip(self) -> int:
        """RIP when KVM_RUN last returned."""
        ...


Service = Callable[[RawExit], None]


def step(vcpu: Vcpu, service: Service) -> tuple[StepEnd, RawExit | None]:
    """Step one instruction.

    Args:
        vcpu: the VCPU, between two instructions.
        service: takes each IO and MMIO exit, and answers reads.

    Returns:
        How it ended, and with EXIT the exit.
    """
    start = vcpu.look()
    if not vcpu.enter(False):
        return StepEnd.KICKED, None
    return finish(vcpu, start, service)


def finish(vcpu: Vcpu, start: Start, service: Service) -> tuple[StepEnd, RawExit | None]:
    """Finish the step that `start` began and whose first KVM_RUN has returned an exit."""
    returned = True
    completing = False
    while True:
        if not returned:
            if not completing:
                return StepEnd.KICKED, None
        else:
            raw = vcpu.exit()
            if raw.reason in ACCESSES:
                service(raw)
                completing = True
                returned = vcpu.enter(True)
                continue
            if raw.reason != ExitReason.DEBUG:
                return StepEnd.EXIT, raw
        if start.kind is not Kind.REP or vcpu.rip != start.rip:
            return _ended(vcpu, start), None
        # Part of a REP instruction is done; with the count at 0 one more entry moves on.
        completing = False
        returned = vcpu.enter(False)


def _ended(vcpu: Vcpu, start: Start) -> StepEnd:
    """HLT was executed when RIP is right behind it; an exception would have led elsewhere."""
    if start.kind is Kind.HLT and vcpu.rip == (start.rip + start.length) & ((1 << start.bits) - 1):
        return StepEnd.HALTED
    return StepEnd.COMPLETE
