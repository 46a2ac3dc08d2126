import errno
from typing import Any

import pytest

from kdash.backends.entropy.era import Traits, era_of, meaning
from kdash.backends.entropy.facts import Era

from .conftest import RANDOM, Present

NO_THRESHOLD = {f"{RANDOM}/read_wakeup_threshold": None}


@pytest.mark.parametrize(
    ("era", "kind", "files", "answers"),
    [
        (Era.BEFORE_3_17, "old", {}, {"getrandom_error": errno.ENOSYS}),
        (Era.SINCE_3_17, "old", {}, {}),
        (Era.SINCE_5_6, "old", NO_THRESHOLD, {"insecure": True}),
        (Era.SINCE_5_18, "modern", {f"{RANDOM}/entropy_avail": 40}, {}),
        (Era.SINCE_5_19, "modern", {}, {}),
        (Era.SINCE_5_19, "modern", {f"{RANDOM}/entropy_avail": 40}, {"seeded": False}),
        (Era.SINCE_5_19, "modern", {f"{RANDOM}/poolsize": None}, {"vdso": True}),
        (Era.LRNG, "modern", {"proc/lrng_type": "Linux Random Number Generator\n"}, {}),
        (Era.REPLACED, "modern", {}, {"random_device": (10, 125)}),
        (Era.REPLACED, "modern", {}, {"random_device": (0, 0)}),
        (Era.UNKNOWN, "modern", {f"{RANDOM}/poolsize": "garbage"}, {}),
        (Era.UNKNOWN, "modern", {f"{RANDOM}/poolsize": 0}, {}),
    ],
)
def test_a_presented_kernel_is_told_by_its_behaviour(
    present: Present, era: Era, kind: str, files: dict[str, Any], answers: dict[str, Any]
) -> None:
    assert present(kind, files, **answers).read().era is era


def test_the_number_falling_on_a_seeded_generator_is_remembered(present: Present) -> None:
    machine = present()
    reader = machine.reader()
    assert reader.read().era is Era.SINCE_5_19
    machine.write(f"{RANDOM}/entropy_avail", 12)
    assert reader.read().era is Era.SINCE_5_18
    machine.write(f"{RANDOM}/entropy_avail", 256)
    assert reader.read().era is Era.SINCE_5_18


@pytest.mark.parametrize(
    ("kind", "files", "answers", "gauge"),
    [
        ("old", {}, {"getrandom_error": errno.ENOSYS}, True),
        ("old", {}, {}, True),
        ("old", NO_THRESHOLD, {"insecure": True}, True),
        ("modern", {f"{RANDOM}/entropy_avail": 40}, {}, True),
        ("modern", {}, {}, False),
        ("modern", {"proc/lrng_type": "x"}, {}, False),
        ("modern", {}, {"random_device": (10, 1)}, False),
    ],
)
def test_only_a_number_that_moves_is_a_gauge(
    present: Present, kind: str, files: dict[str, Any], answers: dict[str, Any], gauge: bool
) -> None:
    assert present(kind, files, **answers).read().gauge is gauge


@pytest.mark.parametrize("era", Era)
@pytest.mark.parametrize("ready", [True, False, None])
@pytest.mark.parametrize("avail", [None, 0, 256])
def test_every_era_has_one_sentence(era: Era, ready: bool | None, avail: int | None) -> None:
    sentence = meaning(era, avail, 256, ready)
    assert len(sentence) > 60
    assert "\n" not in sentence
    assert not sentence.endswith(".")
    assert ". " not in sentence


def test_a_full_modern_generator_is_no_cause_for_worry() -> None:
    sentence = meaning(Era.SINCE_5_19, 256, 256, True)
    assert sentence.startswith("boot progress, complete: ")
    assert "nothing to worry about" in sentence


def test_a_generator_that_is_not_seeded_shows_how_far_it_is() -> None:
    sentence = meaning(Era.SINCE_5_19, 90, 256, False)
    assert "90 of 256 bits" in sentence
    assert "hardware source" in sentence


def test_getrandom_alone_tells_an_old_kernel_without_its_files() -> None:
    traits = Traits(getrandom=True, insecure_flag=False)
    assert era_of(traits) is Era.SINCE_3_17
