"""Addresses of servers as they are typed and shown."""

from __future__ import annotations

import argparse
import ipaddress
from typing import Final

LOOPBACK: Final = "127.0.0.1"


def host_port(text: str, example: str = "127.0.0.1:1234") -> tuple[str, int]:
    """HOST:PORT, :PORT or PORT; without a host 127.0.0.1; [::1]:PORT for IPv6.

    Raises:
        argparse.ArgumentTypeError: it is none of these; `example` is one that would be right.
    """
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if bracketed:
        host = host[1:-1]
    plain = port.isascii() and port.isdigit() and len(port) <= 5
    if not plain or int(port) > 0xFFFF or (":" in host) != bracketed or (colon and " " in host):
        wanted = f"HOST:PORT, :PORT or PORT, as {example}"
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return host or LOOPBACK, int(port)


def shown(host: str, port: int) -> str:
    """An address as it is typed."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def others_reach(host: str) -> bool:
    """Whether other machines reach what listens at `host`; False where the name leads nowhere."""
    import socket

    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        return False  # who listens there says why it can't be done
    return not all(is_loopback(str(address[0])) for *_, address in found)


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the numeric address `host`."""
    return ipaddress.ip_address(host.partition("%")[0]).is_loopback
