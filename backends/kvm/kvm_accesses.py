"""What a VCPU of KVM exits for at full speed and in steps: each access is given to its device.

Answers go back through the exit's own memory; KVM finishes an access when the VCPU is entered next.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from kdash.backends.kvm.board import Board, OnSteps, Slice
from kdash.backends.kvm.exit_reasons import ACCESSES, UNCOUNTED
from kdash.backends.kvm.exits import RawExit
from kdash.backends.kvm.facts import ExitDetail, ExitReason, IoExit, MmioExit, MsrExit
from kdash.backends.kvm.origin import instruction_ip, reveals_out
from kdash.backends.kvm.records import ACCESS, DATA_SIZE, RECORD, first_bytes
from kdash.backends.kvm.user_devices import DeviceError
from kdash.backends.kvm.vcpu import Vcpu
from kdash.backends.kvm.vcpu_runner import VcpuRunner

#: Accesses that fit a record of the native loop.
_ACCESSES: Final = (ExitReason.IO, ExitReason.MMIO)
_CONTINUED: Final = (ExitReason.INTR, ExitReason.IRQ_WINDOW_OPEN, ExitReason.DEBUG)


class KvmAccesses(VcpuRunner[Vcpu]):
    """Serves the exits of a VCPU, one at the end of each batch; subclasses run and step it."""

    def __init__(self, board: Board, vcpu: Vcpu, on_steps: OnSteps | None = None) -> None:
        super().__init__(board, vcpu, on_steps)
        self._pending = False  # an access was answered and KVM has not finished it
        self._steps_now = False  # the slice is one of steps
        self._in_ring = False  # what is served is a write that KVM collected

    def _take_dealt_with(self, records: bytes) -> None:
        """Tell the devices of accesses that native code dealt with; reads were nobody's."""
        alike = self.vcpu.alike
        reason, port, size, write, count, _, _ = ACCESS.unpack_from(records)
        if alike and size == count == 1:
            if write and reason == ExitReason.IO:
                self.bus.write_port(port, 1, first_bytes(records))
        else:
            for reason, port, size, write, count, _, data in ACCESS.iter_unpack(records):
                if write and reason == ExitReason.IO:
                    self.bus.write_port(port, size, data[: size * count])
        self.log.add_accesses(records, alike, self.vcpu.index)

    def _take(self, position: int) -> None:
        """Handle the exit at the end of a batch."""
        fields = ACCESS.unpack_from(self.vcpu.record_bytes, position * RECORD.size)
        reason, _, size, _, count, _, _ = fields
        if reason in _ACCESSES and size * count <= DATA_SIZE:
            self._take_access(position, fields)
        elif reason in ACCESSES:
            record = self.vcpu.record(position)
            raw = self._answer(self.vcpu.exit())
            ip = instruction_ip(record, self.vcpu.out_rip_after)
            self._log(raw, ip, None)
        elif reason not in _CONTINUED:
            record = self.vcpu.record(position)
            ip = instruction_ip(record, self.vcpu.out_rip_after)
            self._end(self.vcpu.exit(), ip, None, record)
        elif reason == ExitReason.DEBUG and self.vcpu.hardware:
            self._stop_came = True

    def _take_access(self, position: int, fields: tuple[Any, ...]) -> None:
        """Serve an access whose data is in its record."""
        reason, port, size, write, count, address, data = fields
        is_io = reason == ExitReason.IO
        self._pending = True
        if write:
            data = data[: size * count]
            if is_io:
                self.bus.write_port(port, size, data)
                self._learn(position)
            else:
                self.bus.write_mmio(address, data)
        else:
            bus = self.bus
            answer = bus.read_port(port, size, count) if is_io else bus.read_mmio(address, size)
            self.vcpu.answer(answer, position)
        start = position * RECORD.size
        record_bytes = bytes(self.vcpu.record_bytes[start : start + RECORD.size])
        self._stop_came = self._each_exit
        self.log.add_access(record_bytes, reason, port, write, count, self.vcpu.index)
        if self.board.exit_port.value is not None or self.board.keyboard.reset:
            record = self.vcpu.record(position)
            self._check_end(instruction_ip(record, self.vcpu.out_rip_after))

    def _learn(self, position: int) -> None:
        """At the first OUT that can show it, see whether finishing it moves RIP."""
        if self.vcpu.out_rip_after is not None:
            return
        record = self.vcpu.record(position)
        if reveals_out(record):
            self.settle()
            self.vcpu.out_rip_after = self.vcpu.rip == record.rip
            self.log.out_rip_after = self.vcpu.out_rip_after

    def _take_coalesced(self, step: int | None) -> None:
        """Give the writes that KVM collected to their devices."""
        if not self.vcpu.has_ring:
            return
        with self.board.lock:
            self._in_ring = True
            for address, port, data in self.vcpu.coalesced():
                if port:
                    self.bus.write_port(address, len(data), data)
                    raw = RawExit(ExitReason.IO, IoExit("out", address, len(data), 1, data))
                else:
                    self.bus.write_mmio(address, data)
                    raw = RawExit(ExitReason.MMIO, MmioExit(True, address, data))
                # Where in the guest it was written nobody knows any more.
                self._log(raw, self.vcpu.rip, step, "coalesced, seen here")
            self._in_ring = False

    def settle(self) -> None:
        """Let KVM finish the access that was answered last, executing nothing after it."""
        if not self._pending:
            return
        try:
            with self.board.lock:
                self._settle()
        except DeviceError as failure:
            self._failed(failure)

    def _settle(self) -> None:
        while self._pending:
            self._pending = False
            if not self.vcpu.enter(True):
                return
            raw = self.vcpu.exit()
            if raw.reason in ACCESSES:
                record = self.vcpu.describe_exit()
                self._log(self._answer(raw), record.rip, None)
            elif raw.reason not in UNCOUNTED:
                record = self.vcpu.describe_exit()
                self._end(raw, instruction_ip(record, self.vcpu.out_rip_after), None, record)

    def _answer(self, raw: RawExit) -> RawExit:
        """Give an access to its device; returns the exit with the answer filled in."""
        self._pending = True
        detail = raw.detail
        if isinstance(detail, IoExit):
            if detail.direction == "out":
                self.bus.write_port(detail.port, detail.size, detail.data)
                return raw
            data = self.bus.read_port(detail.port, detail.size, detail.count)
            self.vcpu.answer(data)
            answered: ExitDetail = IoExit("in", detail.port, detail.size, detail.count, data)
            return RawExit(raw.reason, answered)
        if isinstance(detail, MsrExit):
            return RawExit(raw.reason, self._answer_msr(detail))
        assert isinstance(detail, MmioExit)
        if detail.write:
            self.bus.write_mmio(detail.address, detail.data)
            return raw
        data = self.bus.read_mmio(detail.address, len(detail.data))
        self.vcpu.answer(data)
        return RawExit(raw.reason, MmioExit(False, detail.address, data))

    def _answer_msr(self, detail: MsrExit) -> MsrExit:
        if detail.write:
            known = self.bus.write_msr(detail.index, detail.data)
            self.vcpu.answer_msr(detail.data if known else None)
            return replace(detail, refused=not known)
        value = self.bus.read_msr(detail.index)
        self.vcpu.answer_msr(value)
        return replace(detail, data=value or 0, refused=value is None)

    def _failed(self, failure: DeviceError, ip: int | None = None) -> Slice:  # noqa: ARG002
        self._pending = False
        if self._in_ring:
            return super()._failed(failure)
        raw = self.vcpu.exit()
        if isinstance(raw.detail, IoExit) and raw.detail.direction == "in":
            count = failure.answered + 1  # of a repeated one no more came to the device
            data = raw.detail.data[: raw.detail.size * count]
            raw = RawExit(raw.reason, replace(raw.detail, count=count, data=data))
        if raw.reason in ACCESSES:  # the one that was being served
            record = self.vcpu.describe_exit()
            self._ip = instruction_ip(record, self.vcpu.out_rip_after)
            with self.board.lock:
                self._log(raw, self._ip, self.board.steps if self._steps_now else None)
        return super()._failed(failure, self._ip)
