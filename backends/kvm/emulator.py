"""The emulator engine: a machine as in machine.py whose VCPU is unicorn.

It steps one instruction a call, and runs with native code called before each instruction, so
that every exit, stop and step is exact. What it can't do ends the run and says so.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from enum import Enum, auto
from threading import Event as Flag
from threading import RLock, Thread
from types import TracebackType
from typing import Any, Final

from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.emulated_inspection import read_fpu, reset_fpu, write_fpu
from kdash.backends.kvm.emulated_interrupts import CannotEmulate, Event, Shutdown, deliver
from kdash.backends.kvm.emulated_memory import EmulatedMemory, LinearMemory
from kdash.backends.kvm.emulated_state import State, check_layout, flush_translations
from kdash.backends.kvm.facts import ExitReason, KvmError, Mode, Registers
from kdash.backends.kvm.fpu import FpuState
from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.machine import load
from kdash.backends.kvm.modes import CODE, RESET_BASE, RESET_SELECTOR, TABLES
from kdash.backends.kvm.records import REGISTER_NAMES, Record
from kdash.backends.kvm.registers import BASES, ENCODED_SEGMENTS, SEGMENTS, check_register
from kdash.backends.kvm.stop_table import Change, Place, StopTable
from kdash.backends.kvm.user_devices import DeviceError

_MASK: Final = (1 << 64) - 1
_INVALID_OPCODE: Final = 6
#: Longest wait for the thread of ticks to end, in seconds.
_PATIENCE: Final = 5.0

#: Serves an access: write or not, address, size, data written; returns the answer of a read.
Serve = Callable[[bool, int, int, bytes], bytes]


class Halt(Enum):
    """Why the emulator came back."""

    KICKED = auto()
    HALTED = auto()  # it executed HLT
    OTHERWISE = auto()  # an exception was delivered, or `stop_soon` was called


class EmulatedVcpu:
    """What Vcpu of vcpu.py offers, as far as it makes sense without KVM.

    `serve_port` and `serve_mmio` are set by the runner before anything is executed.
    """

    index = 0
    has_ring = False
    takes_interrupts = False
    out_rip_after: bool | None = False
    hardware: tuple[int, ...] = ()  # there are no debug registers here
    wanted_hardware: tuple[int, ...] = ()

    def __init__(self, uc: Any, memory: EmulatedMemory) -> None:
        from unicorn import UC_HOOK_INSN, UC_HOOK_INTR, UC_HOOK_MEM_READ, UC_HOOK_MEM_WRITE
        from unicorn import x86_const as x86

        self._uc: Any = uc
        self._x86 = x86
        self._memory = memory
        self._state = State(uc)
        self._stops = StopTable()
        self._interrupt: int | None = None
        self._access: tuple[int, bytes] | None = None  # address and answer of an MMIO access
        self._error: BaseException | None = None
        self._before = b""  # the state before the instruction whose access raised that error
        self._kicked = False
        self._ticks: Ticks | None = None
        self._native = ffi.new("struct kdash_emulation *")
        self._hook_code()
        self.serve_port: Serve
        self.serve_mmio: Serve
        uc.hook_add(UC_HOOK_INTR, self._on_interrupt)
        uc.hook_add(UC_HOOK_INSN, self._on_in, None, 1, 0, x86.UC_X86_INS_IN)
        uc.hook_add(UC_HOOK_INSN, self._on_out, None, 1, 0, x86.UC_X86_INS_OUT)
        for start, end in memory.holes():
            uc.mmio_map(start, end - start, self._on_read, start, self._on_write, start)
            accesses = UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE
            uc.hook_add(accesses, self._on_access, None, start, end - 1)

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

    @property
    def unicorn(self) -> Any:
        """What executes, to read what has no method here."""
        return self._uc

    # -- registers

    def start(
        self, mode: Mode, registers: Mapping[str, int], reset: bool = False, code: int = CODE
    ) -> None:
        """Set the flat state of `mode` and the general registers, others 0.

        With `reset` the code segment is that of a processor out of reset; `code` is its
        selector otherwise.
        """
        self._state.enter_mode(mode, code)
        if reset:
            self._state.set_segment("cs", RESET_SELECTOR, RESET_BASE)
            self._state.store()
        for name in REGISTER_NAMES:
            self._write(name, registers.get(name, 0))
        reset_fpu(self._uc)

    def _write(self, name: str, value: int) -> None:
        self._uc.reg_write(getattr(self._x86, f"UC_X86_REG_{name.upper()}"), value)

    @property
    def rip(self) -> int:
        """RIP of the next instruction."""
        return int(self._uc.reg_read(self._x86.UC_X86_REG_RIP))

    def registers(self) -> Registers:
        """All registers."""
        rflags = self._uc.reg_read(self._x86.UC_X86_REG_RFLAGS)
        return self._state.load().registers(rflags)

    def general_registers(self) -> tuple[int, ...]:
        """In the order of REGISTER_NAMES."""
        registers = self.registers()
        return tuple(getattr(registers, name) for name in REGISTER_NAMES)

    def set_register(self, name: str, value: int) -> None:
        """Set a general, control or segment register, as Vcpu does.

        Raises:
            ValueError: when there is no such register or the value does not fit it.
        """
        check_register(name, value)
        if name in BASES:
            segment = name.removesuffix("_base")
            selector = getattr(self.registers(), segment).selector
            self._state.set_segment(segment, selector, value)
            self._state.store()
        elif name in SEGMENTS:
            registers = self.registers()
            base = getattr(registers, name).base if registers.cr0 & 1 else value << 4
            self._state.set_segment(name, value, base)
            self._state.store()
        elif name == "efer":
            self._uc.msr_write(0xC000_0080, value)
        else:
            self._write(name, value)
            flush_translations(self._uc)

    def read_linear(self, linear: int, length: int) -> bytes:
        """Guest memory at a linear address, up to the first byte that can't be reached."""
        return self._read(self.registers(), linear, length)

    def _read(self, registers: Registers, linear: int, length: int) -> bytes:
        data = ffi.new("uint8_t[]", max(length, 1))
        paging = _paging(registers)
        got = lib.kdash_read(self._memory.native, paging, linear & _MASK, data, length)
        return bytes(ffi.buffer(data, got))

    def write_linear(self, linear: int, data: bytes) -> int:
        """Write at a linear address; bytes written up to the first out of reach."""
        done = self._memory.write_linear(_paging(self.registers()), linear, data)
        self._uc.ctl_flush_tb()  # code may have been translated from there
        return done

    def fpu(self) -> FpuState:
        """The x87 and SSE registers."""
        return FpuState.of(read_fpu(self._uc))

    def set_fpu(self, state: FpuState) -> None:
        """Set the x87 and SSE registers."""
        write_fpu(self._uc, state)

    # -- stops, as the native loop compares them

    def set_stops(self, places: Iterable[Place], watches: Iterable[tuple[int, int]]) -> None:
        """As Vcpu.set_stops."""
        self._stops.set(places, watches)

    def begin_stops(self) -> None:
        """Take watched memory as it is now for what steps are compared with."""
        if self._stops:
            paging = _paging(self.registers())
            lib.kdash_stops_begin(self._stops.native, self._memory.native, paging)

    def stop_met(self) -> bool:
        """Whether the instruction that was just executed leads to a stop."""
        if not self._stops:
            return False
        now = self.registers()
        return bool(
            lib.kdash_stops_met(
                self._stops.native, self._memory.native, _paging(now), now.linear_ip, now.rsp
            )
        )

    def changes(self) -> tuple[Change, ...]:
        """What it changed of the watched memory."""
        return self._stops.changes()

    def segment_bases(self) -> tuple[int, ...]:
        """In the order of registers.ENCODED_SEGMENTS."""
        registers = self.registers()
        return tuple(getattr(registers, name).base for name in ENCODED_SEGMENTS)

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
        self._deliver()

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
        from unicorn import UC_ERR_INSN_INVALID, UcError

        try:
            # Its own counting misses instructions that were translated before.
            self._native.left = count
            self._uc.emu_start(self.rip, 0)
        except UcError as error:
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
        self._interrupt = self._access = self._error = None
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
        memory = LinearMemory(self._memory, _paging(registers))
        try:
            rflags = deliver(state, registers.rflags, memory, event)
        except (Shutdown, CannotEmulate):
            if event.software:
                self.skip(self.begun)  # unicorn had gone past the INT
            raise
        state.store()
        self._write("rflags", rflags)

    def skip(self, rip: int) -> None:
        """Go on at `rip`."""
        self._write("rip", rip)

    @property
    def privileged(self) -> bool:
        """Whether the guest runs at privilege level 0."""
        return self._state.privilege == 0

    # -- accesses; an error in here must not go through unicorn's C code

    def _served(self, serve: Serve, write: bool, address: int, size: int, data: bytes) -> bytes:
        try:
            return serve(write, address, size, data)
        except BaseException as error:  # noqa: BLE001 - raised again by `execute`
            self._error = error
            self._before = bytes(self._state.load().raw)
            self.stop_soon()
            return b"\xff" * size

    def _on_in(self, _uc: Any, port: int, size: int, _data: Any) -> int:
        return int.from_bytes(self._served(self.serve_port, False, port, size, b""), "little")

    def _on_out(self, _uc: Any, port: int, size: int, value: int, _data: Any) -> None:
        mask = (1 << (8 * size)) - 1
        self._served(self.serve_port, True, port, size, (value & mask).to_bytes(size, "little"))

    def _on_access(
        self, _uc: Any, kind: int, address: int, size: int, value: int, _data: Any
    ) -> None:
        """An access to a hole as the instruction makes it; its parts follow."""
        from unicorn import UC_MEM_WRITE

        write = kind == UC_MEM_WRITE
        mask = (1 << (8 * size)) - 1
        data = (value & mask).to_bytes(size, "little") if write else b""
        self._access = address, self._served(self.serve_mmio, write, address, size, data)

    def _on_read(self, _uc: Any, offset: int, size: int, start: int) -> int:
        address, data = self._access or (0, b"")
        first = start + offset - address
        found = [data[at] if 0 <= at < len(data) else 0xFF for at in range(first, first + size)]
        return int.from_bytes(bytes(found), "little")

    def _on_write(self, _uc: Any, _offset: int, _size: int, _value: int, _start: int) -> None:
        """Served as a whole by `_on_access`."""

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


class Ticks:
    """Calls `kick` regularly, from a thread of its own."""

    def __init__(self, kick: Callable[[], None], hertz: int) -> None:
        self._kick = kick
        self._period = 1 / hertz
        self._ended = Flag()
        self._thread = Thread(target=self._tick, name="kdash-ticks", daemon=True)
        self._thread.start()

    def _tick(self) -> None:
        while not self._ended.wait(self._period):
            self._kick()

    def end(self) -> None:
        """No call comes after this."""
        self._ended.set()
        self._thread.join(_PATIENCE)


def _paging(registers: Registers) -> Any:
    return ffi.new(
        "struct kdash_paging *", (registers.cr0, registers.cr3, registers.cr4, registers.efer)
    )


class EmulatedMachine:
    """A guest loaded, and its emulated VCPU at the entry; used as Machine is.

    Raises:
        KvmError: when unicorn is not there, or memory can't be had.
    """

    def __init__(self, guest: Guest) -> None:
        try:
            from unicorn import UC_ARCH_X86, UC_MODE_64, UC_TLB_CPU, Uc
        except ImportError as error:
            raise KvmError(
                f"the emulator is not installed ({error})", "pip install unicorn"
            ) from None
        if guest.vcpus > 1 or guest.irqchip:
            what = "interrupt controllers" if guest.irqchip else "several VCPUs"
            raise _only_kvm(what)
        if guest.cpuid:
            raise _only_kvm("set what CPUID answers")
        self.guest = guest
        self.lock = RLock()
        self.failed: Callable[[DeviceError], None] = lambda _: None
        self.memory = EmulatedMemory()
        with ExitStack() as resources:
            resources.callback(self.memory.close)
            uc = Uc(UC_ARCH_X86, UC_MODE_64)
            uc.ctl_set_tlb_mode(UC_TLB_CPU)
            # Unicorn looks the address up at which to end, and the fault of a lookup that fails
            # would count as the guest's; with a list of none there is nothing to look up.
            uc.ctl_exits_enabled(True)
            uc.ctl_set_exits([])
            check_layout(uc)
            for region in guest.regions:
                self.memory.attach(uc, region.start, region.size, readonly=region.readonly)
            load(self.memory, guest)
            self.hardware_breakpoints = False
            self.vcpu = EmulatedVcpu(uc, self.memory)
            self.vcpus = (self.vcpu,)
            resources.callback(self.vcpu.close)
            del uc
            self.vcpu.start(guest.mode, guest.start_registers(0), guest.reset, guest.code_selector)
            if guest.mode is Mode.LONG and guest.tables != TABLES:
                self.vcpu.set_register("cr3", guest.tables)
            self._resources = resources.pop_all()

    def ioeventfd(self, *_arguments: Any, **_options: Any) -> None:
        """Refused: nothing runs beside the emulator."""
        raise _only_kvm("ioeventfd")

    def irqfd(self, *_arguments: Any, **_options: Any) -> None:
        """Refused: there are no interrupt controllers."""
        raise _only_kvm("irqfd")

    def coalesce(self, *_arguments: Any, **_options: Any) -> None:
        """Refused: KVM alone collects writes."""
        raise _only_kvm("coalesced writes")

    def serve_events(self) -> None:
        """There are none."""

    def close(self) -> None:
        """Free everything; more than once does no harm."""
        self._resources.close()

    def __enter__(self) -> EmulatedMachine:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _only_kvm(what: str) -> KvmError:
    return KvmError(f"the emulator can't do this: {what}", "use KVM")
