from typing import Any

import pytest

from kdash.backends.entropy.facts import Probe
from kdash.backends.entropy.probe import probe_entropy

from .conftest import HWRNG, RANDOM, Present


def probes(present: Present, *args: Any, **answers: Any) -> dict[str, Probe]:
    machine = present(*args, **answers)
    found = probe_entropy(machine.folder, system=machine.system, vdso=machine.vdso)
    return {probe.name: probe for probe in found}


def test_a_modern_machine_is_ok_in_what_matters(present: Present) -> None:
    found = probes(present, vdso=True)
    good = {"entropy_avail", "getrandom", "reseed clock", "getrandom latency", "hardware source"}
    assert {name for name, probe in found.items() if probe.verdict == "ok"} >= good
    assert found["entropy_avail"].detail == "256 of 256 bits, era since-5.19"


def test_a_machine_with_getrandom_alone_still_works(present: Present) -> None:
    files = {f"{RANDOM}/entropy_avail": None}
    assert probes(present, "modern", files)["entropy_avail"].verdict == "warning"


def test_a_machine_without_proc_and_getrandom_fails(present: Present) -> None:
    machine = present(getrandom_error=38)
    machine.remove(f"{RANDOM}/entropy_avail")
    found = probe_entropy(machine.folder, system=machine.system, vdso=machine.vdso)
    assert [probe.name for probe in found if probe.verdict == "failed"] == ["entropy_avail"]


@pytest.mark.parametrize(
    ("files", "name", "detail", "remedy"),
    [
        ({}, "tracefs", "not on this kernel", "CONFIG_FTRACE"),
        ({"dev/hwrng": ""}, "/dev/hwrng", "needs root", "as root"),
        ({}, "/dev/hwrng", "there is none", "hardware source"),
        ({f"{HWRNG}/rng_current": "none\n"}, "hardware source", "none in use", "echo virtio_rng.0"),
        (
            {f"{HWRNG}/rng_current": "none\n", f"{HWRNG}/rng_available": "none\n"},
            "hardware source",
            "none in use",
            "virtio-rng",
        ),
        (
            {"proc/sys/kernel/dmesg_restrict": 1},
            "kernel log",
            "kept from users",
            "dmesg_restrict=0",
        ),
        ({"proc/interrupts": "garbage"}, "interrupts", "holds no table of interrupts", ""),
        ({"proc/interrupts": "   CPU0\n"}, "interrupts", "lists no interrupt", ""),
        ({"proc/interrupts": "   CPU0\nLOC: 7\n"}, "interrupts", "lists no device interrupt", ""),
    ],
)
def test_what_is_missing_comes_with_its_remedy(
    present: Present, files: dict[str, Any], name: str, detail: str, remedy: str
) -> None:
    probe = probes(present, "modern", files)[name]
    assert probe.verdict == "warning"
    assert detail in probe.detail
    assert remedy in probe.remedy


def test_tracefs_that_is_not_mounted_is_named_with_the_command_and_stays_so(
    present: Present,
) -> None:
    machine = present()
    tracing = machine.folder / "sys/kernel/tracing"
    tracing.mkdir(parents=True)
    found = probe_entropy(machine.folder, system=machine.system, vdso=machine.vdso)
    tracefs = next(probe for probe in found if probe.name == "tracefs")
    assert tracefs.verdict == "warning"
    assert "mount -t tracefs" in tracefs.remedy
    assert list(tracing.iterdir()) == []


def test_mounted_tracefs_is_ok(present: Present) -> None:
    files = {"sys/kernel/tracing/events/random/enable": "0\n"}
    assert probes(present, "modern", files)["tracefs"].verdict == "ok"


def test_a_kernel_without_the_vdso_says_from_when_it_has_one(present: Present) -> None:
    machine = present()
    machine.vdso.refusal = "not on this kernel"
    found = probe_entropy(machine.folder, system=machine.system, vdso=machine.vdso)
    clock = next(probe for probe in found if probe.name == "reseed clock")
    assert "6.11" in clock.remedy


def test_this_machine_can_be_probed() -> None:
    verdicts = {probe.verdict for probe in probe_entropy()}
    assert verdicts <= {"ok", "warning"}
