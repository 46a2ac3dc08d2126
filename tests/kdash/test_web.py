"""`kdash web`: who is let in, what a browser may do, and how it ends."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from kdash.web_narrator import narrator
from tests.kdash.web_program import (
    PATIENCE,
    Browser,
    WebProgram,
    folder_content,
    gone,
    web_program,
    window,
)

ELSEWHERE = "http://evil.example"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebProgram]:
    with web_program("--engine", "emulator") as started:
        yield started


async def status_of(program: WebProgram, path: str, **headers: str) -> int:
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://{program.host}{path}", headers=headers) as answer,
    ):
        return answer.status


UPGRADE = {
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "MTIzNDU2Nzg5MDEyMzQ1Ng==",
}


async def test_the_page_and_its_files_open_under_the_address_printed(program: WebProgram) -> None:
    for path in ("", "page.css", "page.js", "static/js/textual.js", "static/css/xterm.css"):
        assert await status_of(program, f"/{program.token}/{path}") == 200


@pytest.mark.parametrize("token", ["", "x", "T" * 43, "static", "%00", "%F0%9F%98%80"])
@pytest.mark.parametrize("path", ["", "ws", "page.js", "static/js/textual.js"])
async def test_without_the_token_nothing_opens(program: WebProgram, token: str, path: str) -> None:
    assert await status_of(program, f"/{token}/{path}") in (403, 404)
    headers = {**UPGRADE, "Origin": f"http://{program.host}"}
    assert await status_of(program, f"/{token}/{path}", **headers) in (403, 404)


@pytest.mark.parametrize("path", ["", "ws", "static/js/textual.js"])
@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", ""])
async def test_another_host_is_refused_on_the_page_and_the_websocket(
    program: WebProgram, path: str, host: str
) -> None:
    headers = {"Host": host, "Origin": f"http://{host}", **(UPGRADE if path == "ws" else {})}
    assert await status_of(program, f"/{program.token}/{path}", **headers) in (400, 403)


def test_who_tells_no_host_is_refused(program: WebProgram) -> None:
    where, _, port = program.host.rpartition(":")
    with socket.create_connection((where, int(port))) as connection:
        connection.sendall(f"GET /{program.token}/ HTTP/1.0\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.0 403"


@pytest.mark.parametrize("host", ["localhost:9", "127.0.0.1:9", "[::1]:9", "localhost"])
async def test_a_port_that_ssh_forwards_is_as_good(program: WebProgram, host: str) -> None:
    assert await status_of(program, f"/{program.token}/", Host=host) == 200


@pytest.mark.parametrize("origin", [ELSEWHERE, "null", "", "https://127.0.0.1", "http://localhost"])
@pytest.mark.parametrize("path", ["", "ws"])
async def test_another_origin_is_refused_on_the_page_and_the_websocket(
    program: WebProgram, path: str, origin: str
) -> None:
    headers = {"Origin": origin, **(UPGRADE if path == "ws" else {})}
    assert await status_of(program, f"/{program.token}/{path}", **headers) == 403
    assert not program.children


async def test_a_websocket_that_tells_no_origin_is_refused(program: WebProgram) -> None:
    assert await status_of(program, f"/{program.token}/ws", **UPGRADE) == 403


@pytest.mark.parametrize(
    "name", ["../templates/app_index.html", "..%2fserver.py", "images/background.png", "js/"]
)
async def test_only_the_files_of_the_page_are_served(program: WebProgram, name: str) -> None:
    assert await status_of(program, f"/{program.token}/static/{name}") in (403, 404)


async def test_the_page_names_nothing_from_elsewhere_and_forbids_it(program: WebProgram) -> None:
    async with aiohttp.ClientSession() as session:
        for path in ("", "page.css", "page.js", "static/css/xterm.css"):
            async with session.get(program.address + path) as answer:
                policy = answer.headers["Content-Security-Policy"]
                text = re.sub(r"/\*.*?\*/", "", await answer.text(), flags=re.DOTALL)
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe-eval" not in policy
            assert "script-src 'self';" in policy
            links = re.findall(r"(?:https?|wss?):?//[^\s\"')]+", text)
            assert all(one.startswith(f"ws://{program.host}/") for one in links)


async def test_a_browser_steps_the_guest_and_switches_panes(program: WebProgram) -> None:
    async with window(program) as browser:
        await browser.wait_for("rax", "mov dx,0x3f8")
        await browser.press("s")
        await browser.wait_for("add al,bl", "1 step")
        await browser.press("2")
        await browser.wait_for("▸2 Stack")
        await browser.press("q")
        await closed(browser)


async def closed(browser: Browser) -> None:
    """Read until the server closes the window."""
    async with asyncio.timeout(PATIENCE):
        async for _ in browser.socket:
            pass


async def test_a_window_that_closes_ends_its_dashboard(program: WebProgram) -> None:
    async with window(program) as browser:
        await browser.wait_for("rax")
        children = program.children
        assert children
    assert await gone(children)


@pytest.mark.parametrize("nonsense", ['["stdin", 7]', "[" * 100000])
async def test_nonsense_ends_the_window_alone(program: WebProgram, nonsense: str) -> None:
    async with window(program) as browser:
        await browser.socket.send_str(nonsense)
        await closed(browser)
    assert await status_of(program, f"/{program.token}/") == 200


def test_what_is_no_http_is_answered_and_not_told_about() -> None:
    with web_program(stderr=subprocess.PIPE) as program:
        host, _, port = program.host.partition(":")
        for request in (b"GET http://[::1 HTTP/1.1", b"GET \xff\x1b[2J HTTP/1.1", b"\x16\x03\x01"):
            with socket.create_connection((host, int(port)), PATIENCE) as connection:
                connection.sendall(request + b"\r\n\r\n")
                assert b"400 Bad Request" in connection.recv(1 << 12)
        assert program.end(signal.SIGTERM) == 143
        assert program.process.stderr is not None
        assert program.process.stderr.read() == (
            "kdash web: open this address in a browser; ctrl+c ends it\n"
        )


def test_a_fault_of_the_server_is_a_line_of_narration(
    capsys: pytest.CaptureFixture[str],
) -> None:
    try:
        raise ValueError("no\x1b[2J\nline")
    except ValueError:
        narrator().exception("Error handling request")
    told = capsys.readouterr().err
    assert told == "kdash web: Error handling request: ValueError: no\\x1b[2J\\nline\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_the_dashboards_end_when_the_server_ends(number: signal.Signals) -> None:
    with web_program("--engine", "emulator") as program:
        async with window(program) as browser:
            await browser.wait_for("rax", "3 Entropy")
            children = program.children
            assert children
            assert program.end(number) == (143 if number == signal.SIGTERM else -signal.SIGKILL)
            assert await gone(children)


async def test_a_browser_writes_no_file_and_starts_no_editor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = tmp_path / "started"
    editor = tmp_path / "editor"
    editor.write_text(f"#!/bin/sh\ntouch {started}\n")
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    for name in ("STATE", "CACHE", "CONFIG"):
        monkeypatch.setenv(f"XDG_{name}_HOME", str(tmp_path / name))
    source = tmp_path / "device.py"
    source.write_text(f"open({str(started)!r}, 'w')\n")
    with web_program("--engine", "emulator") as program:
        before = folder_content(tmp_path)
        async with window(program) as browser:
            await browser.wait_for("rax", "1 VCPU")
            await browser.press(f":open --device {source}:Any\r")
            await browser.wait_for("off in a browser")
            await browser.press("\x1a")  # ctrl+z: the program goes on
            await browser.press("2")
            await browser.wait_for("▸2 Stack", "16 errors  7 files", "path ")
            await browser.press(f":export {tmp_path}/findings.txt\r")
            await browser.wait_for("writing files is off in a browser", "findings.txt")
            await browser.press("je")
            await browser.wait_for("the editor is off in a browser")
            await browser.press("q")
            await closed(browser)
        assert {one for one in folder_content(tmp_path) - before if one.is_file()} == set()


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_another_address_than_loopback_needs_the_flag_that_names_the_danger(host: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "kdash", "web", "--listen", f"{host}:0"],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert found.returncode == 2
    assert found.stdout == ""
    assert "acts as you" in found.stderr
    assert "--let-others-act-as-me" in found.stderr
