"""Every executable section decoded, in one address space.

Sections are laid one behind the other with a gap, so that one integer, a *position*, names a
byte of code in the whole file and the ends of sections stay apart from the starts of others.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from operator import attrgetter

import numpy as np
import numpy.typing as npt

from kdash.backends.stack.codes import NONE, code_tables
from kdash.backends.stack.image import Ints, ObjectImage
from kdash.backends.stack.section_headers import Section

_PIECE = 4096  # instructions decoded at a time: so many stay in the processor's cache
_MANY = 1 << 14  # positions looked up at once that are worth a table
GAP = 16  # bytes between sections: no instruction is longer than 15


@dataclass(frozen=True, slots=True)
class CodeSection:
    """One executable section: where its bytes and its instructions lie."""

    section: Section
    base: int  # position of its first byte
    end: int  # position behind its last byte
    first: int  # index of its first instruction
    last: int  # index behind its last instruction


@dataclass(frozen=True)
class Code:
    """The instructions of a file as arrays, in the order of their positions."""

    data: npt.NDArray[np.uint8]  # all bytes, by position
    sections: tuple[CodeSection, ...]
    section_bases: list[int]  # of these sections, ascending
    bases: Ints  # by ELF section index: position of the first byte, -1 if not executable
    sizes: Ints  # by ELF section index
    start: Ints  # position of an instruction
    length: npt.NDArray[np.uint8]
    control: npt.NDArray[np.uint8]
    code: npt.NDArray[np.uint16]  # the decoder's

    def __len__(self) -> int:
        return len(self.start)

    def index_at(self, positions: Ints) -> Ints:
        """Indexes of the instructions that start at these positions, -1 where none does."""
        if not len(self.start):
            return np.full(len(positions), -1, np.int64)
        if len(positions) > _MANY:
            known = np.clip(positions, -1, len(self.data) - 1)
            return self._by_position[known].astype(np.int64)
        found = np.searchsorted(self.start, positions)
        found[found == len(self.start)] = 0
        return np.where(self.start[found] == positions, found, -1)

    @cached_property
    def _by_position(self) -> npt.NDArray[np.int32]:
        """For each position the instruction that starts there, -1 where none does.

        The last is -1, so that -1, which is no position, finds no instruction.
        """
        found = np.full(len(self.data), -1, np.int32)
        found[self.start] = np.arange(len(self.start), dtype=np.int32)
        return found

    def section_at(self, position: int) -> CodeSection:
        """The section that a position lies in (its end included)."""
        return self.sections[max(bisect_right(self.section_bases, position) - 1, 0)]

    def raw(self, index: int) -> bytes:
        """The bytes of one instruction."""
        at = int(self.start[index])
        return self.data[at : at + int(self.length[index])].tobytes()


def decode_image(image: ObjectImage) -> Code:
    """Decode all executable sections of an image linearly."""
    from iced_x86 import Decoder

    bases = np.full(len(image.sections) + 1, -1, np.int64)
    sizes = np.zeros(len(image.sections) + 1, np.int64)
    pieces: list[bytes] = []
    sections: list[CodeSection] = []
    lengths: list[npt.NDArray[np.uint8]] = []
    starts: list[npt.NDArray[np.int64]] = []
    codes: list[npt.NDArray[np.uint16]] = []
    position = first = 0
    code_of = attrgetter("code")
    for section in image.sections:
        if not section.executable:
            continue
        content = image.content(section)
        decoder = iter(Decoder(64, content))
        parts = []
        # In pieces: the decoded instructions of a large section would fill the memory.
        while instructions := list(islice(decoder, _PIECE)):
            count = len(instructions)
            parts.append(np.fromiter(map(len, instructions), np.uint8, count))
            codes.append(np.fromiter(map(code_of, instructions), np.uint16, count))
        length = parts[0] if len(parts) == 1 else np.concatenate(parts)
        count = len(length)
        lengths.append(length)
        starts.append(np.cumsum(length, dtype=np.int64) - length + position)
        bases[section.index] = position
        sizes[section.index] = section.size
        end = position + section.size
        sections.append(CodeSection(section, position, end, first, first + count))
        pieces += (content, bytes(GAP))
        position = end + GAP
        first += count
    pieces.append(bytes(GAP))
    code = _joined(codes, np.uint16)
    control = code_tables().control[code] if len(code) else np.full(0, NONE, np.uint8)
    return Code(
        np.frombuffer(b"".join(pieces), np.uint8),
        tuple(sections),
        [section.base for section in sections],
        bases,
        sizes,
        _joined(starts, np.int64),
        _joined(lengths, np.uint8),
        control,
        code,
    )


def _joined(parts: list[npt.NDArray[np.generic]] | list, kind: type) -> npt.NDArray:  # type: ignore[type-arg]
    return np.concatenate(parts) if parts else np.empty(0, kind)
