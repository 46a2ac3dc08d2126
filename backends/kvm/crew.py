"""Threads that run the VCPUs of one machine at full speed, one each.

They are parked between two slices, so that whoever drives the machine finds every VCPU
between two instructions. KVM wants a VCPU run by the same thread, so the threads stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from threading import Condition, Thread
from typing import Any

from kdash.backends.kvm.board import Slice
from kdash.backends.kvm.vcpu_runner import VcpuRunner


class Crew:
    """One thread for each VCPU, from the first `go` to `close`.

    Args:
        runners: one for each VCPU.
    """

    def __init__(self, runners: Sequence[VcpuRunner[Any]]) -> None:
        self._runners = tuple(runners)
        self._condition = Condition()
        self._threads: list[Thread] = []
        self._slice = 0  # counts `go`; each thread runs once for each
        self._running = 0  # threads that have not parked since
        self._going = False
        self._met: list[int] = []  # the VCPUs that met a stop
        self._woken = False
        self._closed = False
        self.waiting = False  # one VCPU waits for a key
        self._failure: BaseException | None = None

    def go(self, seconds: float) -> tuple[int, ...]:
        """Run every VCPU until `wake` is called, all have ended or `seconds` are over.

        All are parked when it returns.

        Returns:
            Which of them met a stop; that parks the others too.

        Raises:
            KvmError: when KVM refused to go on with one of them.
        """
        self._start()
        with self._condition:
            self._slice += 1
            self.waiting = False
            self._running = len(self._threads)
            self._going = True
            self._met.clear()
            self._condition.notify_all()
            self._condition.wait_for(lambda: self._woken or not self._running, seconds)
            self._woken = self._going = False
            for one in self._runners:
                one.vcpu.kick()
            self._condition.wait_for(lambda: not self._running)
            failure, self._failure = self._failure, None
        if failure is not None:
            raise failure
        return tuple(sorted(self._met))

    def wake(self) -> None:
        """Make `go` return soon, or the next one at once; from any thread."""
        with self._condition:
            self._woken = True
            self._condition.notify_all()

    def close(self) -> None:
        """End the threads; more than once does no harm."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
        while self._threads:
            self._threads.pop().join()

    def _start(self) -> None:
        if not self._threads:
            for one in self._runners:
                name = f"kdash-vcpu-{one.vcpu.index}"
                thread = Thread(target=self._work, args=(one,), name=name, daemon=True)
                thread.start()
                self._threads.append(thread)

    # -- the threads

    def _next_slice(self, done: int) -> int | None:
        """Wait for the slice after `done`; None: close."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._slice != done)
            return None if self._closed else self._slice

    def _work(self, runner: VcpuRunner[Any]) -> None:
        at = 0
        while (now := self._next_slice(at)) is not None:
            at = now
            try:
                while self._going and not runner.over:
                    end = runner.run()
                    if end is Slice.WAITING:
                        self.waiting = True
                        break
                    if end is Slice.BREAKPOINT:
                        self._met.append(runner.vcpu.index)
                        self.wake()
                        break
            except BaseException as error:  # noqa: BLE001 - raised again by `go`
                self._failure = error
                self.wake()
            with self._condition:
                self._running -= 1
                self._condition.notify_all()
