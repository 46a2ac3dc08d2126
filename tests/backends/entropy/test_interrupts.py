from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.entropy.interrupts import (
    InterruptClock,
    InterruptCounts,
    InterruptMeter,
    parse_interrupts,
)
from kdash.backends.entropy.procfs import Root, Unavailable


def table(cpus: int, *lines: str) -> str:
    header = " " * 11 + " ".join(f"CPU{cpu}" for cpu in range(cpus))
    return "\n".join([header, *lines]) + "\n"


def counts(*per_cpu: int) -> InterruptCounts:
    return InterruptCounts(sum(per_cpu), per_cpu, 1)


def test_numbered_interrupts_are_summed_for_each_cpu() -> None:
    text = table(2, "  1:   9   1  IO-APIC 1-edge i8042", " 24: 100  20  PCI-MSI 0-edge nvme0q1")
    assert parse_interrupts(text) == InterruptCounts(130, (109, 21), 2, (0, 1))


@pytest.mark.parametrize(
    "line",
    [
        "LOC:  16840  25234   Local timer interrupts",
        "RES:   4001   2620   Rescheduling interrupts",
        "IPI0:  4001   2620   Rescheduling interrupts",
        "ERR:      0",
        " 11:   5000   5000     GICv3  27 Level     arch_timer",
        "  5:   5000   5000  RISC-V INTC   5 Edge      riscv-timer",
    ],
)
def test_what_a_cpu_raises_for_itself_does_not_count(line: str) -> None:
    assert parse_interrupts(table(2, line)).total == 0


@pytest.mark.parametrize(
    "line",
    [
        " 24: 100",
        " 24: 100 x nvme",
        " 24: 1 -5 nvme",
        "24 100 20",
        ":",
        " 24: 1 ² nvme",
        f" 24: 1 {'9' * 21} nvme",
    ],
)
def test_a_line_that_is_no_interrupt_is_skipped(line: str) -> None:
    other = " 1: 0 0 IO-APIC 1-edge i8042"
    assert parse_interrupts(table(2, line, other)).lines == 1


def test_hundreds_of_cpus_are_counted() -> None:
    cpus = 512
    row = " ".join(str(cpu) for cpu in range(cpus))
    text = table(cpus, *(f"{irq:4}: {row}  PCI-MSI {irq}-edge nvme0q{irq}" for irq in range(40)))
    found = parse_interrupts(text)
    assert (found.lines, len(found.per_cpu)) == (40, cpus)
    assert found.per_cpu[511] == 40 * 511


@given(st.text())
def test_any_lines_below_the_header_give_counts(text: str) -> None:
    found = parse_interrupts(table(2, text, "ERR: 0"))
    assert found.total == sum(found.per_cpu) >= 0


@pytest.mark.parametrize("text", ["", "\n", "\0\x01\x7f", " 24: 100 20 PCI-MSI 0-edge eth0\n"])
def test_a_text_without_a_line_of_cpus_is_no_table(text: str) -> None:
    with pytest.raises(Unavailable, match="no table of interrupts"):
        parse_interrupts(text)


@pytest.mark.parametrize("line", ["", "24: many", ": 1 2", "\x1b[2J:", "\0" * 9])
def test_a_table_without_any_interrupt_is_no_count_of_0(line: str) -> None:
    with pytest.raises(Unavailable, match="lists no interrupt"):
        parse_interrupts(table(2, line))


@given(
    st.lists(
        st.lists(st.integers(0, (1 << 32) - 1), min_size=3, max_size=3), min_size=1, max_size=20
    )
)
def test_every_count_of_a_well_formed_table_is_found(rows: list[list[int]]) -> None:
    lines = [
        f"{irq:3}: " + " ".join(f"{count:10}" for count in row) + "  PCI-MSI 0-edge eth0"
        for irq, row in enumerate(rows)
    ]
    assert parse_interrupts(table(3, *lines)).total == sum(map(sum, rows))


def test_a_cpu_that_is_offline_leaves_the_others_their_numbers() -> None:
    whole = parse_interrupts(table(3, " 24: 1 2 3 eth0"))
    some = parse_interrupts("  CPU0 CPU2\n 24: 5 7 eth0\n")
    other = parse_interrupts("  CPU0 CPU1\n 24: 6 9 eth0\n")
    assert (whole.cpus, some.cpus, some.per_cpu) == ((0, 1, 2), (0, 2), (5, 7))
    clock = InterruptClock()
    assert [clock.rates(found, now) for now, found in enumerate((some, other), 1)] == [None, None]


@pytest.mark.parametrize("header", ["CPU1 CPU1", "CPU2 CPU0", "CPUx CPU5"])
def test_a_header_that_numbers_no_cpus_counts_columns(header: str) -> None:
    assert parse_interrupts(f"{header}\nERR: 0\n").cpus == (0, 1)


def test_a_rate_needs_two_looks() -> None:
    clock = InterruptClock()
    assert clock.rates(counts(10, 10), 1.0) is None
    rates = clock.rates(counts(14, 10), 3.0)
    assert rates is not None
    assert (rates.total, rates.per_cpu) == (2.0, (2.0, 0.0))


@pytest.mark.parametrize(
    ("second", "now"),
    [
        (counts(5, 30), 2.0),
        (counts(10, 10, 10), 2.0),
        (counts(20, 20), 1.0),
        (counts(10, 1 << 60), 2.0),
    ],
)
def test_looks_that_cannot_be_compared_give_no_rate(second: InterruptCounts, now: float) -> None:
    clock = InterruptClock()
    clock.rates(counts(10, 20), 1.0)
    assert clock.rates(second, now) is None


def test_after_counters_went_backwards_the_next_look_compares_with_the_new_ones() -> None:
    clock = InterruptClock()
    clock.rates(counts(1000), 1.0)
    clock.rates(counts(3), 2.0)
    rates = clock.rates(counts(8), 3.0)
    assert rates is not None
    assert rates.total == 5.0


def test_what_was_counted_before_is_not_shown_for_a_table_that_is_gone(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    file = tmp_path / "proc/interrupts"
    meter = InterruptMeter(Root(tmp_path), clock := Ticks())
    for text in (table(1, " 1: 10 i8042"), table(1, " 1: 20 i8042"), "garbage"):
        file.write_text(text, encoding="ascii")
        clock.now += 60.0
        with suppress(Unavailable):
            meter.rates()
    with pytest.raises(Unavailable, match="no table"):
        meter.rates()


class Ticks:
    """A clock on which every look at it takes a tenth of a second."""

    now = 0.0

    def __call__(self) -> float:
        self.now += 0.1
        return self.now


def test_a_look_that_took_long_is_not_repeated_at_once(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    file = tmp_path / "proc/interrupts"
    clock = Ticks()
    meter = InterruptMeter(Root(tmp_path), clock)
    file.write_text(table(1, " 1: 10 IO-APIC i8042"), encoding="ascii")
    with pytest.raises(Unavailable):
        meter.rates()
    first = meter.rates()
    file.write_text(table(1, " 1: 500 IO-APIC i8042"), encoding="ascii")
    assert meter.rates() is first
    clock.now += 60.0
    assert meter.rates() is not first
