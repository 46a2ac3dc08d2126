"""Machines that tell nothing, or nonsense: each is a clear state in the pane, the rest goes on."""

from __future__ import annotations

import errno
from collections.abc import Mapping

import pytest

from kdash.backends.entropy.facts import Reading
from kdash.widgets.entropy.kernel_view import KernelView
from kdash.widgets.entropy.tone_lines import plain
from tests.backends.entropy import conftest
from tests.backends.entropy.conftest import HWRNG, INTERRUPTS, RANDOM, Machine, Present
from tests.widgets.entropy.made import trend

presented = conftest.present


def drawn(*readings: Reading) -> str:
    """What the kernel's view draws after these readings, its lines joined."""
    view = KernelView()
    for count in range(1, len(readings) + 1):
        view.show(readings[count - 1], trend(readings[:count]), 1.0)
    lines = [plain(line) for line in view.lines(100, 60)]
    assert all(len(line) <= 100 for line in lines)
    return " ".join(" ".join(lines).split())


def looks(machine: Machine, *changes: Mapping[str, str | int | None]) -> str:
    """What is drawn after a look, and another after each change a second later."""
    reader = machine.reader()
    readings = [reader.read()]
    for change in changes:
        for name, text in change.items():
            if text is None:
                machine.remove(name)
            else:
                machine.write(name, text)
        machine.system.now += 1.0
        readings.append(reader.read())
    return drawn(*readings)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({f"{RANDOM}/entropy_avail": None}, "entropy_avail not available: not on this kernel"),
        ({f"{RANDOM}/entropy_avail": "many\n"}, "entropy_avail not available: "),
        ({f"{RANDOM}/entropy_avail": -7}, "entropy_avail not available: holds no plausible number"),
        ({f"{RANDOM}/poolsize": "\x1b[2J"}, "poolsize (holds no number)"),
        ({f"{RANDOM}/boot_id": "here\n"}, "boot id (holds no boot identifier)"),
        ({"proc/interrupts": None}, "not on this kernel: read wake-up, interrupts,"),
        ({f"{HWRNG}/rng_current": "\x1b[31m\n"}, "\\x1b[31m"),
        ({f"{HWRNG}/rng_quality": -5}, "(holds no number from 0 to 1024)"),
        ({"proc/interrupts": "7: 8 9\n" * 150_000}, "(holds no table of interrupts)"),
        ({"proc/lrng_type": ""}, "(tells nothing)"),
        ({"proc/crypto": "\0" * (1 << 20)}, "(lists no generator)"),
    ],
)
def test_a_file_that_is_gone_or_holds_garbage_is_told_and_the_others_are_shown(
    presented: Present, files: Mapping[str, str | int | None], told: str
) -> None:
    text = looks(presented(files=files), {})
    assert told in text
    assert "\x1b" not in text
    assert "READY" in text
    assert "uptime 1 min" in text


def test_a_sandbox_that_refuses_getrandom_leaves_readiness_unknown(presented: Present) -> None:
    text = looks(presented(getrandom_error=errno.EPERM), {})
    assert "READINESS UNKNOWN" in text
    assert "boot progress" in text


def test_counters_that_go_backwards_give_no_rate_until_the_next_look(presented: Present) -> None:
    back = {"proc/interrupts": INTERRUPTS.replace("100         20", "  3          1")}
    on = {"proc/interrupts": INTERRUPTS.replace("100         20", "  9          3")}
    assert "interrupts (needs two samples that can be compared)" in looks(presented(), back)
    assert "8/s over 1.0 s (by CPU: 6 2)" in looks(presented(), back, on)


def test_a_cpu_that_comes_or_goes_gives_no_rate_until_the_next_look(presented: Present) -> None:
    def table(*cpus: int, count: int) -> Mapping[str, str]:
        names = " ".join(f"CPU{cpu}" for cpu in cpus)
        counts = " ".join([f"{count}"] * len(cpus))
        return {"proc/interrupts": f" {names}\n 24: {counts} PCI-MSI 0-edge nvme0q1\n"}

    gone, back = table(0, count=500), table(0, 1, count=600)
    assert "needs two samples that can be compared" in looks(presented(), gone)
    assert "5/s over 1.0 s" in looks(presented(), gone, table(0, count=505))
    assert "needs two samples that can be compared" in looks(presented(), gone, back)


def test_a_clock_that_jumps_back_gives_no_rate_and_no_negative_time(presented: Present) -> None:
    machine = presented()
    reader = machine.reader()
    first = reader.read()
    machine.system.now -= 3600
    text = drawn(first, reader.read())
    assert "interrupts (needs two samples that can be compared)" in text
    assert " -3600" not in text
    assert "READY" in text


def test_hundreds_of_cpus_are_counted_and_the_busiest_named(presented: Present) -> None:
    def table(count: int) -> str:
        cpus = " ".join(f"CPU{number}" for number in range(512))
        counts = " ".join(str(count if number == 300 else 7) for number in range(512))
        return f" {cpus}\n 24: {counts} PCI-MSI 0-edge nvme0q1\n"

    text = looks(presented(files={"proc/interrupts": table(10)}), {"proc/interrupts": table(60)})
    assert "50/s over 1.0 s (busiest of 512 CPUs: " in text
    assert "#300 50" in text


def test_a_vdso_without_the_symbol_says_so_and_system_calls_are_timed(presented: Present) -> None:
    text = looks(presented(vdso=False), {})
    assert "syscall p50 400 ns" in text
    assert "not on this kernel" in text
    assert "last reseed" in text


def test_a_probe_that_died_is_told(presented: Present) -> None:
    machine = presented(vdso=True)
    machine.vdso.refusal = "the probe ended by signal 11"
    assert "the probe ended by signal 11" in looks(machine, {})


def test_a_hardware_source_that_vanishes_is_an_alert(presented: Present) -> None:
    gone = {f"{HWRNG}/rng_current": "none\n"}
    text = looks(presented(), gone)
    assert "! hwrng-lost: " in text
    assert "READY" in text
