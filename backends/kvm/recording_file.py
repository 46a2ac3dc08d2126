"""Recordings in files: a header, then sections, each compressed and with a checksum.

A snapshot of one moment is a recording without steps. The file begins with its magic and the
version of the format; a section is its tag, the bytes it holds, the bytes stored, the CRC-32
of those, and they. Numbers are little-endian.

    META  JSON: what the guest is, its areas, the first moment, how it ended
    WORD  registers of all VCPUs at the first moment
    AREA  bytes of one area at the first moment, in the order of META
    ENTR  entries, each with its length before it; as many sections as it takes
    SENT  output: of the serial port, the debug ports and the BIOS's teletype, in this order
    DISK  the image of the disk, where there is one
    WRIT  sectors written to it, in order; as many sections as it takes
    DONE  the end
"""

from __future__ import annotations

import contextlib
import json
import os
import struct
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from kdash.backends.kvm._native import ffi, lib
from kdash.backends.kvm.bios_disk import SECTOR
from kdash.backends.kvm.facts import GuestError, GuestFileError, KvmError
from kdash.backends.kvm.guests import MEMORY_MAXIMUM
from kdash.backends.kvm.images import RECORDING
from kdash.backends.kvm.places import writable_place
from kdash.backends.kvm.recording import LIMIT, Recording
from kdash.backends.kvm.recording_about import About, count, from_json, text, to_json

MAGIC: Final = RECORDING
VERSION: Final = 2
_HEAD: Final = struct.Struct("<8sI")
_SECTION: Final = struct.Struct("<4sQQI")
_LENGTH: Final = struct.Struct("<I")
_WRITE: Final = struct.Struct(f"<Q{SECTOR}s")  # of the disk: sector, its bytes
#: Writes in a section.
_WRITES: Final = 4096
#: Bytes of entries in a section, and the most that one section may hold.
_BLOCK: Final = 4 << 20
_META_MOST: Final = 64 << 20
_WORDS_SIZE: Final = lib.KDASH_STATE_WORDS * 8
_OUTPUTS: Final = ("serial", "debug_port", "teletype")
_VCPUS_MOST: Final = 126


@dataclass(frozen=True, slots=True)
class Loaded:
    """A recording from a file."""

    recording: Recording
    about: About
    name: str = ""  # of the file


def is_recording(data: bytes) -> bool:
    """Whether a file's bytes begin as a recording."""
    return data.startswith(MAGIC)


# -- writing


def save(path: str | os.PathLike[str], recording: Recording, about: About, *,
         moment_only: bool = False) -> None:  # fmt: skip
    """Write a recording, or the moment shown alone, for nobody else to read.

    The file is there as a whole or not at all; the moment shown stays.

    Raises:
        GuestFileError: when it can't be written.
        GuestError: when something else than a regular file is there.
    """
    path = writable_place(path)
    shown = recording.position
    try:
        descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    except OSError as error:
        raise GuestFileError(f"{path}: {error.strerror}") from None
    try:
        with open(descriptor, "wb") as file:
            for part in _parts(recording, about, moment_only):
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException as error:
        with contextlib.suppress(OSError):
            os.unlink(name)
        if isinstance(error, OSError):
            raise GuestFileError(f"{path}: {error.strerror}") from None
        raise
    finally:
        recording.seek(shown)


def _parts(recording: Recording, about: About, moment_only: bool) -> Iterator[bytes]:
    yield _HEAD.pack(MAGIC, VERSION)
    if not moment_only:
        recording.seek(recording.first)
    last = recording.position if moment_only else recording.last
    ended = last == recording.last
    meta = {
        **to_json(about, ended=ended),
        "vcpus": recording.vcpu_count,
        "moment": recording.position,
        "steps": recording.steps,
        "areas": [
            [one.name, one.size, one.guest, one.slot, one.readonly, one.vcpu]
            for one in recording.areas
        ],
    }
    yield _section(b"META", json.dumps(meta).encode())
    words = (ffi.buffer(recording.words(n), _WORDS_SIZE) for n in range(recording.vcpu_count))
    yield _section(b"WORD", b"".join(bytes(one) for one in words))
    for number in range(len(recording.areas) + 1):
        yield _section(b"AREA", bytes(recording.shadow(number)))
    block = bytearray()
    for moment in range(recording.position, last):
        entry = recording.entry(moment)
        assert entry is not None
        block += _LENGTH.pack(len(entry)) + entry
        if len(block) >= _BLOCK:
            yield _section(b"ENTR", bytes(block))
            block.clear()
    yield _section(b"ENTR", bytes(block))
    for data in (about.serial, about.debug_port, about.teletype):
        yield _section(b"SENT", data)
    if about.machine.disk is not None:
        yield _section(b"DISK", about.machine.disk)
        yield from _writes(about.inputs.writes)
    yield _section(b"DONE", b"")


def _writes(writes: Sequence[tuple[int, bytes]]) -> Iterator[bytes]:
    for at in range(0, len(writes), _WRITES):
        some = writes[at : at + _WRITES]
        yield _section(b"WRIT", b"".join(_WRITE.pack(number, data) for number, data in some))


def _section(tag: bytes, data: bytes) -> bytes:
    stored = zlib.compress(data, 1)
    return _SECTION.pack(tag, len(data), len(stored), zlib.crc32(stored)) + stored


# -- reading


class _Reader:
    """Sections of a file, one after the other."""

    def __init__(self, data: bytes, title: str) -> None:
        self._data = memoryview(data)
        self._title = title
        self.at = _HEAD.size

    def refused(self, why: str) -> GuestError:
        return GuestError(f"{self._title}: damaged at byte {self.at}: {why}")

    def peek(self) -> bytes:
        return bytes(self._data[self.at : self.at + 4])

    def section(self, tag: bytes, most: int) -> bytes:
        """The content of the next section, which has this tag."""
        name = tag.decode()
        if len(self._data) - self.at < _SECTION.size:
            raise self.refused(f"the file ends where section {name} should begin")
        found, size, stored, checksum = _SECTION.unpack_from(self._data, self.at)
        if found != tag:
            raise self.refused(f"section {found!r} where {name} should be")
        start = self.at + _SECTION.size
        if stored > len(self._data) - start:
            raise self.refused(f"section {name} ends beyond the file")
        if size > most:
            raise self.refused(f"section {name} holds {size} bytes; at most {most} make sense")
        body = self._data[start : start + stored]
        if zlib.crc32(body) != checksum:
            raise self.refused(f"the checksum of section {name} is wrong")
        try:
            unpacker = zlib.decompressobj()
            content = unpacker.decompress(body, size + 1)
        except zlib.error as error:
            raise self.refused(f"section {name}: {error}") from None
        if len(content) != size or not unpacker.eof:
            raise self.refused(f"section {name} does not hold the {size} bytes it should")
        self.at = start + stored
        return content

    def finish(self) -> None:
        self.section(b"DONE", 0)
        if self.at != len(self._data):
            raise self.refused(f"{len(self._data) - self.at} bytes behind the end")


def load(data: bytes, title: str, limit: int = LIMIT) -> Loaded:
    """The recording in a file's bytes.

    Args:
        data: the whole file.
        title: its name.
        limit: bytes the recording may take; the oldest moments are dropped beyond that.

    Raises:
        GuestError: when it is none, damaged or of a newer version, telling where.
        KvmError: when the host has not so much memory.
    """
    if len(data) < _HEAD.size or not is_recording(data):
        raise GuestError(f"{title}: not a recording of kdash")
    version = _HEAD.unpack_from(data)[1]
    if version != VERSION:
        why = "a newer kdash reads it" if version > VERSION else "an older kdash made it"
        raise GuestError(
            f"{title}: a recording of format {version}; this kdash reads format {VERSION}; {why}"
        )
    reader = _Reader(data, title)
    content = reader.section(b"META", _META_MOST)
    try:
        meta = json.loads(content)
        recording = _recording(meta, max(limit, 2 * _memory(meta)))
        about = from_json(meta)
        recording.owners = about.machine.owners
        disk = None if meta["disk"] is None else count(meta["disk"], MEMORY_MAXIMUM)
    except KvmError:
        raise
    except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
        raise reader.refused(f"section META makes no sense ({_told(error)})") from None
    try:
        return Loaded(recording, _fill(reader, recording, about, disk), title)
    except BaseException:
        recording.close()
        raise


def _memory(meta: Any) -> int:
    """Bytes of all areas together."""
    total = sum(count(one[1], MEMORY_MAXIMUM) for one in meta["areas"])
    if total > MEMORY_MAXIMUM + (1 << 30):
        raise ValueError(f"areas of {total} bytes")
    return total


def _recording(meta: Any, limit: int) -> Recording:
    areas = meta["areas"]
    if not isinstance(areas, list) or len(areas) > lib.KDASH_AREAS - 1:
        raise ValueError("not a list of areas")
    recording = Recording(count(meta["vcpus"], _VCPUS_MOST, 1), limit)
    try:
        slots = 0
        for name, size, guest, slot, readonly, vcpu in areas:
            slots += count(slot, lib.KDASH_SLOTS - 1, -1) >= 0
            if slots > lib.KDASH_SLOTS or count(size, MEMORY_MAXIMUM, 8) % 8:
                raise ValueError(f"area {name!r} of {size} bytes")
            recording.add(
                text(name), size, guest=count(guest, (1 << 52) - 1), slot=slot,
                readonly=bool(readonly), vcpu=count(vcpu, _VCPUS_MOST, -1),
            )  # fmt: skip
        recording.begin(count(meta["moment"], 1 << 62), count(meta["steps"], 1 << 62))
    except BaseException:
        recording.close()
        raise
    return recording


def _fill(reader: _Reader, recording: Recording, about: About, disk: int | None) -> About:
    words = reader.section(b"WORD", _WORDS_SIZE * recording.vcpu_count)
    if len(words) != _WORDS_SIZE * recording.vcpu_count:
        raise reader.refused("registers of some VCPUs are missing")
    for number in range(recording.vcpu_count):
        own = ffi.buffer(recording.words(number), _WORDS_SIZE)
        own[:] = words[number * _WORDS_SIZE : (number + 1) * _WORDS_SIZE]
    for number in range(len(recording.areas) + 1):
        shadow = recording.shadow(number)
        content = reader.section(b"AREA", len(shadow))
        if len(content) != len(shadow):
            raise reader.refused(f"area {number} has {len(content)} bytes, not {len(shadow)}")
        if any(content):  # what is 0 need not be there
            shadow[:] = content
    while reader.peek() == b"ENTR":
        _append(reader, recording)
    sent = [reader.section(b"SENT", MEMORY_MAXIMUM) for _ in _OUTPUTS]
    if disk is not None:
        about = _with_disk(reader, about, disk)
    reader.finish()
    recording.seek(recording.last)
    return replace(about, serial=sent[0], debug_port=sent[1], teletype=sent[2])


def _with_disk(reader: _Reader, about: About, size: int) -> About:
    image = reader.section(b"DISK", size)
    writes: list[tuple[int, bytes]] = []
    while reader.peek() == b"WRIT":
        data = reader.section(b"WRIT", _WRITES * _WRITE.size)
        if len(image) != size or len(data) % _WRITE.size:
            raise reader.refused("its disk makes no sense")
        writes += _WRITE.iter_unpack(data)
        if any(number * SECTOR >= size for number, _ in writes[-_WRITES:]):
            raise reader.refused("sectors were written that the disk does not have")
    return replace(
        about,
        machine=replace(about.machine, disk=image),
        inputs=replace(about.inputs, writes=tuple(writes)),
    )


def _append(reader: _Reader, recording: Recording) -> None:
    block = reader.section(b"ENTR", MEMORY_MAXIMUM)
    at = 0
    while at < len(block):
        end = at + _LENGTH.size
        if end <= len(block):
            end += _LENGTH.unpack_from(block, at)[0]
        if end > len(block) or not recording.append(block[at + _LENGTH.size : end]):
            raise reader.refused(f"step {recording.last} makes no sense")
        at = end


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
