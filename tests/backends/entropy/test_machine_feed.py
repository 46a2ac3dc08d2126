"""Counters of a machine told as events: what grew, what fell, what is not there."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.happenings import Kind, Window
from kdash.backends.entropy.machine_feed import (
    MOST_HAPPENINGS,
    CounterFeed,
    disk_counts,
    increases,
    spread_evenly,
)

SECOND = 1_000_000_000


class Machine:
    """A folder that presents counters, and a clock."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.now = SECOND
        (root / "proc").mkdir()
        self.feed = CounterFeed(str(root), lambda: self.now)

    def counts(self, header: str, *lines: str, disks: str = "") -> None:
        (self.root / "proc/interrupts").write_text("\n".join([header, *lines]) + "\n")
        (self.root / "proc/diskstats").write_text(disks)

    def after(self, seconds: float) -> Window:
        self.now += int(seconds * SECOND)
        return self.feed()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def told(window: Window) -> Counter[tuple[Kind, int, int]]:
    return Counter((one.kind, one.cpu, one.number) for one in window.happenings)


def test_the_first_look_tells_no_events(machine: Machine) -> None:
    machine.counts("CPU0 CPU1", "24: 5 7 PCI eth0")
    assert not machine.after(1).happenings


def test_what_each_line_grew_on_each_cpu_are_its_events(machine: Machine) -> None:
    machine.counts("CPU0 CPU1", "24: 5 7 PCI eth0", "25: 1 1 PCI nvme", "LOC: 9 9 timer")
    machine.after(1)
    machine.counts("CPU0 CPU1", "24: 8 7 PCI eth0", "25: 1 3 PCI nvme", "LOC: 99 99 timer")
    window = machine.after(1)
    assert told(window) == {(Kind.INTERRUPT, 0, 24): 3, (Kind.INTERRUPT, 1, 25): 2}
    times = [one.at_ns for one in window.happenings]
    assert times == sorted(times)
    assert all(window.start_ns <= at < window.end_ns for at in times)


def test_the_keyboards_line_is_an_interrupt_and_an_input_event(machine: Machine) -> None:
    machine.counts("CPU0", "1: 5 IO-APIC 1-edge i8042")
    machine.after(1)
    machine.counts("CPU0", "1: 6 IO-APIC 1-edge i8042")
    assert told(machine.after(1)) == {(Kind.INTERRUPT, 0, 1): 1, (Kind.INPUT, 0, 1): 1}


def test_completed_requests_of_a_disk_are_its_events(machine: Machine) -> None:
    line = "   8       0 sda {} 0 0 0 {} 0 0 0 0 0 0 0 0 0 0\n   8       1 sda1 {} 0 0 0 0 0 0\n"
    machine.counts("CPU0", disks=line.format(10, 5, 10))
    machine.after(1)
    machine.counts("CPU0", disks=line.format(12, 9, 12))
    assert told(machine.after(1)) == {(Kind.DISK, 0, 8 << 20): 6}


def test_cpus_that_went_offline_keep_the_numbers_of_the_others(machine: Machine) -> None:
    machine.counts("CPU0 CPU1 CPU3", "24: 5 7 9 PCI eth0")
    machine.after(1)
    machine.counts("CPU0 CPU3", "24: 5 10 PCI eth0")
    assert told(machine.after(1)) == {(Kind.INTERRUPT, 3, 24): 1}


def test_counters_that_fell_tell_nothing_and_count_from_there(machine: Machine) -> None:
    machine.counts("CPU0", "24: 500 PCI eth0")
    machine.after(1)
    machine.counts("CPU0", "24: 3 PCI eth0")
    assert not machine.after(1).happenings
    machine.counts("CPU0", "24: 5 PCI eth0")
    assert told(machine.after(1)) == {(Kind.INTERRUPT, 0, 24): 2}


def test_a_clock_that_went_back_begins_anew(machine: Machine) -> None:
    machine.counts("CPU0", "24: 5 PCI eth0")
    machine.after(1)
    machine.counts("CPU0", "24: 9 PCI eth0")
    window = machine.after(-0.5)
    assert (window.start_ns, window.end_ns) == (window.end_ns, machine.now)
    assert not window.happenings
    assert not machine.after(1).happenings


def test_a_machine_without_counters_lets_time_pass(machine: Machine) -> None:
    machine.after(1)
    window = machine.after(1)
    assert (window.end_ns - window.start_ns, list(window.happenings)) == (SECOND, [])


def test_hundreds_of_cpus_are_told_one_by_one(machine: Machine) -> None:
    header = " ".join(f"CPU{number}" for number in range(512))
    machine.counts(header, "24: " + "1 " * 512 + "PCI eth0")
    machine.after(1)
    machine.counts(header, "24: " + "2 " * 512 + "PCI eth0")
    assert len(told(machine.after(60))) == 512


def test_partitions_loops_and_stacked_devices_are_no_disks() -> None:
    text = "".join(
        f" {major} {minor} {name} 7 0 0 0 3 0 0 0 0 0 0\n"
        for major, minor, name in [
            (259, 0, "nvme0n1"), (259, 1, "nvme0n1p1"), (8, 0, "sda"), (8, 1, "sda1"),
            (7, 0, "loop0"), (253, 0, "dm-0"), (254, 0, "vda"), (11, 0, "sr0"),
        ]
    )  # fmt: skip
    devices = [number for _, _, number in disk_counts(text)]
    assert devices == [259 << 20, 8 << 20, 254 << 20, 11 << 20]


@given(st.text())
def test_any_text_gives_disk_counts(text: str) -> None:
    assert all(count >= 0 for count in disk_counts(text).values())


keys = st.tuples(st.sampled_from(Kind), st.integers(0, 600), st.integers(0, 3))
counters = st.dictionaries(keys, st.integers(0, 20_000), max_size=20)


@given(counters, counters, st.integers(0, SECOND), st.integers(0, SECOND))
def test_events_are_what_grew_and_what_is_left_out_is_counted(
    before: dict[tuple[Kind, int, int], int],
    after: dict[tuple[Kind, int, int], int],
    start: int,
    span: int,
) -> None:
    grown = dict(increases(before, after))
    assert all(grown[key] == after[key] - before[key] > 0 for key in grown)
    happenings, left_out = spread_evenly(grown.items(), start, start + span)
    assert len(happenings) + left_out == sum(grown.values())
    assert len(happenings) <= MOST_HAPPENINGS + len(grown)
    assert all(start <= one.at_ns <= start + span for one in happenings)
    assert [one.at_ns for one in happenings] == sorted(one.at_ns for one in happenings)
