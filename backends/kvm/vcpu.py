"""One VCPU: its run mapping, its registers, single steps and batches."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Final

from kdash.backends.kvm import ioctl
from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.coalesced import WRITE, CoalescedWrite
from kdash.backends.kvm.exits import MSR_LAYOUT, RawExit
from kdash.backends.kvm.facts import (
    KvmError,
)
from kdash.backends.kvm.guest_debug import GuestDebug
from kdash.backends.kvm.layout import PAGE
from kdash.backends.kvm.memory import GuestMemory
from kdash.backends.kvm.records import RECORD, Record
from kdash.backends.kvm.returned_exit import REMEDY, returned_exit
from kdash.backends.kvm.standing_vcpu import StandingVcpu
from kdash.backends.kvm.step import Kind, Start
from kdash.backends.kvm.stop_table import Change, Place, StopTable

#: Exits of one batch, 30 ms of them: each batch takes the interpreter from the interface once.
BATCH: Final = 4096
#: Steps of one batch, which are decoded while the processor's caches still hold them.
STEPS: Final = 512
_KINDS: Final = {
    lib.KDASH_PLAIN: Kind.PLAIN,
    lib.KDASH_HLT: Kind.HLT,
    lib.KDASH_REP: Kind.REP,
    lib.KDASH_UNKNOWN: Kind.UNKNOWN,
}


class BatchEnd(Enum):
    """Why a batch returned."""

    FULL = lib.KDASH_FULL
    EXIT = lib.KDASH_EXIT  # the last record is an exit to be handled
    KICKED = lib.KDASH_KICKED
    BREAKPOINT = lib.KDASH_BREAKPOINT
    DELIVERED = lib.KDASH_DELIVERED  # as FULL; the last step may be a handler's first instruction
    SHADOW = lib.KDASH_SHADOW  # of STI: no interrupt may come before the next instruction is done
    SPECIAL = lib.KDASH_SPECIAL  # `step` of step.py must take the next instruction


_ENDS: Final = tuple(BatchEnd(number) for number in range(len(BatchEnd)))


class Vcpu(StandingVcpu):
    """A VCPU of `vm`; satisfies the protocol of step.py.

    Run it from one thread only; `kick` and `close` are for others too, not at once.

    Args:
        vm: the VM's file descriptor.
        index: the VCPU's number.
        run_size: bytes of the run mapping.
        memory: the VM's memory, for the page walk.
    """

    takes_interrupts = True

    def __init__(self, vm: int, index: int, run_size: int, memory: GuestMemory) -> None:
        super().__init__(ioctl.call(vm, "KVM_CREATE_VCPU", index), index, memory)
        self._records = ffi.new("struct kdash_record[]", BATCH)
        self.record_bytes: memoryview = memoryview(ffi.buffer(self._records))
        self._filled = ffi.new("uint32_t *")
        self._claimed: Any = ffi.NULL
        self._batch = BATCH
        self.shadowed = False  # no interrupt may come before the next instruction is done
        self._ring = 0  # where in the run mapping coalesced writes are; 0: nowhere
        self.patience = 0  # microseconds `enter` lets a halted VCPU wait; 0: until kicked
        self._debug = GuestDebug(self.fd, self._native)
        self.wanted_hardware: tuple[int, ...] = ()  # armed while it runs at full speed
        error = lib.kdash_vcpu_open(self._native, self.fd, run_size, memory.native)
        if error:
            os.close(self.fd)
            raise ioctl.failure("mmap of kvm_run", -error)
        self._stops = StopTable()

    def close(self) -> None:
        """Unmap and close; more than once does no harm."""
        if self._native is not None:
            native, self._native = self._native, None  # cffi refuses None, no call gets through
            lib.kdash_vcpu_close(native)
            os.close(self.fd)

    # -- running

    def set_posted(self, ports: Iterable[int], posted: bool) -> None:
        """Say whether OUTs to `ports` may be taken after the guest went on."""
        for port in ports:
            if posted:
                self._native.posted[port >> 3] |= 1 << (port & 7)
            else:
                self._native.posted[port >> 3] &= ~(1 << (port & 7)) & 0xFF

    def post_all(self) -> None:
        """Let OUTs to every port be taken afterwards."""
        ffi.buffer(self._native.posted)[:] = b"\xff" * lib.KDASH_POSTED

    def set_claimed(self, ports: Iterable[int], mmio: Iterable[range]) -> None:
        """Say where devices are; reads anywhere else are answered with ones in native code."""
        for port in ports:
            self._native.claimed[port >> 3] |= 1 << (port & 7)
        ranges = [(addresses.start, addresses.stop) for addresses in mmio]
        self._claimed = ffi.new("struct kdash_range[]", ranges) if ranges else ffi.NULL
        self._native.claimed_mmio = self._claimed
        self._native.claimed_mmio_count = len(ranges)

    @property
    def alike(self) -> bool:
        """Whether the last batch at full speed is one access over and over.

        That is the same reason, port, size, direction and count, in all records but that of
        an exit to be handled.
        """
        return bool(self._native.alike)

    def end_at_each_exit(self, on: bool) -> None:
        """Say whether a batch at full speed ends at every exit, also those needing no answer."""
        self._native.each_exit = on

    def set_stops(self, places: Iterable[Place], watches: Iterable[tuple[int, int]]) -> None:
        """Stop stepping at each of `places`, and where memory of `watches` changes.

        Args:
            places: linear addresses of CS:IP.
            watches: linear address and length.
        """
        self._stops.set(places, watches)
        self._native.stops = self._stops.native if self._stops else ffi.NULL

    def begin_stops(self) -> None:
        """Take watched memory as it is now for what a step is compared with; a batch does so."""
        lib.kdash_vcpu_stops_begin(self._native)

    def stop_met(self) -> bool:
        """Whether the step that was just done leads to a stop."""
        return bool(self._stops) and bool(lib.kdash_vcpu_stops_met(self._native))

    def changes(self) -> tuple[Change, ...]:
        """What that step changed of the watched memory."""
        return self._stops.changes()

    def set_stepping(self, on: bool) -> None:
        """Switch single-stepping on or off; breakpoints in debug registers go."""
        self._debug.set_stepping(on, self.shadowed)

    @property
    def caught(self) -> bool:
        """Whether the last step led to a handler of which nothing was executed."""
        return bool(lib.kdash_caught(self._native))

    @property
    def hardware(self) -> tuple[int, ...]:
        """Linear addresses of the breakpoints in debug registers."""
        return self._debug.hardware

    def run_batch(self) -> tuple[BatchEnd, int]:
        """Run at full speed; why it returned and the records filled in `record_bytes`."""
        self._debug.set_hardware(self.wanted_hardware)
        result = lib.kdash_run(self._native, self._records, self._batch, self._filled)
        return self._batch_end(result), self._filled[0]

    def step_batch(self, count: int) -> tuple[BatchEnd, int]:
        """Step at most `count` (and STEPS) plain instructions; as `run_batch`."""
        self.set_stepping(True)
        result = lib.kdash_step(self._native, self._records, min(count, STEPS), self._filled)
        return self._batch_end(result), self._filled[0]

    def _batch_end(self, result: int) -> BatchEnd:
        if result < 0:
            raise _run_failure(-result)
        return _ENDS[result]

    def record(self, position: int) -> Record:
        """A record of the last batch."""
        return Record.unpack(self.record_bytes, position * RECORD.size)

    def correct(self, position: int, record: Record) -> None:
        """Put a record of the last batch right."""
        start = position * RECORD.size
        self.record_bytes[start : start + RECORD.size] = record.pack()

    def describe_exit(self) -> Record:
        """The record of the exit with which KVM_RUN last returned."""
        lib.kdash_record_fill(self._native, self._records)
        return self.record(0)

    def returned(self) -> dict[int, int]:
        """How often KVM_RUN returned with each reason; signals count as INTR."""
        return {reason: n for reason, n in enumerate(self._native.returned) if n}

    @property
    def out_rip_after(self) -> bool | None:
        """Whether this host reports an OUT with RIP past it; None: not known yet."""
        known = int(self._native.out_rip_after)
        return None if known < 0 else bool(known)

    @out_rip_after.setter
    def out_rip_after(self, after: bool) -> None:
        self._native.out_rip_after = after

    # -- the protocol of step.py

    def look(self) -> Start:
        """What is at CS:IP."""
        lib.kdash_record_fill(self._native, self._records)
        return start_of(self.record(0))

    def enter(self, complete_only: bool) -> bool:
        """KVM_RUN, with immediate_exit when `complete_only`; False: EINTR."""
        if self.patience and not complete_only:
            result = lib.kdash_enter_briefly(self._native, self.patience)
        else:
            result = lib.kdash_enter(self._native, complete_only)
        if result == 0:
            return True
        if result == lib.KDASH_KICKED or (complete_only and result == -errno.EINTR):
            return False
        raise _run_failure(-result)

    def exit(self) -> RawExit:
        """The exit with which KVM_RUN last returned."""
        return returned_exit(self._native)

    def answer(self, data: bytes, position: int | None = None) -> None:
        """Answer the IN or MMIO read with which KVM_RUN returned.

        Args:
            data: all its bytes.
            position: the exit's record in `record_bytes`, to hold the answer too.
        """
        record = ffi.NULL if position is None else self._records + position
        if lib.kdash_answer(self._native, record, data, len(data)):
            raise KvmError("KVM_RUN gave an access without a place for its answer", REMEDY)

    def answer_msr(self, value: int | None) -> None:
        """Answer the X86_RDMSR or X86_WRMSR with which KVM_RUN returned.

        Args:
            value: of the register, or None to give the guest #GP.
        """
        place = ffi.buffer(lib.kdash_exit_union(self._native), MSR_LAYOUT.size)
        _, why, index, data = MSR_LAYOUT.unpack(place)
        place[:] = MSR_LAYOUT.pack(value is None, why, index, data if value is None else value)

    def use_ring(self, page: int) -> None:
        """Take coalesced writes from a page of the run mapping; each exit is a batch then."""
        self._ring = page * PAGE
        self._batch = 1

    @property
    def has_ring(self) -> bool:
        """Whether KVM may have collected writes."""
        return self._ring != 0

    def coalesced(self) -> list[CoalescedWrite]:
        """Writes that KVM has collected since the last call, in order."""
        writes = ffi.new("uint8_t[]", PAGE)
        count = lib.kdash_take_coalesced(self._native, self._ring, writes, PAGE // WRITE.size)
        return CoalescedWrite.unpack(bytes(ffi.buffer(writes, count * WRITE.size)))

    @property
    def interruptible(self) -> bool:
        """Whether the guest can take an interrupt now; asked without interrupt controllers."""
        return bool(lib.kdash_interruptible(self._native))

    def offer_interrupt(self, acknowledge: Callable[[], int]) -> bool:
        """Interrupt the guest if it can take that, by the vector that `acknowledge` tells.

        Where it can't, KVM_RUN returns as soon as it can. Only for machines without
        interrupt controllers in the kernel (api.rst, 4.16, KVM_INTERRUPT).

        Returns:
            Whether it takes the interrupt.
        """
        taken = self.interruptible
        if taken:
            vector = acknowledge().to_bytes(4, "little")  # struct kvm_interrupt
            ioctl.call_bytes(self.fd, "KVM_INTERRUPT", vector)
            self._native.delivering = 1
        lib.kdash_request_window(self._native, not taken)
        return taken

    # -- interruption

    def kick(self) -> None:
        """Make a batch or entry return soon, or the next one at once; from any thread."""
        if self._native is not None:
            lib.kdash_kick(self._native)

    def start_ticks(self, hertz: int) -> None:
        """Kick the calling thread regularly until `stop_ticks`."""
        error = lib.kdash_tick_start(self._native, hertz)
        if error:
            raise ioctl.failure("timer_create", -error)

    def stop_ticks(self) -> None:
        """End the regular kicks."""
        lib.kdash_tick_stop(self._native)


def start_of(record: Record) -> Start:
    """What a step has to know of the instruction at the record's RIP."""
    length = ffi.new("uint32_t *")
    kind = lib.kdash_classify(record.code, len(record.code), record.bits, length)
    return Start(record.rip, _KINDS[kind], length[0], record.bits)


def _run_failure(number: int) -> KvmError:
    return ioctl.failure("KVM_RUN", number)
