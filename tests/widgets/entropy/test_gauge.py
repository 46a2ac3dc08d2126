"""A level and a progress bar never look alike, and both say their number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kdash.widgets.entropy.gauge import Level, bar, level_lines, progress_lines
from kdash.widgets.entropy.tone_lines import Line, plain


def text(lines: list[Line]) -> str:
    return "\n".join(plain(line) for line in lines)


@given(st.floats(-1e6, 1e6), st.integers(0, 8192), st.integers(0, 120))
def test_a_bar_has_exactly_its_width(value: float, top: int, width: int) -> None:
    assert len(bar(value, top, width)) == max(width, 0)


def test_a_bar_is_empty_at_nothing_and_full_at_the_top() -> None:
    assert bar(0, 4096, 10) == "·" * 10
    assert bar(4096, 4096, 10) == "█" * 10


def test_a_little_is_seen_as_more_than_nothing() -> None:
    assert bar(1, 4096, 10)[0] != "·"


def test_a_level_says_its_number_and_marks_its_thresholds_in_place() -> None:
    level = Level("count", 2048, 4096, (("read", 64), ("write", 2048)), "good")
    lines = [plain(line) for line in level_lines(level, 60)]
    assert "2048/4096 bits" in lines[0]
    room = len(lines[0]) - len("count ") - len(" 2048/4096 bits")
    assert [i for i, char in enumerate(lines[1]) if char == "▲"] == [6, 6 + room // 2]
    assert "wake-ups: read 64, write 2048" in "".join(lines)


def test_a_threshold_outside_the_range_is_not_marked() -> None:
    lines = level_lines(Level("count", 1, 256, (("write", 896),)), 60)
    assert len(lines) == 1


@given(st.integers(0, 4096), st.integers(0, 4096), st.integers(40, 160))
def test_a_level_fits_its_width(value: int, threshold: int, width: int) -> None:
    level = Level("entropy_avail", value, 4096, (("read", 64), ("write", threshold)))
    assert all(len(plain(line)) <= width for line in level_lines(level, width))


def test_progress_says_in_words_whether_it_is_complete() -> None:
    assert "256 of 256 bits: complete" in text(progress_lines("boot progress", 256, 256, 70))
    assert "96 of 256 bits: still" in text(progress_lines("boot progress", 96, 256, 70))


def test_progress_is_drawn_without_the_blocks_of_a_level() -> None:
    assert not set("█▉▊▋▌▍▎▏·") & set(text(progress_lines("boot progress", 96, 256, 70)))


@given(st.integers(-5, 400), st.integers(0, 256), st.integers(40, 160))
def test_progress_fits_its_width(value: int, end: int, width: int) -> None:
    lines = progress_lines("boot progress", value, end, width)
    assert all(len(plain(line)) <= width for line in lines)
