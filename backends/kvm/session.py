"""A guest driven for a screen: commands go to the VCPU's thread, snapshots come back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar, cast

from kdash.backends.kvm import device_calls
from kdash.backends.kvm.device import DEVICE
from kdash.backends.kvm.engines import KVM
from kdash.backends.kvm.facts import (
    Exit,
    Instruction,
    RunState,
    Snapshot,
    TextScreen,
)
from kdash.backends.kvm.fpu import FpuState
from kdash.backends.kvm.guests import Guest, article_guest
from kdash.backends.kvm.guided import GuidedRun
from kdash.backends.kvm.output import OnOutput
from kdash.backends.kvm.pace import Pace
from kdash.backends.kvm.registers import check_register
from kdash.backends.kvm.snapshots import LINES_WAIT
from kdash.backends.kvm.start import AS_LOADED, Start
from kdash.backends.kvm.stop_requests import Wanted, exit_filter
from kdash.backends.kvm.symbols import Symbols
from kdash.backends.kvm.user_devices import DeviceClass
from kdash.backends.kvm.vcpu_thread import VcpuThread

if TYPE_CHECKING:
    from kdash.backends.kvm.inspector import Inspector

_Answer = TypeVar("_Answer")

MASK: Final = (1 << 64) - 1  # linear addresses wrap round
#: Bytes read for each instruction that is asked for: the mean of code is below 5.
MEAN_LENGTH: Final = 8


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
            from kdash.backends.kvm.file_run import FileRun

            of_file = FileRun(guest.recorded, guest, path, devices, engine, start)
            self._run = cast(GuidedRun, of_file)  # as far as we use it
        else:
            self._run = GuidedRun(guest, path, devices, engine, start)
        self._thread = VcpuThread(self._run)
        #: The snapshot before a device was called that does not return, and while it is.
        self._in_device = (self._thread.latest, self._thread.latest)

    # -- commands, from any thread

    def snapshot(self) -> Snapshot:
        """The latest state; never waits.

        While a device does not return, the guest is running and `detail` tells where.
        """
        latest = self._thread.latest
        told = device_calls.told() if latest.state is not RunState.ENDED else ""
        if not told:
            return latest
        shown, seen = self._in_device
        if shown is not latest or seen.detail != told:
            seen = replace(latest, state=RunState.RUNNING, detail=told)
            self._in_device = latest, seen
        return seen

    @property
    def symbols(self) -> Symbols:
        """Names of the guest's addresses; empty where none are known."""
        return self._run.symbols

    def code(self, ip: int, count: int) -> tuple[Instruction, ...]:
        """At most `count` instructions from `ip` on, in the mode the VCPU shown is in.

        Fewer where memory ends or the bytes are no code. Waits as `read_memory`, which raises
        what this does.
        """
        from kdash.backends.kvm import disassembly

        registers = self.snapshot().registers
        bits, linear = registers.code_bits, (ip + registers.cs.base) & MASK
        length = count * MEAN_LENGTH + disassembly.LONGEST
        data = self.read_memory(linear, length)
        found = disassembly.forward(data, ip, linear, bits, count=count, current=registers.rip)
        named = disassembly.named(found, self._run.symbols)
        lines = self._run.lines
        return named if lines is None else lines.of(named, LINES_WAIT)

    def screen(self) -> TextScreen | None:
        """The text screen of the latest snapshot; None: the guest never wrote there."""
        return self._thread.latest.screen

    def step(self, count: int = 1) -> Future[Snapshot]:
        """Execute `count` instructions of the selected VCPU, or up to a breakpoint or the end."""
        return self._thread.go(Pace(steps=count))

    def step_over(self) -> Future[Snapshot]:
        """Execute one instruction, a call or interrupt with all that it leads to."""
        return self._thread.go(Pace(over=True))

    def run_until(self, ip: int) -> Future[Snapshot]:
        """Run until RIP is `ip`, a breakpoint is met or the guest ends."""
        return self._thread.go(Pace(until=ip))

    def run(self) -> Future[Snapshot]:
        """Run at full speed; by steps where stop points need that (see stopping.py)."""
        return self._thread.go(Pace())

    def run_to_exit(
        self, kind: str | None = None, port: int | None = None, address: int | None = None
    ) -> Future[Snapshot]:
        """Run to the next exit: step by step where the guest is recorded, so that S leads back.

        Args:
            kind: only of this kind: "IO", "MMIO", ...
            port: only at this port.
            address: only of MMIO at this guest-physical address.

        Raises:
            StopError: when there is no such exit; at once.
        """
        recorded = not self.snapshot().unrecorded
        return self._thread.go(Pace(exits=exit_filter(kind, port, address), stepped=recorded))

    def earlier_exits(self, index: int, count: int, timeout: float = 5.0) -> tuple[Exit, ...]:
        """Of the last `count` recorded exits those before `index`, oldest first.

        Waits as `read_memory`, which raises what this does.
        """
        return self._thread.ask(lambda: self._run.earlier_exits(index, count)).result(timeout)

    def run_stepped(self) -> Future[Snapshot]:
        """Run step by step in the native loop, so that every step is recorded."""
        return self._thread.go(Pace(stepped=True))

    def pause(self) -> Future[Snapshot]:
        """Stop the guest between two instructions, or a search of the past where it is.

        Ends a device that does not return.
        """
        device_calls.end_calls_later()
        self._thread.end_search()
        return self._thread.submit(self._thread.pause)

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
            self._thread.stop()
            work()

        return self._thread.submit(back)

    def restart(self) -> Future[Snapshot]:
        """Load the guest anew into a new machine; breakpoints stay; as `pause` for devices."""
        device_calls.end_calls_later()
        self._thread.end_search()
        return self._thread.submit(self._thread.restart)

    def select_vcpu(self, index: int) -> Future[Snapshot]:
        """Show, step and change VCPU `index`; the future's ValueError: there is none such.

        A VCPU that meets a breakpoint is selected by that.
        """
        return self._thread.submit(lambda: self._run.select_vcpu(index))

    def set_register(self, name: str, value: int, confirm: bool = False) -> Future[Snapshot]:
        """Set a register (see `registers.NAMES`; a segment by its selector).

        While a moment of the past is shown, the future's PastError says what would be
        forgotten; with `confirm` it is, and the guest goes on from there.

        Raises:
            ValueError: when there is no such register or the value does not fit; at once.
        """
        check_register(name, value)
        return self._thread.submit(lambda: self._run.set_register(name, value, confirm))

    def add_breakpoint(self, ip: int) -> Future[Snapshot]:
        """Let `run` and longer steps stop where RIP is `ip` in the code segment there is now."""
        return self._thread.submit(lambda: self._run.add_breakpoint(ip))

    def remove_breakpoint(self, ip: int) -> Future[Snapshot]:
        """Forget the breakpoints at `ip`, if there are any."""
        return self._thread.submit(lambda: self._run.remove_breakpoint(ip))

    def add_stop(self, wanted: Wanted) -> Future[int]:
        """Add a stop point, also while the guest runs; the future is its number.

        Raises:
            ConditionError: when its condition means nothing; at once.
        """
        self._run.stops.check(wanted)
        number: Future[int] = Future()

        def add() -> None:
            added = self._run.add_stop(wanted)
            self._thread.publish()
            number.set_result(added)

        self._thread.enqueue(number, add)
        return number

    def remove_stop(self, number: int) -> Future[Snapshot]:
        """Forget a stop point; StopError in the future where there is none of that number."""
        return self._thread.submit(lambda: self._run.remove_stop(number))

    def ignore_stop(self, number: int, count: int) -> Future[Snapshot]:
        """Pass over the next `count` hits of a stop point; StopError as `remove_stop`."""
        return self._thread.submit(lambda: self._run.stops.ignore(number, count))

    def on_output(self, listener: OnOutput) -> None:
        """Let `listener` be told, in the VCPU's thread, what the guest sends from now on."""
        self._run.on_output = listener

    def send_serial(self, data: bytes) -> Future[Snapshot]:
        """Give the guest input on its serial port; it goes on running if it does."""
        return self._thread.submit(lambda: self._run.send_serial(data))

    def send_keys(self, data: bytes) -> Future[Snapshot]:
        """Press the keys that make a terminal send `data`; the guest goes on running if it does.

        They are for guests that read the keyboard: by int 16h or its controller's ports.
        """
        return self._thread.submit(lambda: self._run.send_keys(data))

    def read_memory(self, linear_address: int, length: int, timeout: float = 5.0) -> bytes:
        """Guest memory as the VCPU sees it, up to the first byte that is not mapped.

        Waits for the VCPU's thread, which takes about a millisecond.

        Raises:
            KvmError: when the session is closed.
            TimeoutError: when the thread did not answer in `timeout` seconds.
        """
        answer = self._thread.ask(lambda: self._run.read_memory(linear_address, length))
        return answer.result(timeout)

    def write_physical(self, address: int, data: bytes, confirm: bool = False) -> Future[int]:
        """Write guest memory by physical address; the bytes that were written.

        In the past as `set_register`.
        """

        def write() -> int:
            written = self._run.write_physical(address, data, confirm)
            self._thread.publish()
            return written

        return self._thread.ask(write)

    def write_memory(self, linear_address: int, data: bytes, confirm: bool = False) -> Future[int]:
        """Write guest memory as the VCPU sees it, ROM too; the bytes that were written.

        Fewer than there are where a page is not mapped or is no memory. In the past as
        `set_register`.
        """

        def write() -> int:
            written = self._run.write_memory(linear_address, data, confirm)
            self._thread.publish()
            return written

        return self._thread.ask(write)

    def fpu(self) -> Future[FpuState | None]:
        """The x87 and SSE registers; None where that is not known."""
        return self._thread.ask(self._run.fpu)

    def set_fpu(self, state: FpuState, confirm: bool = False) -> Future[Snapshot]:
        """Set the x87 and SSE registers; in the past as `set_register`."""
        return self._thread.submit(lambda: self._run.set_fpu(state, confirm))

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

        self._thread.enqueue(answer, look)
        return answer.result(timeout)

    def close(self) -> None:
        """Stop the thread and free the machine; more than once does no harm."""
        self._thread.close()
