"""The Linux 4.3 generator with what stands between it and a machine's events."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from kdash.backends.entropy.events import (
    FastPool,
    InputEvents,
    TimerState,
    add_disk_randomness,
    rand_initialize,
)
from kdash.backends.entropy.facts import Changes, CounterChange, PoolState, WordChange
from kdash.backends.entropy.generator import HZ, INITIAL_JIFFIES, UTS_BYTES, Generator, Machine
from kdash.backends.entropy.happenings import Kind
from kdash.backends.entropy.per_node import PerNodeDesign, PerNodeGenerator
from kdash.backends.wording import counted

_NS = 1_000_000_000
_MASK64 = (1 << 64) - 1
_MASK32 = (1 << 32) - 1
_EV_KEY = 1  # of include/uapi/linux/input.h

Inventory = dict[str, tuple[dict[str, int], tuple[int, ...]]]  # place -> counters, words


@dataclass(slots=True)
class Cpu:
    """One CPU's fast pool, and how often it was used."""

    pool: FastPool = field(default_factory=FastPool)
    interrupts: int = 0
    flushes: int = 0


class FedGenerator:
    """A generator, the fast pools of the CPUs, and the histories of disks and input devices."""

    def __init__(self, machine: Machine, nodes: int = 0) -> None:
        """Start the pools as the kernel does at boot.

        Args:
            machine: What they start from.
            nodes: Of the per-node design; 0: the stock design.

        Raises:
            ValueError: There can't be so many nodes.
        """
        self.generator = _designed(nodes)
        self.generator.machine = machine
        self.boot_cycles = machine.cycles
        self.cpus: dict[int, Cpu] = {}
        self.disks: dict[int, TimerState] = {}
        self.inputs = InputEvents()
        self.events: Counter[Kind] = Counter()
        self.credited: Counter[Kind] = Counter()  # bits asked for, before what is full takes less
        rand_initialize(self.generator)

    @property
    def nodes(self) -> int:
        """Of the per-node design; 0: the stock design."""
        generator = self.generator
        return generator.design.nodes if isinstance(generator, PerNodeGenerator) else 0

    def redesign(self, nodes: int) -> None:
        """Go on with another design from the state there is.

        Raises:
            ValueError: There can't be so many nodes.
        """
        changed = _designed(nodes)
        changed.take_over(self.generator)
        self.generator = changed

    def set_time(self, now_ns: int) -> None:
        """Set the clocks of the machine, nanoseconds since its boot."""
        machine = self.generator.machine
        machine.jiffies = INITIAL_JIFFIES + now_ns * HZ // _NS
        machine.cycles = (self.boot_cycles + now_ns) & _MASK64  # a counter of 1 GHz

    def apply(self, kind: Kind, cpu: int, number: int, value: int) -> str:
        """Feed one event to the function that is there for it, and say what it did."""
        self.events[kind] += 1
        generator = self.generator
        target = generator.event_pool().name
        match kind:
            case Kind.INTERRUPT:
                return self._interrupt(cpu, number, target)
            case Kind.DISK:
                history = self.disks.setdefault(number, TimerState())
                text = f"disk {number >> 20}:{number & 0xFFFFF} done"
                bits = add_disk_randomness(generator, history, number & _MASK32)
            case Kind.INPUT:
                text = f"input code {number} value {value}"
                taken = self.inputs.add(generator, _EV_KEY, number, value)
                if taken is None:
                    return f"{text}: the value before, ignored"
                bits = taken
        self.credited[kind] += bits
        return f"{text}: 16 bytes into {target}, credit {counted(bits, 'bit')}"

    def _interrupt(self, number_of_cpu: int, irq: int, target: str) -> str:
        cpu = self.cpus.setdefault(number_of_cpu, Cpu())
        cpu.interrupts += 1
        bits = cpu.pool.add_interrupt(self.generator, irq)
        text = f"irq {irq} on CPU {number_of_cpu}"
        if not bits:
            return f"{text}: into its fast pool, {cpu.pool.count}/64"
        cpu.flushes += 1
        self.credited[Kind.INTERRUPT] += bits
        return f"{text}: fast pool into {target}, credit {counted(bits, 'bit')}"

    def inventory(self) -> Inventory:
        """Every counter and word there is, by place and name."""
        found: Inventory = {pool.name: _of_pool(pool.state()) for pool in self.generator.pools}
        for number, cpu in self.cpus.items():
            counters = {"count": cpu.pool.count, "last": cpu.pool.last}
            found[f"fast pool of CPU {number}"] = counters, tuple(cpu.pool.words)
        for device, history in self.disks.items():
            found[f"disk {device >> 20}:{device & 0xFFFFF}"] = _of_timer(history), ()
        found["input events"] = (
            {"last_value": self.inputs.last_value, **_of_timer(self.inputs.timer)}, (),
        )  # fmt: skip
        woken = self.generator.wakeups
        found["woken"] = (
            {"random_read_wait": woken.readers, "random_write_wait": woken.writers,
             "urandom_init_wait": woken.seed_waiters}, (),
        )  # fmt: skip
        return found


def changes_between(before: Inventory, after: Inventory) -> tuple[Changes, ...]:
    """What differs, by place; what is new began at 0."""
    found = []
    for place, (counters, words) in after.items():
        old_counters, old_words = before.get(place, ({}, ()))
        old_words = old_words or (0,) * len(words)
        changed = tuple(
            CounterChange(name, old_counters.get(name, 0), value)
            for name, value in counters.items()
            if value != old_counters.get(name, 0)
        )
        rewritten = tuple(
            WordChange(index, old, new)
            for index, (old, new) in enumerate(zip(old_words, words, strict=True))
            if old != new
        )
        if changed or rewritten:
            found.append(Changes(place, changed, rewritten))
    return tuple(found)


def spread_between(one: Generator, other: Generator) -> tuple[tuple[int, ...], ...]:
    """For each pool and word the number of bits that differ."""
    return tuple(
        tuple((a ^ b).bit_count() for a, b in zip(mine.words, theirs.words, strict=True))
        for mine, theirs in zip(one.pools, other.pools, strict=True)
    )


def boot_machine(seed: bytes | None, cycles: int, ktime: int) -> Machine:
    """The machine the pools see when they are started; with a seed the clocks count for nothing."""
    if seed is not None:
        return Machine(uts=seed[:UTS_BYTES].ljust(UTS_BYTES, b"\0"))
    return Machine(cycles=cycles & _MASK64, ktime=ktime)


def _designed(nodes: int) -> Generator:
    return PerNodeGenerator(PerNodeDesign(nodes)) if nodes else Generator()


def _of_pool(state: PoolState) -> tuple[dict[str, int], tuple[int, ...]]:
    counters = {
        "entropy_count": state.entropy_count,
        "entropy_total": state.entropy_total,
        "initialized": int(state.initialized),
        "add_ptr": state.add_ptr,
        "input_rotate": state.input_rotate,
    }
    return counters, state.words


def _of_timer(history: TimerState) -> dict[str, int]:
    return {
        "last_time": history.last_time,
        "last_delta": history.last_delta,
        "last_delta2": history.last_delta2,
    }
