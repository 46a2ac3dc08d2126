"""Answering those who ask for metrics over HTTP, whatever they ask with.

Source: OpenMetrics 1.0, "Content negotiation"; Prometheus' exposition formats.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app, start_http_server

App = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_OPENMETRICS = "application/openmetrics-text; version=1.0.0"
_ASKED = re.compile(r"\s*application/openmetrics-text\s*(?:;.*)?", re.IGNORECASE | re.DOTALL)
_VERSION = re.compile(r";\s*version\s*=\s*\"?([^;\"\s]*)", re.IGNORECASE)


def serve_metrics(host: str, port: int, registry: CollectorRegistry) -> WSGIServer:
    """Answer from now on, in threads that end with the process.

    Raises:
        OSError: The address can't be listened on, or is none.
        UnicodeError: The host is no name.
    """
    server, _ = start_http_server(port, host, registry)
    server.set_app(_tolerant(make_wsgi_app(registry)))
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
