"""Compressed objects, told by their first bytes, expanded to a bounded size."""

from __future__ import annotations

import lzma
import zlib
from typing import Final, Protocol

from kdash.backends.stack.facts import ObjectError

#: Bytes an object may expand to; the largest modules with debugging information have 200 MB.
LARGEST: Final = 1 << 30

GZIP: Final = b"\x1f\x8b"  # RFC 1952, 2.3.1
XZ: Final = b"\xfd7zXZ\x00"  # .xz file format 1.2, 2.1.1.1
ZSTANDARD: Final = b"\x28\xb5\x2f\xfd"  # RFC 8878, 3.1.1


def expand(data: bytes, largest: int = LARGEST) -> bytes:
    """The bytes that `data` stands for: itself, unless it is gzip, xz or Zstandard.

    Args:
        data: a whole file.
        largest: most bytes it may expand to.

    Raises:
        ObjectError: it is damaged, or expands to more.
    """
    if data.startswith(GZIP):
        return _whole("gzip", zlib.decompressobj(wbits=31), data, largest)
    if data.startswith(XZ):
        decoder = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=1 << 30)
        return _whole("xz", decoder, data, largest)
    if data.startswith(ZSTANDARD):
        return _zstandard(data, largest)
    return data


class _Decoder(Protocol):
    """What zlib's and lzma's decoders have alike."""

    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _whole(kind: str, decoder: _Decoder, data: bytes, largest: int) -> bytes:
    try:
        expanded = decoder.decompress(data, largest + 1)
    except (zlib.error, lzma.LZMAError) as error:
        raise ObjectError(f"damaged {kind} file: {error}") from None
    if len(expanded) > largest:
        raise ObjectError(f"expands to more than {largest} bytes")
    if not decoder.eof:
        raise ObjectError(f"truncated {kind} file")
    return expanded


def _zstandard(data: bytes, largest: int) -> bytes:
    import zstandard

    decoder = zstandard.ZstdDecompressor(max_window_size=1 << 28).decompressobj()
    parts: list[bytes] = []
    total = 0
    try:
        for at in range(0, len(data), 1 << 16):
            if decoder.eof:
                break
            parts.append(decoder.decompress(data[at : at + (1 << 16)]))
            total += len(parts[-1])
            if total > largest:
                raise ObjectError(f"expands to more than {largest} bytes")
    except zstandard.ZstdError as error:
        raise ObjectError(f"damaged zstd file: {error}") from None
    if not decoder.eof:
        raise ObjectError("truncated zstd file")
    return b"".join(parts)
