"""The thread in which a guest is driven, and the commands on their way to it.

Nothing is sent per exit: the thread leaves the latest snapshot in a slot, about ten times a
second while the guest runs, and whoever draws takes it from there.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from threading import Condition, Thread, current_thread
from typing import Any, Final, TypeVar

from kdash.backends.kvm import device_calls
from kdash.backends.kvm.facts import (
    GuestFileError,
    KvmError,
    NotRecorded,
    PastError,
    RunState,
    Snapshot,
)
from kdash.backends.kvm.guided import GuidedRun
from kdash.backends.kvm.pace import Pace
from kdash.backends.kvm.stop_requests import StopError

#: Snapshots a second while the guest runs.
REFRESH: Final = 10
#: Seconds for which a step is let alone, so that the next command does not take its place.
GRACE: Final = 0.05
#: Times `close` ends a device that does not return, half a second apart.
_TRIES: Final = 3

_Answer = TypeVar("_Answer")


class VcpuThread:
    """Carries out commands one after the other, and lets the guest go in between.

    `go`, `submit`, `ask`, `enqueue` and `close` are for any thread; what commands do with the
    run, `stop`, `restart` and `publish` are for the work given to these.

    Args:
        run: the guest, closed with the thread. The first snapshot is taken in the caller's.
    """

    def __init__(self, run: GuidedRun) -> None:
        self._run = run
        try:
            self.latest = run.snapshot()
        except BaseException:
            run.close()
            raise
        self._search_ends = False  # a search of the past shall end where it is
        run.interrupted = lambda: self._search_ends or self._closing
        self._condition = Condition()
        self._commands: deque[tuple[Future[Any], Callable[[], None]]] = deque()
        self._goal: Future[Snapshot] | None = None  # of the command that lets the guest run
        self._began = 0.0  # time of that command
        self._failure = ""
        self._closing = False
        self._shown = 0.0  # time of the latest snapshot
        self._thread = Thread(target=self._loop, name="kdash-vcpu", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread and free the machine; more than once does no harm.

        A device that does not return is ended. Where it waits in C even that can't end it; then
        the machine is left to the thread, or to the end of the process.
        """
        with self._condition:
            if not self._closing:
                self._closing = True
                self._run.kick()
                self._condition.notify()
        if self._thread is not current_thread():
            self._thread.join(device_calls.PATIENCE)
            tries = 0
            while self._thread.is_alive() and tries < _TRIES:
                tries += bool(device_calls.hung())
                device_calls.end_calls()
                self._thread.join(device_calls.PATIENCE / 2)
            if self._thread.is_alive():
                names = ", ".join(device_calls.hung())
                device_calls.leave()
                self._failure = f"device {names} did not return; the machine is left as it is"
                self.latest = replace(self.latest, failure=self._failure)

    # -- commands on their way to the thread

    def end_search(self) -> None:
        """End a search of the past where it is; `pause` or `restart` is to be given next."""
        self._search_ends = True

    def go(self, pace: Pace) -> Future[Snapshot]:
        """Let the thread go `pace` and answer when the guest has stopped."""
        answer: Future[Snapshot] = Future()

        def go() -> None:
            self.stop()
            self._forget_failure()
            self._run.begin(pace)
            self._began = time.monotonic()
            self._goal = answer
            if not self._run.going:
                self._arrived()

        self.enqueue(answer, go)
        return answer

    def submit(self, work: Callable[[], None]) -> Future[Snapshot]:
        """Let the thread do `work` and answer with a new snapshot."""
        answer: Future[Snapshot] = Future()

        def submit() -> None:
            self._forget_failure()
            work()
            answer.set_result(self.publish())

        self.enqueue(answer, submit)
        return answer

    def ask(self, question: Callable[[], _Answer]) -> Future[_Answer]:
        """Let the thread answer, without a new snapshot."""
        answer: Future[_Answer] = Future()
        self.enqueue(answer, lambda: answer.set_result(question()))
        return answer

    def enqueue(self, answer: Future[_Answer], work: Callable[[], None]) -> None:
        """Let the thread do `work`, which puts its result into `answer`; errors go there too."""

        def command() -> None:
            try:
                work()
            except (StopError, PastError, NotRecorded, GuestFileError) as error:  # of whoever asked
                answer.set_exception(error)
            except Exception as error:  # noqa: BLE001 - whatever it is, someone must see it
                self._fail(error)
                if not answer.done():
                    answer.set_exception(error)

        with self._condition:
            if self._closing:
                answer.set_exception(_closed())
                return
            self._commands.append((answer, command))
            self._condition.notify()
            if self._goal is not None and not self._in_grace():
                self._run.kick()

    def _in_grace(self) -> bool:
        return not self._run.free and time.monotonic() - self._began < GRACE

    # -- the VCPU's thread

    def _loop(self) -> None:
        try:
            while (command := self._next()) is not None:
                command()
        except Exception as error:  # noqa: BLE001 - whatever it is, someone must see it
            self._ended_by(error)
        finally:
            self._run.close()
            self._abandon()

    def _ended_by(self, error: Exception) -> None:
        """The thread can't go on: whoever waits is told, and later commands are refused."""
        with self._condition:
            self._closing = True
        failure = f"the VCPU's thread ended: {_told(error)}"
        self.latest = replace(self.latest, state=RunState.ENDED, failure=failure)

    def _next(self) -> Callable[[], None] | None:
        """What to do next; None: close."""
        with self._condition:
            while not (self._commands or self._may_go or self._closing):
                self._condition.wait()
            if self._closing:
                return None
            if self._may_go and (not self._commands or self._in_grace()):
                return self._advance
            return self._commands.popleft()[1]

    @property
    def _may_go(self) -> bool:
        """Whether the guest shall run and does not wait for a key."""
        return self._goal is not None and not self._run.waiting

    def _advance(self) -> None:
        try:
            if not self._run.advance():
                self._arrived()
            elif self._run.waiting or time.monotonic() - self._shown > 0.8 / REFRESH:
                self.publish()
        except Exception as error:  # noqa: BLE001 - whatever it is, someone must see it
            goal, self._goal = self._goal, None
            self._fail(error)
            if goal is not None:
                goal.set_exception(error)

    def _arrived(self) -> None:
        """The guest has stopped; whoever let it run is told."""
        goal, self._goal = self._goal, None
        latest = self.publish()
        if goal is not None:
            goal.set_result(latest)

    def stop(self) -> None:
        """Stop the guest between two instructions; whoever let it run is told."""
        self._run.stop()
        if self._goal is not None:
            self._arrived()

    def pause(self) -> None:
        """Stop the guest; searches of the past begun from now on go to their end."""
        self._search_ends = False
        self.stop()

    def restart(self) -> None:
        """Load the guest anew into a new machine."""
        self.pause()
        with self._condition:  # nobody may kick a machine that is being replaced
            self._run.restart()
        self._failure = ""

    def _forget_failure(self) -> None:
        if not self._run.broken:
            self._failure = ""

    def _fail(self, error: Exception) -> None:
        self._failure = _told(error)
        state = RunState.ENDED if self._run.broken else self.latest.state
        self.latest = replace(self.latest, state=state, failure=self._failure)

    def publish(self) -> Snapshot:
        """Take a snapshot, the latest from now on."""
        latest = self._run.snapshot()
        self.latest = replace(latest, failure=self._failure) if self._failure else latest
        self._shown = time.monotonic()
        return self.latest

    def _abandon(self) -> None:
        """Nobody shall wait for a closed session."""
        with self._condition:
            waiting = [answer for answer, _ in self._commands]
            self._commands.clear()
        if self._goal is not None:
            waiting.append(self._goal)
        for answer in waiting:
            if not answer.done():
                answer.set_exception(_closed())


def _closed() -> KvmError:
    return KvmError("the session is closed", "open the guest again")


def _told(error: Exception) -> str:
    """A failure in words: of ours the message, of others the kind too."""
    return str(error) if isinstance(error, KvmError) else f"{type(error).__name__}: {error}"
