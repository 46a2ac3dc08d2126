"""A pool of the Linux 4.3 generator: its geometry, and mixing bytes into it.

Source of every rule and constant: Linux v4.3 drivers/char/random.c, x86-64 (little endian,
signed char). Counts named `entropy_count` are in 1/8 bit (ENTROPY_SHIFT).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

from kdash.backends.entropy.facts import PoolState

ENTROPY_SHIFT = 3  # entropy_count is in 1/8 bit
MASK = 0xFFFFFFFF
EXTRACT_BYTES = 10  # EXTRACT_SIZE: what one folded hash yields

# twist_table: the CRC-32 polynomial's multiples by x**29..x**31, for the three bits shifted out.
TWIST = (
    0x00000000,
    0x3B6E20C8,
    0x76DC4190,
    0x4DB26158,
    0xEDB88320,
    0xD6D6A3E8,
    0x9B64C2B0,
    0xA00AE278,
)
# A char is signed on x86: 0x80..0xff enter the pool as 0xffffff80..0xffffffff.
_SIGN_EXTENDED = tuple(b if b < 0x80 else b | 0xFFFFFF00 for b in range(256))


@dataclass(frozen=True, slots=True)
class PoolGeometry:
    """Size and taps of a pool (poolinfo_table); taps as offsets from the word being written."""

    words: int  # u32
    taps: tuple[int, int, int, int, int]

    @property
    def bits(self) -> int:
        """Capacity in bits (poolbits)."""
        return self.words * 32

    @property
    def frac(self) -> int:
        """Capacity in 1/8 bit (poolfracbits)."""
        return self.bits << ENTROPY_SHIFT

    @property
    def bit_shift(self) -> int:
        """Base-2 logarithm of the capacity in bits (poolbitshift)."""
        return self.bits.bit_length() - 1


INPUT_GEOMETRY = PoolGeometry(128, (104, 76, 51, 25, 1))
OUTPUT_GEOMETRY = PoolGeometry(32, (26, 19, 14, 7, 1))


@dataclass(slots=True)
class Pool:
    """One pool (struct entropy_store): the words and the counters beside them."""

    name: str  # "input", "blocking", "nonblocking"
    geometry: PoolGeometry
    limit: bool  # never hand out more than is accounted for
    words: list[int] = field(default_factory=list)  # u32
    add_ptr: int = 0  # index of the word written last
    input_rotate: int = 0  # 0..31
    entropy_count: int = 0  # 1/8 bit
    entropy_total: int = 0  # bits credited, s32
    initialized: bool = False
    last_pulled: int = 0  # jiffies
    last_data: bytes | None = None  # the previous output; kept with FIPS on

    def __post_init__(self) -> None:
        if not self.words:
            self.words = [0] * self.geometry.words

    @property
    def entropy_bits(self) -> int:
        """Whole bits accounted for (ENTROPY_BITS)."""
        return self.entropy_count >> ENTROPY_SHIFT

    def as_bytes(self) -> bytes:
        """The words as they lie in memory, little endian."""
        return struct.pack(f"<{len(self.words)}I", *self.words)

    def state(self) -> PoolState:
        """A frozen copy for drawing."""
        return PoolState(
            name=self.name,
            words=tuple(self.words),
            entropy_count=self.entropy_count,
            entropy_total=self.entropy_total,
            size_bits=self.geometry.bits,
            initialized=self.initialized,
            add_ptr=self.add_ptr,
            input_rotate=self.input_rotate,
        )


def mix_pool_bytes(pool: Pool, data: bytes) -> None:
    """Stir bytes into the pool, crediting nothing (_mix_pool_bytes).

    Each byte is rotated, xored with the word it replaces and the five tapped words, and run
    through a twisted generalised feedback shift register; the write position moves down.
    """
    words = pool.words
    mask = len(words) - 1
    tap1, tap2, tap3, tap4, tap5 = pool.geometry.taps
    i = pool.add_ptr
    rotate = pool.input_rotate
    twist = TWIST
    sign_extended = _SIGN_EXTENDED
    for byte in data:
        w = sign_extended[byte]
        i = (i - 1) & mask
        w = (
            (w << rotate | w >> (32 - rotate))
            ^ words[i]
            ^ words[(i + tap1) & mask]
            ^ words[(i + tap2) & mask]
            ^ words[(i + tap3) & mask]
            ^ words[(i + tap4) & mask]
            ^ words[(i + tap5) & mask]
        ) & MASK
        words[i] = (w >> 3) ^ twist[w & 7]
        # The extra turn at word 0 lets bits meet the words at other positions on the next pass.
        rotate = (rotate + (7 if i else 14)) & 31
    pool.add_ptr = i
    pool.input_rotate = rotate
