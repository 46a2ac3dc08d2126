"""One client of the gdb server: its socket, acknowledgements, and what waits on either side."""

from __future__ import annotations

import socket
from collections import deque
from typing import Final

from kdash.backends.kvm.gdb_packets import Packet, PacketReader, PacketTooLongError, Sign, frame

#: Bytes taken from the socket at once.
_CHUNK: Final = 1 << 16
#: Packets that may wait for the guest to stop.
WAITING: Final = 64
#: Bytes that may wait for the client to read them.
UNREAD: Final = 1 << 20
#: Times one answer is sent again because the client says that it was damaged.
_RESENDS: Final = 8


class LostError(Exception):
    """The client is gone, or so far off the protocol that it is let go; says why."""


class Connection:
    """A client's socket, never waited for.

    Args:
        client: connected; closed by `close`.
    """

    def __init__(self, client: socket.socket) -> None:
        client.setblocking(False)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.socket = client
        self.acknowledging = True
        self.packets: deque[bytes] = deque()  # to be carried out, oldest first
        self.interrupts = 0  # asked for since last looked
        self._reader = PacketReader()
        self._unsent = bytearray()
        self._last = b""
        self._resent = 0

    @property
    def wants_to_write(self) -> bool:
        """Whether something waits until the socket takes it."""
        return bool(self._unsent)

    def receive(self) -> None:
        """Take what has come.

        Raises:
            LostError: when the client closed the connection or sends what can't be followed.
        """
        try:
            data = self.socket.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError as error:
            raise LostError(error.strerror or str(error)) from None
        if not data:
            raise LostError("disconnected")
        try:
            found = self._reader.feed(data)
        except PacketTooLongError:
            raise LostError("a packet longer than announced") from None
        for item in found:
            self._take(item)

    def _take(self, item: Packet | Sign) -> None:
        if isinstance(item, Packet):
            if len(self.packets) == WAITING:
                raise LostError(f"more than {WAITING} packets at once")
            self.packets.append(item.data)
            self._acknowledge(b"+")
        elif item is Sign.BROKEN:
            self._acknowledge(b"-")
        elif item is Sign.INTERRUPT:
            self.interrupts += 1
        elif item is Sign.NACK and self.acknowledging:
            self._resend()
        else:
            self._resent = 0

    def _acknowledge(self, sign: bytes) -> None:
        if self.acknowledging:
            self._write(sign)

    def _resend(self) -> None:
        self._resent += 1
        if self._resent > _RESENDS:
            raise LostError("it does not understand what it gets")
        self._write(self._last)

    def send(self, data: bytes) -> None:
        """Send a packet, now or when the client takes it.

        Raises:
            LostError: when the client is gone or takes nothing.
        """
        self._last = frame(data)
        self._write(self._last)

    def _write(self, data: bytes) -> None:
        self._unsent += data
        if len(self._unsent) > UNREAD:
            raise LostError("it does not read what it asked for")
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as the client takes it.

        Raises:
            LostError: when the client is gone.
        """
        try:
            while self._unsent:
                del self._unsent[: self.socket.send(self._unsent)]
        except BlockingIOError:
            return
        except OSError as error:
            raise LostError(error.strerror or str(error)) from None

    def close(self) -> None:
        """Close the socket; more than once does no harm."""
        self.socket.close()
