"""Interrupts that feed the generator, counted from /proc/interrupts.

Source: proc(5); kernel/irq/handle.c, handle_irq_event: each interrupt of a device goes on to
add_interrupt_randomness. Interrupts a CPU sends or raises for itself (LOC, RES, IPI0, ...) have
names for numbers and do not; neither do the per-CPU timers that some architectures number
(kernel/irq/chip.c, handle_percpu_devid_irq).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from operator import add

from kdash.backends.entropy.pacing import Pacing
from kdash.backends.entropy.procfs import Root, Unavailable

# Per-CPU timers by the name their driver registers: drivers/clocksource/arm_arch_timer.c,
# timer-riscv.c, arch/arm64/kvm/arch_timer.c.
_LOCAL_TIMERS = ("arch_timer", "riscv-timer", "kvm guest vtimer", "kvm guest ptimer")
_DIGITS = 20  # of the largest number there can be
_MOST_COUNT = (1 << 64) - 1
_MOST_CPUS = 1 << 16  # columns; Linux is built for 8,192 at most
_MOST_RATE = 1e8  # interrupts a second that one CPU can take, by far; a count that jumps is none
_SHARE = 0.003  # of one CPU, the most that counting interrupts may take


@dataclass(frozen=True, slots=True)
class InterruptCounts:
    """Interrupts that fed the generator since boot."""

    total: int
    per_cpu: tuple[int, ...]  # in the order of the columns
    lines: int  # how many interrupt lines were counted
    cpus: tuple[int, ...] = ()  # the number of each column's CPU; those offline have no column


def parse_interrupts(text: str) -> InterruptCounts:
    """Count the entropy-feeding interrupts in the text of /proc/interrupts.

    Lines that don't read as a numbered interrupt with a count for each CPU are skipped.

    Raises:
        Unavailable: This is no table of interrupts.
    """
    cpus = _cpus(text)
    if not 0 < len(cpus) <= _MOST_CPUS:
        raise Unavailable("holds no table of interrupts")
    per_cpu = [0] * len(cpus)
    lines = 0
    for _, counts, _ in _entropy_lines(text):
        per_cpu = list(map(add, per_cpu, counts))
        lines += 1
    if not lines and not _has_any_line(text):
        raise Unavailable("lists no interrupt")
    return InterruptCounts(sum(per_cpu), tuple(per_cpu), lines, tuple(cpus))


@dataclass(frozen=True, slots=True)
class InterruptLine:
    """One numbered interrupt."""

    number: int
    counts: tuple[tuple[int, int], ...]  # CPU and interrupts since boot, where there were any
    action: str  # controller and drivers, as the kernel names them


def interrupts_by_line(text: str) -> Iterator[InterruptLine]:
    """The entropy-feeding interrupts in the text of /proc/interrupts, by the CPUs' own numbers."""
    cpus = _cpus(text)
    for number, counts, action in _entropy_lines(text):
        found = tuple((cpu, count) for cpu, count in zip(cpus, counts, strict=True) if count)
        yield InterruptLine(number, found, action)


def _cpus(text: str) -> list[int]:
    """The CPU of each column; CPUs that are offline have none."""
    names = [word for word in text.partition("\n")[0].split() if word.startswith("CPU")]
    numbers = [int(name[3:]) for name in names if _numbered(name[3:])]
    ascending = len(numbers) == len(names) and all(a < b for a, b in pairwise(numbers))
    return numbers if ascending else list(range(len(names)))


def _entropy_lines(text: str) -> Iterator[tuple[int, list[int], str]]:
    """Number, count in each column and action of the same.

    A large host has a million counts: they are turned to numbers without a loop of our own.
    """
    header, _, body = text.partition("\n")
    cpus = sum(word.startswith("CPU") for word in header.split())
    for line in body.splitlines():
        label, colon, rest = line.partition(":")
        if not colon or not _numbered(label) or _is_local_timer(rest):
            continue
        words = rest.split(None, cpus)
        counts = words[:cpus]
        if len(counts) < cpus or not "".join(counts).isdecimal():
            continue
        try:
            numbers = list(map(int, counts))
        except ValueError:  # of more digits than Python takes
            continue
        if max(numbers) <= _MOST_COUNT:
            yield int(label), numbers, words[cpus] if len(words) > cpus else ""


def _has_any_line(text: str) -> bool:
    """Whether there is an interrupt of any kind, which makes a count of 0 a true one."""
    rows = (line.partition(":") for line in text.splitlines()[1:])
    return any(
        label.strip() and _numbered((rest.split(None, 1) or [""])[0]) for label, _, rest in rows
    )


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
    seconds: float = 0.0  # between the looks
    cpus: tuple[int, ...] = ()  # the number of each


class InterruptClock:
    """Turns counts seen one after another into rates."""

    def __init__(self) -> None:
        self._before: tuple[float, InterruptCounts] | None = None

    def rates(self, counts: InterruptCounts, now: float) -> InterruptRates | None:
        """The rates since the last call; None where there was none that can be compared.

        CPUs that come and go, and counters that wrap or jump, make a look that can't be compared.

        Args:
            counts: What was counted.
            now: When, seconds.
        """
        before, self._before = self._before, (now, counts)
        if before is None:
            return None
        then, old = before
        seconds = now - then
        if seconds <= 0 or old.cpus != counts.cpus or len(old.per_cpu) != len(counts.per_cpu):
            return None
        deltas = [new - was for new, was in zip(counts.per_cpu, old.per_cpu, strict=True)]
        if min(deltas, default=0) < 0 or max(deltas, default=0) > _MOST_RATE * seconds:
            return None
        per_cpu = tuple(delta / seconds for delta in deltas)
        return InterruptRates(sum(deltas) / seconds, per_cpu, counts.per_cpu, seconds, counts.cpus)


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
            self._rates = None  # what was before is not what can't be read now
            with self._pacing.look() as start:
                self._rates = self._clock.rates(parse_interrupts(self._root.interrupts()), start)
        if self._rates is None:
            raise Unavailable("needs two samples that can be compared")
        return self._rates
