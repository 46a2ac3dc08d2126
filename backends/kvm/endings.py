"""What is said of an exit that ends a run."""

from __future__ import annotations

from kdash.backends.kvm.board import Ending
from kdash.backends.kvm.disassembly import decode, instruction_text
from kdash.backends.kvm.exit_reasons import OUTCOMES
from kdash.backends.kvm.exits import EMULATION, RawExit
from kdash.backends.kvm.facts import Exit, InternalErrorExit, Outcome
from kdash.backends.kvm.records import Record


def ending_of(told: Exit, reason: int, ip: int, *, waits_for_key: bool) -> Ending:
    """The ending by an exit.

    Args:
        told: the exit as the log tells it.
        reason: KVM_EXIT_*.
        ip: of the instruction that caused it.
        waits_for_key: it is the HLT of a boot sector without a key.
    """
    outcome = OUTCOMES.get(reason, Outcome.UNHANDLED_EXIT)
    detail = f"{told.name} at {ip:#x}"
    if waits_for_key:
        detail = f"{detail}: the guest waits for a key"
    if outcome is not Outcome.HLT:
        detail = f"{detail}: {told.meaning.partition(': ')[2] or told.meaning}"
    return Ending(outcome, detail)


def failed_instruction(raw: RawExit, ip: int, record: Record) -> tuple[RawExit, str]:
    """The text of the instruction KVM could not emulate, and its bytes without those behind.

    KVM gives as many bytes as it had fetched, or none; then those at RIP are taken.
    """
    detail = raw.detail
    if not isinstance(detail, InternalErrorExit) or detail.suberror != EMULATION:
        return raw, ""
    code = detail.instruction or record.code
    decoded = decode(code, ip, record.bits)
    if not decoded:
        return raw, ""
    whole = InternalErrorExit(detail.suberror, code[: decoded.len])
    return RawExit(raw.reason, whole), instruction_text(code, ip, record.bits)
