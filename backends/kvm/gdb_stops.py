"""What gdb is told when the guest stops or has ended.

Signal numbers are gdb's own (include/gdb/signals.def of GDB 13).
"""

from __future__ import annotations

from typing import Final

from kdash.backends.kvm.facts import Outcome, RunState, Snapshot
from kdash.backends.kvm.gdb_registers import EXPEDITED, hexadecimal, register_bytes

SIGINT: Final = 2
SIGILL: Final = 4
SIGTRAP: Final = 5
SIGABRT: Final = 6
SIGSEGV: Final = 11
SIGTERM: Final = 15

#: The signal that says how a guest ended; any other outcome is SIGABRT.
ENDS: Final = {
    Outcome.HLT: SIGTERM,
    Outcome.EXIT_PORT: SIGTERM,
    Outcome.SYSTEM_EVENT: SIGTERM,
    Outcome.SHUTDOWN: SIGSEGV,
    Outcome.INTERNAL_ERROR: SIGILL,
}


def has_ended(snapshot: Snapshot) -> bool:
    """Whether only a restart goes on."""
    return snapshot.state is RunState.ENDED


def end_signal(snapshot: Snapshot) -> int:
    """The signal for a guest that has ended."""
    return ENDS.get(snapshot.outcome, SIGABRT) if snapshot.outcome else SIGABRT


def stop_reply(snapshot: Snapshot, signal: int, reason: bytes = b"") -> bytes:
    """A T packet: signal, the registers gdb always wants, the VCPU and the reason."""
    registers = b"".join(
        b"%02x:%s;"
        % (number, hexadecimal(register_bytes(number, snapshot.registers, None), number))
        for number in EXPEDITED
    )
    return b"T%02x%sthread:%x;%s" % (signal, registers, snapshot.vcpu + 1, reason)


def exit_reply(snapshot: Snapshot) -> bytes:
    """A W or X packet: the guest has ended and gdb lets go of it."""
    if snapshot.outcome is Outcome.HLT or snapshot.outcome is Outcome.SYSTEM_EVENT:
        return b"W00"
    if snapshot.outcome is Outcome.EXIT_PORT:
        return b"W%02x" % (snapshot.exit_value & 0xFF)
    return b"X%02x" % end_signal(snapshot)
