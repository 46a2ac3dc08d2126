"""The dashboard in a real browser: a headless Chromium without any other network."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import subprocess
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pyte
import pytest

from tests.kdash.web_program import PATIENCE, gone, web_program

pytestmark = pytest.mark.chromium


class Chromium:
    """A page, driven by the DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._session = ""
        self.asked: list[str] = []  # addresses of what the page loaded
        self.complaints: list[str] = []
        self._screen = pyte.Screen(300, 200)
        self._stream = pyte.ByteStream(self._screen)

    async def open(self, address: str) -> None:
        """Show a page."""
        made = await self.call("Target.createTarget", url="about:blank")
        target = made["targetId"]
        got = await self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = got["sessionId"]
        for domain in ("Network", "Log", "Runtime"):
            await self.call(f"{domain}.enable")
        await self.call("Page.navigate", url=address)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Ask the browser for something; what happens meanwhile is taken note of."""
        self._number += 1
        number = self._number
        message = {"id": number, "method": method, "params": parameters}
        session = {"sessionId": self._session} if self._session else {}
        await self._socket.send_json(message | session)
        while (found := await self._next()).get("id") != number:
            pass
        assert "error" not in found, found
        result: dict[str, Any] = found["result"]
        return result

    async def _next(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(await self._socket.receive_str(timeout=PATIENCE))
        parameters = found.get("params", {})
        match found.get("method"):
            case "Network.requestWillBeSent":
                self.asked.append(parameters["request"]["url"])
            case "Network.webSocketCreated":
                self.asked.append(parameters["url"])
            case "Network.webSocketFrameReceived":
                frame = parameters["response"]
                if frame["opcode"] == 2:
                    self._stream.feed(base64.b64decode(frame["payloadData"]))
            case "Log.entryAdded" if parameters["entry"]["level"] == "error":
                self.complaints.append(parameters["entry"]["text"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(parameters["exceptionDetails"]))
        return found

    async def wait_for(self, *words: str) -> None:
        """Go on until every one of `words` was drawn in the page's terminal."""

        async def drawn() -> None:
            while not all(word in "\n".join(self._screen.display) for word in words):
                await self._next()

        try:
            await asyncio.wait_for(drawn(), PATIENCE)
        except TimeoutError:
            raise AssertionError(f"{words} not drawn; {self.complaints}") from None

    async def press(self, key: str) -> None:
        """Type a character into the page."""
        code = f"Digit{key}" if key.isdigit() else f"Key{key.upper()}"
        for kind in ("keyDown", "keyUp"):
            text = {"text": key} if kind == "keyDown" else {}
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, code=code,
                windowsVirtualKeyCode=ord(key.upper()), **text,
            )  # fmt: skip

    async def colours(self) -> int:
        """How many colours a picture of the page has."""
        picture = await self.call("Page.captureScreenshot", format="png")
        return len(set(pixels(base64.b64decode(picture["data"]))))


def pixels(png: bytes) -> list[bytes]:
    """Colours of a PNG of 8 bits a channel, by its specification (PNG, 3rd edition, 9.2)."""
    data, at, step, width = b"", 8, 3, 0
    while at < len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        body = png[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, step = struct.unpack_from(">I", body)[0], 4 if body[9] == 6 else 3
        data += body if kind == b"IDAT" else b""
        at += 12 + length
    rows, before = zlib.decompress(data), bytearray(width * step)
    found = []
    for start in range(0, len(rows), width * step + 1):
        line = bytearray(rows[start + 1 : start + 1 + width * step])
        for i in range(len(line)):
            a = line[i - step] if i >= step else 0
            b, c = before[i], before[i - step] if i >= step else 0
            paeth = min(
                (abs(b - c), a), (abs(a - c), b), (abs(a + b - 2 * c), c), key=lambda x: x[0]
            )
            add = (0, a, b, (a + b) // 2, paeth[1])[rows[start]]
            line[i] = (line[i] + add) & 255
        found += [bytes(line[i : i + step]) for i in range(0, len(line), step)]
        before = line
    return found


@asynccontextmanager
async def chromium(folder: Path) -> AsyncIterator[Chromium]:
    """A browser with a profile of its own."""
    process = subprocess.Popen(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-dev-shm-usage", "--disable-background-networking", "--disable-extensions",
         "--window-size=640,400", "--remote-debugging-port=0",
         "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
         f"--user-data-dir={folder / 'profile'}", "about:blank"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    port = folder / "profile/DevToolsActivePort"
    try:
        async with asyncio.timeout(PATIENCE):
            while not port.exists() or len(port.read_text().split()) < 2:
                await asyncio.sleep(0.05)
        number, path = port.read_text().split()
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"ws://127.0.0.1:{number}{path}", max_msg_size=0) as socket,
        ):
            yield Chromium(socket)
    finally:
        below = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        process.wait(PATIENCE)
        await gone(below)


async def test_the_page_loads_keys_switch_panes_and_the_vcpu_steps(tmp_path: Path) -> None:
    with web_program("--engine", "emulator") as program:
        async with chromium(tmp_path) as browser:
            await browser.open(program.address)
            await browser.wait_for("1 VCPU", "rax")
            await browser.press("s")
            await browser.wait_for("steps 1")
            await browser.press("2")
            await browser.wait_for("▸2 Stack")
            assert await browser.colours() > 10
            ours = (f"http://{program.host}/", f"ws://{program.host}/")
            assert all(one.startswith((*ours, "data:", "about:")) for one in browser.asked)
            assert any(one.endswith(".ttf") for one in browser.asked)
            assert browser.complaints == []
            children = program.children
            assert children
            await browser.press("q")
            assert await gone(children)
