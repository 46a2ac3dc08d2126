"""What the VCPU pane needs of a session, and how it opens one."""

from __future__ import annotations

from concurrent.futures import Future
from typing import Protocol

from kdash.backends.kvm.facts import GuestError, KvmError, Mode, Snapshot
from kdash.backends.kvm.symbols import Symbols
from kdash.settings import Settings

DOCTOR = "kdash doctor looks at everything that KVM needs."


class Session(Protocol):
    """What the pane needs of a session (see kdash.backends.kvm.session)."""

    @property
    def symbols(self) -> Symbols:
        """Names of the guest's addresses."""

    def snapshot(self) -> Snapshot:
        """The latest state; never waits."""

    def step(self, count: int = 1) -> Future[Snapshot]:
        """Do steps."""

    def step_over(self) -> Future[Snapshot]:
        """Do a call as a whole."""

    def run(self) -> Future[Snapshot]:
        """Run to a breakpoint or the end."""

    def run_until(self, ip: int) -> Future[Snapshot]:
        """Run until RIP is `ip`."""

    def pause(self) -> Future[Snapshot]:
        """Stop between two instructions."""

    def restart(self) -> Future[Snapshot]:
        """Load the guest anew."""

    def set_register(self, name: str, value: int) -> Future[Snapshot]:
        """Set a register; ValueError at once when the value does not fit."""

    def add_breakpoint(self, ip: int) -> Future[Snapshot]:
        """Stop where RIP is `ip`."""

    def remove_breakpoint(self, ip: int) -> Future[Snapshot]:
        """Stop there no longer."""

    def read_memory(self, linear_address: int, length: int, timeout: float = 5.0) -> bytes:
        """Guest memory, up to the first byte that is not mapped; waits for the VCPU's thread."""

    def close(self) -> None:
        """Free everything."""


def open_session(settings: Settings) -> Session:
    """The session of the guest asked for, its machine created and ready.

    Raises:
        KvmError: KVM can't be used here.
        GuestError: The guest can't be loaded.
    """
    from kdash.backends.kvm.engines import AUTO, choose
    from kdash.backends.kvm.images import Options, load_file
    from kdash.backends.kvm.session import VcpuSession

    if settings.guest is None:
        return VcpuSession(devices=settings.devices, engine=choose(AUTO).engine)
    options = Options(mode=Mode(settings.mode) if settings.mode else None)
    guest = load_file(settings.guest, options)
    return VcpuSession(guest, devices=settings.devices, engine=choose(AUTO).engine)


def why_emulated() -> str:
    """What keeps KVM from being used here and what to do, one line; empty where nothing does."""
    from kdash.backends.kvm.engines import AUTO, choose

    choice = choose(AUTO)
    return f"{choice.cause}: {choice.remedy or DOCTOR}" if choice.cause else ""


def cause_and_remedy(error: KvmError | GuestError) -> tuple[str, str]:
    """What to show when there is no guest."""
    if isinstance(error, KvmError):
        return error.cause, error.remedy or DOCTOR
    return str(error), "Without an argument kdash loads a sample guest; --mode sets the mode."
