"""`kdash web`: the dashboard in a browser."""

from __future__ import annotations

import asyncio
import secrets
import signal
import socket
import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Final

from kdash.commands.host_port import host_port, is_loopback, shown
from kdash.exit_status import ExitStatus
from kdash.widgets.printable import one_line

if TYPE_CHECKING:
    import argparse

    from kdash.commands.argument_parser import Parser

PORT: Final = 8577
DANGER: Final = "--let-others-act-as-me"

EPILOG: Final = f"""\
example:
  kdash web drivers/net/foo.o
  ssh -t -L {PORT}:127.0.0.1:{PORT} build.example kdash web   from another machine

Prints the address to open, with a token made for this run: whoever has it operates a dashboard that
runs as you. Each window of a browser has its own. From a browser nothing is written to files, and
neither the editor nor any other program is started. Ends with SIGINT (130), SIGTERM (143), SIGHUP
(129), and every dashboard with it. Needs the extra `web`. Exit status 3: the address can't be used.
"""


def run(argv: list[str]) -> int:
    """Serve until a signal comes; returns the exit status."""
    parser = web_parser()
    arguments, rest = _own(parser).parse_known_args(argv)
    if "-h" in rest or "--help" in rest:
        parser.parse_args(["--help"])
    if (status := _check(rest)) is not None:
        return status
    try:
        host = _numeric(*arguments.listen)
    except OSError as error:
        return _complain(f"{arguments.listen[0]}: {error.strerror}", ExitStatus.ENVIRONMENT)
    if not is_loopback(host) and not arguments.others:
        return _complain(
            f"{host} is reached from other machines, and whoever has the address acts as you, "
            f"unencrypted; ssh -L is safe, {DANGER} does it all the same",
            ExitStatus.USAGE,
        )
    try:
        from kdash import web_server
    except ImportError as error:
        wanted = "pip install 'kdash[web]'"
        return _complain(f"{error.name} is not installed: {wanted}", ExitStatus.ENVIRONMENT)
    try:
        listener = web_server.listen(host, arguments.listen[1])
    except OSError as error:
        where = shown(host, arguments.listen[1])
        return _complain(
            f"{where}: {error.strerror}; choose another address with --listen",
            ExitStatus.ENVIRONMENT,
        )
    token = secrets.token_urlsafe(32)
    server = web_server.WebServer(
        web_server.dashboard_command(rest), token, others=not is_loopback(host)
    )
    with listener:
        return asyncio.run(_serve(server, listener, token))


async def _serve(server: object, listener: socket.socket, token: str) -> int:
    from kdash.web_server import WebServer, serve

    assert isinstance(server, WebServer)
    ended, statuses, data = asyncio.Event(), list[int](), sys.stdout

    def end(number: int) -> None:
        statuses.append(128 + number)
        ended.set()

    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, end, number)

    def tell() -> None:
        name, port = listener.getsockname()[:2]
        data.write(f"http://{shown(name, port)}/{token}/\n")
        data.flush()
        if not is_loopback(name):
            sys.stderr.write(
                "kdash web: warning: whoever has this address acts as you, and it travels "
                "unencrypted\n"
            )
        sys.stderr.write("kdash web: open this address in a browser; ctrl+c ends it\n")

    # What a dashboard complains of is narration; textual-serve prints it.
    with redirect_stdout(sys.stderr):
        await serve(server, listener, ended, tell)
    return statuses[0]


def _check(words: list[str]) -> ExitStatus | None:
    """Say what is wrong with the dashboard's arguments before anybody opens one; None: nothing."""
    from kdash.commands.dashboard import RefusedError, accepted

    try:
        accepted(words)
    except RefusedError as error:
        return _complain(str(error), error.status)
    return None


def _numeric(host: str, port: int) -> str:
    """The address behind a name; OSError where there is none."""
    kind = socket.SOCK_STREAM
    return str(socket.getaddrinfo(host, port, type=kind, flags=socket.AI_PASSIVE)[0][4][0])


def web_parser() -> Parser:
    """`kdash web`, with the arguments of the dashboard."""
    from kdash.commands.dashboard import dashboard_parser

    parser = dashboard_parser()
    parser.prog = "kdash web"
    parser.description = "The dashboard in a browser."
    parser.epilog = EPILOG
    _add(parser)
    return parser


def _own(parser: Parser) -> argparse.ArgumentParser:
    """What is the server's alone; complaints as of `kdash web`."""
    from kdash.commands.argument_parser import Parser

    own = Parser("web", "", "")
    own.prog = parser.prog
    own._remove_action(own._option_string_actions["-h"])
    own._option_string_actions.clear()
    _add(own)
    return own


def _add(parser: Parser) -> None:
    parser.add_argument("--listen", type=_address, metavar="[HOST]:PORT",
        default=("127.0.0.1", PORT),
        help=f"where to serve (127.0.0.1:{PORT}; port 0: any)")  # fmt: skip
    parser.add_argument(DANGER, action="store_true", dest="others",
        help="serve other machines, too: who has the address runs programs as you")  # fmt: skip


def _address(text: str) -> tuple[str, int]:
    return host_port(text, f"127.0.0.1:{PORT}")


def _complain(message: str, status: ExitStatus) -> ExitStatus:
    sys.stderr.write(f"kdash web: {one_line(message)}\n")
    return status
