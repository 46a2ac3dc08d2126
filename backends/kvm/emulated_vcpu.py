"""A VCPU that unicorn executes.

It steps one instruction a call, and runs with native code called before each instruction, so
that every exit, stop and step is exact. What it can't do ends the run and says so.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable
from enum import Enum, auto
from typing import Any

from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.emulated_accesses import Accesses
from kdash.backends.kvm.emulated_interrupts import (
    CannotEmulate,
    Event,
    NoCode,
    Shutdown,
    deliver,
)
from kdash.backends.kvm.emulated_memory import EmulatedMemory, LinearMemory
from kdash.backends.kvm.facts import ExitReason, KvmError, Registers
from kdash.backends.kvm.records import REGISTER_NAMES, Record
from kdash.backends.kvm.standing_emulation import StandingEmulation, paging_of
from kdash.backends.kvm.stop_table import Change, Place, StopTable
from kdash.backends.kvm.ticks import Ticks

_INVALID_OPCODE, _PAGE_FAULT = 6, 14
_IF = 1 << 9  # of RFLAGS
_STI = b"\xfb"


class Halt(Enum):
    """Why the emulator came back."""

    KICKED = auto()
    HALTED = auto()  # it executed HLT
    OTHERWISE = auto()  # an exception was delivered, or `stop_soon` was called


class EmulatedVcpu(StandingEmulation):
    """What Vcpu of vcpu.py offers, as far as it makes sense without KVM."""

    has_ring = False
    takes_interrupts = True
    shadowed = False  # nothing comes between steps but what is offered
    out_rip_after: bool | None = False
    hardware: tuple[int, ...] = ()  # there are no debug registers here
    wanted_hardware: tuple[int, ...] = ()

    def __init__(self, uc: Any, memory: EmulatedMemory) -> None:
        from unicorn import UC_HOOK_INTR

        super().__init__(uc, memory)
        self._stops = StopTable()
        self._interrupt: int | None = None
        self._error: BaseException | None = None
        self._before = b""  # the state before the instruction whose access raised that error
        self._kicked = False
        self._ticks: Ticks | None = None
        self._native = ffi.new("struct kdash_emulation *")
        self._hook_code()
        uc.hook_add(UC_HOOK_INTR, self._on_interrupt)
        self.accesses = Accesses(uc, memory.holes(), self._failed)

    def _hook_code(self) -> None:
        """Have native code called before each instruction, which unicorn's module can't."""
        from unicorn import UC_HOOK_CODE
        from unicorn.unicorn_py3.unicorn import uclib

        stop = ctypes.cast(uclib.uc_emu_stop, ctypes.c_void_p).value or 0
        self._native.stop = ffi.cast("int(*)(void *)", stop)
        function = int(ffi.cast("uintptr_t", ffi.addressof(lib, "kdash_on_code")))
        data = int(ffi.cast("uintptr_t", self._native))
        handle = ctypes.c_size_t()
        everywhere = ctypes.c_uint64(1), ctypes.c_uint64(0)
        status = uclib.uc_hook_add(
            self._uc._uch,
            ctypes.byref(handle),
            UC_HOOK_CODE,
            ctypes.c_void_p(function),
            ctypes.c_void_p(data),
            *everywhere,
        )
        if status:
            raise KvmError("unicorn refused a hook", "install unicorn 2.1")

    def close(self) -> None:
        """Let unicorn go and free what it holds; more than once does no harm."""
        self.stop_ticks()
        if self._uc is not None:
            # Its callbacks hold it in a ring that only the collector frees; what it has
            # outside Python, megabytes, shall go now.
            self._uc._Uc__finalizer()
        self._uc = self._state = None  # type: ignore[assignment] # no use after it

    # -- stops, as the native loop compares them

    def set_stops(self, places: Iterable[Place], watches: Iterable[tuple[int, int]]) -> None:
        """As Vcpu.set_stops."""
        self._stops.set(places, watches)

    def begin_stops(self) -> None:
        """Take watched memory as it is now for what steps are compared with."""
        if self._stops:
            paging = paging_of(self.registers())
            lib.kdash_stops_begin(self._stops.native, self._memory.native, paging)

    def stop_met(self) -> bool:
        """Whether the instruction that was just executed leads to a stop."""
        if not self._stops:
            return False
        now = self.registers()
        return bool(
            lib.kdash_stops_met(
                self._stops.native, self._memory.native, paging_of(now), now.linear_ip, now.rsp
            )
        )

    def changes(self) -> tuple[Change, ...]:
        """What it changed of the watched memory."""
        return self._stops.changes()

    # -- executing

    def look(self) -> tuple[Registers, Record]:
        """The registers and the instruction at CS:IP, as a record of a step."""
        registers = self.registers()
        code = self._read(registers, registers.linear_ip, 16)
        words = tuple(getattr(registers, name) for name in REGISTER_NAMES)
        bits = registers.code_bits
        reason = int(ExitReason.DEBUG)
        return registers, Record(
            registers.rip, reason, 0, 0, False, 0, bits, 0, b"", code, b"", words
        )

    def execute(self) -> None:
        """Execute one instruction, of a repeated one a single element.

        Raises:
            Shutdown: when an exception could not be delivered at all.
            CannotEmulate: when this needs what the emulator can't do.
        """
        self._forget()
        before = self.general_registers()
        if self._start(1) and self.general_registers() == before:
            # Nothing moved: a jump to itself, or a write into code, which unicorn begins
            # again and counts twice.
            self._start(2)
        elif self._is_of_next():
            self._state.take_exception()  # executing that one meets it again
            self._state.store()
            return
        self._deliver()

    def _is_of_next(self) -> bool:
        """Whether the instruction was executed, and unicorn could not fetch the one behind."""
        executed = self._native.left == 0
        return self._interrupt == _PAGE_FAULT and executed and self.rip != self.begun

    def run(self) -> Halt:
        """Execute until `kick`, `stop_soon`, an exception or HLT; raises as `execute`."""
        self._forget()
        self._native.wanted = 0
        if self._take_kick():
            return Halt.KICKED
        went_on = self._start(-1)
        self._deliver()
        if self._take_kick():
            return Halt.KICKED
        if not went_on or self._native.wanted:
            return Halt.OTHERWISE
        return Halt.HALTED

    def _start(self, count: int) -> bool:
        """Let unicorn execute `count` instructions, below 0: without end; False: an exception."""
        from unicorn import (
            UC_ERR_FETCH_PROT,
            UC_ERR_FETCH_UNMAPPED,
            UC_ERR_INSN_INVALID,
            UcError,
        )

        try:
            # Its own counting misses instructions that were translated before.
            self._native.left = count
            self._uc.emu_start(self.rip, 0)
        except UcError as error:
            if error.errno in (UC_ERR_FETCH_PROT, UC_ERR_FETCH_UNMAPPED):
                if self._native.left != 0:
                    raise NoCode(str(error)) from None
                return True  # what was asked for is executed; the one behind can't be fetched
            if error.errno != UC_ERR_INSN_INVALID:
                raise CannotEmulate(str(error)) from None
            self._interrupt = _INVALID_OPCODE
            self._invalid = True
        if self._error is not None:
            self._state.raw[:] = self._before
            self._state.store()
            raise self._error
        return self._interrupt is None

    def _forget(self) -> None:
        self._interrupt = self._error = None
        self.accesses.forget()
        self._invalid = False

    def stop_soon(self) -> None:
        """Make `run` return before the next instruction."""
        self._native.wanted = 1

    def _take_kick(self) -> bool:
        kicked, self._kicked = self._kicked, False
        return kicked

    @property
    def begun(self) -> int:
        """RIP of the instruction that was begun last."""
        registers = self.registers()
        if registers.code_bits == 64:
            return int(self._native.linear)
        return int(self._native.linear - registers.cs.base) & 0xFFFF_FFFF

    def _on_interrupt(self, uc: Any, vector: int, _data: Any) -> None:
        self._interrupt = vector
        uc.emu_stop()

    def _deliver(self) -> None:
        if self._interrupt is None:
            return
        registers, state = self.registers(), self._state
        error, software = state.take_exception()
        event = Event(self._interrupt)
        if not self._invalid:
            event = Event(self._interrupt, error, software)
        memory = LinearMemory(self._memory, paging_of(registers))
        try:
            rflags = deliver(state, registers.rflags, memory, event)
        except (Shutdown, CannotEmulate):
            if event.software:
                self.skip(self.begun)  # unicorn had gone past the INT
            raise
        state.store()
        self._write("rflags", rflags)

    @property
    def interruptible(self) -> bool:
        """Whether the guest can take an interrupt now: IF is set, and not by the last STI."""
        registers = self.registers()
        if not registers.rflags & _IF:
            return False
        if self.rip != self.begun + 1:
            return True
        return self._read(registers, registers.linear_ip - 1, 1) != _STI

    def offer_interrupt(self, acknowledge: Callable[[], int]) -> bool:
        """Enter the handler of the interrupt whose vector `acknowledge` tells, if IF is set.

        Raises:
            Shutdown: when it could not be delivered at all.
            CannotEmulate: when the guest's tables ask for what is not done here.
        """
        if not self.interruptible:
            return False
        registers = self.registers()
        memory = LinearMemory(self._memory, paging_of(registers))
        state = self._state.load()
        # No error code goes with it, whatever its number: as INT n, but from outside.
        rflags = deliver(state, registers.rflags, memory, Event(acknowledge(), external=True))
        state.store()
        self._write("rflags", rflags)
        return True

    def _failed(self, error: BaseException) -> None:
        """Serving an access raised: `execute` does, with the guest before the instruction."""
        self._error = error
        self._before = bytes(self._state.load().raw)
        self.stop_soon()

    # -- what only KVM has

    def post_all(self) -> None:
        """Nothing is posted here."""

    def end_at_each_exit(self, on: bool) -> None:
        """The runner ends its slices."""

    def set_posted(self, ports: Iterable[int], posted: bool) -> None:
        """Nothing is posted here."""

    def set_claimed(self, ports: Iterable[int], mmio: Iterable[range]) -> None:
        """The bus answers."""

    def start_ticks(self, hertz: int) -> None:
        """Kick regularly until `stop_ticks`."""
        if self._ticks is None:
            self._ticks = Ticks(self.kick, hertz)

    def stop_ticks(self) -> None:
        """End the regular kicks."""
        ticks, self._ticks = self._ticks, None
        if ticks is not None:
            ticks.end()

    def kick(self) -> None:
        """Make `run` return soon, or the next one at once; from any thread."""
        self._kicked = True
        self._native.wanted = 1

    def returned(self) -> dict[int, int]:
        """KVM_RUN was never called."""
        return {}
