"""A live model put into the facts that views draw."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from kdash.backends.entropy.fed_generator import FedGenerator
from kdash.backends.entropy.generator import Generator
from kdash.backends.entropy.happenings import Kind
from kdash.backends.entropy.model_facts import (
    FastPoolState,
    PoolFlow,
    SourceState,
)
from kdash.backends.entropy.per_node import PerNodeGenerator
from kdash.backends.entropy.pool import ENTROPY_SHIFT
from kdash.backends.wording import counted

_STOCK_PASSED_ABOVE = 0.75  # credit_entropy_bits


@dataclass(frozen=True, slots=True)
class Before:
    """How a model stood before an advance, to tell what moved."""

    events: Counter[Kind]
    credited: Counter[Kind]
    counts: dict[str, int]  # of each pool, 1/8 bit
    pushes: Counter[str]
    pulls: Counter[str]
    interrupts: dict[int, int]  # by CPU

    @classmethod
    def of(cls, fed: FedGenerator) -> Before:
        """How it stands now."""
        generator = fed.generator
        return cls(
            Counter(fed.events),
            Counter(fed.credited),
            {pool.name: pool.entropy_count for pool in generator.pools},
            Counter(generator.pushes_to),
            Counter(generator.pulls_of),
            {number: cpu.interrupts for number, cpu in fed.cpus.items()},
        )

    def told(self, fed: FedGenerator) -> str:
        """What happened since, in a line."""
        counts = [
            f"{fed.events[kind] - self.events[kind]} {noun}"
            for kind, noun in ((Kind.INTERRUPT, "irq"), (Kind.DISK, "disk"), (Kind.INPUT, "input"))
            if fed.events[kind] > self.events[kind]
        ]
        bits = sum(fed.credited.values()) - sum(self.credited.values())
        text = ", ".join(counts) or "no events"
        text += f", credit {counted(bits, 'bit')}" if bits else ""
        pushes, pulls = fed.generator.pushes_to - self.pushes, fed.generator.pulls_of - self.pulls
        text += f", {sum(pushes.values())} spilled" if pushes else ""
        return text + (f", {sum(pulls.values())} pulled" if pulls else "")


def passed_above(generator: Generator) -> float:
    """The share of an output pool above which the input pool does not spill to it."""
    if isinstance(generator, PerNodeGenerator):
        return generator.design.passed_above
    return _STOCK_PASSED_ABOVE


def sources_of(fed: FedGenerator, before: Before) -> tuple[SourceState, ...]:
    """Disk and input events."""
    return tuple(
        SourceState(
            kind.value, fed.events[kind], fed.credited[kind],
            busy=fed.events[kind] > before.events[kind],
        )
        for kind in (Kind.DISK, Kind.INPUT)
    )  # fmt: skip


def fast_pools_of(fed: FedGenerator, before: Before) -> tuple[FastPoolState, ...]:
    """The fast pools of the CPUs that had an interrupt."""
    return tuple(
        FastPoolState(
            number, cpu.pool.count, cpu.flushes, cpu.interrupts,
            busy=cpu.interrupts > before.interrupts.get(number, 0),
        )
        for number, cpu in sorted(fed.cpus.items())
    )  # fmt: skip


def flows_of(generator: Generator, before: Before) -> tuple[PoolFlow, ...]:
    """What went into and out of each pool."""
    found = []
    for pool in generator.pools:
        pushes, pulls = generator.pushes_to[pool.name], generator.pulls_of[pool.name]
        gained = pool.entropy_count - before.counts.get(pool.name, pool.entropy_count)
        found.append(
            PoolFlow(
                pushes, pulls, pushed=pushes > before.pushes[pool.name],
                pulled=pulls > before.pulls[pool.name], gained=gained / (1 << ENTROPY_SHIFT),
            )
        )  # fmt: skip
    return tuple(found)
