"""Exits as bytes, for the recording: what is needed to tell them again.

An exit is a head, its detail and the text of its instruction; a payload is a row of them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Final

from kdash.backends.kvm.exit_log import Logged, tell
from kdash.backends.kvm.exits import RawExit, other_exit
from kdash.backends.kvm.facts import (
    Exit,
    ExitDetail,
    FailEntryExit,
    InternalErrorExit,
    IoExit,
    MmioExit,
    MsrExit,
    OtherExit,
    SystemEventExit,
)
from kdash.backends.kvm.owners import Owners

#: index, RIP, step, reason, VCPU, bytes of text, kind of detail, bytes of it. A step of
#: _NO_STEP: at full speed.
_HEAD: Final = struct.Struct("<QQQIHHBI")
_NO_STEP: Final = (1 << 64) - 1
_IO: Final = struct.Struct("<BBHI")
_MMIO: Final = struct.Struct("<BQ")
_FAIL: Final = struct.Struct("<QI")
_ERROR: Final = struct.Struct("<I")
_MSR: Final = struct.Struct("<BBIIQ")


class ExitCodecError(ValueError):
    """Bytes that are no row of exits."""


def pack(exits: Iterable[Logged]) -> bytes:
    """A row of exits as bytes."""
    parts: list[bytes] = []
    for raw, index, ip, step, code, vcpu in exits:
        kind, detail = _pack_detail(raw.detail)
        text = code.encode()
        head = _HEAD.pack(
            index, ip, _NO_STEP if step is None else step, raw.reason, vcpu, len(text), kind,
            len(detail),
        )  # fmt: skip
        parts += (head, detail, text)
    return b"".join(parts)


def unpack(payload: bytes, owners: Owners | None = None) -> Iterator[Exit]:
    """The exits of a row, told by who answers where, if that is known.

    Raises:
        ExitCodecError: when the bytes are none.
    """
    at = 0
    try:
        while at < len(payload):
            index, ip, step, reason, vcpu, text, kind, size = _HEAD.unpack_from(payload, at)
            at += _HEAD.size
            end = at + size + text
            if end > len(payload):
                raise ExitCodecError(f"an exit of {end - at} bytes in {len(payload) - at}")
            detail = _unpack_detail(kind, reason, payload[at : at + size])
            code = payload[at + size : end].decode()
            at = end
            yield tell(
                RawExit(reason, detail), index, ip, None if step == _NO_STEP else step, code, vcpu,
                owners=owners,
            )  # fmt: skip
    except ExitCodecError:
        raise
    except (struct.error, ValueError, IndexError, TypeError, AttributeError, KeyError,
            AssertionError) as error:  # fmt: skip # fields that don't go together
        raise ExitCodecError(str(error)) from None


def _pack_detail(detail: ExitDetail) -> tuple[int, bytes]:
    match detail:
        case IoExit(direction, port, size, count, data):
            return 1, _IO.pack(direction == "out", size, port, count) + data
        case MmioExit(write, address, data):
            return 2, _MMIO.pack(write, address) + data
        case FailEntryExit(reason, cpu):
            return 3, _FAIL.pack(reason, cpu)
        case InternalErrorExit(suberror, instruction):
            return 4, _ERROR.pack(suberror) + instruction
        case SystemEventExit(kind, values):
            return 5, struct.pack(f"<I{len(values)}Q", kind, *values)
        case MsrExit(write, index, value, why, refused):
            return 6, _MSR.pack(write, refused, why, index, value)
        case OtherExit(raw):
            return 0, raw
    raise AssertionError(detail)


def _unpack_detail(kind: int, reason: int, data: bytes) -> ExitDetail:
    match kind:
        case 0:
            return other_exit(reason, data)
        case 6:
            write, refused, why, index, value = _MSR.unpack(data)
            return MsrExit(bool(write), index, value, why, bool(refused))
        case 1:
            out, size, port, count = _IO.unpack_from(data)
            if size not in (1, 2, 4) or size * count != len(data) - _IO.size:
                raise ExitCodecError(f"{len(data)} bytes of an access of {count} times {size}")
            return IoExit("out" if out else "in", port, size, count, data[_IO.size :])
        case 2:
            write, address = _MMIO.unpack_from(data)
            return MmioExit(bool(write), address, data[_MMIO.size :])
        case 3:
            return FailEntryExit(*_FAIL.unpack(data))
        case 4:
            return InternalErrorExit(_ERROR.unpack_from(data)[0], data[_ERROR.size :])
        case 5:
            values = struct.unpack(f"<I{(len(data) - 4) // 8}Q", data)
            return SystemEventExit(values[0], values[1:])
    raise ExitCodecError(f"no detail of kind {kind}")
