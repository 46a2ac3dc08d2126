"""How gdb lets the guest go, forward and back, and what it is told of the stop."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final

from kdash.backends.kvm.facts import NotRecorded, Snapshot
from kdash.backends.kvm.gdb_arguments import PATIENCE, MalformedError, console, number, pair
from kdash.backends.kvm.gdb_monitor import shown
from kdash.backends.kvm.gdb_stop_points import Point, StopPoints
from kdash.backends.kvm.gdb_stops import (
    SIGINT,
    SIGTRAP,
    end_signal,
    exit_reply,
    has_ended,
    stop_reply,
)
from kdash.backends.kvm.session import VcpuSession

_OK: Final = b"OK"
_UNSUPPORTED: Final = b""
_NO_EARLIER: Final = b"replaylog:begin;"

#: The packets of an answer; None: it comes when the guest stops, or never.
Reply = bytes | list[bytes] | None


@dataclass(frozen=True, slots=True)
class Back:
    """A way back through the recording."""

    single: bool  # one step
    position: int | None  # moment it began at

    def stuck(self, snapshot: Snapshot) -> bool:
        """Whether the recording's first moment kept it from where it was to go."""
        view = snapshot.recording
        if view is None or view.position > view.first:
            return False
        return not self.single or self.position == view.first


class Going:
    """Answers ? c C s S b vCont R Z z; each method gets a packet's arguments.

    Where the guest goes on, `running` is the future of its stop, and `stopped` tells it.

    Args:
        session: the guest.
        wake: called in the session's thread when `running` is done.
        select: makes the VCPU of a thread the one that steps.
    """

    def __init__(
        self, session: VcpuSession, wake: Callable[[], None], select: Callable[[bytes], None]
    ) -> None:
        self._session = session
        self._wake = wake
        self._select = select
        self.points = StopPoints(session)
        self.recorded = True  # whether `continue` records each step, where steps are recorded
        self.running: Future[Snapshot] | None = None
        self.end_told = False  # gdb stopped at the guest's end
        self.exited = False  # and then let go of it
        self._interrupted = False
        self._range: tuple[int, int] | None = None  # stepped through silently: first and end
        self._back: Back | None = None

    # -- forward

    def continue_(self, arguments: bytes) -> Reply:
        """`c`, from an address if there is one."""
        self._set_rip(arguments)
        return self._go(self._run)

    def step(self, arguments: bytes) -> Reply:
        """`s`, from an address if there is one."""
        self._set_rip(arguments)
        return self._go(self._session.step, single=True)

    def continue_signal(self, arguments: bytes) -> Reply:
        """`C`: the signal means nothing to a guest."""
        return self.continue_(arguments.partition(b";")[2])

    def step_signal(self, arguments: bytes) -> Reply:
        """`S`, likewise."""
        return self.step(arguments.partition(b";")[2])

    def vcont_actions(self, _arguments: bytes) -> Reply:
        """`vCont?`."""
        return b"vCont;c;C;s;S;r"

    def vcont(self, arguments: bytes) -> Reply:
        """`vCont`: step the VCPU that shall step, alone; else let all go."""
        actions = [action.partition(b":") for action in arguments.removeprefix(b";").split(b";")]
        for action, _, thread in actions:
            if action[:1] not in b"cCsSr" or not action:
                raise MalformedError
            if action[:1] in b"sSr":
                through = pair(action[1:]) if action[:1] == b"r" else None
                if thread:
                    self._select(thread)
                reply = self._go(self._session.step, single=through is None)
                self._range = through
                return reply
        return self._go(self._run)

    def restart(self, _arguments: bytes) -> Reply:
        """`R`, which has no answer."""
        self.end_told = False
        self._session.restart().result(PATIENCE)
        return None

    def _set_rip(self, address: bytes) -> None:
        if address:
            self._session.set_register("rip", number(address)).result(PATIENCE)

    def _run(self) -> Future[Snapshot]:
        """Go on as fast as can be, or so that every step can be gone back."""
        if self.recorded and not self._session.snapshot().unrecorded:
            return self._session.run_stepped()
        return self._session.run()

    def _go(self, start: Callable[[], Future[Snapshot]], *, single: bool = False) -> Reply:
        snapshot = self._session.snapshot()
        if has_ended(snapshot):
            if not self.end_told:
                return self._tell_end(snapshot)
            self.exited = True
            return exit_reply(snapshot)
        self._range = None
        self.points.place(breakpoints=not single)
        self._interrupted = False
        self._await(start())
        return None

    def _await(self, running: Future[Snapshot]) -> None:
        self.running = running
        running.add_done_callback(lambda _: self._wake())

    # -- back

    def reverse(self, arguments: bytes) -> Reply:
        """`bs`, a step back, and `bc`, back to a stop point or the beginning of the recording."""
        if arguments not in (b"s", b"c"):
            return _UNSUPPORTED
        self.points.place()
        self._range = None
        self._interrupted = False
        single = arguments == b"s"
        view = self._session.snapshot().recording
        self._back = Back(single, None if view is None else view.position)
        self._await(self._session.step_back() if single else self._session.reverse_continue())
        return None

    # -- stops

    def interrupt(self) -> None:
        """Stop the guest, if it goes; `running` is done then."""
        if self.running is not None:
            self._interrupted = True
            self._session.pause()

    def let_go(self) -> None:
        """Forget where to stop, so that the guest runs without this gdb."""
        self.points.forget()
        for point in self._session.snapshot().stops:
            self._session.remove_stop(point.number)

    def why(self, _arguments: bytes) -> Reply:
        """`?`."""
        snapshot = self._session.snapshot()
        if has_ended(snapshot):
            return stop_reply(snapshot, end_signal(snapshot))
        return stop_reply(snapshot, SIGINT if self._interrupted else SIGTRAP)

    def stopped(self) -> list[bytes]:
        """What gdb is told when `running` is done; nothing where the guest goes on."""
        assert self.running is not None
        done, self.running = self.running, None
        back, self._back = self._back, None
        if done.exception() is not None:
            return self._failed(done.exception())
        snapshot = done.result(0)
        if back is not None:
            return self._stop(snapshot, back)
        if has_ended(snapshot):
            return self._tell_end(snapshot)
        if self._within_range(snapshot):
            self._await(self._session.step())
            return []
        return self._stop(snapshot)

    def _within_range(self, snapshot: Snapshot) -> bool:
        """Whether a step through a range of addresses goes on."""
        if self._range is None or self._interrupted or snapshot.stopped_at:
            return False
        first, end = self._range
        return first <= snapshot.registers.rip < end

    def _failed(self, error: BaseException | None) -> list[bytes]:
        snapshot = self._session.snapshot()
        if has_ended(snapshot):
            return self._tell_end(snapshot)
        reason = _NO_EARLIER if isinstance(error, NotRecorded) else b""
        return [*console(f"kdash: {shown(str(error))}\n"), stop_reply(snapshot, SIGTRAP, reason)]

    def _stop(self, snapshot: Snapshot, back: Back | None = None) -> list[bytes]:
        reason = self.points.reason(snapshot)
        if reason is None and back is not None and back.stuck(snapshot):
            reason = _NO_EARLIER
        if reason is not None:
            return [stop_reply(snapshot, SIGTRAP, reason)]
        if snapshot.stopped_at:  # by `monitor catch`, which gdb knows nothing of
            note = console(f"kdash: {shown(snapshot.detail)}\n")
            return [*note, stop_reply(snapshot, SIGTRAP)]
        return [stop_reply(snapshot, SIGINT if self._interrupted else SIGTRAP)]

    def _tell_end(self, snapshot: Snapshot) -> list[bytes]:
        """Stop at the end, so that the last state can be looked at; going on then lets go."""
        self.end_told = True
        cause = snapshot.detail or snapshot.failure.partition("\n")[0]
        note = (
            f"kdash: the guest has ended: {shown(cause)}\n"
            "Its registers and memory are kept; monitor restart loads it anew.\n"
        )
        return [*console(note), stop_reply(snapshot, end_signal(snapshot))]

    # -- where to stop

    def insert(self, arguments: bytes) -> Reply:
        """`Z`."""
        return self._change_point(arguments, self.points.insert)

    def remove(self, arguments: bytes) -> Reply:
        """`z`."""
        return self._change_point(arguments, self.points.remove)

    def _change_point(self, arguments: bytes, change: Callable[[Point], None]) -> Reply:
        kind, comma, where = arguments.partition(b",")
        if not comma:
            raise MalformedError
        if not self.points.knows(number(kind)):
            return _UNSUPPORTED
        change(Point(number(kind), *pair(where.partition(b";")[0])))
        return _OK
