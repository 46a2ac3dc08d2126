"""Event descriptors between a VM and its devices: ioeventfd and irqfd.

A write of the guest to a place with an ioeventfd only counts up an event descriptor: the VCPU
goes on, and a thread of ours calls the device. An irqfd is the way back: writing to it raises
an interrupt line without a call to KVM. Source: api.rst, 4.59 (KVM_IOEVENTFD) and 4.75
(KVM_IRQFD); structures of <linux/kvm.h>.
"""

from __future__ import annotations

import os
import select
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from threading import RLock, Thread
from typing import Any, Final

from kdash.backends.kvm import device_calls, ioctl
from kdash.backends.kvm.facts import KvmError
from kdash.backends.kvm.irqchip import LINES
from kdash.backends.kvm.user_devices import DeviceError

#: struct kvm_ioeventfd: datamatch, addr, len, fd, flags and padding.
_IOEVENTFD: Final = struct.Struct("<QQIiI36x")
_DATAMATCH, _PORT = 1, 2  # KVM_IOEVENTFD_FLAG_*
#: struct kvm_irqfd: fd, gsi, flags, resamplefd and padding.
_IRQFD: Final = struct.Struct("<IIII16x")
_SIZES: Final = (1, 2, 4, 8)
_FLAGS: Final = os.EFD_NONBLOCK | os.EFD_CLOEXEC

#: Told how many writes there were since it was called last.
OnWrites = Callable[[int], object]


@dataclass(frozen=True, slots=True)
class EventCount:
    """How often an ioeventfd was written to."""

    address: int
    port: bool  # else a guest-physical address
    count: int = 0

    def more(self, count: int) -> EventCount:
        """The same, `count` writes later."""
        return replace(self, count=self.count + count)


class IoEvents:
    """The ioeventfds of one VM and the thread that serves them, from the first one on.

    Args:
        vm: the VM's file descriptor.
        lock: held while a device is called.
        failed: told when a device raises.
    """

    def __init__(self, vm: int, lock: RLock, failed: Callable[[DeviceError], None]) -> None:
        self._vm = vm
        self._lock = lock
        self._failed = failed
        self._callbacks: dict[int, OnWrites] = {}  # by event descriptor
        self._served: dict[int, EventCount] = {}  # likewise
        self._poll: select.epoll | None = None
        self._end = -1  # an event descriptor that ends the thread
        self._thread: Thread | None = None

    def add(
        self, address: int, size: int, callback: OnWrites, match: int | None, port: bool
    ) -> None:
        """Call `callback` for writes of `size` bytes to `address`; of `match` alone if given.

        Raises:
            ValueError: when KVM has no such event.
            KvmError: when KVM or the system refuses it.
        """
        if not callable(callback):
            raise ValueError(f"an ioeventfd calls a function, not {callback!r}")
        if size not in _SIZES:
            raise ValueError(f"an ioeventfd takes writes of 1, 2, 4 or 8 bytes, not {size}")
        if match is not None and not 0 <= match < 1 << (8 * size):
            raise ValueError(f"a write of {size} bytes can't be {match:#x}")
        fd = _eventfd()
        flags = (0 if match is None else _DATAMATCH) | (_PORT if port else 0)
        try:
            request = _IOEVENTFD.pack(match or 0, address, size, fd, flags)
            ioctl.call_bytes(self._vm, "KVM_IOEVENTFD", request)
            self._start()
        except BaseException:
            os.close(fd)
            raise
        with self._lock:
            self._callbacks[fd] = callback
            self._served[fd] = EventCount(address, port)
        assert self._poll is not None
        self._poll.register(fd, select.EPOLLIN)

    def serve(self) -> None:
        """Call the devices for all writes until now, in the calling thread."""
        for fd in tuple(self._callbacks):
            self._serve(fd)

    @property
    def counts(self) -> tuple[EventCount, ...]:
        """How many writes each has taken until now."""
        with self._lock:
            return tuple(self._served.values())

    def close(self) -> None:
        """End the thread and close everything; more than once does no harm."""
        thread, self._thread = self._thread, None
        if thread is not None:
            os.eventfd_write(self._end, 1)
            thread.join()
            os.close(self._end)
        if self._poll is not None:
            self._poll.close()
            self._poll = None
        while self._callbacks:
            os.close(self._callbacks.popitem()[0])

    def _start(self) -> None:
        if self._thread is not None:
            return
        end = _eventfd()
        self._poll = select.epoll()
        self._poll.register(end, select.EPOLLIN)
        self._end = end
        self._thread = Thread(
            target=self._work, args=(self._poll, end), name="kdash-ioeventfd", daemon=True
        )
        self._thread.start()

    def _work(self, poll: select.epoll, end: int) -> None:
        while True:
            for fd, _ in poll.poll():
                if fd == end:
                    return
                self._serve(fd)

    def _serve(self, fd: int) -> None:
        with self._lock:
            try:
                count = os.eventfd_read(fd)
            except BlockingIOError:
                return  # served by another thread
            callback = self._callbacks[fd]
            self._served[fd] = self._served[fd].more(count)
            try:
                device_calls.begin(_owner(callback))
                try:
                    callback(count)
                finally:
                    device_calls.end()
            except BaseException as error:  # noqa: BLE001 - sys.exit in a device ends no program
                self._failed(DeviceError(_owner(callback), error))


class IrqLine:
    """An interrupt line of a VM; calling it raises the line for a moment, from any thread.

    Raises:
        ValueError: when there is no such line.
        KvmError: when KVM or the system refuses it.
    """

    def __init__(self, vm: int, irq: int) -> None:
        if not 0 <= irq < LINES:
            raise ValueError(f"no interrupt line {irq}; they are 0 to {LINES - 1}")
        self._lock = RLock()
        self.irq = irq
        self.raised = 0  # how often until now
        self._fd = _eventfd()
        try:
            ioctl.call_bytes(vm, "KVM_IRQFD", _IRQFD.pack(self._fd, irq, 0, 0))
        except BaseException:
            self.close()
            raise

    def __call__(self) -> None:
        """Raise the interrupt; nothing happens once the machine is closed."""
        with self._lock:
            if self._fd >= 0:
                self.raised += 1
                os.eventfd_write(self._fd, 1)

    def close(self) -> None:
        """Close the descriptor; more than once does no harm."""
        with self._lock:
            fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _eventfd() -> int:
    try:
        return os.eventfd(0, _FLAGS)
    except OSError as error:
        raise ioctl.failure("eventfd", error.errno or 0) from None


def _owner(callback: Any) -> str:
    """What to call the device a callback belongs to."""
    device = getattr(callback, "__self__", None)
    if device is not None:
        return type(device).__name__
    return str(getattr(callback, "__qualname__", type(callback).__name__))


def needs_irqchip() -> KvmError:
    """What to raise where an interrupt line is asked for and there is none."""
    return KvmError("the machine has no interrupt lines", "give it some with --irqchip")
