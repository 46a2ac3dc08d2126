import errno
from dataclasses import dataclass
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
        (Era.SINCE_3_17, "old", {f"{RANDOM}/read_wakeup_threshold": "garbage"}, {}),
        (Era.SINCE_3_17, "old", NO_THRESHOLD, {}),
        (Era.BEFORE_3_17, "old", NO_THRESHOLD, {"getrandom_error": errno.ENOSYS}),
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
        ("modern", {f"{RANDOM}/entropy_avail": 40}, {}, False),
        ("modern", {}, {}, False),
        ("modern", {"proc/lrng_type": "x"}, {}, False),
        ("modern", {}, {"random_device": (10, 1)}, False),
        ("old", {}, {"random_device": (10, 1)}, True),
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


@dataclass(frozen=True)
class Release:
    """What a release shows of its generator. Source: drivers/char/random.c of that release."""

    name: str
    era: Era
    poolsize: int = 4096
    avail: int = 1800
    read_wakeup: int | None = 64
    write_wakeup: int = 896
    min_reseed: int | None = 60
    getrandom: bool = True
    insecure: bool = False  # GRND_INSECURE is known
    vdso: bool = False
    files: tuple[str, ...] = ()
    device: tuple[int, int] = (1, 8)
    gauge: bool = True
    says: str = "estimated bits in the input pool"


OLD_256 = {"poolsize": 256, "avail": 256, "read_wakeup": None, "write_wakeup": 256,
           "insecure": True, "gauge": False, "says": "boot progress, complete"}  # fmt: skip
RELEASES = (
    Release("2.6.32", Era.BEFORE_3_17, write_wakeup=128, min_reseed=None, getrandom=False),
    Release("3.12", Era.BEFORE_3_17, write_wakeup=128, min_reseed=None, getrandom=False),
    Release("3.13", Era.BEFORE_3_17, getrandom=False),
    Release("3.17", Era.SINCE_3_17),
    Release("4.3", Era.SINCE_3_17),
    Release("4.8", Era.SINCE_3_17),
    Release("4.17", Era.SINCE_3_17),
    Release("5.4", Era.SINCE_3_17),
    Release("5.6", Era.SINCE_5_6, read_wakeup=None, insecure=True),
    Release("5.17", Era.SINCE_5_6, read_wakeup=None, insecure=True),
    Release("5.10.118", Era.SINCE_5_6, read_wakeup=None, insecure=True),
    Release("5.10.119", Era.SINCE_5_19, **OLD_256),  # type: ignore[arg-type]
    Release("5.15.70", Era.SINCE_5_19, **OLD_256),  # type: ignore[arg-type]
    Release("5.18", Era.SINCE_5_18, **(OLD_256 | {"avail": 130, "says": "next reseed"})),  # type: ignore[arg-type]
    Release("5.19", Era.SINCE_5_19, **OLD_256),  # type: ignore[arg-type]
    Release("6.11", Era.SINCE_5_19, **(OLD_256 | {"vdso": True})),  # type: ignore[arg-type]
    Release("6.18", Era.SINCE_5_19, **(OLD_256 | {"vdso": True})),  # type: ignore[arg-type]
    Release("LRNG", Era.LRNG, files=("proc/lrng_type",), insecure=True, gauge=False,
            says="LRNG counts them"),
    Release("ESDM", Era.REPLACED, device=(0, 0), gauge=False, says="another driver or program",
            insecure=True, read_wakeup=None, poolsize=256, avail=256),
)  # fmt: skip


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
def test_each_release_is_told_by_what_it_shows(present: Present, release: Release) -> None:
    machine = present(
        "old" if release.poolsize == 4096 else "modern",
        {
            f"{RANDOM}/poolsize": release.poolsize,
            f"{RANDOM}/entropy_avail": release.avail,
            f"{RANDOM}/read_wakeup_threshold": release.read_wakeup,
            f"{RANDOM}/write_wakeup_threshold": release.write_wakeup,
            f"{RANDOM}/urandom_min_reseed_secs": release.min_reseed,
            **dict.fromkeys(release.files, "x"),
        },
        getrandom_error=0 if release.getrandom else errno.ENOSYS,
        vdso=release.vdso,
        random_device=release.device,
    )
    machine.system.insecure = release.insecure
    reader = machine.reader()
    for _ in range(2):
        reading = reader.read()
    assert (reading.era, reading.gauge) == (release.era, release.gauge)
    assert release.says in reading.meaning
    assert reading.alerts == ()
    assert (reading.reseed is not None) is release.vdso
    if release.poolsize == 4096:  # nothing is drawn from a pool that is debited
        assert {nbytes for nbytes, _ in machine.system.asked} == {0}
        assert reading.latency is None
        assert reading.throughput == ()
