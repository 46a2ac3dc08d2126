"""Virtual machine forks as the kernel announces them to everybody: object events over netlink.

Source: Linux 6.8 on, drivers/virt/vmgenid.c sends KOBJ_CHANGE with NEW_VMGENID=1;
lib/kobject_uevent.c; netlink(7), NETLINK_KOBJECT_UEVENT. Joining the group needs no privilege.
"""

from __future__ import annotations

import socket
from contextlib import suppress

_PROTOCOL = 15  # NETLINK_KOBJECT_UEVENT, include/uapi/linux/netlink.h
_KERNEL_GROUP = 1
_MESSAGE_BYTES = 16384
_MOST_MESSAGES = 10_000  # at one look


class Uevents:
    """Listens to the kernel's object events from the first call on."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None

    def read(self) -> tuple[bytes, ...]:
        """The messages that came since the last call.

        Raises:
            OSError: This process can't listen.
        """
        if self._socket is None:
            kind = socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            self._socket = socket.socket(socket.AF_NETLINK, kind, _PROTOCOL)
            self._socket.bind((0, _KERNEL_GROUP))
        messages = []
        for _ in range(_MOST_MESSAGES):
            try:
                message, sender = self._socket.recvfrom(_MESSAGE_BYTES)
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: more came than were kept
                continue
            if sender[0] == 0:  # the kernel; other senders are programs
                messages.append(message)
        return tuple(messages)

    def close(self) -> None:
        """Stop listening."""
        listener, self._socket = self._socket, None
        if listener is not None:
            with suppress(OSError):
                listener.close()


def is_vm_fork(message: bytes) -> bool:
    """Whether a message announces a new virtual machine generation."""
    return b"\0NEW_VMGENID=1\0" in message + b"\0"
