"""What the VCPU pane needs of a session."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Protocol, TypeVar

from kdash.backends.kvm.facts import Exit, Instruction, Snapshot
from kdash.backends.kvm.stop_requests import Wanted
from kdash.backends.kvm.symbols import Symbols

if TYPE_CHECKING:
    from kdash.backends.kvm.inspector import Inspector

Answer = TypeVar("Answer")


class Session(Protocol):
    """What the pane needs of a session (see kdash.backends.kvm.session)."""

    @property
    def symbols(self) -> Symbols:
        """Names of the guest's addresses."""

    def snapshot(self) -> Snapshot:
        """The latest state; never waits."""

    def code(self, ip: int, count: int) -> tuple[Instruction, ...]:
        """Instructions from an address on; waits for the guest's thread."""

    def step(self, count: int = 1) -> Future[Snapshot]:
        """Do steps."""

    def step_over(self) -> Future[Snapshot]:
        """Do a call as a whole."""

    def run(self) -> Future[Snapshot]:
        """Run to a breakpoint or the end."""

    def run_until(self, ip: int) -> Future[Snapshot]:
        """Run until RIP is `ip`."""

    def run_stepped(self) -> Future[Snapshot]:
        """Run step by step in the native loop, so that every step is recorded."""

    def step_back(self, count: int = 1) -> Future[Snapshot]:
        """Show the guest some steps earlier."""

    def reverse_next(self) -> Future[Snapshot]:
        """Show it one step earlier, a call that has returned as a whole."""

    def reverse_continue(self) -> Future[Snapshot]:
        """Show it at the breakpoint before, else where the recording begins."""

    def seek(self, moment: int) -> Future[Snapshot]:
        """Show a moment of the recording."""

    def save_recording(self, path: str) -> Future[Snapshot]:
        """Write all that is recorded to a file."""

    def save_snapshot(self, path: str) -> Future[Snapshot]:
        """Write the moment shown to a file."""

    def run_from_here(self) -> Future[Snapshot]:
        """Let the guest go on from the moment shown; what came after is forgotten."""

    def pause(self) -> Future[Snapshot]:
        """Stop between two instructions."""

    def restart(self) -> Future[Snapshot]:
        """Load the guest anew."""

    def set_register(self, name: str, value: int, confirm: bool = False) -> Future[Snapshot]:
        """Set a register; ValueError at once when the value does not fit.

        In the past only with `confirm`: what was recorded after it is forgotten.
        """

    def add_breakpoint(self, ip: int) -> Future[Snapshot]:
        """Stop where RIP is `ip`."""

    def remove_breakpoint(self, ip: int) -> Future[Snapshot]:
        """Stop there no longer."""

    def add_stop(self, wanted: Wanted) -> Future[int]:
        """Add a stop point; ValueError at once when its condition means nothing."""

    def remove_stop(self, number: int) -> Future[Snapshot]:
        """Forget a stop point."""

    def ignore_stop(self, number: int, count: int) -> Future[Snapshot]:
        """Pass over hits of a stop point."""

    def earlier_exits(self, index: int, count: int) -> tuple[Exit, ...]:
        """Recorded exits before one; waits for the guest's thread."""

    def run_to_exit(
        self, kind: str | None = None, port: int | None = None, address: int | None = None
    ) -> Future[Snapshot]:
        """Run to the next exit, of a kind, at a port or address."""

    def send_serial(self, data: bytes) -> Future[Snapshot]:
        """Input of the guest's serial port."""

    def send_keys(self, data: bytes) -> Future[Snapshot]:
        """Press the keys of the guest's keyboard that make a terminal send `data`."""

    def select_vcpu(self, index: int) -> Future[Snapshot]:
        """Show, step and change another VCPU."""

    def write_memory(self, linear_address: int, data: bytes, confirm: bool = False) -> Future[int]:
        """Write guest memory; the bytes written, up to the first that is not mapped."""

    def read_memory(self, linear_address: int, length: int, timeout: float = 5.0) -> bytes:
        """Guest memory, up to the first byte that is not mapped; waits for the VCPU's thread."""

    def inspect(self, question: Callable[[Inspector], Answer], timeout: float = 5.0) -> Answer:
        """What `question` finds when it looks at the machine; waits for the VCPU's thread."""

    def write_physical(self, address: int, data: bytes, confirm: bool = False) -> Future[int]:
        """Write guest memory by physical address; the bytes written."""

    def close(self) -> None:
        """Free everything."""
