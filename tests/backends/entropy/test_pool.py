import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.pool import (
    INPUT_GEOMETRY,
    OUTPUT_GEOMETRY,
    TWIST,
    Pool,
    PoolGeometry,
    mix_pool_bytes,
)

MASK = 0xFFFFFFFF
GEOMETRIES = st.sampled_from([INPUT_GEOMETRY, OUTPUT_GEOMETRY])


def pool_of(geometry: PoolGeometry) -> Pool:
    return Pool("input", geometry, limit=True)


def unmix_byte(pool: Pool, byte: int) -> None:
    """Undo the mixing of one byte: the twist keeps the three bits that the shift loses."""
    words, i = pool.words, pool.add_ptr
    rotate = (pool.input_rotate - (7 if i else 14)) % 32
    low = next(bits for bits in range(8) if TWIST[bits] >> 29 == words[i] >> 29)
    w = (words[i] ^ TWIST[low]) << 3 & MASK | low
    signed = byte if byte < 0x80 else byte | 0xFFFFFF00
    w ^= (signed << rotate | signed >> (32 - rotate)) & MASK
    for tap in pool.geometry.taps:
        w ^= words[(i + tap) % len(words)]
    words[i] = w
    pool.add_ptr = (i + 1) % len(words)
    pool.input_rotate = rotate


@given(GEOMETRIES, st.binary(max_size=400))
def test_mixing_loses_nothing_and_can_be_undone(geometry: PoolGeometry, data: bytes) -> None:
    pool = pool_of(geometry)
    mix_pool_bytes(pool, b"\x5a" * 200)
    before = pool.state()
    mix_pool_bytes(pool, data)
    for byte in reversed(data):
        unmix_byte(pool, byte)
    assert pool.state() == before


@given(GEOMETRIES, st.lists(st.binary(max_size=50), max_size=8))
def test_mixing_in_pieces_equals_mixing_at_once(
    geometry: PoolGeometry, pieces: list[bytes]
) -> None:
    whole, split = pool_of(geometry), pool_of(geometry)
    mix_pool_bytes(whole, b"".join(pieces))
    for piece in pieces:
        mix_pool_bytes(split, piece)
    assert whole.state() == split.state()


@given(GEOMETRIES, st.binary(max_size=400))
def test_the_write_position_moves_down_one_word_a_byte(geometry: PoolGeometry, data: bytes) -> None:
    pool = pool_of(geometry)
    mix_pool_bytes(pool, data)
    assert pool.add_ptr == -len(data) % geometry.words


@given(st.binary(max_size=200))
def test_mixing_credits_nothing(data: bytes) -> None:
    pool = pool_of(INPUT_GEOMETRY)
    mix_pool_bytes(pool, data)
    assert (pool.entropy_count, pool.entropy_total) == (0, 0)


def test_a_byte_of_0x80_enters_with_its_sign() -> None:
    pool = pool_of(OUTPUT_GEOMETRY)
    mix_pool_bytes(pool, b"\x80")
    assert pool.words[31] == (0xFFFFFF80 >> 3) ^ TWIST[0]


@pytest.mark.parametrize(
    ("geometry", "bits", "frac", "shift"),
    [(INPUT_GEOMETRY, 4096, 32768, 12), (OUTPUT_GEOMETRY, 1024, 8192, 10)],
)
def test_capacities_follow_from_the_words(
    geometry: PoolGeometry, bits: int, frac: int, shift: int
) -> None:
    assert (geometry.bits, geometry.frac, geometry.bit_shift) == (bits, frac, shift)


def test_the_bytes_of_a_pool_are_its_words_little_endian() -> None:
    pool = pool_of(OUTPUT_GEOMETRY)
    pool.words[0] = 0x01020304
    assert pool.as_bytes() == struct.pack("<I", 0x01020304) + bytes(124)
