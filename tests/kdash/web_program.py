"""Runs the real `kdash web` and a browser's side of it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import psutil
import pyte

PATIENCE = 30.0  # seconds; how long a busy machine may take
ANY_PORT = ("--listen", "127.0.0.1:0")


class WebProgram:
    """`kdash web` and the address it printed."""

    def __init__(self, process: subprocess.Popen[str], address: str) -> None:
        self.process = process
        self.address = address
        found = re.fullmatch(r"http://(127\.0\.0\.1:\d+)/([\w-]{43})/", address)
        assert found, address
        self.host, self.token = found.groups()

    @property
    def children(self) -> list[psutil.Process]:
        """Every process below it."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def end(self, number: signal.Signals) -> int:
        """Send a signal; returns what the program ends with."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)


@contextmanager
def web_program(*arguments: str, stderr: int = subprocess.DEVNULL) -> Iterator[WebProgram]:
    """A server on any port of the loopback device."""
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "kdash", "web", *ANY_PORT, *arguments],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield WebProgram(process, process.stdout.readline().strip())
    finally:
        process.terminate()
        process.wait(PATIENCE)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


class Browser:
    """A window: what it is sent is drawn on a screen that is read."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self._screen = pyte.Screen(120, 40)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        """The screen as text."""
        return "\n".join(self._screen.display)

    async def press(self, keys: str) -> None:
        """Type."""
        await self.socket.send_str(json.dumps(["stdin", keys]))

    async def wait_for(self, *words: str) -> str:
        """Read until every one of `words` is on the screen, however lines are broken there."""
        end = time.monotonic() + PATIENCE
        while not all(_joined(word) in _joined(self.text) for word in words):
            message = await self._message(end)
            assert message is not None, f"{words} not on the screen:\n{self.text}"
            self._stream.feed(message.data)
        return self.text

    async def _message(self, end: float) -> aiohttp.WSMessage | None:
        """What is drawn next; None where nothing is until then, or never."""
        try:
            async with asyncio.timeout(end - time.monotonic()):  # a ping begins receive()'s anew
                found = await self.socket.receive()
        except TimeoutError:
            return None
        return found if found.type is aiohttp.WSMsgType.BINARY else None


def _joined(text: str) -> str:
    return "".join(text.split())


@asynccontextmanager
async def window(program: WebProgram) -> AsyncIterator[Browser]:
    """A window of a browser, as the page opens it."""
    headers = {"Origin": f"http://{program.host}"}
    url = f"ws://{program.host}/{program.token}/ws?width=120&height=40"
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.ws_connect(url, max_msg_size=0) as socket,
    ):
        yield Browser(socket)


async def gone(processes: list[psutil.Process]) -> bool:
    """Wait until none of these processes runs; False when one stays."""
    _, alive = await asyncio.to_thread(psutil.wait_procs, processes, PATIENCE)
    return not [one for one in alive if one.status() != psutil.STATUS_ZOMBIE]


def folder_content(folder: Path) -> set[Path]:
    """Every file and folder below a folder."""
    return set(folder.rglob("*"))
