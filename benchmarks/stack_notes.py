"""The notes that the final link drops, put back for objtool: ud2 of WARN() can be passed.

A module keeps its `__bug_table`, whose flags tell which traps are warnings. objtool reads only
`.discard.reachable`, which the module lost. With it again, objtool's own verdict on the module
is the one it had while the kernel was built.
"""

from __future__ import annotations

import struct

import numpy as np

from kdash.backends.stack.image import ObjectImage

_HEADER = struct.Struct("<IIQQQQIIQQ")
_RELA = struct.Struct("<QIIq")
_ENTRY = 12  # struct bug_entry
_WARNING = 1
_PC32 = 2
_TRAP = 2  # bytes of ud2


def with_reachable_notes(data: bytes) -> bytes:
    """The object, with a note behind each trap that is a warning."""
    image = ObjectImage(data)
    notes = []
    for section in image.sections_named("__bug_table"):
        content = image.content(section)
        table = image.relocations(section)
        for at in np.flatnonzero(table.offset % _ENTRY == 0).tolist():
            offset = int(table.offset[at])
            if content[offset + 10] & _WARNING:
                notes.append((int(table.symbol[at]), int(table.addend[at]) + _TRAP))
    return _with_section(data, notes) if notes else data


def _with_section(data: bytes, notes: list[tuple[int, int]]) -> bytes:
    """The object with `.discard.reachable`: one relocation to code for each note."""
    table, count = struct.unpack_from("<Q", data, 40)[0], struct.unpack_from("<H", data, 60)[0]
    names = struct.unpack_from("<H", data, 62)[0]
    headers = [list(_HEADER.unpack_from(data, table + 64 * index)) for index in range(count)]
    symbols = next(index for index, header in enumerate(headers) if header[1] == 2)
    out = bytearray(data.ljust(-(-len(data) // 8) * 8, b"\0"))

    def append(content: bytes) -> int:
        start = len(out)
        out.extend(content.ljust(-(-len(content) // 8) * 8, b"\0"))
        return start

    strings = headers[names]
    text = data[strings[4] : strings[4] + strings[5]]
    plain, relocated = len(text), len(text) + len(".discard.reachable") + 1
    text += b".discard.reachable\0.rela.discard.reachable\0"
    strings[4], strings[5] = append(text), len(text)
    body = bytes(4 * len(notes))
    headers.append([plain, 1, 2, 0, append(body), len(body), 0, 0, 4, 0])
    rela = b"".join(
        _RELA.pack(4 * at, _PC32, symbol, addend) for at, (symbol, addend) in enumerate(notes)
    )
    headers.append([relocated, 4, 0x40, 0, append(rela), len(rela), symbols, count, 8, 24])
    start = append(b"".join(_HEADER.pack(*header) for header in headers))
    struct.pack_into("<Q", out, 40, start)
    struct.pack_into("<H", out, 60, len(headers))
    return bytes(out)
