"""Records a machine: which of its state is kept, and how it goes back to a moment.

Registers and memory come natively with every step; what else there is, x87 and SSE, MSRs,
the kernel's interrupt controllers, is read when an instruction changes it and now and then,
the devices' state after every exit.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any, Final

from kdash.backends.kvm import rewinding
from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.board import Board
from kdash.backends.kvm.exit_codec import pack
from kdash.backends.kvm.facts import KvmError, RecordingView
from kdash.backends.kvm.machine import Machine
from kdash.backends.kvm.recorded_contents import devices_of, text_of
from kdash.backends.kvm.recorded_moment import Area
from kdash.backends.kvm.recording import EDIT, JUMP, LIMIT, STEP, Recording
from kdash.backends.kvm.records import Record
from kdash.backends.kvm.rewinding import VM_STATE
from kdash.backends.kvm.vcpu import Vcpu

#: Bytes of the devices' state, as JSON.
DEVICES_SIZE: Final = 64 << 10
#: Told beside the devices that don't go back.
TOO_LARGE: Final = f"devices with more than {DEVICES_SIZE >> 10} KiB of state"
#: Exits that go with an entry: the latest of them.
EXITS_AN_ENTRY: Final = 256

_FPU, _MSR, _DEBUG = lib.KDASH_CHANGES_FPU, lib.KDASH_CHANGES_MSR, lib.KDASH_CHANGES_DEBUG
_ALL: Final = lib.KDASH_CHANGES_ALL & ~(_FPU | _MSR | _DEBUG)
#: State of a VCPU: name, bytes of its structure (asm/kvm.h) in whole words, when it changes.
#: In the order in which it is set again.
_VCPU_STATE: Final = (
    ("XSAVE", 4096, _FPU),
    ("XCRS", 392, _MSR),
    ("MP_STATE", 8, _ALL),
    ("DEBUGREGS", 128, _DEBUG),
    ("LAPIC", 1024, _ALL),
)
#: MSRs that belong to a running guest (Intel SDM vol. 4, table 2-2): time stamp, SYSENTER,
#: PAT, MISC_ENABLE, deadline; STAR, LSTAR, CSTAR, FMASK, KERNEL_GS_BASE, TSC_AUX.
_MSRS: Final = (
    0x10, 0x174, 0x175, 0x176, 0x1A0, 0x277, 0x6E0, 0xC000_0081, 0xC000_0082, 0xC000_0083,
    0xC000_0084, 0xC000_0102, 0xC000_0103,
)  # fmt: skip


class Recorder:
    """What records one machine, from its first step on.

    Args:
        machine: of KVM; its VCPUs are between two instructions.
        board: its devices and exits.
        limit: bytes of history.
        loaded: a recording from a file at its last moment, to be gone on with. The machine is
            not yet in that state: `go_on` puts it there. It stays as it was where this fails.

    Raises:
        KvmError: when KVM refuses to log writes, lacks what the file keeps, or memory is out.
    """

    def __init__(
        self,
        machine: Machine,
        board: Board,
        limit: int = LIMIT,
        loaded: Recording | None = None,
    ) -> None:
        self._machine = machine
        self._board = board
        self._exits = board.log.next_index  # of the first that no entry has
        self._state = b""
        self._devices = ffi.new("uint64_t[]", DEVICES_SIZE // 8)
        self._buffers: list[Any] = []
        self.unsaved = board.unsaved
        self._loaded = loaded
        self._attached: set[int] = set()  # areas of a file
        self._live_from = loaded.last if loaded else None
        self.recording = loaded or Recording(len(machine.vcpus), limit)
        if self.recording.owners is None:
            self.recording.owners = board.log.owners
        try:
            self._add_memory()
            for vcpu in machine.vcpus:
                self.recording.follow(vcpu)
                self._add_vcpu(vcpu)
            self._add_controllers()
            self._area = self._add("devices", DEVICES_SIZE, self._bytes(self._devices))
            if loaded is None:
                self.keep_devices()
                self.recording.begin(board.steps, board.steps)
            else:
                self._check_attached()
        except BaseException:
            self.close()
            raise
        board.recorder = self

    def close(self) -> None:
        """Record no more, and forget everything."""
        self._board.recorder = None
        self._machine.memory.on_write = None
        self._machine.memory.written = None
        if self._loaded is None:
            self.recording.close()
        else:
            self._loaded.detach()

    def _add(  # noqa: PLR0913 - as of Recording.add
        self, name: str, size: int, host: Any, *, fd: int = -1, request: int = 0, when: int = 0,
        **place: Any,
    ) -> Area:  # fmt: skip
        """Record bytes of this machine, in a file's recording where it has such an area."""
        if self._loaded is None:
            return self.recording.add(
                name, size, host=host, fd=fd, request=request, when=when, **place
            )
        wanted = Area(name, 0, size, **place)
        for area in self._loaded.areas:
            if replace(area, number=0, host=None) == wanted and area.number not in self._attached:
                self._attached.add(area.number)
                return self._loaded.attach(area, host=host, fd=fd, request=request, when=when)
        at = f" of VCPU {wanted.vcpu}" if wanted.vcpu >= 0 else ""
        raise KvmError(
            f"the recording has no {name}{at} of {size} bytes, which KVM has here",
            "go on with it where it was made",
        )

    def _check_attached(self) -> None:
        for area in self.recording.areas:
            if area.number not in self._attached:
                at = f" of VCPU {area.vcpu}" if area.vcpu >= 0 else ""
                raise KvmError(
                    f"the recording keeps {area.name}{at}, {area.size} bytes, which KVM has "
                    "not or otherwise here", "go on with it where it was made",
                )  # fmt: skip

    @staticmethod
    def _bytes(words: Any) -> Any:
        return ffi.cast("uint8_t *", words)

    def _add_memory(self) -> None:
        memory = self._machine.memory
        memory.log_writes()
        for slot in memory.slots():
            self._add(
                "memory", slot.size, slot.host, guest=slot.guest, slot=slot.number,
                readonly=slot.readonly, fd=-1 if slot.readonly else memory.vm,
            )  # fmt: skip
        memory.on_write = self._written
        memory.written = self._pages_written

    def _written(self, physical: int, length: int) -> None:
        """The host wrote to memory, of which KVM's log knows nothing."""
        for area in self.recording.areas:
            start, end = max(physical, area.guest), min(physical + length, area.guest + area.size)
            if area.slot >= 0 and start < end:
                self.recording.touch(area, start - area.guest, end - start)

    def _pages_written(self, slot: int) -> bytes:
        """Those of a slot since this was last asked; who else reads KVM's log would clear it."""
        area = next(one for one in self.recording.areas if one.slot == slot)
        return self.recording.written(area)

    def _add_vcpu(self, vcpu: Vcpu) -> None:
        for name, size, when in _VCPU_STATE:
            self._add_state(name, vcpu, ffi.new("uint64_t[]", size // 8), size, when)
        msrs = _readable_msrs(vcpu)
        self._add_state("MSRS", vcpu, msrs, 8 * len(msrs), _MSR)

    def _add_controllers(self) -> None:
        """The kernel's interrupt controllers and timer, where the machine has them."""
        if not self._machine.guest.irqchip:
            return
        vm = self._machine.memory.vm
        for number, (name, size) in enumerate(VM_STATE.items()):
            buffer = ffi.new("uint64_t[]", size // 8)
            buffer[0] = number if name.startswith("IRQCHIP") else 0  # chip_id
            self._buffers.append(buffer)
            self._add(
                name, size, self._bytes(buffer), fd=vm,
                request=getattr(lib, f"KVM_GET_{name.partition(' ')[0]}"), when=_ALL,
            )  # fmt: skip

    def _add_state(self, name: str, vcpu: Vcpu, buffer: Any, size: int, when: int) -> None:
        request = getattr(lib, f"KVM_GET_{name}")
        if lib.kdash_ioctl_pointer(vcpu.fd, request, buffer) < 0:
            return  # not on this host
        self._buffers.append(buffer)
        self._add(
            name, size, self._bytes(buffer), vcpu=vcpu.index, fd=vcpu.fd, request=request,
            when=when | _ALL,
        )  # fmt: skip

    # -- recording

    def step(self, vcpu: int, record: Record) -> None:
        """Keep a step that was not finished in the native loop."""
        changes = lib.kdash_changes(record.code, len(record.code), record.bits)
        self._enter(vcpu, STEP, changes)

    def settle(self, kind: int = JUMP, *, ran: bool = False) -> None:
        """Keep what changed without a step: a run at full speed, or by someone else's hand.

        A run that changed nothing is kept where `ran` says that there was one.
        """
        if ran or self._board.log.next_index != self._exits or self.recording.differs:
            self._enter(0, kind)

    def edited(self) -> None:
        """Keep what a person changed."""
        self.settle(EDIT)

    def _enter(self, vcpu: int, kind: int, changes: int = 0) -> None:
        log = self._board.log
        payload = b""
        if log.next_index != self._exits:
            payload = pack(log.since(max(self._exits, log.next_index - EXITS_AN_ENTRY)))
            self._exits = log.next_index
        if payload or kind != STEP:
            self.keep_devices()
        self.recording.enter(vcpu, kind, changes, payload)

    def keep_devices(self) -> None:
        """Keep the devices' state, if it changed, with the next entry."""
        state = json.dumps(self._board.save(), separators=(",", ":")).encode()
        if state == self._state:
            return
        if len(state) >= DEVICES_SIZE:
            if TOO_LARGE not in self.unsaved:
                self.unsaved = (*self.unsaved, TOO_LARGE)
            return
        length = max(len(state), len(self._state)) + 1
        ffi.buffer(self._devices)[:length] = state.ljust(length, b"\0")
        self._state = state
        self.recording.touch(self._area, 0, length)

    # -- the moment shown

    def view(self) -> RecordingView:
        """What there is to know of it."""
        return replace(self.recording.view(self.unsaved), live_from=self._live_from)

    def devices(self) -> dict[str, Any]:
        """The state of devices and log at the moment shown."""
        return devices_of(self.recording)

    def restore(self) -> tuple[int, ...]:
        """Put the machine into the moment shown and drop what came later.

        Returns:
            The steps of each VCPU that were dropped.

        Raises:
            KvmError: when KVM refuses a state.
            DeviceError: when a user's device can't go back.
        """
        recording = self.recording
        rewinding.check_shown(self.recording)
        for vcpu in self._machine.vcpus:
            if self._board.has_left(vcpu.index):
                rewinding.leave_halt(self._machine, vcpu)
        dropped = tuple(recording.steps_after(vcpu.index) for vcpu in self._machine.vcpus)
        recording.cut()
        if self._live_from is not None:
            self._live_from = min(self._live_from, recording.last)
        self._put()
        return dropped

    def go_on(self) -> None:
        """Put the machine, which is new, into the last moment of the recording from a file.

        Raises:
            KvmError: when KVM refuses a state.
            GuestError: when the file's state makes no sense.
            DeviceError: when a user's device can't take its state.
        """
        rewinding.check_shown(self.recording)
        self._put()

    def _put(self) -> None:
        """Put the moment shown into the machine."""
        recording, state = self.recording, self.devices()
        rewinding.put(self._machine, recording)
        self._board.restore(state, recording.steps)
        self._state = text_of(ffi.buffer(self._devices))
        self._exits = self._board.log.next_index


def _readable_msrs(vcpu: Vcpu) -> Any:
    """A `struct kvm_msrs` (asm/kvm.h): their number, then index and value of each."""
    readable = []
    for index in _MSRS:
        one = ffi.new("uint64_t[]", [1, index, 0])
        if lib.kdash_ioctl_pointer(vcpu.fd, lib.KVM_GET_MSRS, one) == 1:
            readable.append(index)
    words = [len(readable)]
    for index in readable:
        words += (index, 0)
    return ffi.new("uint64_t[]", words)
