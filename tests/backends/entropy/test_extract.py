from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.extract import extract_buf
from kdash.backends.entropy.pool import INPUT_GEOMETRY, OUTPUT_GEOMETRY, Pool, mix_pool_bytes


def pool_with(data: bytes) -> Pool:
    pool = Pool("blocking", OUTPUT_GEOMETRY, limit=True)
    mix_pool_bytes(pool, data)
    return pool


@given(st.binary(max_size=64))
def test_an_extraction_changes_twenty_words_of_the_pool(data: bytes) -> None:
    pool = pool_with(data)
    before = list(pool.words)
    out = extract_buf(pool, deque())
    changed = sum(old != new for old, new in zip(before, pool.words, strict=True))
    assert len(out) == 10
    assert 1 <= changed <= 20


@given(st.binary(max_size=64))
def test_two_extractions_in_a_row_differ(data: bytes) -> None:
    pool = pool_with(data)
    assert extract_buf(pool, deque()) != extract_buf(pool, deque())


@given(st.binary(max_size=64))
def test_equal_pools_give_equal_outputs(data: bytes) -> None:
    assert extract_buf(pool_with(data), deque()) == extract_buf(pool_with(data), deque())


@given(st.integers(0, (1 << 64) - 1))
def test_a_hardware_long_changes_the_output_and_is_used_once(value: int) -> None:
    longs = deque([value])
    assert extract_buf(pool_with(b"a"), longs) != extract_buf(pool_with(b"a"), deque())
    assert not longs


def test_at_most_three_hardware_longs_are_taken() -> None:
    longs = deque([1, 2, 3, 4])
    extract_buf(Pool("input", INPUT_GEOMETRY, limit=True), longs)
    assert list(longs) == [4]


def test_the_high_half_of_the_third_long_is_lost() -> None:
    low, high = deque([1, 2, 3]), deque([1, 2, 3 | 7 << 32])
    assert extract_buf(pool_with(b"x"), low) == extract_buf(pool_with(b"x"), high)
