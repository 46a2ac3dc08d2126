"""The recorded past of a machine: moments, going to one, searching for one.

A moment is the state before a step; the native half (record.h) holds what every step changed.
The same object serves a machine that is being recorded and a recording from a file.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from kdash.backends.kvm import ioctl
from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.facts import KvmError, RecordingView
from kdash.backends.kvm.layout import PAGE
from kdash.backends.kvm.recorded_moment import Area, ShownMoment

if TYPE_CHECKING:
    from kdash.backends.kvm.owners import Owners
    from kdash.backends.kvm.vcpu import Vcpu

#: Bytes of history unless told otherwise.
LIMIT: Final = 512 << 20
STEP: Final = lib.KDASH_STEP
JUMP: Final = lib.KDASH_JUMP
EDIT: Final = lib.KDASH_EDIT

_KIND_SHIFT: Final = 4  # in the first byte of an entry (record_inside.h)


class Recording(ShownMoment):
    """Entries and shadows of one machine; use it from the VCPU's thread alone.

    Args:
        vcpus: how many VCPUs the machine has.
        limit: bytes it may take; the oldest entries are dropped first.

    Raises:
        KvmError: when the host has not so much memory.
    """

    def __init__(self, vcpus: int = 1, limit: int = LIMIT) -> None:
        native = lib.kdash_recording_new(limit, vcpus)
        if native == ffi.NULL:
            raise _no_memory()
        super().__init__(native)
        self.vcpu_count = vcpus
        self.limit = limit
        self.base = 0  # bytes taken before anything was recorded: the copy of the state
        self.owners: Owners | None = None  # who answers where, by which exits are told
        self._kept: list[Any] = []  # what the native half points at

    def close(self) -> None:
        """Free everything; more than once does no harm."""
        native, self._native = self._native, ffi.NULL
        if native != ffi.NULL:
            lib.kdash_recording_free(native)

    def __del__(self) -> None:
        self.close()

    # -- what is recorded

    def add(  # noqa: PLR0913 - the fields of an area
        self,
        name: str,
        size: int,
        *,
        host: Any = None,
        guest: int = 0,
        slot: int = -1,
        readonly: bool = False,
        vcpu: int = -1,
        fd: int = -1,
        request: int = 0,
        when: int = 0,
    ) -> Area:
        """Record `size` bytes at `host`, filled by the ioctl `request` on `fd` if there is one.

        Raises:
            KvmError: when the host has not so much memory.
        """
        number = lib.kdash_recording_add(
            self._native, ffi.NULL if host is None else host, size, guest, slot, fd, request, when
        )
        if number < 0:
            raise _no_memory()
        area = Area(name, number, size, guest, slot, readonly, vcpu, host)
        self.areas.append(area)
        if slot >= 0:
            place = self._memory.slots[self._memory.count]
            place.guest, place.size = guest, size
            place.host = lib.kdash_recording_shadow(self._native, number)
            self._memory.count += 1
        return area

    def attach(
        self, area: Area, *, host: Any, fd: int = -1, request: int = 0, when: int = 0
    ) -> Area:
        """Take an area of a file as one of a machine; arguments as of `add`."""
        lib.kdash_recording_attach(self._native, area.number, host, fd, request, when)
        attached = replace(area, host=host)
        self.areas[area.number - 1] = attached
        return attached

    def detach(self) -> None:
        """Forget the machine, so that what is recorded can be looked through as a file's."""
        if self._native == ffi.NULL:
            return
        lib.kdash_recording_detach(self._native)
        self.areas[:] = (replace(area, host=None) for area in self.areas)
        self._kept.clear()

    def follow(self, vcpu: Vcpu) -> None:
        """Record the registers of `vcpu` and each of its steps."""
        self._kept.append(vcpu.native)
        lib.kdash_recording_vcpu(self._native, vcpu.index, vcpu.native)

    def begin(self, moment: int, steps: int) -> None:
        """Take the state as it is as the first moment."""
        self._check(lib.kdash_recording_begin(self._native, moment, steps))
        self.base = self.memory_taken

    def touch(self, area: Area, offset: int, length: int) -> None:
        """Look for changes there at the next entry."""
        lib.kdash_recording_touch(self._native, area.number, offset, length)

    def written(self, area: Area) -> bytes:
        """Pages of a memory slot written since this was last asked: a bitmap in whole words."""
        words = ffi.new("uint64_t[]", -(-area.size // (64 * PAGE)))
        self._check(lib.kdash_recording_written(self._native, area.number, words))
        return bytes(ffi.buffer(words))

    def enter(self, vcpu: int, kind: int, changes: int = 0, payload: bytes = b"") -> None:
        """Add what changed since the last entry; the last moment is the one shown.

        Raises:
            KvmError: when KVM does not tell, or memory is out; the past is lost then.
        """
        error = lib.kdash_recording_enter(
            self._native, vcpu, kind, changes, payload or ffi.NULL, len(payload)
        )
        self._check(error)

    def append(self, entry: bytes) -> bool:
        """Add an entry of a file; False: it can't be one."""
        return int(lib.kdash_recording_append(self._native, entry, len(entry))) == 0

    @property
    def differs(self) -> bool:
        """Whether registers or memory are not those of the last moment any more."""
        return bool(self._check(lib.kdash_recording_differs(self._native)))

    def _check(self, result: int) -> int:
        if result < 0:
            raise ioctl.failure("recording", -result)
        return result

    # -- moments

    @property
    def first(self) -> int:
        """The oldest moment that can be shown."""
        return int(lib.kdash_recording_first(self._native))

    @property
    def last(self) -> int:
        """The newest."""
        return int(lib.kdash_recording_last(self._native))

    @property
    def position(self) -> int:
        """The one shown."""
        return int(lib.kdash_recording_position(self._native))

    @property
    def steps(self) -> int:
        """Logical steps done up to the moment shown."""
        return int(lib.kdash_recording_steps(self._native))

    @property
    def in_past(self) -> bool:
        """Whether the moment shown is not the newest."""
        return self.position < self.last

    @property
    def memory_taken(self) -> int:
        """Memory taken."""
        return int(lib.kdash_recording_bytes(self._native))

    def view(self, unsaved: tuple[str, ...] = ()) -> RecordingView:
        """What there is to know of it; `unsaved` names devices that don't go back."""
        return RecordingView(
            first=self.first,
            last=self.last,
            position=self.position,
            bytes=self.memory_taken,
            limit=self.limit,
            state_as_of=int.from_bytes(self.shadow(0)[:8], "little"),
            unsaved=unsaved,
            base=self.base,
        )

    def seek(self, moment: int) -> int:
        """Show the moment nearest to `moment`, and return it."""
        moment = min(max(moment, self.first), self.last)
        self._check(lib.kdash_recording_seek(self._native, moment))
        return moment

    def find(  # noqa: PLR0913 - what can be searched for
        self,
        *,
        backwards: bool,
        stops: Sequence[tuple[int, int]] = (),
        changed: Sequence[tuple[int, int]] = (),
        exits: bool = False,
        above: tuple[int, int] | None = None,
        until: int | None = None,
    ) -> int | None:
        """The nearest moment that fits any of these, from the moment shown on.

        Args:
            backwards: into the past; a change or exit is then found before it happens.
            stops: linear address of CS:IP and the least RSP, of the VCPU that came there.
            changed: guest-physical address and bytes of memory whose content changed.
            exits: where the guest exited.
            above: a VCPU, and what its RSP exceeds.
            until: forwards, the last moment to look at.
        """
        search = ffi.new("struct kdash_search *")
        kept = (
            ffi.new("struct kdash_breakpoint[]", list(stops)),
            ffi.new("struct kdash_stretch[]", list(changed)),
        )
        search.backwards, search.payloads = backwards, exits
        search.until = lib.KDASH_NO_MOMENT if until is None else until
        search.stops, search.stop_count = kept[0], len(stops)
        search.ranges, search.range_count = kept[1], len(changed)
        if above is not None:
            search.above, (search.vcpu, search.sp) = 1, above
        found = int(lib.kdash_recording_find(self._native, search))
        return None if found == lib.KDASH_NO_MOMENT else found

    def steps_after(self, vcpu: int) -> int:
        """Steps of a VCPU recorded after the moment shown."""
        return int(lib.kdash_recording_steps_after(self._native, vcpu))

    def cut(self) -> None:
        """Forget what comes after the moment shown."""
        self._check(lib.kdash_recording_cut(self._native))

    def restore(self) -> None:
        """Put the moment shown into memory and the buffers of all areas."""
        lib.kdash_recording_restore(self._native)

    # -- entries

    def entry(self, moment: int) -> bytes | None:
        """The entry that begins at `moment`, as a file holds it."""
        size = ffi.new("uint32_t *")
        data = lib.kdash_recording_entry(self._native, moment, size)
        return None if data == ffi.NULL else bytes(ffi.buffer(data, size[0]))

    def vcpu_at(self, moment: int) -> int:
        """The VCPU whose step begins at `moment`, or led to the last one; else 0."""
        size = ffi.new("uint32_t *")
        data = lib.kdash_recording_entry(self._native, moment, size)
        if data == ffi.NULL and moment > self.first:
            data = lib.kdash_recording_entry(self._native, moment - 1, size)
        return 0 if data == ffi.NULL else data[1] & 0x7F

    def is_run(self, moment: int) -> bool:
        """Whether the entry that begins at `moment` is a run at full speed."""
        if moment < self.first:
            return False
        size = ffi.new("uint32_t *")
        data = lib.kdash_recording_entry(self._native, moment, size)
        return bool(data != ffi.NULL and data[0] >> _KIND_SHIFT == JUMP)

    def payload(self, moment: int) -> bytes:
        """What came with the entry that begins at `moment`."""
        size = ffi.new("uint32_t *")
        data = lib.kdash_recording_payload(self._native, moment, size)
        return b"" if data == ffi.NULL else bytes(ffi.buffer(data, size[0]))

    def payloads_before(self, moment: int) -> Iterable[bytes]:
        """What came with the entries before `moment`, the newest first."""
        size = ffi.new("uint32_t *")
        while True:
            moment = int(lib.kdash_recording_payload_before(self._native, moment))
            if moment == lib.KDASH_NO_MOMENT:
                return
            data = lib.kdash_recording_payload(self._native, moment, size)
            yield bytes(ffi.buffer(data, size[0]))


def _no_memory() -> KvmError:
    return KvmError("no memory for a recording", "free some, or allow less with --record-memory")
