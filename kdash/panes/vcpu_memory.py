"""Memory in the VCPU pane: read once a stop, followed, scrolled, set in place."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import replace

from kdash.backends.kvm.facts import KvmError, Snapshot
from kdash.panes.vcpu_past import PastKeys
from kdash.panes.vcpu_session import Session
from kdash.settings import Settings
from kdash.widgets.pane import CommandError
from kdash.widgets.vcpu.memory import MemoryView
from kdash.widgets.vcpu.memory_lines import Examine
from kdash.widgets.vcpu.registers import RegisterView

ADDRESSES_32 = 1 << 32  # where memory ends for code that is not 64-bit: a BIOS begins there
FIRST_MEMORY = 256  # bytes shown before the first x, from the first instruction on


class MemoryKeys(PastKeys):
    """Shows memory, and sets memory and registers where they stand."""

    def __init__(self, settings: Settings, *, id: str) -> None:
        super().__init__(settings, id=id)
        self._memory: Examine | None = None
        self._read: tuple[Examine | None, Snapshot | None] = (None, None)
        self._marked: object = None  # how far the guest was when its memory was shown last

    def guest_is_new(self, snapshot: Snapshot) -> None:
        """Show its first instructions' bytes."""
        super().guest_is_new(snapshot)
        linear = snapshot.registers.linear_ip
        below = (ADDRESSES_32 - linear) if linear < ADDRESSES_32 else FIRST_MEMORY
        self._memory = Examine(linear, min(FIRST_MEMORY, below))
        self._parts.memory.forget()

    def look_closer(self) -> None:
        """Read the memory shown, once a stop: what changed since is marked then."""
        super().look_closer()
        if self._memory is None or not self._parts.memory.display:
            return
        self._memory = self._followed(self._memory)
        wanted = (self._memory, self._stop)
        # A stop with the same registers is another stop: memory was written in between.
        if wanted[0] != self._read[0] or wanted[1] is not self._read[1]:
            self._read = wanted
            self.run_worker(self._fetch_memory(*wanted), group="memory")

    def _followed(self, what: Examine) -> Examine:
        """`what` at the address that its expression gives now."""
        if not what.follow or self._stop is None or self._session is None:
            return what
        from kdash.panes.vcpu_words import expression

        try:
            lookup = self._session.symbols.address
            address = expression("follow", what.follow, self._stop.registers, lookup)
        except CommandError:  # a symbol of the guest before
            return replace(what, follow="")
        return replace(what, address=address)

    async def _fetch_memory(self, what: Examine, stop: Snapshot | None) -> None:
        session = self._session
        if session is None:
            return
        try:
            data = await asyncio.to_thread(_read, session, what)
        except (KvmError, TimeoutError):
            return  # closed meanwhile, or busy: the next stop asks again
        if self._read[0] != what or self._read[1] is not stop:
            return  # asked for anew meanwhile
        moment = None if stop is None else _progress(stop)
        self._parts.memory.show(what, data, stop=moment != self._marked)
        self._marked = moment

    def show_memory(self, what: Examine) -> None:
        """Show other memory from now on."""
        self._memory = what
        self.look_closer()

    @property
    def memory_shown(self) -> Examine | None:
        """What is shown of memory."""
        return self._memory

    def on_memory_view_wanted(self, event: MemoryView.Wanted) -> None:
        """The cursor left what is shown."""
        self.show_memory(event.what)

    def on_memory_view_edited(self, event: MemoryView.Edited) -> None:
        """Bytes were typed."""
        if self._session is not None:
            self.write_memory(event.address, event.data, physical=event.physical)

    def write_memory(self, address: int, data: bytes, *, physical: bool = False) -> None:
        """Write bytes, in the past after a question; where there is no memory that is told."""
        session = self.session
        write = session.write_physical if physical else session.write_memory

        def change() -> None:
            written = write(address, data, confirm=True)
            self.run_worker(self._written(session, written, address), group="write")

        self.ask_to_forget(change)

    async def _written(self, session: Session, written: Future[int], address: int) -> None:
        try:
            count = await asyncio.wrap_future(written)
        except (KvmError, ValueError) as error:
            self.notify(str(error), severity="error", markup=False)
            return
        if not count:
            self.notify(f"no memory at 0x{address:x}", severity="error", markup=False)
        if session is self._session:
            self._look()

    def on_register_view_edited(self, event: RegisterView.Edited) -> None:
        """A register's new value was typed."""
        if self._session is not None:
            try:
                self.set_register(event.register, event.value)
            except ValueError as error:
                self.notify(str(error), severity="error", markup=False)

    def set_register(self, name: str, value: int) -> None:
        """Set a register, in the past after a question.

        Raises:
            ValueError: It does not fit.
        """
        from kdash.backends.kvm.registers import check_register

        check_register(name, value)  # before the question, not after it
        session = self.session
        self.ask_to_forget(lambda: self.follow(session.set_register(name, value, confirm=True)))


def _progress(stop: Snapshot) -> tuple[object, ...]:
    """How far the guest is: what a person sets in it does not move it."""
    recording = stop.recording
    shown = recording.position if recording is not None and recording.replay else None
    return stop.steps, stop.exits_total, stop.seconds, shown


def _read(session: Session, what: Examine) -> bytes:
    if what.physical:
        return session.inspect(lambda look: look.physical(what.address, what.length))
    return session.read_memory(what.address, what.length)
