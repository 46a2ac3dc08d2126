from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.accounting import credited, debited, granted, safe_credit
from kdash.backends.entropy.pool import INPUT_GEOMETRY, OUTPUT_GEOMETRY, PoolGeometry

GEOMETRIES = st.sampled_from([INPUT_GEOMETRY, OUTPUT_GEOMETRY])
COUNTS = st.integers(0, OUTPUT_GEOMETRY.frac)
BITS = st.integers(-(1 << 31), (1 << 31) - 1)


@given(GEOMETRIES, COUNTS, BITS)
def test_a_count_stays_between_empty_and_full(
    geometry: PoolGeometry, count: int, bits: int
) -> None:
    assert 0 <= credited(count, bits, geometry) <= geometry.frac


@given(GEOMETRIES, COUNTS, st.integers(0, 5000))
def test_a_credit_never_lowers_the_count_nor_counts_more_than_three_quarters(
    geometry: PoolGeometry, count: int, bits: int
) -> None:
    after = credited(count, bits, geometry)
    assert count <= after <= count + bits * 8 * 3 // 4


@given(GEOMETRIES, COUNTS, COUNTS, st.integers(0, 5000))
def test_the_fuller_pool_gains_less(
    geometry: PoolGeometry, one: int, other: int, bits: int
) -> None:
    low, high = sorted((one, other))
    gain_low = credited(low, bits, geometry) - low
    gain_high = credited(high, bits, geometry) - high
    assert gain_high <= gain_low + 2  # each portion rounds down


@given(COUNTS, st.integers(0, 4096), st.integers(0, 200), st.integers(0, 200), st.booleans())
def test_an_extraction_gets_all_it_asks_or_what_is_left_above_the_reserve(
    count: int, nbytes: int, minimum: int, reserved: int, limit: bool
) -> None:
    got = granted(count, nbytes, limit=limit, minimum=minimum, reserved=reserved)
    assert got in (0, nbytes) or (limit and got == max(0, count // 64 - reserved))
    assert got == 0 or got >= minimum


@given(COUNTS, st.integers(0, 4096))
def test_a_debit_stops_at_empty(count: int, nbytes: int) -> None:
    assert debited(count, nbytes) == max(0, count - nbytes * 64)


def test_an_empty_input_pool_credited_64_bits_counts_48() -> None:
    assert credited(0, 64, INPUT_GEOMETRY) == 48 * 8


@given(BITS)
def test_credits_from_user_space_are_kept_small(bits: int) -> None:
    assert abs(safe_credit(bits)) <= 0xFFFFFFF
    assert safe_credit(bits) == bits or abs(bits) > 0xFFFFFFF
