"""Every alert once, on a machine with a cause: by `--check`, in words, drawn, in the metrics."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from kdash.backends.entropy.alerts import ALERTS
from kdash.backends.entropy.facts import StreamRate
from kdash.backends.entropy.signals import SignalReader
from kdash.backends.entropy.vdso import VdsoFacts
from kdash.commands import entropy
from kdash.commands.entropy_text import reading_text
from tests.backends.entropy import conftest
from tests.backends.entropy.conftest import HWRNG, RANDOM, Machine, Present, PresentedVdso
from tests.backends.entropy.test_metrics import scraped
from tests.kdash.test_entropy_bad_input import drawn

presented = conftest.present

FORKED = "5,0,99000000,-;random: crng reseeded due to virtual machine fork\n"


class FailingStream(PresentedVdso):
    """A vDSO whose stream fails its tests."""

    def answer(self) -> VdsoFacts:
        return dataclasses.replace(super().answer(), stream=StreamRate(600, 30))


def nothing(machine: Machine) -> None:
    """What a healthy machine does between two looks."""


def time_passes(machine: Machine) -> None:
    machine.system.now += 181.0


def source_vanishes(machine: Machine) -> None:
    machine.write(f"{HWRNG}/rng_current", "none\n")


def stream_fails(machine: Machine) -> None:
    machine.vdso.__class__ = FailingStream


def reader_sleeps(machine: Machine) -> None:
    machine.write(f"{RANDOM}/entropy_avail", 12)
    machine.write("proc/77/wchan", "random_read")


CAUSES: dict[str, tuple[dict[str, object], Callable[[Machine], None]]] = {
    "would-block": ({"seeded": False, "files": {"proc/uptime": "12.0 9.0\n"}}, nothing),
    "not-seeded": ({"seeded": False}, nothing),
    "reseed-late": ({"vdso": True}, time_passes),
    "hwrng-lost": ({}, source_vanishes),
    "stream-failing": ({"vdso": True}, stream_fails),
    "vm-fork": ({"files": {"dev/kmsg": FORKED}}, nothing),
    "starving": ({"kind": "old"}, reader_sleeps),
}


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch) -> Callable[[SignalReader], int]:
    """`kdash entropy --check` on the machine of a reader."""

    def run(reader: SignalReader) -> int:
        @contextmanager
        def given() -> Iterator[SignalReader]:
            yield reader

        monkeypatch.setattr(entropy, "_reader", given)
        monkeypatch.setattr(entropy, "SETTLING_SECONDS", 0.0)
        return entropy.run(["--check", "--format", "json"])

    return run


def test_every_alert_has_a_cause_here() -> None:
    assert CAUSES.keys() == ALERTS.keys()


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_raises_its_alert_everywhere(
    presented: Present,
    check: Callable[[SignalReader], int],
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    answers, happens = CAUSES[name]
    machine = presented(**answers)
    reader = machine.reader()
    reader.read()
    happens(machine)
    assert check(reader) == 1
    told = json.loads(capsys.readouterr().out)["alerts"]
    raised = {alert.partition(": ")[0] for alert in told}
    assert raised == ({name} | ({"would-block"} if name == "not-seeded" else set()))
    reading = reader.read()
    assert f"alert           {name}: " in reading_text(reading)
    assert f"! {name}: " in drawn(reading)
    metrics = scraped(reading)
    assert {alert for alert in ALERTS if metrics[f"kdash_random_alert,alert={alert}"]} == raised
    reader.close()


def test_a_healthy_machine_raises_none(
    presented: Present, check: Callable[[SignalReader], int], capsys: pytest.CaptureFixture[str]
) -> None:
    reader = presented(vdso=True).reader()
    assert check(reader) == 0
    assert json.loads(capsys.readouterr().out)["alerts"] == []
    reader.close()
