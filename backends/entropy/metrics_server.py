"""Answering those who ask for metrics over HTTP, whatever they ask with.

Source: OpenMetrics 1.0, "Content negotiation"; Prometheus' exposition formats.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import TCPServer, ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_PATIENCE = 30.0  # seconds for a request that has begun
_OPENMETRICS = "application/openmetrics-text; version=1.0.0"
_ASKED = re.compile(r"\s*application/openmetrics-text\s*(?:;.*)?", re.IGNORECASE | re.DOTALL)
_VERSION = re.compile(r";\s*version\s*=\s*\"?([^;\"\s]*)", re.IGNORECASE)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def server_bind(self) -> None:
        """Bind without asking the resolver for a name, which may take as long as it likes."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of clients that go before they are answered, or never ask."""


class _Handler(WSGIRequestHandler):
    timeout = _PATIENCE

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing of each request."""


def serve_metrics(host: str, port: int, registry: CollectorRegistry) -> WSGIServer:
    """Answer from now on, in threads that end with the process.

    Raises:
        OSError: The address can't be listened on, or is none.
        UnicodeError: The host is no name.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, _, _, _, address = found[0]
    kind = type("MetricsServer", (_Server,), {"address_family": family})
    server: WSGIServer = kind(address, _Handler)
    server.set_app(_tolerant(make_wsgi_app(registry)))
    threading.Thread(target=server.serve_forever, name="metrics-server", daemon=True).start()
    return server


def accepted(header: str) -> str:
    """What of an Accept header the answer goes by; empty for the plain text format.

    The versions a client lists may be any text, and the client library fails on some.
    """
    for offer in filter(_ASKED.fullmatch, header.split(",")):
        version = _VERSION.search(offer)
        if version is None or version[1] == "1.0.0":
            return _OPENMETRICS
    return ""


def _tolerant(app: App) -> App:
    """The same, which no header confuses, and which says in a line what ended the sampling."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        environ["HTTP_ACCEPT"] = accepted(environ.get("HTTP_ACCEPT", ""))
        try:
            return app(environ, start_response)
        except RuntimeError as error:
            start_response("503 Service Unavailable", [("Content-Type", "text/plain")])
            return [f"{error}\n".encode()]

    return answer
