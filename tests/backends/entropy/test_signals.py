import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy import report
from kdash.backends.entropy.facts import Era, Percentiles
from kdash.backends.entropy.procfs import reason
from kdash.backends.entropy.signals import SignalReader
from kdash.backends.entropy.system import LiveSystem

from .conftest import BOOT_ID, HWRNG, INTERRUPTS, RANDOM, Present, PresentedSystem, PresentedVdso


def test_a_modern_kernel_gives_every_signal(present: Present) -> None:
    reading = present(vdso=True).read()
    assert (reading.entropy_avail, reading.poolsize, reading.ready) == (256, 256, True)
    assert reading.hwrng is not None
    assert reading.hwrng.current == "virtio_rng.0"
    assert reading.boot_id == BOOT_ID
    assert reading.random_readable is True
    assert reading.reseed is not None
    assert reading.reseed.generation == 5
    assert reading.latency is not None
    assert reading.latency.syscall == Percentiles(400, 600)
    assert reading.unavailable["read_wakeup_threshold"] == "not on this kernel"


def test_an_old_kernel_gives_its_thresholds(present: Present) -> None:
    reading = present("old").read()
    assert reading.read_wakeup_threshold == 64
    assert reading.write_wakeup_threshold == 896
    assert reading.min_reseed_seconds == 60
    assert reading.unavailable["reseed"] == "not on this kernel"
    assert "draw from the pool" in reading.unavailable["getrandom"]


@pytest.mark.parametrize(("kind", "nbytes"), [("old", 0), ("modern", 1)])
def test_the_seeded_probe_asks_for_no_byte_where_bytes_are_debited(
    present: Present, kind: str, nbytes: int
) -> None:
    machine = present(kind)
    machine.read()
    assert max(asked for asked, _ in machine.system.asked) == nbytes


@pytest.mark.parametrize(
    ("kind", "files", "answers", "polled"),
    [
        ("modern", {}, {}, 1),
        ("old", {f"{RANDOM}/read_wakeup_threshold": None}, {"insecure": True}, 1),
        ("old", {}, {}, 0),
        ("old", {}, {"getrandom_error": errno.ENOSYS}, 0),
        ("modern", {}, {"random_device": (10, 125)}, 0),
        ("modern", {f"{RANDOM}/poolsize": None}, {}, 0),
    ],
)
def test_dev_random_is_polled_only_where_that_is_harmless(
    present: Present, kind: str, files: dict[str, Any], answers: dict[str, Any], polled: int
) -> None:
    machine = present(kind, files, **answers)
    reading = machine.read()
    assert machine.system.polled == polled
    assert ("random_readable" in reading.unavailable) is not polled


# Every signal of the generator, as the JSON object names it.
SIGNALS = {
    "entropy_avail", "poolsize", "read_wakeup_threshold", "write_wakeup_threshold",
    "min_reseed_seconds", "boot_id", "rndgetentcnt", "ready", "random_readable",
    "blocked_readers", "hwrng", "hwrng_rate", "irq_per_second", "random_events", "callers",
    "reseed", "getrandom", "throughput", "stream", "kernel_log", "holders", "kernel_generators",
    "lrng", "uptime_seconds",
}  # fmt: skip


@pytest.mark.parametrize("kind", ["modern", "old", "lrng", "replaced", "empty"])
def test_every_signal_has_a_value_or_the_reason_why_not(kind: str, present: Present) -> None:
    files = {"lrng": {"proc/lrng_type": "DRNG name: ChaCha20\nfully seeded\n"}}.get(kind)
    answers = {"random_device": (10, 200)} if kind == "replaced" else {}
    machine = present("old" if kind == "old" else "modern", files, **answers)
    if kind == "empty":
        shutil.rmtree(machine.folder)
    reader = machine.reader()
    reader.read()
    machine.system.now += 0.5
    found = report.reading_json(reader.read())
    unavailable = found.pop("unavailable")
    assert isinstance(unavailable, dict)
    assert found.keys() | unavailable.keys() >= SIGNALS
    assert not found.keys() & unavailable.keys() & SIGNALS
    assert ("irq_window_seconds" in found) == (kind != "empty")
    if kind == "lrng":
        assert found["lrng"] == [
            {"name": "DRNG name", "value": "ChaCha20"}, {"name": "", "value": "fully seeded"},
        ]  # fmt: skip


def test_interrupts_become_a_rate_with_the_second_reading(present: Present) -> None:
    machine = present()
    reader = machine.reader()
    assert "two samples" in reader.read().unavailable["irq_per_second"]
    machine.write("proc/interrupts", INTERRUPTS.replace(" 100 ", " 140 "))
    machine.system.now += 2.0
    reading = reader.read()
    assert reading.irq_per_second == 20.0
    assert reading.irq_per_second_by_cpu == (20.0, 0.0)


def test_a_generator_that_is_not_seeded_is_an_alert(present: Present) -> None:
    reading = present(seeded=False, files={"proc/uptime": "4.0 3.0\n"}).read()
    assert reading.ready is False
    assert [alert.split(":")[0] for alert in reading.alerts] == ["would-block"]


def test_not_seeded_half_a_minute_after_boot_is_a_second_alert(present: Present) -> None:
    reading = present(seeded=False, files={"proc/uptime": "31.0 3.0\n"}).read()
    assert [alert.split(":")[0] for alert in reading.alerts] == ["would-block", "not-seeded"]


def test_a_hardware_source_that_goes_is_an_alert_until_it_is_back(present: Present) -> None:
    machine = present()
    reader = machine.reader()
    assert reader.read().alerts == ()
    machine.remove(f"{HWRNG}/rng_current")
    for _ in range(2):
        assert reader.read().alerts == ("hwrng-lost: the hardware source virtio_rng.0 is gone",)
    machine.write(f"{HWRNG}/rng_current", "virtio_rng.0\n")
    assert reader.read().alerts == ()


@pytest.mark.parametrize("lost", ["none\n", ""])
def test_a_source_replaced_by_none_stays_an_alert(present: Present, lost: str) -> None:
    machine = present()
    reader = machine.reader()
    reader.read()
    machine.write(f"{HWRNG}/rng_current", lost)
    for _ in range(2):
        assert [alert.split(":")[0] for alert in reader.read().alerts] == ["hwrng-lost"]


def test_readers_asleep_below_the_threshold_are_an_alert_on_old_kernels(present: Present) -> None:
    machine = present(
        "old",
        {
            f"{RANDOM}/entropy_avail": 12,
            "proc/100/wchan": "_random_read.part.3",
            "proc/101/wchan": "poll_schedule_timeout",
            "proc/102/wchan": "0",
        },
    )
    reading = machine.read()
    assert reading.blocked_readers == 1
    assert [alert.split(":")[0] for alert in reading.alerts] == ["starving"]


def test_a_low_number_without_sleepers_is_no_alert(present: Present) -> None:
    files = {f"{RANDOM}/entropy_avail": 12, "proc/101/wchan": "poll_schedule_timeout"}
    assert present("old", files).read().alerts == ()


def test_where_sleepers_are_hidden_it_says_so(present: Present) -> None:
    files = {f"{RANDOM}/entropy_avail": 12, "proc/101/wchan": "0"}
    reading = present("old", files).read()
    assert reading.blocked_readers is None
    assert reading.unavailable["blocked_readers"] == "needs root"


def test_the_reseed_clock_knows_the_time_once_it_saw_a_reseed(present: Present) -> None:
    machine = present(vdso=True)
    machine.vdso.generations = [5, 5, 6, 6]
    reader = machine.reader()
    seen = []
    for _ in range(4):
        reseed = reader.read().reseed
        assert reseed is not None
        seen.append((reseed.generation, reseed.seconds_since, reseed.at_least))
        machine.system.now += 1.0
    assert seen == [(5, None, 0.0), (5, None, 1.0), (6, 0.0, 0.0), (6, 1.0, 1.0)]


@pytest.mark.parametrize("generation", [None, 0, -1, 1 << 40])
def test_a_number_that_is_no_generation_is_not_shown(
    present: Present, generation: int | None
) -> None:
    machine = present(vdso=True)
    machine.vdso.generations = [generation]
    reading = machine.read()
    assert reading.reseed is None
    assert "not available" in reading.unavailable["reseed"]


def test_a_generation_that_falls_is_not_believed(present: Present) -> None:
    machine = present(vdso=True)
    machine.vdso.generations = [9, 4, 4]
    reader = machine.reader()
    reader.read()
    assert reader.read().unavailable["reseed"] == "not available: the generation fell"


def test_a_probe_that_died_is_told_for_both_its_signals(present: Present) -> None:
    machine = present(vdso=True)
    machine.vdso.refusal = "the probe was ended by SIGSEGV"
    reading = machine.read()
    assert reading.unavailable["reseed"] == "the probe was ended by SIGSEGV"
    assert reading.unavailable["getrandom"] == "the probe was ended by SIGSEGV"


def test_a_sandbox_that_refuses_getrandom_is_told(present: Present) -> None:
    reading = present(getrandom_error=errno.EPERM).read()
    assert reading.ready is None
    assert "getrandom is refused" in reading.unavailable["ready"]


def test_a_device_that_may_not_be_polled_is_told(present: Present) -> None:
    assert present(poll_error=errno.EACCES).read().unavailable["random_readable"] == "needs root"


def test_the_raw_source_needs_root(present: Present) -> None:
    reading = present(files={"dev/hwrng": ""}).read()
    assert reading.unavailable["hwrng_rate"] == "needs root"
    allowed = present(files={"dev/hwrng": ""}, readable_files=True).read()
    assert allowed.unavailable["hwrng_rate"].startswith("on request: kdash entropy ")


def test_an_empty_root_gives_a_clear_state(tmp_path: Path) -> None:
    system = PresentedSystem(getrandom_error=errno.ENOSYS, random_device=None)
    reading = SignalReader(tmp_path, system, PresentedVdso(symbol=False)).read()
    assert reading.era is Era.UNKNOWN
    assert reading.ready is None
    assert reading.entropy_avail is None
    assert reading.unavailable["entropy_avail"] == "not on this kernel"
    assert reading.alerts == ()


def test_without_proc_the_number_comes_by_ioctl(tmp_path: Path) -> None:
    system = PresentedSystem(count=230)
    reading = SignalReader(tmp_path, system, PresentedVdso(symbol=False)).read()
    assert reading.entropy_avail == 230
    assert "entropy_avail" not in reading.unavailable


@pytest.mark.parametrize("answers", [{"count": -1}, {"count": 230, "random_device": (10, 1)}])
def test_an_ioctl_that_tells_nothing_of_the_kernels_own_generator_is_not_believed(
    tmp_path: Path, answers: dict[str, Any]
) -> None:
    system = PresentedSystem(**answers)
    reading = SignalReader(tmp_path, system, PresentedVdso(symbol=False)).read()
    assert reading.entropy_avail is None


def test_the_ioctl_agrees_with_proc_on_this_machine() -> None:
    assert 0 <= LiveSystem().entropy_count() <= 4096


def test_generators_of_the_crypto_api_are_named_once(present: Present) -> None:
    text = "".join(
        f"name         : {name}\ndriver       : {driver}\ntype         : rng\n\n"
        for name, driver in (("stdrng", "drbg_nopr_sha512"), ("jitterentropy_rng",) * 2)
    )
    aes = "name         : aes\ndriver       : aes-generic\ntype         : cipher\n\n"
    reader = present(files={"proc/crypto": text + aes + text}).reader()
    assert reader.read().kernel_generators == ()
    assert reader.read().kernel_generators == ("drbg_*", "jitterentropy_rng")


def test_folders_in_place_of_files_give_a_clear_state(present: Present) -> None:
    machine = present(files={f"{RANDOM}/entropy_avail": None, "proc/interrupts": None})
    (machine.folder / RANDOM / "entropy_avail").mkdir()
    (machine.folder / "proc/interrupts").mkdir()
    reading = machine.read()
    assert reading.unavailable["entropy_avail"] == "Is a directory"
    assert reading.unavailable["irq_per_second"] == "Is a directory"


def test_what_is_denied_needs_root() -> None:
    assert reason(PermissionError(errno.EACCES, "")) == "needs root"
    assert reason(OSError()) == "can't be read"


@pytest.mark.root
def test_a_machine_that_denies_everything_gives_a_clear_state(present: Present) -> None:
    machine = present(random_device=None, getrandom_error=errno.EPERM)
    machine.folder.chmod(0o700)
    reader = machine.reader()
    os.seteuid(65534)
    try:
        reading = reader.read()
    finally:
        os.seteuid(0)
    assert reading.entropy_avail is None
    assert reading.unavailable["entropy_avail"] == "needs root"
    assert reading.era is Era.UNKNOWN


GARBAGE = st.binary(max_size=60)
FILES = (
    f"{RANDOM}/entropy_avail",
    f"{RANDOM}/poolsize",
    f"{RANDOM}/read_wakeup_threshold",
    f"{RANDOM}/boot_id",
    f"{RANDOM}/write_wakeup_threshold",
    f"{RANDOM}/urandom_min_reseed_secs",
    f"{HWRNG}/rng_current",
    f"{HWRNG}/rng_available",
    f"{HWRNG}/rng_quality",
    "proc/uptime",
    "proc/interrupts",
    "proc/crypto",
    "proc/lrng_type",
    "proc/7/wchan",
    "dev/kmsg",
)


@given(contents=st.dictionaries(st.sampled_from(FILES), GARBAGE))
def test_garbage_in_every_file_gives_a_clear_state(
    tmp_path_factory: pytest.TempPathFactory, contents: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("garbage")
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    reader = SignalReader(folder, PresentedSystem(), PresentedVdso(symbol=False))
    for _ in range(2):
        reading = reader.read()
        assert reading.meaning
        assert reading.entropy_avail is None or reading.entropy_avail >= 0
        json.dumps(report.reading_json(reading), allow_nan=False)
    reader.close()
