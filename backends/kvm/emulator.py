"""The emulator engine: a machine as in machine.py whose VCPU is unicorn.

It executes one instruction a call, so that every exit and every step is exact. Exceptions
reach the guest's handlers in real mode; what it can't do ends the run and says so.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from threading import RLock
from types import TracebackType
from typing import Any, Final

from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.emulated_state import State, check_layout, flush_translations
from kdash.backends.kvm.facts import ExitReason, KvmError, Mode, Registers
from kdash.backends.kvm.fpu import FpuState
from kdash.backends.kvm.guests import Guest
from kdash.backends.kvm.machine import load
from kdash.backends.kvm.memory import GuestMemory
from kdash.backends.kvm.modes import CODE, RESET_BASE, RESET_SELECTOR, TABLES
from kdash.backends.kvm.operands import SEGMENTS as SEGMENT_ORDER
from kdash.backends.kvm.records import REGISTER_NAMES, Record
from kdash.backends.kvm.registers import BASES, SEGMENTS, check_register
from kdash.backends.kvm.stop_table import Change, Place, StopTable
from kdash.backends.kvm.user_devices import DeviceError

#: Physical addresses the emulator serves; above it an access is told as beyond it.
PHYSICAL: Final = 1 << 40
#: An address at which no instruction starts.
_NEVER: Final = (1 << 63) | 1
_MASK: Final = (1 << 64) - 1
_DOUBLE_FAULT, _GENERAL_PROTECTION, _INVALID_OPCODE = 8, 13, 6
#: TF, IF and AC, cleared on the way to a real-mode handler (Intel SDM vol. 2A, INT n).
_CLEARED: Final = 0x100 | 0x200 | 0x40000

#: Serves an access: write or not, address, size, data written; returns the answer of a read.
Serve = Callable[[bool, int, int, bytes], bytes]


class CannotEmulate(Exception):  # noqa: N818 - an outcome of the guest, not an error of ours
    """What the emulator met and can't do."""


class Shutdown(Exception):  # noqa: N818 - an outcome of the guest
    """Triple fault."""


class EmulatedMemory(GuestMemory):
    """Guest memory mapped into unicorn instead of a VM."""

    def attach(self, uc: Any, start: int, size: int, *, readonly: bool) -> None:
        """Map `size` zeroed bytes at guest-physical `start`.

        Raises:
            KvmError: when the host has not so much memory.
        """
        from unicorn import UC_PROT_ALL, UC_PROT_EXEC, UC_PROT_READ

        try:
            mapping = mmap.mmap(-1, size, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
        except OSError as error:
            raise KvmError(
                f"the guest's {size:#x} bytes of memory can't be had: {error.strerror}",
                "give the guest less with --memory",
            ) from None
        view = ffi.from_buffer("uint8_t[]", mapping, require_writable=True)
        self._slots.append((start, mapping, view))
        number = len(self._slots) - 1
        slot = self.native.slots[number]
        slot.guest, slot.size, slot.host = start, size, ffi.cast("uint8_t *", view)
        self.native.count = number + 1
        rights = UC_PROT_READ | UC_PROT_EXEC if readonly else UC_PROT_ALL
        uc.mem_map_ptr(start, size, rights, int(ffi.cast("uintptr_t", view)))

    def holes(self) -> list[tuple[int, int]]:
        """Start and end of each stretch without memory, up to PHYSICAL."""
        found, at = [], 0
        for start, mapping, _ in sorted(self._slots, key=lambda slot: slot[0]):
            if start > at:
                found.append((at, start))
            at = start + len(mapping)
        return [*found, (at, PHYSICAL)]


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
        self.serve_port: Serve
        self.serve_mmio: Serve
        uc.hook_add(UC_HOOK_INTR, self._on_interrupt)
        uc.hook_add(UC_HOOK_INSN, self._on_in, None, 1, 0, x86.UC_X86_INS_IN)
        uc.hook_add(UC_HOOK_INSN, self._on_out, None, 1, 0, x86.UC_X86_INS_OUT)
        for start, end in memory.holes():
            uc.mmio_map(start, end - start, self._on_read, start, self._on_write, start)
            accesses = UC_HOOK_MEM_READ | UC_HOOK_MEM_WRITE
            uc.hook_add(accesses, self._on_access, None, start, end - 1)

    def close(self) -> None:
        """Let unicorn go; more than once does no harm."""
        self._uc = self._state = None  # type: ignore[assignment] # no use after it

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

    def fpu(self) -> None:
        """Not known: unicorn keeps these registers in another form."""

    def set_fpu(self, state: FpuState) -> None:  # noqa: ARG002 - as Vcpu has it
        """Refuse, always.

        Raises:
            KvmError: since unicorn keeps these registers in another form.
        """
        raise KvmError("the emulator's x87 and SSE registers can't be set", "use --engine kvm")

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
        """In the order of operands.SEGMENTS."""
        registers = self.registers()
        return tuple(getattr(registers, name).base for name in SEGMENT_ORDER)

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
        from unicorn import UcError

        self._forget()
        before = self.general_registers()
        try:
            self._uc.emu_start(self.rip, _NEVER, 0, 1)
            if self._interrupt is None and self.general_registers() == before:
                # Nothing moved: a jump to itself, or a write into code, which unicorn begins
                # again and counts twice.
                self._uc.emu_start(self.rip, _NEVER, 0, 2)
        except UcError as error:
            self._interrupt = self._vector_of(error)
        if self._error is not None:
            raise self._error
        if self._interrupt is not None:
            self._deliver(self._interrupt)

    def _forget(self) -> None:
        self._interrupt = self._access = self._error = None

    def _vector_of(self, error: Any) -> int:
        from unicorn import UC_ERR_INSN_INVALID

        if error.errno == UC_ERR_INSN_INVALID:
            return _INVALID_OPCODE
        raise CannotEmulate(str(error))

    def _on_interrupt(self, uc: Any, vector: int, _data: Any) -> None:
        self._interrupt = vector
        uc.emu_stop()

    def _deliver(self, vector: int) -> None:
        registers = self.registers()
        base, limit = self._state.idt
        size = 4 if registers.mode is Mode.REAL else 16 if registers.mode is Mode.LONG else 8
        for number in (vector, _GENERAL_PROTECTION, _DOUBLE_FAULT):
            if number * size + size - 1 <= limit:
                break
        else:
            raise Shutdown
        if registers.mode is not Mode.REAL:
            raise CannotEmulate(f"exception {vector} through the guest's IDT")
        self._deliver_real(registers, base + number * size)

    def _deliver_real(self, registers: Registers, entry: int) -> None:
        """Push FLAGS, CS and IP, go to the handler (Intel SDM vol. 3A, 22.1.4)."""
        ip, cs = struct.unpack("<HH", self._uc.mem_read(entry, 4))
        pushed = (registers.rflags, registers.cs.selector, registers.rip)
        sp = registers.rsp
        for value in pushed:
            sp = (sp & ~0xFFFF) | ((sp - 2) & 0xFFFF)
            address = registers.ss.base + (sp & 0xFFFF)
            self._uc.mem_write(address, struct.pack("<H", value & 0xFFFF))
        self._state.set_segment("cs", cs, cs << 4)
        self._state.store()
        self._write("rsp", sp)
        self._write("rip", ip)
        self._write("rflags", registers.rflags & ~_CLEARED)

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
            self._uc.emu_stop()
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
        """A slice is short by itself."""

    def stop_ticks(self) -> None:
        """As `start_ticks`."""

    def kick(self) -> None:
        """A slice is short by itself."""

    def returned(self) -> dict[int, int]:
        """KVM_RUN was never called."""
        return {}


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
        if guest.disk is not None:
            raise _only_kvm("BIOS services of a disk image")
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
