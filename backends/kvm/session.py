"""A guest driven for a screen: commands go to the VCPU's thread, snapshots come back.

Nothing is sent per exit: the thread leaves the latest snapshot in a slot, about 15 times a
second while the guest runs, and whoever draws takes it from there.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from threading import Condition, Thread, current_thread
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from kdash.backends.kvm.device import DEVICE
from kdash.backends.kvm.engines import KVM
from kdash.backends.kvm.facts import (
    GuestFileError,
    KvmError,
    NotRecorded,
    PastError,
    RunState,
    Snapshot,
    TextScreen,
)
from kdash.backends.kvm.fpu import FpuState
from kdash.backends.kvm.guests import Guest, article_guest
from kdash.backends.kvm.guided import AS_LOADED, GuidedRun, Pace, Start
from kdash.backends.kvm.output import OnOutput
from kdash.backends.kvm.registers import check_register
from kdash.backends.kvm.stop_requests import StopError, Wanted, exit_filter
from kdash.backends.kvm.symbols import Symbols
from kdash.backends.kvm.user_devices import DeviceClass

if TYPE_CHECKING:
    from kdash.backends.kvm.inspector import Inspector

#: Snapshots a second while the guest runs.
REFRESH: Final = 15
#: Seconds for which a step is let alone, so that the next command does not take its place.
GRACE: Final = 0.05

_Answer = TypeVar("_Answer")


class VcpuSession:
    """One guest on its VCPUs, driven by a thread of its own.

    The constructor creates the machine and takes the first snapshot, in the caller's
    thread. Every command returns a future at once; it is done when the command is: for
    `step`, `run`, `step_over` and `run_until` when the guest has stopped. Commands are
    carried out one after the other: a step waits for the one before it, unless that takes
    more than 50 ms; then, and while the guest runs, a command to go stops it first.
    `set_register`, `read_memory` and the breakpoints leave it running.

    An error in the thread is in the future and in `Snapshot.failure`; where it came while
    the guest ran, the run has ended and only `restart` goes on.

    Args:
        guest: what to run; the article's guest unless given.
        path: the KVM device.
        devices: of the user; each machine gets its own instances.
        engine: KVM or EMULATOR, see engines.py.
        start: registers and serial input for each time the guest is loaded.

    Raises:
        KvmError: when KVM can't be used.
        GuestError: when a device does not fit.
    """

    def __init__(
        self,
        guest: Guest | None = None,
        path: str = DEVICE,
        devices: Sequence[DeviceClass] = (),
        engine: str = KVM,
        start: Start = AS_LOADED,
    ) -> None:
        guest = guest or article_guest()
        if guest.recorded is not None:
            from kdash.backends.kvm.recorded_run import RecordedRun

            self._run = cast(GuidedRun, RecordedRun(guest.recorded))  # as far as we use it
        else:
            self._run = GuidedRun(guest, path, devices, engine, start)
        try:
            self._latest = self._run.snapshot()
        except BaseException:
            self._run.close()
            raise
        self._condition = Condition()
        self._commands: deque[tuple[Future[Any], Callable[[], None]]] = deque()
        self._goal: Future[Snapshot] | None = None  # of the command that lets the guest run
        self._began = 0.0  # time of that command
        self._failure = ""
        self._closing = False
        self._shown = 0.0  # time of the latest snapshot
        self._thread = Thread(target=self._loop, name="kdash-vcpu", daemon=True)
        self._thread.start()

    # -- commands, from any thread

    def snapshot(self) -> Snapshot:
        """The latest state; never waits."""
        return self._latest

    @property
    def symbols(self) -> Symbols:
        """Names of the guest's addresses; empty where none are known."""
        return self._run.symbols

    def screen(self) -> TextScreen | None:
        """The text screen of the latest snapshot; None: the guest never wrote there."""
        return self._latest.screen

    def step(self, count: int = 1) -> Future[Snapshot]:
        """Execute `count` instructions of the selected VCPU, or up to a breakpoint or the end."""
        return self._go(Pace(steps=count))

    def step_over(self) -> Future[Snapshot]:
        """Execute one instruction, a call or interrupt with all that it leads to."""
        return self._go(Pace(over=True))

    def run_until(self, ip: int) -> Future[Snapshot]:
        """Run until RIP is `ip`, a breakpoint is met or the guest ends."""
        return self._go(Pace(until=ip))

    def run(self) -> Future[Snapshot]:
        """Run at full speed; by steps where stop points need that (see stopping.py)."""
        return self._go(Pace())

    def run_to_exit(
        self, kind: str | None = None, port: int | None = None, address: int | None = None
    ) -> Future[Snapshot]:
        """Run to the next exit.

        Args:
            kind: only of this kind: "IO", "MMIO", ...
            port: only at this port.
            address: only of MMIO at this guest-physical address.

        Raises:
            StopError: when there is no such exit; at once.
        """
        return self._go(Pace(exits=exit_filter(kind, port, address)))

    def run_stepped(self) -> Future[Snapshot]:
        """Run step by step in the native loop, so that every step is recorded."""
        return self._go(Pace(stepped=True))

    def pause(self) -> Future[Snapshot]:
        """Stop the guest between two instructions."""
        return self._submit(self._stop)

    # -- going back; the future's NotRecorded: there is no past

    def step_back(self, count: int = 1) -> Future[Snapshot]:
        """Show the guest `count` steps earlier; a run at full speed counts as one step."""
        return self._back(lambda: self._run.step_back(count))

    def reverse_next(self) -> Future[Snapshot]:
        """Show it one step earlier, a call that has just returned as a whole."""
        return self._back(self._run.reverse_next)

    def reverse_continue(self, exits: bool = False) -> Future[Snapshot]:
        """Go back to a breakpoint, with `exits` also to the last exit, else to the begin."""
        return self._back(lambda: self._run.reverse_continue(exits))

    def seek(self, moment: int) -> Future[Snapshot]:
        """Show the recorded moment nearest to `moment` (see Snapshot.recording)."""
        return self._back(lambda: self._run.seek(moment))

    def run_from_here(self) -> Future[Snapshot]:
        """Make the moment shown the guest's state; what was recorded after it is forgotten."""
        return self._back(self._run.run_from_here)

    def save_recording(self, path: str) -> Future[Snapshot]:
        """Write all that is recorded to a file, which `kdash FILE` opens.

        The future's GuestError: it can't be written; NotRecorded: there is nothing.
        """
        return self._back(lambda: self._run.save(path))

    def save_snapshot(self, path: str) -> Future[Snapshot]:
        """Write the moment shown to a file; as `save_recording`."""
        return self._back(lambda: self._run.save(path, moment_only=True))

    def _back(self, work: Callable[[], None]) -> Future[Snapshot]:
        def back() -> None:
            self._stop()
            work()

        return self._submit(back)

    def restart(self) -> Future[Snapshot]:
        """Load the guest anew into a new machine; breakpoints stay."""
        return self._submit(self._restart)

    def select_vcpu(self, index: int) -> Future[Snapshot]:
        """Show, step and change VCPU `index`; the future's ValueError: there is none such.

        A VCPU that meets a breakpoint is selected by that.
        """
        return self._submit(lambda: self._run.select_vcpu(index))

    def set_register(self, name: str, value: int, confirm: bool = False) -> Future[Snapshot]:
        """Set a register (see `registers.NAMES`; a segment by its selector).

        While a moment of the past is shown, the future's PastError says what would be
        forgotten; with `confirm` it is, and the guest goes on from there.

        Raises:
            ValueError: when there is no such register or the value does not fit; at once.
        """
        check_register(name, value)
        return self._submit(lambda: self._run.set_register(name, value, confirm))

    def add_breakpoint(self, ip: int) -> Future[Snapshot]:
        """Let `run` and longer steps stop where RIP is `ip` in the code segment there is now."""
        return self._submit(lambda: self._run.add_breakpoint(ip))

    def remove_breakpoint(self, ip: int) -> Future[Snapshot]:
        """Forget the breakpoints at `ip`, if there are any."""
        return self._submit(lambda: self._run.remove_breakpoint(ip))

    def add_stop(self, wanted: Wanted) -> Future[int]:
        """Add a stop point, also while the guest runs; the future is its number.

        Raises:
            ConditionError: when its condition means nothing; at once.
        """
        self._run.stops.check(wanted)
        number: Future[int] = Future()

        def add() -> None:
            added = self._run.add_stop(wanted)
            self._publish()
            number.set_result(added)

        self._enqueue(number, add)
        return number

    def remove_stop(self, number: int) -> Future[Snapshot]:
        """Forget a stop point; StopError in the future where there is none of that number."""
        return self._submit(lambda: self._run.remove_stop(number))

    def ignore_stop(self, number: int, count: int) -> Future[Snapshot]:
        """Pass over the next `count` hits of a stop point; StopError as `remove_stop`."""
        return self._submit(lambda: self._run.stops.ignore(number, count))

    def on_output(self, listener: OnOutput) -> None:
        """Let `listener` be told, in the VCPU's thread, what the guest sends from now on."""
        self._run.on_output = listener

    def send_serial(self, data: bytes) -> Future[Snapshot]:
        """Give the guest input on its serial port; it goes on running if it does."""
        return self._submit(lambda: self._run.send_serial(data))

    def send_keys(self, data: bytes) -> Future[Snapshot]:
        """Press the keys that make a terminal send `data`; the guest goes on running if it does.

        They are for guests that read the keyboard: by int 16h or its controller's ports.
        """
        return self._submit(lambda: self._run.send_keys(data))

    def read_memory(self, linear_address: int, length: int, timeout: float = 5.0) -> bytes:
        """Guest memory as the VCPU sees it, up to the first byte that is not mapped.

        Waits for the VCPU's thread, which takes about a millisecond.

        Raises:
            KvmError: when the session is closed.
            TimeoutError: when the thread did not answer in `timeout` seconds.
        """
        return self._ask(lambda: self._run.read_memory(linear_address, length)).result(timeout)

    def write_physical(self, address: int, data: bytes, confirm: bool = False) -> Future[int]:
        """Write guest memory by physical address; the bytes that were written.

        In the past as `set_register`.
        """

        def write() -> int:
            written = self._run.write_physical(address, data, confirm)
            self._publish()
            return written

        return self._ask(write)

    def write_memory(self, linear_address: int, data: bytes, confirm: bool = False) -> Future[int]:
        """Write guest memory as the VCPU sees it, ROM too; the bytes that were written.

        Fewer than there are where a page is not mapped or is no memory. In the past as
        `set_register`.
        """

        def write() -> int:
            written = self._run.write_memory(linear_address, data, confirm)
            self._publish()
            return written

        return self._ask(write)

    def fpu(self) -> Future[FpuState | None]:
        """The x87 and SSE registers; None where that is not known."""
        return self._ask(self._run.fpu)

    def set_fpu(self, state: FpuState, confirm: bool = False) -> Future[Snapshot]:
        """Set the x87 and SSE registers; in the past as `set_register`."""
        return self._submit(lambda: self._run.set_fpu(state, confirm))

    def inspect(self, question: Callable[[Inspector], _Answer], timeout: float = 5.0) -> _Answer:
        """What `question` finds when it looks at the machine; the guest goes on if it runs.

        For state that no snapshot has: it costs calls, so ask when a person looks. Waits for
        the VCPU's thread, as `read_memory`.

        Raises:
            KvmError: what `question` raises (or anything else), or that the session is closed.
            TimeoutError: when the thread did not answer in `timeout` seconds.
        """
        answer: Future[_Answer] = Future()

        def look() -> None:
            try:
                answer.set_result(question(self._run.inspector))
            except Exception as error:  # noqa: BLE001 - the guest goes on; who asked shall know
                answer.set_exception(error)

        self._enqueue(answer, look)
        return answer.result(timeout)

    def close(self) -> None:
        """Stop the thread and free the machine; more than once does no harm."""
        with self._condition:
            if not self._closing:
                self._closing = True
                self._run.kick()
                self._condition.notify()
        if self._thread is not current_thread():
            self._thread.join()

    # -- commands on their way to the thread

    def _go(self, pace: Pace) -> Future[Snapshot]:
        """Let the thread go `pace` and answer when the guest has stopped."""
        answer: Future[Snapshot] = Future()

        def go() -> None:
            self._stop()
            self._forget_failure()
            self._run.begin(pace)
            self._began = time.monotonic()
            self._goal = answer
            if not self._run.going:
                self._arrived()

        self._enqueue(answer, go)
        return answer

    def _submit(self, work: Callable[[], None]) -> Future[Snapshot]:
        """Let the thread do `work` and answer with a new snapshot."""
        answer: Future[Snapshot] = Future()

        def submit() -> None:
            self._forget_failure()
            work()
            answer.set_result(self._publish())

        self._enqueue(answer, submit)
        return answer

    def _ask(self, question: Callable[[], _Answer]) -> Future[_Answer]:
        """Let the thread answer, without a new snapshot."""
        answer: Future[_Answer] = Future()
        self._enqueue(answer, lambda: answer.set_result(question()))
        return answer

    def _enqueue(self, answer: Future[_Answer], work: Callable[[], None]) -> None:
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
        finally:
            self._run.close()
            self._abandon()

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
                self._publish()
        except Exception as error:  # noqa: BLE001 - whatever it is, someone must see it
            goal, self._goal = self._goal, None
            self._fail(error)
            if goal is not None:
                goal.set_exception(error)

    def _arrived(self) -> None:
        """The guest has stopped; whoever let it run is told."""
        goal, self._goal = self._goal, None
        latest = self._publish()
        if goal is not None:
            goal.set_result(latest)

    def _stop(self) -> None:
        self._run.stop()
        if self._goal is not None:
            self._arrived()

    def _restart(self) -> None:
        self._stop()
        with self._condition:  # nobody may kick a machine that is being replaced
            self._run.restart()
        self._failure = ""

    def _forget_failure(self) -> None:
        if not self._run.broken:
            self._failure = ""

    def _fail(self, error: Exception) -> None:
        self._failure = _told(error)
        state = RunState.ENDED if self._run.broken else self._latest.state
        self._latest = replace(self._latest, state=state, failure=self._failure)

    def _publish(self) -> Snapshot:
        latest = self._run.snapshot()
        self._latest = replace(latest, failure=self._failure) if self._failure else latest
        self._shown = time.monotonic()
        return self._latest

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
