"""`kdash vcpu run --gdb`: the guest waits for gdb and runs as that says."""

from __future__ import annotations

import signal
import sys
from contextlib import closing
from typing import TYPE_CHECKING

from kdash.commands.host_port import LOOPBACK, is_loopback, shown
from kdash.exit_status import ExitStatus
from kdash.widgets.printable import one_line

if TYPE_CHECKING:
    from kdash.backends.kvm.gdb_server import GdbServer, ServeEnd
    from kdash.backends.kvm.run import Request
    from kdash.backends.kvm.session import VcpuSession
    from kdash.backends.kvm.start import Start
    from kdash.commands.vcpu_output import Received


def gdb_run(
    request: Request, start: Start, address: tuple[str, int], received: Received
) -> ExitStatus:
    """Let gdb debug the guest until one of both ends it; the guest's end says the status.

    Raises:
        KvmError: when KVM can't be used, or the address.
        GuestError: when a device does not fit, or a register can't be set.
    """
    from kdash.backends.kvm.session import VcpuSession

    session = VcpuSession(
        request.guest,
        devices=request.devices,
        engine=request.engine,
        start=start,
    )
    try:
        return _with_server(session, request, address, received)
    finally:
        session.close()


def _with_server(
    session: VcpuSession, request: Request, address: tuple[str, int], received: Received
) -> ExitStatus:
    with closing(_listen(session, *address)) as server:
        output = Output(server)
        session.on_output(output.write)
        invite(*server.address)
        # A signal wakes the server, which then asks whether one was received.
        before = signal.set_wakeup_fd(server.wake_descriptor, warn_on_full_buffer=False)
        try:
            end = server.serve(lambda: received() is not None or output.failed, request.timeout)
        finally:
            signal.set_wakeup_fd(before)
        output.check()
        return _ended(session, request, end, received)


def _listen(session: VcpuSession, host: str, port: int) -> GdbServer:
    from kdash.backends.kvm.facts import KvmError
    from kdash.backends.kvm.gdb_server import GdbServer

    try:
        return GdbServer(session, host, port, narrate)
    except OSError as error:
        cause = error.strerror or str(error)
        raise KvmError(f"--gdb {host}:{port}: {cause}", "choose another address") from None


def invite(host: str, port: int) -> None:
    """Say where gdb shall connect, and warn where others can."""
    address = shown(host, port)
    if not is_loopback(host):
        narrate(f"warning: whoever reaches {address} controls the guest; gdb asks for no password")
    target = f":{port}" if host == LOOPBACK else address
    narrate(f"waiting for gdb on {address}; connect with: gdb -ex 'target remote {target}'")


def narrate(line: str) -> None:
    """One line on stderr."""
    sys.stderr.write(f"kdash vcpu: {one_line(line)}\n")


class Output:
    """The guest's output on stdout, written in the VCPU's thread; a failure ends the run.

    Args:
        server: woken when stdout can't be written.
    """

    def __init__(self, server: GdbServer) -> None:
        self._server = server
        self._error: OSError | None = None

    @property
    def failed(self) -> bool:
        """Whether stdout can't be written any more."""
        return self._error is not None

    def write(self, data: bytes) -> None:
        """Write what the guest sent."""
        from kdash.commands.vcpu_output import write_serial

        if self._error is None:
            try:
                write_serial(data)
            except OSError as error:
                self._error = error
                self._server.wake()

    def check(self) -> None:
        """Raise what `write` met, in the thread that ends the run.

        Raises:
            OSError: when stdout could not be written.
        """
        if self._error is not None:
            raise self._error


def _ended(session: VcpuSession, request: Request, end: ServeEnd, received: Received) -> ExitStatus:
    """Tell how it ended, print what was asked for; the exit status."""
    from kdash.backends.kvm.facts import Outcome
    from kdash.backends.kvm.gdb_server import ServeEnd
    from kdash.commands.vcpu_output import write_dump
    from kdash.commands.vcpu_stdout import stdout

    for address, length in request.dumps:
        write_dump(address, session.read_memory(address, length))
    stdout().flush()
    snapshot = session.snapshot()
    at = f"at {snapshot.registers.rip:#x}"
    if end is ServeEnd.INTERRUPTED:
        narrate(f"interrupted {at}")
        return received() or ExitStatus.FINDINGS
    if end is ServeEnd.TIMEOUT:
        narrate(f"timeout: no end in {request.timeout:g} s, {at}")
        return ExitStatus.FINDINGS
    if snapshot.outcome is None:
        narrate(f"failed: {snapshot.failure}" if snapshot.failure else f"ended by gdb {at}")
        return ExitStatus.FINDINGS if snapshot.failure else ExitStatus.OK
    narrate(f"{snapshot.outcome.value}: {snapshot.detail}")
    good = snapshot.outcome is Outcome.HLT or (
        snapshot.outcome is Outcome.EXIT_PORT and snapshot.exit_value == 0
    )
    return ExitStatus.OK if good else ExitStatus.FINDINGS
