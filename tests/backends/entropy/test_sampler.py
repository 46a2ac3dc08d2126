import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kdash.backends.entropy.facts import Era, Reseed
from kdash.backends.entropy.history_file import NoHistoryError, load_memory
from kdash.backends.entropy.sampler import SAVED_EVERY, EntropySampler

from .conftest import RANDOM, Machine, Present, PresentedSystem


def sampler_of(machine: Machine, kept: Path | None = None) -> EntropySampler:
    return EntropySampler(machine.folder, 0.25, system=machine.system, vdso=machine.vdso, kept=kept)


def wait_until(true: Callable[[], bool]) -> None:
    """Wait for the thread; the test's own timeout ends a wait that never does."""
    while not true():
        time.sleep(0.01)


def wait_for_another(sampler: EntropySampler) -> None:
    before = sampler.latest()
    wait_until(lambda: sampler.latest() is not before)


def level_at(sampler: EntropySampler, when: float) -> float | None:
    found = sampler.history.window("level", when, 1.0, 1)[0]
    return found.mean if found else None


def test_nothing_is_read_before_the_start(present: Present) -> None:
    sampler = sampler_of(present())
    assert sampler.latest() is None
    assert sampler.history.newest < 0
    sampler.stop()


def test_the_newest_reading_is_in_the_slot_and_its_numbers_in_the_history(
    present: Present,
) -> None:
    sampler = sampler_of(present())
    sampler.start()
    sampler.start()
    wait_for_another(sampler)
    wait_for_another(sampler)
    sampler.stop()
    assert level_at(sampler, 100.0) == 256.0


def test_stopping_keeps_the_readings_and_ends_the_probe(present: Present) -> None:
    machine = present()
    sampler = sampler_of(machine)
    sampler.start()
    wait_for_another(sampler)
    sampler.stop()
    assert sampler.latest() is not None
    assert machine.vdso.closed
    assert machine.system.closed


def test_another_interval_counts_from_the_next_wait_on(present: Present) -> None:
    sampler = sampler_of(present())
    sampler.interval = 0.3
    sampler.start()
    wait_for_another(sampler)
    wait_for_another(sampler)
    sampler.stop()


def run_once(machine: Machine, kept: Path) -> EntropySampler:
    sampler = sampler_of(machine, kept)
    sampler.start()
    wait_for_another(sampler)
    wait_for_another(sampler)
    sampler.stop()
    return sampler


def test_the_next_dashboard_of_a_boot_goes_on_from_the_last(
    present: Present, tmp_path: Path
) -> None:
    machine, kept = present("old"), tmp_path / "state/kdash/entropy-history"
    run_once(machine, kept)
    machine.system.now += 50
    machine.write(f"{RANDOM}/entropy_avail", 900)
    sampler = run_once(machine, kept)
    assert (level_at(sampler, 100.0), level_at(sampler, 150.0)) == (1800.0, 900.0)


def test_the_reseed_clock_goes_on_where_the_last_dashboard_left_it(
    present: Present, tmp_path: Path
) -> None:
    machine, kept = present(vdso=True), tmp_path / "entropy-history"
    machine.vdso.generations = [5]
    before = sampler_of(machine, kept)
    before.start()
    wait_for_another(before)
    machine.vdso.generations = [6]
    machine.system.now += 1
    wait_until(lambda: (now := before.latest()) is not None and now.reseed == Reseed(6, 0, "vdso"))
    before.stop()
    machine.system.now += 20
    reading = run_once(machine, kept).latest()
    assert reading is not None
    assert reading.reseed == Reseed(6, 20.0, "vdso", 20.0)


def test_a_reseed_is_in_the_file_as_soon_as_it_was_seen(present: Present, tmp_path: Path) -> None:
    machine, kept = present(vdso=True), tmp_path / "entropy-history"
    machine.vdso.generations = [5]
    sampler = sampler_of(machine, kept)
    sampler.start()
    wait_for_another(sampler)
    wait_for_another(sampler)
    machine.vdso.generations = [6]
    machine.system.now += 1
    wait_until(lambda: remembered(kept, machine) == 6)
    sampler.stop()


def remembered(kept: Path, machine: Machine) -> int | None:
    boot_id = (machine.folder / RANDOM / "boot_id").read_text().strip()
    try:
        return load_memory(kept, boot_id, machine.system.now).generation
    except NoHistoryError:
        return None


def test_another_boot_begins_anew(present: Present, tmp_path: Path) -> None:
    machine, kept = present("old"), tmp_path / "entropy-history"
    run_once(machine, kept)
    machine.write(f"{RANDOM}/boot_id", "99999999-6f0e-4a79-9a4f-3c6b7f2f8a01\n")
    machine.system.now += 50
    assert level_at(run_once(machine, kept), 100.0) is None


def test_two_dashboards_at_once_keep_what_both_saw(present: Present, tmp_path: Path) -> None:
    machine, kept = present("old"), tmp_path / "entropy-history"
    first = sampler_of(machine, kept)
    first.start()
    wait_for_another(first)
    wait_for_another(first)
    machine.system.now += 50
    run_once(machine, kept)
    first.stop()
    machine.system.now += 50
    third = run_once(machine, kept)
    assert level_at(third, 100.0) == level_at(third, 150.0) == 1800.0


def test_a_history_that_cannot_be_kept_is_told_and_the_signals_go_on(
    present: Present, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    machine = present()
    sampler = sampler_of(machine, tmp_path / "file" / "entropy-history")
    sampler.start()
    wait_for_another(sampler)
    wait_for_another(sampler)
    machine.system.now += SAVED_EVERY + 1
    wait_until(lambda: bool((now := sampler.latest()) and "history" in now.unavailable))
    reading = sampler.latest()
    sampler.stop()
    assert reading is not None
    assert reading.ready
    assert reading.unavailable["history"].startswith("not kept for the next start: ")


def test_without_a_boot_identifier_no_history_is_kept_and_that_is_told(
    present: Present, tmp_path: Path
) -> None:
    kept = tmp_path / "entropy-history"
    reading = run_once(present(files={f"{RANDOM}/boot_id": "garbage"}), kept).latest()
    assert reading is not None
    assert "which boot this is" in reading.unavailable["history"]
    assert not kept.exists()


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
    wait_until(lambda: (now := sampler.latest()) is not None and now.ready is None)
    wait_for_another(sampler)
    sampler.stop()
    failed = sampler.latest()
    assert failed is not None
    assert failed.unavailable == {"sample": "RuntimeError: out of time"}
    assert failed.era is Era.SINCE_5_19


def test_this_machine_is_sampled(tmp_path: Path) -> None:
    sampler = EntropySampler(interval=0.25)
    sampler.start()
    wait_for_another(sampler)
    wait_for_another(sampler)
    sampler.stop()
    reading = sampler.latest()
    assert reading is not None
    assert reading.meaning
    assert "sample" not in reading.unavailable
