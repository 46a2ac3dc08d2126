"""All tests of a stream, beside the figures of rngtest, ent and the NIST code."""

import json
import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.health.continuous import proportion_cutoff, repetition_cutoff
from kdash.backends.entropy.health.stream import HealthStream
from kdash.backends.entropy.health_facts import Health
from kdash.backends.entropy.health_report import ALL_EQUAL, health_json

from .samples import EXPECTED, LENGTH, NAMES, sample

NIST_BYTES = 62_500


def health_of(data: bytes, min_entropy: float = 1.0, *, compression: bool = False) -> Health:
    stream = HealthStream(min_entropy, compression=compression)
    stream.feed(data)
    return stream.health()


@pytest.mark.parametrize("name", NAMES)
def test_fips_counts_equal_those_of_rngtest(name: str) -> None:
    fips, theirs = health_of(sample(name)).fips140, EXPECTED[name]["rngtest"]
    assert fips.blocks == theirs["successes"] + theirs["failures"]
    assert fips.failures == theirs["failures"]
    assert (fips.monobit, fips.poker, fips.runs, fips.long_run, fips.continuous) == (
        theirs["monobit"], theirs["poker"], theirs["runs"],
        theirs["long_run"], theirs["continuous_run"],
    )  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_figures_of_whole_bytes_equal_those_of_ent(name: str) -> None:
    found, theirs = health_json(health_of(sample(name))), EXPECTED[name]["ent_bytes"]
    assert found["bytes"] == theirs["File-bytes"]
    assert found["chi_square"] == pytest.approx(theirs["Chi-square"], abs=6e-7)
    assert found["mean"] == pytest.approx(theirs["Mean"], abs=6e-7)
    assert found["serial_correlation"] == pytest.approx(theirs["Serial-Correlation"], abs=6e-7)


def test_equal_bytes_have_no_correlation_and_the_object_says_what_ent_prints() -> None:
    health = health_of(bytes(5000))
    assert health.whole is not None
    assert health.whole.serial_correlation is None
    assert health_json(health)["serial_correlation"] == ALL_EQUAL


@pytest.mark.no_cover
@pytest.mark.parametrize("min_entropy", [1.0, 6.0])
@pytest.mark.parametrize("name", NAMES)
def test_continuous_tests_meet_the_reference(name: str, min_entropy: float) -> None:
    health = health_of(sample(name), min_entropy)
    theirs = EXPECTED[name]["sp800_90b"][f"health_H{min_entropy:.0f}"]
    assert health.rct.cutoff == theirs["rct_cutoff"]
    assert health.rct.max_run == theirs["rct_max_run"]
    assert health.rct.failures == theirs["rct_failures"]
    assert health.apt.window == theirs["apt_window"]
    assert health.apt.cutoff == theirs["apt_cutoff"]
    assert health.apt.max_count == theirs["apt_max_count"]
    assert health.apt.failures == theirs["apt_failures"]


@pytest.mark.parametrize("name", NAMES)
def test_estimates_meet_the_reference(name: str) -> None:
    found, theirs = health_of(sample(name)).estimates, EXPECTED[name]["sp800_90b"]
    for value, key in (
        (found.mcv_bytes, "mcv_bytes"),
        (found.mcv_bits, "mcv_bits_first_500k"),
        (found.collision_bits, "collision_bits_first_500k"),
        (found.markov_bits, "markov_bits_first_500k"),
    ):
        assert value == pytest.approx(theirs[key]["min_entropy"], abs=1e-9)


@pytest.mark.no_cover
@pytest.mark.parametrize("name", [name for name in NAMES if name != "zeros"])
def test_estimates_of_62500_bytes_equal_those_of_the_nist_code(name: str) -> None:
    found = health_of(sample(name)[:NIST_BYTES], compression=True).estimates
    theirs = EXPECTED[name]["nist_ea_sp800_90b"]
    for value, key in (
        (found.mcv_bytes, "bytes_most_common"),
        (found.mcv_bits, "bits_most_common"),
        (found.collision_bits, "bits_collision"),
        (found.markov_bits, "bits_markov"),
        (found.compression_bits, "bits_compression"),
    ):
        assert value == pytest.approx(theirs[key], abs=1e-9)


def test_compression_is_estimated_on_demand_alone() -> None:
    data = random.Random(1).randbytes(5000)
    assert health_of(data).estimates.compression_bits is None
    assert health_of(data, compression=True).estimates.compression_bits is not None
    assert health_of(bytes(5000), compression=True).estimates.compression_bits == 0


@pytest.mark.no_cover
@pytest.mark.parametrize("nbytes", [1000, 5000, NIST_BYTES])
def test_compression_is_judged_by_what_perfect_streams_of_that_length_give(nbytes: int) -> None:
    good = random.Random(nbytes).randbytes(nbytes)
    bad = bytes(byte & 0x55 for byte in good)  # of 64 symbols 8, which come again soon
    judged = [
        {one.test: one for one in health_of(data, compression=True).verdicts}["compression_bits"]
        for data in (good, bad)
    ]
    assert [one.passes for one in judged] == [True, False]
    assert judged[0].false_alarm == "1 in 1,000,000"
    if nbytes == NIST_BYTES:
        assert judged[0].expected == "0.743 and more"


@pytest.mark.parametrize(
    ("min_entropy", "run", "count"), [(1.0, 21, 311), (6.0, 5, 25), (8.0, 4, 13)]
)
def test_cutoffs_follow_from_the_entropy_claimed(min_entropy: float, run: int, count: int) -> None:
    assert (repetition_cutoff(min_entropy), proportion_cutoff(min_entropy)) == (run, count)


@given(st.floats(0.1, 8.0))
def test_the_proportion_cutoff_is_the_first_that_fails_rarely_enough(min_entropy: float) -> None:
    chance = 2.0**-min_entropy

    def above(count: int) -> float:
        return math.fsum(
            math.comb(512, k) * chance**k * (1 - chance) ** (512 - k) for k in range(count, 513)
        )

    cutoff = proportion_cutoff(min_entropy)
    assert above(cutoff) <= 2.0**-20 * 1.001 or cutoff == 512
    assert above(cutoff - 1) >= 2.0**-20 * 0.999


@given(
    st.one_of(
        st.binary(max_size=3000),
        st.lists(st.tuples(st.integers(0, 2), st.integers(1, 900)), max_size=12).map(
            lambda runs: b"".join(bytes([value]) * length for value, length in runs)
        ),
    ),
    st.lists(st.integers(0, 3000), max_size=6),
)
def test_how_a_stream_is_cut_into_pieces_changes_nothing(data: bytes, cuts: list[int]) -> None:
    stream = HealthStream(6.0)
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in pairwise(places):
        stream.feed(data[start:end])
    assert stream.health() == health_of(data, 6.0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 40)), min_size=1, max_size=30))
def test_a_run_that_reaches_the_cutoff_counts_once(runs: list[tuple[int, int]]) -> None:
    merged: list[list[int]] = []
    for value, length in runs:
        if merged and merged[-1][0] == value:
            merged[-1][1] += length
        else:
            merged.append([value, length])
    found = health_of(b"".join(bytes([value]) * length for value, length in runs)).rct
    assert found.max_run == max(length for _, length in merged)
    assert found.failures == sum(length >= found.cutoff for _, length in merged)


def test_a_generator_with_a_known_seed_passes() -> None:
    health = health_of(random.Random(1).randbytes(LENGTH), 6.0)
    assert health.passes, [one for one in health.verdicts if one.passes is False]


def test_biased_text_and_constant_streams_fail() -> None:
    for name in ("bias_0.52", "ascii_text", "zeros"):
        assert not health_of(sample(name)).passes
    assert health_of(sample("uniform_a")).passes


def test_a_block_that_fails_is_no_alarm_but_many_are() -> None:
    good = random.Random(2).randbytes(4 + 2500 * 400)
    once = good[:4000] + bytes(8) + good[4008:]
    verdict = {one.test: one.passes for one in health_of(once).verdicts}
    assert health_of(once).fips140.failures == 1
    assert verdict["fips140"]
    often = bytearray(good)
    for block in range(0, 40):
        often[4000 + 2500 * block : 4008 + 2500 * block] = bytes(8)
    verdict = {one.test: one.passes for one in health_of(bytes(often)).verdicts}
    assert verdict["fips140"] is False


@pytest.mark.parametrize("length", [1, 3, 511, 999])
def test_a_short_stream_has_no_verdict_where_the_test_needs_more(length: int) -> None:
    health = health_of(random.Random(3).randbytes(length))
    verdicts = {one.test: one for one in health.verdicts}
    assert verdicts["fips140"].passes is None
    assert verdicts["mcv_bits"].statistic == "too few bytes"
    assert {"fips140", "mcv_bits"} <= set(health.untested)
    assert health.passes
    json.dumps(health_json(health))


@pytest.mark.parametrize("min_entropy", [0.0, -1.0, 8.1, math.nan, math.inf])
def test_an_entropy_no_byte_can_have_is_refused(min_entropy: float) -> None:
    with pytest.raises(ValueError, match="bits of min-entropy"):
        HealthStream(min_entropy)
