"""The gdb server: one client at a time debugs the guest of a session.

Everything of the protocol happens in the thread that calls `serve`; the guest runs in the
session's. A client that disappears or sends nonsense leaves the guest stopped and kept, and
the next one may connect.
"""

from __future__ import annotations

import math
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from enum import Enum, auto
from selectors import EVENT_READ, EVENT_WRITE, DefaultSelector
from typing import Final

from kdash.backends.kvm.facts import Snapshot
from kdash.backends.kvm.gdb_arguments import PATIENCE
from kdash.backends.kvm.gdb_commands import Debugger
from kdash.backends.kvm.gdb_connection import Connection, LostError
from kdash.backends.kvm.gdb_stops import has_ended
from kdash.backends.kvm.session import VcpuSession

#: Reads of what a client left behind before it closed its connection.
_LOOKS: Final = 8


class ServeEnd(Enum):
    """Why `serve` came back."""

    GUEST = auto()  # it ended, and nobody looks at it any more
    TIMEOUT = auto()
    KILLED = auto()  # the client asked for it
    INTERRUPTED = auto()  # the caller did


class GdbServer:
    """Listens for gdb.

    Args:
        session: the guest, not running; it stays the caller's to close.
        host: a name or address to listen on.
        port: 0 takes a free one.
        narrate: told a line at each turn.

    Raises:
        OSError: when it can't be listened there.
    """

    def __init__(
        self, session: VcpuSession, host: str, port: int, narrate: Callable[[str], None]
    ) -> None:
        self._session = session
        self._narrate = narrate
        self._listener = _listen(host, port)
        self._waker, self._woken = socket.socketpair()
        for end in (self._waker, self._woken):
            end.setblocking(False)
        self._selector = DefaultSelector()
        self._selector.register(self._listener, EVENT_READ, self._accept)
        self._selector.register(self._woken, EVENT_READ, self._wake_up)
        self._connection: Connection | None = None
        self._debugger: Debugger | None = None
        self._alone: Future[Snapshot] | None = None  # the guest goes on without gdb
        self._end: ServeEnd | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host address and port it listens on."""
        host, port = self._listener.getsockname()[:2]
        return str(host), int(port)

    @property
    def wake_descriptor(self) -> int:
        """A byte written there makes `serve` ask whether it was interrupted."""
        return self._waker.fileno()

    def close(self) -> None:
        """Close all sockets; more than once does no harm."""
        if self._connection is not None:
            self._connection.close()
        self._selector.close()
        for one in (self._listener, self._waker, self._woken):
            one.close()

    def serve(self, interrupted: Callable[[], bool], timeout: float | None = None) -> ServeEnd:
        """Serve clients until the guest's end, a kill or an interruption; the guest is stopped.

        Args:
            interrupted: asked after every event.
            timeout: seconds after which it ends; None: never.
        """
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while self._end is None and not interrupted():
            left = deadline - time.monotonic()
            if left <= 0:
                self._end = ServeEnd.TIMEOUT
                break
            for key, events in self._selector.select(None if left == math.inf else left):
                if self._end is None:
                    key.data(events)
            self._go_on()
        self._stop_guest()
        return self._end or ServeEnd.INTERRUPTED

    # -- events

    def _wake_up(self, _events: int) -> None:
        try:
            while self._woken.recv(4096):
                pass
        except BlockingIOError:
            return

    def _wake(self, _done: Future[Snapshot]) -> None:
        """From the session's thread: the guest has stopped."""
        self.wake()

    def wake(self) -> None:
        """Make `serve` look again; from any thread."""
        try:
            self._waker.send(b"!")
        except OSError:  # full, which wakes as well, or closed
            return

    def _accept(self, _events: int) -> None:
        try:
            client, address = self._listener.accept()
        except OSError:  # gone before it was taken
            return
        self._look_after_client()
        if self._connection is not None:
            client.close()  # one at a time
            return
        self._alone = None
        self._stop_guest()
        self._connection = Connection(client)
        self._debugger = Debugger(self._session, self.wake)
        self._selector.register(client, EVENT_READ, self._serve_client)
        self._narrate(f"gdb connected from {address[0]}")

    def _look_after_client(self) -> None:
        """See whether the client has gone, so that the next is not turned away for it."""
        for _ in range(_LOOKS):
            self._serve_client(EVENT_READ)

    def _serve_client(self, events: int) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            if events & EVENT_WRITE:
                connection.flush()
            if events & EVENT_READ:
                connection.receive()
        except LostError as lost:
            self._lose(str(lost))

    # -- between events

    def _go_on(self) -> None:
        """Tell of stops, carry out what has come."""
        if self._alone is not None and self._alone.done():
            self._alone = None
            self._end = ServeEnd.GUEST if has_ended(self._session.snapshot()) else None
        connection, debugger = self._connection, self._debugger
        if connection is None or debugger is None:
            return
        try:
            self._converse(connection, debugger)
        except LostError as lost:
            self._lose(str(lost))
            return
        if self._connection is connection:
            events = EVENT_READ | (EVENT_WRITE if connection.wants_to_write else 0)
            if events != self._selector.get_key(connection.socket).events:
                self._selector.modify(connection.socket, events, self._serve_client)

    def _converse(self, connection: Connection, debugger: Debugger) -> None:
        if debugger.running is not None and debugger.running.done():
            self._send(connection, debugger.stopped())
        if connection.interrupts:
            connection.interrupts = 0
            debugger.interrupt()
        while connection.packets and not debugger.going:
            self._send(connection, debugger.answer(connection.packets.popleft()))
            connection.acknowledging = debugger.acknowledging
            if debugger.detached or debugger.killed or debugger.exited:
                self._part(debugger)
                return

    def _send(self, connection: Connection, packets: list[bytes]) -> None:
        for packet in packets:
            connection.send(packet)

    def _part(self, debugger: Debugger) -> None:
        """The client let go of the guest."""
        self._hang_up()
        if debugger.killed:
            self._end = ServeEnd.KILLED
        elif has_ended(self._session.snapshot()):
            self._end = ServeEnd.GUEST
        else:
            debugger.let_go()
            self._alone = self._session.run()
            self._alone.add_done_callback(self._wake)
            self._narrate("gdb detached; the guest runs on, and gdb may connect again")

    def _lose(self, why: str) -> None:
        debugger = self._debugger
        self._hang_up()
        self._stop_guest()
        if debugger is not None:
            debugger.let_go()
        rip = self._session.snapshot().registers.rip
        self._narrate(f"lost gdb ({why}); the guest is kept at {rip:#x}, waiting for the next")

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._selector.unregister(self._connection.socket)
            self._connection.close()
        self._connection = self._debugger = None

    def _stop_guest(self) -> None:
        try:
            self._session.pause().result(PATIENCE)
        except TimeoutError:
            self._narrate(f"the guest did not stop within {PATIENCE:g} s; a device holds it up")


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket, on the first of the host's addresses."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(4)
        listener.setblocking(False)
    except BaseException:
        listener.close()
        raise
    return listener
