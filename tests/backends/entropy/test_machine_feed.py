from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.interrupts import parse_table
from kdash.backends.entropy.machine_feed import (
    MOST_WAITING,
    NS,
    EventFeed,
    Kind,
    MachineEvents,
    Sample,
    parse_diskstats,
)
from kdash.backends.entropy.procfs import Root

from .conftest import INTERRUPTS

DISKS = """\
   8       0 sda 100 0 800 5 20 0 160 9 0 14 14 0 0 0 0 0 0
 253       1 dm-1 7 0 56 1 0 0 0 0 0 1 1
junk
"""


class Machine:
    """Counters of a presented machine, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "proc").mkdir()
        self.now = 100.0
        self.write(INTERRUPTS, DISKS)
        self.events = MachineEvents(Root(folder), lambda: self.now)

    def write(self, interrupts: str, disks: str) -> None:
        (self.folder / "proc/interrupts").write_text(interrupts)
        (self.folder / "proc/diskstats").write_text(disks)

    def look(self) -> list[Sample]:
        return self.events.since(int(self.now * NS))


def test_what_the_counters_gained_becomes_events_of_their_line_and_cpu(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    assert machine.look() == []
    machine.write(
        INTERRUPTS.replace(" 100 ", " 103 ").replace("  9 ", " 10 "),
        DISKS.replace(" 20 0 160", " 22 0 160"),
    )
    machine.now += 1
    found = sorted((s.kind.value, s.number, s.cpu) for s in machine.look())
    assert found == [
        ("disk", 8 << 20, 0), ("disk", 8 << 20, 0), ("input", 1, 0),
        ("interrupt", 24, 0), ("interrupt", 24, 0), ("interrupt", 24, 0),
    ]  # fmt: skip


def test_events_lie_between_the_two_looks(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.look()
    machine.write(INTERRUPTS.replace(" 100 ", " 110 "), DISKS)
    machine.now += 1
    times = [sample.monotonic_ns for sample in machine.look()]
    assert len(times) == 10
    assert all(100 * NS < time < 101 * NS for time in times)


def test_counters_that_went_back_or_vanished_feed_nothing(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.look()
    machine.write(INTERRUPTS.replace(" 100 ", " 3 "), "")
    machine.now += 1
    assert machine.look() == []
    (tmp_path / "proc/interrupts").unlink()
    (tmp_path / "proc/diskstats").unlink()
    machine.now += 1
    assert machine.look() == []
    machine.write(INTERRUPTS, DISKS)
    machine.now += 1
    assert machine.look() == []


def test_a_pause_is_not_made_up_for(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    machine.look()
    machine.write(INTERRUPTS.replace(" 100 ", " 110 "), DISKS)
    machine.now += 3600
    assert machine.look() == []


def test_a_storm_is_bounded_and_told(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    feed = EventFeed(machine.events, clock=lambda: int(machine.now * NS))
    assert feed.pending == 0
    machine.write(INTERRUPTS.replace(" 100 ", " 999999 ").replace("  9 ", " 30000 "), DISKS)
    machine.now += 1
    assert feed.pending == MOST_WAITING
    assert feed.dropped == MOST_WAITING


def test_the_load_generator_and_the_readers_keep_their_rates() -> None:
    now = [0]
    feed = EventFeed(clock=lambda: now[0])
    feed.set_load(1000)
    feed.set_reads("random", 5)
    feed.set_reads("getrandom", 50)
    now[0] = 2 * NS
    kinds = [feed().kind for _ in range(feed.pending)]
    assert kinds.count(Kind.RANDOM) == 11
    assert kinds.count(Kind.GETRANDOM) == 101
    assert 1700 < len(kinds) - 112 < 2300
    feed.set_load(0)
    feed.set_reads("random", 0)
    feed.set_reads("getrandom", 0)
    now[0] = 3 * NS
    assert feed.pending == 0
    assert feed().kind is Kind.CLOCK


def test_a_step_asked_for_takes_the_next_event_of_the_load_before_it_is_due() -> None:
    feed = EventFeed(seed=3, clock=lambda: 5)
    times = [feed().monotonic_ns for _ in range(5)]
    assert times == sorted(times)
    assert times[-1] > 5


@given(st.text(alphabet="0123456789 \nabc:CPU-", max_size=200))
def test_any_text_is_read(text: str) -> None:
    parse_diskstats(text)
    parse_table(text)
