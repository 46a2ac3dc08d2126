"""The command words of the Entropy pane: what they mean, what a bad line is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.panes.entropy_words import (
    WORDS,
    Callers,
    Credit,
    Extract,
    Interval,
    MeasureHwrng,
    Mix,
    Plot,
    RandomEvents,
    Step,
    Zoom,
    complete,
    parse,
)
from kdash.widgets.entropy.series import SERIES
from kdash.widgets.pane import CommandError


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("model step", Step(1)),
        ("model step 20", Step(20)),
        ("model extract", Extract(10)),
        ("model extract 0x40", Extract(64)),
        ("model mix 00ff 12", Mix(b"\x00\xff\x12")),
        ("model mix 0x00ff", Mix(b"\x00\xff")),
        ("model credit -64", Credit(-64)),
        ("callers on", Callers(True)),
        ("random-events off", RandomEvents(False)),
        ("hwrng", MeasureHwrng()),
        ("zoom 3h", Zoom(10_800.0)),
        ("zoom now", Zoom(None)),
        ("plot irq", Plot(SERIES[0])),
        ("interval 0.5", Interval(0.5)),
    ],
)
def test_a_line_means_its_command(line: str, command: object) -> None:
    assert parse(line) == command


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("modell", "near it: model"),
        ("model", "one of step"),
        ("model spin", "unknown word 'spin'"),
        ("model step 0", "1 to 1000"),
        ("model step many", "'many' is not a whole number"),
        ("model step 1 2", "one argument too many"),
        ("model extract 513", "1 to 512"),
        ("model mix", "the bytes are missing"),
        ("model mix zz", "write it like: model mix 00ff1234"),
        ("model mix " + "00" * 4097, "up to 4096"),
        ("model credit", "an argument is missing"),
        ("model credit 999999999999", "out of range"),
        ("model speed", "an argument is missing"),
        ("model speed fast", "'fast' is not a whole number"),
        ("model load usb 3", "not one of irq, disk, input"),
        ("model load irq many", "not a number a second"),
        ("model readers random 1 2 3", "one argument too many"),
        ("model seed xyz", "write it like 00ff12"),
        ("model seed " + "00" * 391, "1 to 390"),
        ("model flip maybe", "not one of on, off"),
        ("callers", "on or off"),
        ("callers maybe", "'maybe' is neither on nor off"),
        ("hwrng now", "it takes none"),
        ("zoom 1.5h", "no span of time"),
        ("plot", "one of irq, reseed, level, latency"),
        ("plot entropy", "one of irq, reseed, level, latency"),
        ("interval", "0.25 to 60"),
        ("interval soon", "'soon' is not a number"),
        ("interval 0.01", "0.25 to 60 seconds"),
        ("interval nan", "0.25 to 60 seconds"),
    ],
)
def test_a_bad_line_is_told_what_would_be_right(line: str, told: str) -> None:
    with pytest.raises(CommandError) as caught:
        parse(line)
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_line_is_a_command_or_an_error_of_one_line(line: str) -> None:
    try:
        parse(line)
    except CommandError as error:
        assert str(error)


@given(st.sampled_from(["model ", "model mix ", "model step ", "plot "]), st.text(max_size=30))
def test_any_argument_is_taken_or_refused_in_one_line(start: str, rest: str) -> None:
    try:
        parse(start + rest)
    except CommandError as error:
        assert str(error)


def test_completion_offers_words_and_names_of_plots() -> None:
    assert list(complete("mod"))[:4] == ["model step", "model extract", "model mix", "model credit"]
    assert list(complete("plot r")) == ["plot reseed"]
    assert list(complete("plot reseed")) == []


def test_every_word_has_its_usage_and_help() -> None:
    assert all(word.usage.startswith(word.word) and word.help for word in WORDS)
