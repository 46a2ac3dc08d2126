"""Serves the dashboard to a browser: who may ask, the page, and a process for each window.

textual-serve brings the terminal of the page and what passes between a browser and a dashboard;
its own page and server load a font from elsewhere and let everybody in.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import json
import os
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Final

import textual_serve
from aiohttp import WSMsgType, web
from textual_serve.app_service import AppService
from textual_serve.download_manager import DownloadManager

from kdash.web_mode import DRIVER, VARIABLE
from kdash.web_narrator import narrator

MOST_WINDOWS: Final = 8  # each is a process with a virtual machine of its own
MOST_CELLS: Final = (1000, 500)  # columns and lines of a terminal that is believed
GRACE_SECONDS: Final = 5.0  # for a dashboard to end by itself, then by SIGTERM
#: What the page needs of textual-serve; nothing else of it is served.
TERMINAL_FILES: Final = (
    "js/textual.js",
    "css/xterm.css",
    "fonts/RobotoMono-VariableFont_wght.ttf",
    "fonts/RobotoMono-Italic-VariableFont_wght.ttf",
)
_TYPES: Final = {"css": "text/css", "js": "text/javascript", "ttf": "font/ttf"}


class Window(AppService):
    """The dashboard of one window of a browser, and its process."""

    def __init__(self, command: Sequence[str], socket: web.WebSocketResponse) -> None:
        super().__init__(
            "",
            write_bytes=socket.send_bytes,
            write_str=socket.send_str,
            close=self._no_more,
            download_manager=DownloadManager(),
        )
        self._words = tuple(command)
        self._socket = socket

    async def _no_more(self) -> None:
        await self._socket.close()

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        environment = self._build_environment(width=width, height=height)
        # Frames as often as on a terminal; and the colours are the page's, not the server's.
        del environment["TEXTUAL_FPS"]
        environment |= {VARIABLE: DRIVER, "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        self._process = await asyncio.create_subprocess_exec(
            *self._words, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment
        )
        self._stdin = self._process.stdin
        return self._process

    async def run(self) -> None:
        """Pass on what comes until the process ends, which ends the window, too."""
        await super().run()
        await self._no_more()

    async def on_data(self, payload: bytes) -> None:
        """Pass on what was drawn; once the browser is gone it is read and forgotten."""
        with suppress(ConnectionError, RuntimeError):
            await super().on_data(payload)

    async def on_meta(self, data: bytes) -> None:
        """Of what a dashboard may ask of a browser, only that it has ended is passed on."""
        if json.loads(data).get("type") == "exit":
            await self._no_more()

    async def on_packed(self, payload: bytes) -> None:
        """No file is delivered."""

    async def stop(self) -> None:
        """End the dashboard for sure, however busy it is; returns when its process is gone."""
        process, task = self._process, self._task
        if process is None:
            return
        self._process = None
        with suppress(OSError, RuntimeError):
            if process.stdin is not None:
                process.stdin.close()  # its driver takes that for the end
        for end in (process.terminate, process.kill):
            try:
                await asyncio.wait_for(process.wait(), GRACE_SECONDS)
                break
            except TimeoutError:
                with suppress(ProcessLookupError):
                    end()
        await process.wait()
        if task is not None:
            await asyncio.wait({task}, timeout=GRACE_SECONDS)
            task.cancel()


class WebServer:
    """What is below `http://HOST:PORT/TOKEN/`.

    Args:
        command: Starts a dashboard.
        token: What the address must hold.
        others: Whether other machines may ask, under the numeric addresses of this one.
    """

    def __init__(self, command: Sequence[str], token: str, *, others: bool = False) -> None:
        self._command = command
        self._token = token.encode()
        self._others = others
        self._windows: set[Window] = set()
        self._terminal = Path(textual_serve.__file__).parent / "static"

    def application(self) -> web.Application:
        """What aiohttp serves."""
        application = web.Application(middlewares=[self._checked])
        application.router.add_get("/{token}/", self._page)
        application.router.add_get("/{token}/ws", self._window)
        application.router.add_get("/{token}/{name:page[.](?:css|js)}", self._file)
        application.router.add_get("/{token}/static/{name:.+}", self._terminal_file)
        application.on_shutdown.append(self._end_windows)
        return application

    # -- who may ask --------------------------------------------------------------------

    @web.middleware
    async def _checked(
        self,
        request: web.Request,
        handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    ) -> web.StreamResponse:
        # The same answer to whatever is wrong: nothing is learned by trying.
        token = request.path.removeprefix("/").partition("/")[0].encode(errors="replace")
        if not (
            hmac.compare_digest(token, self._token)
            and self._is_our_name(request.headers.get("Host", ""))
            and self._is_our_origin(request)
        ):
            return web.Response(status=403, text="403: open the address that kdash web printed\n")
        return await handler(request)

    def _is_our_name(self, host: str) -> bool:
        """Whether a browser meant this machine; a name of somebody else's leads here, too.

        (DNS rebinding: a page of theirs would have the same origin as ours.) The port is free, as
        another one is forwarded by ssh.
        """
        name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
        if name == "localhost":
            return True
        try:
            address = ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
        except ValueError:
            return self._others and name.lower() == socket.gethostname().lower()
        return self._others or address.is_loopback

    @staticmethod
    def _is_our_origin(request: web.Request) -> bool:
        """Whether our own page asks; for a WebSocket every browser tells, else it may be silent."""
        origin = request.headers.get("Origin")
        if origin is None:
            return "Upgrade" not in request.headers and not request.path.endswith("/ws")
        return origin == f"http://{request.host}"

    # -- the page -----------------------------------------------------------------------

    def _answer(self, request: web.Request, body: bytes, kind: str) -> web.Response:
        policy = (
            "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
            f"font-src 'self'; img-src data:; connect-src 'self' ws://{request.host}; "
            "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        headers = {
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
            "Cross-Origin-Resource-Policy": "same-origin",
            "Cache-Control": "no-store",
        }
        charset = None if kind == "font/ttf" else "utf-8"
        return web.Response(body=body, content_type=kind, charset=charset, headers=headers)

    async def _page(self, request: web.Request) -> web.StreamResponse:
        address = f"ws://{request.host}/{self._token.decode()}/ws"
        page = files("kdash").joinpath("web/page.html").read_text(encoding="utf-8")
        return self._answer(request, page.replace("@SOCKET@", address).encode(), "text/html")

    async def _file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        body = files("kdash").joinpath(f"web/{name}").read_bytes()
        return self._answer(request, body, _TYPES[name.rpartition(".")[2]])

    async def _terminal_file(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in TERMINAL_FILES:
            raise web.HTTPNotFound
        body = (self._terminal / name).read_bytes()
        return self._answer(request, body, _TYPES[name.rpartition(".")[2]])

    # -- windows ------------------------------------------------------------------------

    async def _window(self, request: web.Request) -> web.StreamResponse:
        if len(self._windows) >= MOST_WINDOWS:
            return web.Response(status=503, text=f"503: {MOST_WINDOWS} windows are open\n")
        channel = web.WebSocketResponse(heartbeat=15, max_msg_size=1 << 20)
        window = Window(self._command, channel)
        self._windows.add(window)
        try:
            await channel.prepare(request)
            await window.start(*_cells(request.query.get("width"), request.query.get("height")))
            await _obey(window, channel)
        finally:
            await asyncio.shield(window.stop())
            self._windows.discard(window)
        return channel

    async def _end_windows(self, _: web.Application) -> None:
        await asyncio.gather(*(window.stop() for window in self._windows))


async def _obey(window: Window, channel: web.WebSocketResponse) -> None:
    """Pass on what a browser sends until it goes; what it should not send ends it, too."""
    async for message in channel:
        if message.type is not WSMsgType.TEXT:
            return
        try:
            match json.loads(message.data):
                case ["stdin", str(text)]:
                    await window.send_bytes(text.encode("utf-8", "replace"))
                case ["resize", {"width": width, "height": height}]:
                    await window.set_terminal_size(*_cells(width, height))
                case ["ping", str(sent)]:
                    await channel.send_json(["pong", sent])
                case ["blur"]:
                    await window.blur()
                case ["focus"]:
                    await window.focus()
                case _:
                    return
        except (ValueError, RecursionError, ConnectionError):
            return


def _cells(width: object, height: object) -> tuple[int, int]:
    """Columns and lines, of what a browser says."""
    found = []
    for value, usual, most in ((width, 80, MOST_CELLS[0]), (height, 24, MOST_CELLS[1])):
        digits = str(value)
        known = digits.isascii() and digits.isdigit() and len(digits) <= 9
        found.append(min(max(int(digits), 1), most) if known else usual)
    return found[0], found[1]


def dashboard_command(arguments: Sequence[str]) -> tuple[str, ...]:
    """What starts a dashboard with these arguments; nothing of the working folder is imported."""
    return (sys.executable, "-P", "-m", "kdash", *arguments)


async def serve(
    server: WebServer, listener: socket.socket, ended: asyncio.Event, told: Callable[[], None]
) -> None:
    """Serve at `listener` until `ended`; `told` is called once browsers are let in.

    No dashboard is left when it returns.
    """
    runner = web.AppRunner(
        server.application(), access_log=None, logger=narrator(), shutdown_timeout=1.0
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        told()
        await ended.wait()
    finally:
        await runner.cleanup()


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens at a numeric address.

    Raises:
        OSError: the address can't be used.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(os.cpu_count() or 1)
    except OSError:
        listener.close()
        raise
    return listener
