"""ELF objects written byte by byte, for what no assembler would make."""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

FUNC = 0x12  # STB_GLOBAL, STT_FUNC
TEXT = 1  # index of the code's section
_HEADER = struct.Struct("<IIQQQQIIQQ")


class Part(NamedTuple):
    """One more section."""

    name: str
    type: int
    content: bytes
    flags: int = 0
    link: int = 0
    info: int = 0
    entry_size: int = 0


def object_file(
    code: bytes, symbols: Iterable[tuple[str, int, int]], parts: Iterable[Part] = ()
) -> bytes:
    """A relocatable object with .text, functions (name, offset, size) in it, and other sections."""
    strings = bytearray(b"\0")
    table = [bytes(24)]
    for name, value, size in symbols:
        table.append(struct.pack("<IBBHQQ", len(strings), FUNC, 0, TEXT, value, size))
        strings += name.encode() + b"\0"
    sections = [
        Part("", 0, b""),
        Part(".text", 1, code, 6),
        Part(".symtab", 2, b"".join(table), link=3, entry_size=24),
        Part(".strtab", 3, bytes(strings)),
        *parts,
    ]
    names = b"".join(section.name.encode() + b"\0" for section in sections) + b".shstrtab\0"
    sections.append(Part(".shstrtab", 3, names))
    data = bytearray(64)
    headers, name_at = [], 0
    for section in sections:
        data += bytes(-len(data) % 8)
        headers.append(
            _HEADER.pack(
                *(name_at, section.type, section.flags, 0, len(data), len(section.content)),
                *(section.link, section.info, 8, section.entry_size),
            )
        )
        name_at += len(section.name) + 1
        data += section.content
    data += bytes(-len(data) % 8)
    start = len(data)
    data += b"".join(headers)
    data[:64] = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01" + bytes(9), 1, 62, 1, 0, 0, start, 0),
        *(64, 0, 0, 64, len(sections), len(sections) - 1),
    )
    return bytes(data)
