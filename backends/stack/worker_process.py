"""A worker process as an app on asyncio sees it: lines there and back, ended for sure.

Standard library only. A plain process on a socket pair, not one of asyncio's: those take several
turns of the loop to start and to end, and a loop that ends in between waits for them for ever.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import threading

_LONGEST_LINE = 1 << 30  # bytes
_CHUNK = 1 << 18  # bytes read at once
_LOOK_AGAIN = 0.005  # seconds between two looks at a process that closed its output
_KILLED_WITHIN = 1.0  # seconds; one that waits for a device may take longer


class WorkerProcess:
    """`python -m kdash.backends.stack.MODULE ARGUMENTS...`, its input and output a socket.

    Args:
        module: of this package.
        arguments: its words.

    Raises:
        OSError: it can't be started.
        ValueError: a word holds a NUL.
    """

    def __init__(self, module: str, *arguments: str) -> None:
        ours, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"kdash.backends.stack.{module}", *arguments],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
            )
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
        ours.setblocking(False)
        self._socket = ours
        self._read = bytearray()

    async def send(self, line: str) -> None:
        """Send a line; nothing when the process has ended (its answer will not come)."""
        try:
            await asyncio.get_running_loop().sock_sendall(self._socket, line.encode("ascii"))
        except (BrokenPipeError, ConnectionResetError):
            return

    async def read_line(self) -> str:
        """The next line with its end; without one, what it said last before it ended."""
        searched = 0
        while (end := self._read.find(b"\n", searched)) < 0:
            searched = len(self._read)
            if searched > _LONGEST_LINE:
                self.kill()
            if not (data := await self._receive()):
                return self._take(searched)
            self._read += data
        return self._take(end + 1)

    def _take(self, count: int) -> str:
        taken = self._read[:count].decode("ascii", "replace")
        del self._read[:count]
        return taken

    async def _receive(self) -> bytes:
        try:
            return await asyncio.get_running_loop().sock_recv(self._socket, _CHUNK)
        except ConnectionResetError:
            return b""

    async def status(self) -> int:
        """The exit status once it has ended; negative for a signal."""
        while (status := self._process.poll()) is None:
            await asyncio.sleep(_LOOK_AGAIN)
        return status

    def kill(self) -> None:
        """Make it end; `status` tells when it has."""
        self._process.kill()

    def end(self) -> None:
        """End it whatever it does, in one go, so that nothing can come in between."""
        self._process.kill()
        self._socket.close()
        try:
            self._process.wait(_KILLED_WITHIN)
        except subprocess.TimeoutExpired:
            threading.Thread(target=self._process.wait, daemon=True).start()
