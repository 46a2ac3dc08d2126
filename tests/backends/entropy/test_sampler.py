import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kdash.backends.entropy.facts import Era
from kdash.backends.entropy.sampler import EntropySampler

from .conftest import Machine, Present, PresentedSystem


def sampler_of(machine: Machine, **options: int) -> EntropySampler:
    return EntropySampler(machine.folder, 0.25, system=machine.system, vdso=machine.vdso, **options)


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for the thread; the test's own timeout ends a wait that never does."""
    while not true():
        time.sleep(0.01)


def test_nothing_is_read_before_the_start(present: Present) -> None:
    sampler = sampler_of(present())
    assert sampler.latest() is None
    assert sampler.history() == ()
    sampler.stop()


def test_the_newest_reading_is_in_the_slot(present: Present) -> None:
    sampler = sampler_of(present())
    sampler.start()
    sampler.start()
    wait_until(lambda: len(sampler.history()) >= 2)
    sampler.stop()
    assert sampler.latest() is sampler.history()[-1]


def test_the_history_is_bounded(present: Present) -> None:
    sampler = sampler_of(present(), history=2)
    sampler.start()
    wait_until(lambda: len(sampler.history()) == 2)
    first = sampler.history()[0]
    wait_until(lambda: sampler.history()[0] is not first)
    sampler.stop()
    assert len(sampler.history()) == 2


def test_stopping_keeps_the_readings_and_ends_the_probe(present: Present) -> None:
    machine = present()
    sampler = sampler_of(machine)
    sampler.start()
    wait_until(lambda: sampler.latest() is not None)
    sampler.stop()
    count = len(sampler.history())
    assert count
    assert machine.vdso.closed


@dataclass
class FailingSystem(PresentedSystem):
    """Answers once, then fails in a way nobody foresaw."""

    calls: int = 0

    def monotonic(self) -> float:
        self.calls += 1
        if self.calls > 4:
            raise RuntimeError("out of time")
        return 1.0


def test_a_source_that_fails_unforeseen_does_not_end_the_sampling(present: Present) -> None:
    machine = present()
    machine.system = FailingSystem()
    sampler = sampler_of(machine)
    sampler.start()
    wait_until(lambda: any(reading.ready is None for reading in sampler.history()))
    count = len(sampler.history())
    wait_until(lambda: len(sampler.history()) > count)
    sampler.stop()
    failed = sampler.latest()
    assert failed is not None
    assert failed.unavailable == {"sample": "RuntimeError: out of time"}
    assert failed.era is Era.SINCE_5_19


def test_this_machine_is_sampled(tmp_path: Path) -> None:
    sampler = EntropySampler(interval=0.25)
    sampler.start()
    wait_until(lambda: len(sampler.history()) >= 2)
    sampler.stop()
    reading = sampler.latest()
    assert reading is not None
    assert reading.meaning
    assert "sample" not in reading.unavailable
