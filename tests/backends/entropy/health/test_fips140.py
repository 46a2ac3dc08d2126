"""The FIPS 140-2 tests of blocks, beside a plain reading of what rngtest counts."""

import re
import shutil
import subprocess
from dataclasses import astuple, dataclass, field
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.health.fips140 import BLOCK_BYTES, LONG_RUN, Fips140Stream
from kdash.backends.entropy.health_facts import Fips140

RUN_BANDS = [(2315, 2685), (1114, 1386), (527, 723), (240, 384), (103, 209), (103, 209)]


@dataclass
class PlainBlock:
    """One block, bit by bit."""

    ones: int = 0
    nibbles: list[int] = field(default_factory=lambda: [0] * 16)
    runs: dict[int, list[int]] = field(default_factory=lambda: {0: [0] * 6, 1: [0] * 6})
    longest: int = 0

    def run(self, value: int, length: int) -> None:
        self.runs[value][min(length, 6) - 1] += 1
        self.longest = max(self.longest, length)


def plain(data: bytes) -> Fips140:
    word, data = data[:4], data[4:]
    last_bit = 0
    verdicts = []
    for start in range(0, len(data) - BLOCK_BYTES + 1, BLOCK_BYTES):
        block = data[start : start + BLOCK_BYTES]
        bits = [byte >> shift & 1 for byte in block for shift in range(7, -1, -1)]
        found = PlainBlock(ones=sum(bits))
        for byte in block:
            found.nibbles[byte >> 4] += 1
            found.nibbles[byte & 15] += 1
        if bits[0] != last_bit:
            if bits[0]:
                found.runs[1][5] += 1
            else:
                found.nibbles[15] += 1
        length = 1
        for before, after in pairwise(bits):
            if before == after:
                length += 1
            else:
                found.run(before, length)
                length = 1
        found.run(1 - bits[-1], length)
        last_bit = bits[-1]
        same = False
        for place in range(0, BLOCK_BYTES, 4):
            same |= block[place : place + 4] == word
            word = block[place : place + 4]
        poker = 16 / 5000 * sum(count * count for count in found.nibbles) - 5000
        verdicts.append(
            (
                not 9725 < found.ones < 10275,
                not 2.16 < poker < 46.17,
                any(
                    not low <= count <= high
                    for counts in found.runs.values()
                    for count, (low, high) in zip(counts, RUN_BANDS, strict=True)
                ),
                found.longest >= LONG_RUN,
                same,
            )
        )
    sums = [sum(column) for column in zip(*verdicts, strict=True)] or [0] * 5
    return Fips140(len(verdicts), sum(any(one) for one in verdicts), *sums)


def biased(seed: int, blocks: int, chance: float) -> bytes:
    random = np.random.default_rng(seed)
    bits = random.random(8 * (4 + blocks * BLOCK_BYTES)) < chance
    return np.packbits(bits).tobytes()


def judged(data: bytes) -> Fips140:
    stream = Fips140Stream()
    stream.feed(data)
    return stream.result()


@given(st.integers(0, 2**32), st.integers(1, 4), st.sampled_from([0.5, 0.505, 0.512, 0.52, 0.6]))
def test_blocks_are_judged_as_a_plain_reading_judges_them(
    seed: int, blocks: int, chance: float
) -> None:
    data = biased(seed, blocks, chance)
    assert judged(data) == plain(data)


@given(st.binary(max_size=3 * BLOCK_BYTES + 10))
def test_any_bytes_are_judged_as_a_plain_reading_judges_them(data: bytes) -> None:
    assert judged(data) == plain(data)


@pytest.mark.parametrize(("length", "failures"), [(LONG_RUN - 1, 0), (LONG_RUN, 1)])
@pytest.mark.parametrize("value", [0, 1])
@pytest.mark.parametrize("place", [40, 43, 8 * BLOCK_BYTES - LONG_RUN])
def test_a_run_of_26_bits_fails(length: int, failures: int, value: int, place: int) -> None:
    bits = np.tile(np.array([0, 1], np.uint8), 4 * BLOCK_BYTES)
    place = min(place, len(bits) - length)
    bits[place : place + length] = value
    if place:
        bits[place - 1] = 1 - value
    if place + length < len(bits):
        bits[place + length] = 1 - value
    assert judged(bytes(4) + np.packbits(bits).tobytes()).long_run == failures


def test_equal_words_across_a_block_boundary_fail_the_second_block() -> None:
    data = bytearray(biased(1, 2, 0.5))
    boundary = 4 + BLOCK_BYTES
    data[boundary : boundary + 4] = data[boundary - 4 : boundary]
    assert judged(bytes(data)).continuous == 1


def test_the_first_word_is_compared_with_and_not_tested() -> None:
    data = biased(1, 1, 0.5)
    assert judged(data[4:8] + data[4:]).continuous == 1
    assert judged(data[:-1]).blocks == 0


@pytest.mark.skipif(shutil.which("rngtest") is None, reason="rngtest (rng-tools) is not installed")
@pytest.mark.parametrize("chance", [0.5, 0.507, 0.515])
def test_the_counts_are_those_of_rngtest(chance: float) -> None:
    data = biased(7, 300, chance)
    told = subprocess.run(["rngtest"], input=data, capture_output=True, check=False).stderr.decode()
    names = ("failures", "Monobit", "Poker", "Runs", "Long run", "Continuous run")
    theirs = [int(match[1]) for name in names if (match := re.search(rf"{name}: (\d+)", told))]
    assert astuple(judged(data))[1:] == tuple(theirs)
