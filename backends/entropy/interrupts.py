"""Interrupts that feed the generator, counted from /proc/interrupts.

Source: proc(5); kernel/irq/handle.c, handle_irq_event: each interrupt of a device goes on to
add_interrupt_randomness. Interrupts a CPU sends or raises for itself (LOC, RES, IPI0, ...) have
names for numbers and do not; neither do the per-CPU timers that some architectures number
(kernel/irq/chip.c, handle_percpu_devid_irq).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kdash.backends.entropy.pacing import Pacing
from kdash.backends.entropy.procfs import Root, Unavailable

# Per-CPU timers by the name their driver registers: drivers/clocksource/arm_arch_timer.c,
# timer-riscv.c, arch/arm64/kvm/arch_timer.c.
_LOCAL_TIMERS = ("arch_timer", "riscv-timer", "kvm guest vtimer", "kvm guest ptimer")
_DIGITS = 20  # of the largest count there can be
InterruptTable = dict[int, tuple[tuple[int, ...], str]]  # line: counts by CPU, name
_SHARE = 0.003  # of one CPU, the most that counting interrupts may take


@dataclass(frozen=True, slots=True)
class InterruptCounts:
    """Interrupts that fed the generator since boot."""

    total: int
    per_cpu: tuple[int, ...]  # in the order of the columns
    lines: int  # how many interrupt lines were counted


def parse_interrupts(text: str) -> InterruptCounts:
    """Count the entropy-feeding interrupts in the text of /proc/interrupts.

    Lines that don't read as a numbered interrupt with a count for each CPU are skipped, so any
    text gives counts.
    """
    per_cpu = [0] * _cpu_count(text)
    lines = 0
    for _, words, _ in _lines(text, len(per_cpu)):
        # Most interrupts go to one CPU: on a large host nearly all the counts are 0.
        for cpu, word in enumerate(words):
            if word != "0":
                per_cpu[cpu] += int(word[:_DIGITS])
        lines += 1
    return InterruptCounts(sum(per_cpu), tuple(per_cpu), lines)


def parse_table(text: str) -> InterruptTable:
    """The counts by CPU and the name of each entropy-feeding interrupt line, by its number."""
    return {
        int(label): (tuple(int(word[:_DIGITS]) for word in words), name)
        for label, words, name in _lines(text, _cpu_count(text))
    }


def _cpu_count(text: str) -> int:
    return sum(word.startswith("CPU") for word in text.partition("\n")[0].split())


def _lines(text: str, cpus: int) -> Iterator[tuple[str, list[str], str]]:
    """Number, counts and name of the lines that feed the generator."""
    for line in text.partition("\n")[2].splitlines():
        label, colon, rest = line.partition(":")
        if not colon or not _numbered(label) or _is_local_timer(rest):
            continue
        words = rest.split(None, cpus)
        if len(words) >= cpus and "".join(words[:cpus]).isdecimal():
            yield label, words[:cpus], words[-1] if len(words) > cpus else ""


def _numbered(text: str) -> bool:
    text = text.strip()
    return text.isascii() and text.isdigit() and len(text) <= _DIGITS


def _is_local_timer(rest: str) -> bool:
    return rest.rstrip().endswith(_LOCAL_TIMERS)


@dataclass(frozen=True, slots=True)
class InterruptRates:
    """Interrupts a second between two looks."""

    total: float
    per_cpu: tuple[float, ...]
    counts: tuple[int, ...] = ()  # since boot, at the second look


class InterruptClock:
    """Turns counts seen one after another into rates."""

    def __init__(self) -> None:
        self._before: tuple[float, InterruptCounts] | None = None

    def rates(self, counts: InterruptCounts, now: float) -> InterruptRates | None:
        """The rates since the last call; None where there was none that can be compared.

        CPUs that come and go, and counters that wrap, make a look that can't be compared.

        Args:
            counts: What was counted.
            now: When, seconds.
        """
        before, self._before = self._before, (now, counts)
        if before is None:
            return None
        then, old = before
        seconds = now - then
        if seconds <= 0 or len(old.per_cpu) != len(counts.per_cpu):
            return None
        deltas = [new - was for new, was in zip(counts.per_cpu, old.per_cpu, strict=True)]
        if min(deltas, default=0) < 0:
            return None
        per_cpu = tuple(delta / seconds for delta in deltas)
        return InterruptRates(sum(deltas) / seconds, per_cpu, counts.per_cpu)


class InterruptMeter:
    """The rates of a machine's interrupts, looked at as often as their number allows.

    On a host of hundreds of CPUs /proc/interrupts is megabytes: a look that took long is followed
    by a pause in which the last rates are shown again.
    """

    def __init__(self, root: Root, monotonic: Callable[[], float]) -> None:
        """Prepare.

        Args:
            root: The folder that holds /proc.
            monotonic: The clock, seconds.
        """
        self._root = root
        self._pacing = Pacing(monotonic, _SHARE)
        self._clock = InterruptClock()
        self._rates: InterruptRates | None = None

    def rates(self) -> InterruptRates:
        """The rates now.

        Raises:
            Unavailable: The counts can't be read, or there is nothing to compare them with yet.
        """
        if self._rates is None or self._pacing.due:
            with self._pacing.look() as start:
                self._rates = self._clock.rates(parse_interrupts(self._root.interrupts()), start)
        if self._rates is None:
            raise Unavailable("needs two samples that can be compared")
        return self._rates
