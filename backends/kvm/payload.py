"""The kernel inside a bzImage, expanded on the host.

Sources: Linux Documentation/arch/x86/boot.rst (payload_offset, payload_length);
scripts/Makefile.lib (the expanded size behind the payload); the LZ4 legacy frame of
lz4_Frame_format.md 1.6.4.
"""

from __future__ import annotations

import bz2
import lzma
import struct
import zlib
from collections.abc import Callable
from typing import Any, Final

from kdash.backends.kvm.facts import GuestError

#: More than any kernel: a payload that expands to more is refused.
LARGEST: Final = 512 << 20
_LZ4_BLOCK: Final = 8 << 20
#: Memory a decoder may take beside its output.
_DICTIONARY: Final = 128 << 20


class PayloadError(Exception):
    """A payload that can't be expanded."""


def expand(data: bytes, title: str) -> bytes:
    """The ELF file in a payload; one that is not compressed is returned as it is.

    Raises:
        GuestError: when it is damaged, or packed in a way that is not known here.
    """
    for magic, name, expander in _PACKERS:
        if data.startswith(magic):
            try:
                expanded = expander(data)
            except (PayloadError, zlib.error, lzma.LZMAError, OSError, EOFError,
                    ValueError) as error:  # fmt: skip
                raise GuestError(f"{title}: damaged kernel, packed with {name}: {error}") from None
            if len(expanded) > LARGEST:
                raise GuestError(f"{title}: the kernel in it expands to more than {LARGEST} bytes")
            return expanded
    if data.startswith(b"\x7fELF"):
        return data
    raise GuestError(
        f"{title}: a kernel packed in an unknown way (it begins {data[:6].hex(' ')}); "
        "--no-extract lets it unpack itself"
    )


def _incremental(decoder: Any, data: bytes) -> bytes:
    """What a decoder of the standard library makes of it, one byte more than LARGEST at most."""
    expanded: bytes = decoder.decompress(data, LARGEST + 1)
    if not decoder.eof and len(expanded) <= LARGEST:
        raise PayloadError("it is cut off")
    return expanded


def _gzip(data: bytes) -> bytes:
    return _incremental(zlib.decompressobj(16 + zlib.MAX_WBITS), data)


def _bzip2(data: bytes) -> bytes:
    return _incremental(bz2.BZ2Decompressor(), data)


def _xz(data: bytes) -> bytes:
    return _incremental(lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_DICTIONARY), data)


def _lzma(data: bytes) -> bytes:
    return _incremental(lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_DICTIONARY), data)


def _zstd(data: bytes) -> bytes:
    import zstandard

    (told,) = struct.unpack("<I", data[-4:])
    if told > LARGEST:
        raise PayloadError(f"it would expand to {told} bytes; at most {LARGEST} can be taken")
    decoder = zstandard.ZstdDecompressor(max_window_size=_DICTIONARY)
    try:
        with decoder.stream_reader(data[:-4]) as reader:
            expanded = reader.read(told + 1)
    except (zstandard.ZstdError, MemoryError) as error:
        raise PayloadError(str(error) or "no memory") from None
    if len(expanded) != told:
        raise PayloadError(f"{len(expanded)} bytes came out of it, {told} were told")
    return expanded


def _lz4(data: bytes) -> bytes:
    """Blocks of up to 8 MiB, each behind its size; the expanded size is behind the last."""
    from kdash.backends.kvm._native import ffi, lib

    room = ffi.new("uint8_t[]", _LZ4_BLOCK)
    parts, size, at = [], 0, 4
    while at + 4 < len(data) and size <= LARGEST:
        (length,) = struct.unpack_from("<I", data, at)
        at += 4
        if not 0 < length <= len(data) - at:
            raise PayloadError(f"a block of {length} bytes at {at:#x} of {len(data)}")
        done = lib.kdash_lz4(data[at : at + length], length, room, _LZ4_BLOCK)
        if done < 0:
            raise PayloadError(f"the block at {at:#x} can't be expanded")
        parts.append(bytes(ffi.buffer(room, done)))
        size += done
        at += length
    return b"".join(parts)


def _lzo(_data: bytes) -> bytes:
    raise PayloadError("LZO can't be expanded here; --no-extract lets the kernel unpack itself")


_Expander = Callable[[bytes], bytes]
#: By the first bytes.
_PACKERS: Final[tuple[tuple[bytes, str, _Expander], ...]] = (
    (b"\x1f\x8b", "gzip", _gzip),
    (b"BZh", "bzip2", _bzip2),
    (b"\xfd7zXZ\0", "xz", _xz),
    (b"\x28\xb5\x2f\xfd", "zstd", _zstd),
    (b"\x02\x21\x4c\x18", "LZ4", _lz4),
    (b"\x89LZO", "LZO", _lzo),
    (b"\x5d\0\0", "LZMA", _lzma),
)
