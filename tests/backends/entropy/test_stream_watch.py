import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.facts import StreamRate
from kdash.backends.entropy.stream_watch import WINDOW, StreamWatch, is_failing


def test_a_block_is_tested_each_time_and_the_window_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watch = StreamWatch()
    assert watch.sample()[0] == 1
    monkeypatch.setattr(os, "getrandom", lambda nbytes, _: bytes(nbytes))
    broken = [watch.sample() for _ in range(WINDOW)]
    assert broken[0] == (2, broken[0][1])
    assert broken[-1] == (WINDOW, WINDOW)


def test_a_broken_stream_is_told_within_seconds() -> None:
    assert [is_failing(StreamRate(n, n)) for n in (1, 2, 3)] == [False, False, True]


@pytest.mark.parametrize("rate", [StreamRate(0, 0), StreamRate(600, 0), StreamRate(600, 3)])
def test_what_chance_explains_is_no_failure(rate: StreamRate) -> None:
    assert not is_failing(rate)


@given(st.integers(0, 600), st.integers(0, 600))
def test_more_failures_are_never_less_of_an_alarm(blocks: int, failures: int) -> None:
    failures = min(failures, blocks)
    if is_failing(StreamRate(blocks, failures)) and failures < blocks:
        assert is_failing(StreamRate(blocks, failures + 1))
