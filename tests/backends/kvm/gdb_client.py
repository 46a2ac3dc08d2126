"""A gdb server for tests, a client of it that knows only the framing, and the real gdb."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from threading import Thread

from kdash.backends.kvm.gdb_packets import Packet, PacketReader, checksum, unescape
from kdash.backends.kvm.gdb_server import GdbServer, ServeEnd
from kdash.backends.kvm.session import VcpuSession

WAIT = 20


class Served:
    """A server in a thread of its own, on a free port."""

    def __init__(self, session: VcpuSession) -> None:
        self.session = session
        self.told: list[str] = []
        self.end: ServeEnd | None = None
        self._stop = False
        self.server = GdbServer(session, "127.0.0.1", 0, self.told.append)
        self._thread = Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        self.end = self.server.serve(lambda: self._stop)

    @property
    def port(self) -> int:
        return self.server.address[1]

    def finish(self) -> ServeEnd | None:
        """Wait for the end that a client brought about."""
        self._thread.join(WAIT)
        assert not self._thread.is_alive()
        return self.end

    def close(self) -> None:
        self._stop = True
        if self._thread.is_alive():
            self.server.wake()
        self.finish()
        self.server.close()
        self.session.close()

    def client(self) -> Client:
        return Client(self.port)

    def gdb(self, *commands: str, file: str = "", remote: str = "remote") -> str:
        """What the real gdb prints for `commands` once it is connected."""
        script = ["set pagination off", "set confirm off", f"target {remote} :{self.port}"]
        arguments = [part for command in (*script, *commands) for part in ("-ex", command)]
        done = subprocess.run(
            ["gdb", "-nx", "-batch", *([file] if file else []), *arguments],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "LC_ALL": "C", "DEBUGINFOD_URLS": ""},
        )
        return done.stdout + done.stderr


class Client:
    """Speaks packets, without acknowledgements once `no_acks` was asked for."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = PacketReader()
        self._packets: list[bytes] = []

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(b"$%s#%s" % (data, checksum(data)))

    def ask(self, data: bytes) -> bytes:
        self.send(data)
        return self.receive()

    def receive(self) -> bytes:
        """The next packet from the server."""
        while not self._packets:
            raw = self.socket.recv(4096)
            assert raw, "the server closed the connection"
            for item in self._reader.feed(raw):
                if isinstance(item, Packet):
                    self._packets.append(expanded(item.data))
                    self.socket.sendall(b"+")
        return self._packets.pop(0)

    def closed(self) -> bool:
        """Whether the server hangs up, whatever it sends before."""
        try:
            while self.socket.recv(4096):
                pass
        except ConnectionError:
            pass
        return True


def expanded(contents: bytes) -> bytes:
    """Runs undone; good for answers without escapes."""
    return re.sub(
        rb"(.)\*(.)", lambda run: run[1] * (run[2][0] - 28), unescape(contents), flags=re.DOTALL
    )


def packet(data: bytes) -> bytes:
    return b"$%s#%s" % (data, checksum(data))
