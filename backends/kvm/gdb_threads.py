"""Threads as gdb sees them: the VCPUs, each by its index plus 1."""

from __future__ import annotations

from typing import Final

from kdash.backends.kvm.gdb_arguments import PATIENCE, MalformedError, number
from kdash.backends.kvm.gdb_monitor import vcpu_count, vcpu_line
from kdash.backends.kvm.session import VcpuSession

_OK: Final = b"OK"
_NO_THREAD: Final = b"E03"  # ESRCH


class ThreadCommands:
    """Answers H T and the queries about threads; each method gets a packet's arguments.

    All of them raise MalformedError when those make no sense.
    """

    def __init__(self, session: VcpuSession) -> None:
        self._session = session

    def select(self, thread: bytes) -> None:
        """Let registers, memory and steps be those of a VCPU; all or any is as it was."""
        if thread in (b"-1", b"0"):
            return
        chosen = number(thread)
        if not self._is_one(chosen):
            raise MalformedError
        if chosen - 1 != self._session.snapshot().vcpu:
            self._session.select_vcpu(chosen - 1).result(PATIENCE)

    def _is_one(self, thread: int) -> bool:
        return 1 <= thread <= vcpu_count(self._session)

    def set_thread(self, arguments: bytes) -> bytes:
        """`H`, for registers and memory (g) and for going (c)."""
        if arguments[:1] not in (b"g", b"c"):
            return b""
        self.select(arguments[1:])
        return _OK

    def is_alive(self, arguments: bytes) -> bytes:
        """`T`."""
        return _OK if self._is_one(number(arguments)) else _NO_THREAD

    def current(self, _arguments: bytes) -> bytes:
        """`qC`."""
        return b"QC%x" % (self._session.snapshot().vcpu + 1)

    def first(self, _arguments: bytes) -> bytes:
        """`qfThreadInfo`: all of them."""
        return b"m" + b",".join(b"%x" % (n + 1) for n in range(vcpu_count(self._session)))

    def more(self, _arguments: bytes) -> bytes:
        """`qsThreadInfo`: no more."""
        return b"l"

    def info(self, arguments: bytes) -> bytes:
        """`qThreadExtraInfo`: where the VCPU is and what it does."""
        thread = number(arguments.removeprefix(b","))
        if not self._is_one(thread):
            return _NO_THREAD
        return vcpu_line(self._session.snapshot(), thread - 1).encode().hex().encode()
