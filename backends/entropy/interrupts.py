"""Interrupts that feed the generator, counted from /proc/interrupts.

Source: proc(5); kernel/irq/handle.c, handle_irq_event: each interrupt of a device goes on to
add_interrupt_randomness. Interrupts a CPU sends or raises for itself (LOC, RES, IPI0, ...) have
names for numbers and do not; neither do the per-CPU timers that some architectures number
(kernel/irq/chip.c, handle_percpu_devid_irq).
"""

from __future__ import annotations

from dataclasses import dataclass

# Per-CPU timers by the name their driver registers: drivers/clocksource/arm_arch_timer.c,
# timer-riscv.c, arch/arm64/kvm/arch_timer.c.
_LOCAL_TIMERS = ("arch_timer", "riscv-timer", "kvm guest vtimer", "kvm guest ptimer")


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
    header, _, body = text.partition("\n")
    cpus = sum(word.startswith("CPU") for word in header.split())
    per_cpu = [0] * cpus
    lines = 0
    for line in body.splitlines():
        label, colon, rest = line.partition(":")
        if not colon or not _numbered(label) or _is_local_timer(rest):
            continue
        counts = rest.split(None, cpus)[:cpus]
        if len(counts) < cpus or not all(map(_numbered, counts)):
            continue
        per_cpu = [total + int(count) for total, count in zip(per_cpu, counts, strict=True)]
        lines += 1
    return InterruptCounts(sum(per_cpu), tuple(per_cpu), lines)


def _numbered(text: str) -> bool:
    text = text.strip()
    return text.isascii() and text.isdigit() and len(text) <= 20


def _is_local_timer(rest: str) -> bool:
    return rest.rstrip().endswith(_LOCAL_TIMERS)


@dataclass(frozen=True, slots=True)
class InterruptRates:
    """Interrupts a second between two looks."""

    total: float
    per_cpu: tuple[float, ...]


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
        return InterruptRates(sum(deltas) / seconds, per_cpu)
