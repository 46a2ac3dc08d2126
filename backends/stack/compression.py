"""Compressed objects, told by their first bytes, expanded to a bounded size."""

from __future__ import annotations

import io
import lzma
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

from kdash.backends.stack.facts import ObjectError

#: Bytes an object may expand to; the largest modules with debugging information have 200 MB.
LARGEST: Final = 1 << 30
_KEPT: Final = 64 << 20  # bytes that are held before the size of the whole is known
_CHUNK: Final = 1 << 20  # bytes expanded at a time
#: Compressed bytes taken at a time: a block of 4 bytes may stand for 128 KiB (RFC 8878, 3.1.1.2).
_ZSTANDARD_PIECE: Final = 1 << 8

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
    chunks: Callable[[], Iterator[bytes]]
    if data.startswith(GZIP):
        chunks = partial(_gzip_chunks, data)
    elif data.startswith(XZ):
        chunks = partial(_xz_chunks, data)
    elif data.startswith(ZSTANDARD):
        chunks = partial(_zstandard_chunks, data)
    else:
        return data
    return _bounded(chunks, largest)


def _bounded(chunks: Callable[[], Iterator[bytes]], largest: int) -> bytes:
    """All chunks as one; what is large is counted first, so that too much is never held."""
    kept: list[bytes] = []
    total = 0
    for chunk in chunks():
        total += len(chunk)
        if total > largest:
            raise ObjectError(f"expands to more than {largest} bytes")
        if total <= _KEPT:
            kept.append(chunk)
        else:
            kept.clear()
    if total <= _KEPT:
        return b"".join(kept)
    whole = io.BytesIO()  # gives its content without a copy
    whole.writelines(chunks())
    return whole.getvalue()


def _gzip_chunks(data: bytes) -> Iterator[bytes]:
    decoder = zlib.decompressobj(wbits=31)
    left = data
    try:
        while not decoder.eof:
            chunk = decoder.decompress(left, _CHUNK)
            left = decoder.unconsumed_tail
            if not chunk and not left and not decoder.eof:
                raise ObjectError("truncated gzip file")
            yield chunk
    except zlib.error as error:
        raise ObjectError(f"damaged gzip file: {error}") from None


def _xz_chunks(data: bytes) -> Iterator[bytes]:
    decoder = lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=1 << 30)
    left = data
    try:
        while not decoder.eof:
            chunk = decoder.decompress(left, _CHUNK)
            left = b""
            if not chunk and not decoder.eof:
                raise ObjectError("truncated xz file")
            yield chunk
    except (lzma.LZMAError, EOFError) as error:
        raise ObjectError(f"damaged xz file: {error}") from None


def _zstandard_chunks(data: bytes) -> Iterator[bytes]:
    import zstandard

    decoder = zstandard.ZstdDecompressor(max_window_size=1 << 28).decompressobj()
    try:
        for at in range(0, len(data), _ZSTANDARD_PIECE):
            if decoder.eof:
                return
            yield decoder.decompress(data[at : at + _ZSTANDARD_PIECE])
    except zstandard.ZstdError as error:
        raise ObjectError(f"damaged zstd file: {error}") from None
    if not decoder.eof:
        raise ObjectError("truncated zstd file")
