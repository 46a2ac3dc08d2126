"""The pools of Linux 4.3 at work: one event or read after another, and what a person does to them.

The clock is the model's own; who moves it decides what comes (live_model.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from random import Random

from kdash.backends.entropy.devices import read_urandom
from kdash.backends.entropy.facts import ModelStep, PoolState
from kdash.backends.entropy.fed_generator import FedGenerator, boot_machine, changes_between
from kdash.backends.entropy.happenings import Happening, Kind
from kdash.backends.entropy.model_agenda import Agenda
from kdash.backends.entropy.model_load import NS, Arrivals, LoadSource, Reader
from kdash.backends.entropy.model_state import Before
from kdash.backends.entropy.model_twin import Twin
from kdash.backends.entropy.pool import mix_pool_bytes
from kdash.backends.wording import counted

DEVICES = ("/dev/random", "/dev/urandom", "getrandom")
DEFAULT_READ_BYTES = 16


class PoolsAtWork:
    """A generator with its agenda, its twin and the clock all of them go by."""

    def _boot(self, seed: bytes | None, nodes: int) -> None:
        """Start the pools, their clock, and who could make up events or read."""
        self._fed = FedGenerator(boot_machine(seed, time.monotonic_ns(), time.time_ns()), nodes)
        self._seed = seed
        # Not for secrets: it makes up when events come.
        self._random = Random(os.urandom(16) if seed is None else seed)  # noqa: S311
        self._index = 0
        self._now_ns = 0  # since the model's boot
        self._twin = Twin()
        self._load = {kind: LoadSource(kind, Arrivals(self._random)) for kind in Kind}
        self._readers = {
            device: Reader(device, DEFAULT_READ_BYTES, Arrivals(self._random)) for device in DEVICES
        }
        self._agenda = Agenda(self._load, self._readers)
        self._before = Before.of(self._fed)

    def _one(self, end_ns: int | None) -> str | None:
        """Carry out what comes next before `end_ns`; what it did, or None for nothing."""
        due = self._agenda.take(end_ns)
        if due is None:
            return None
        at, source = due
        self._set_time(max(at, self._now_ns))
        if isinstance(source, Reader):
            return self._read(source)
        if isinstance(source, LoadSource):
            source.arrivals.arm(self._now_ns)
            source = Happening(0, source.kind, *source.event())
        return self._feed_event(source)

    def _set_time(self, now_ns: int) -> None:
        self._now_ns = now_ns
        for fed in self._twin.alike(self._fed):
            fed.set_time(now_ns)

    def _feed_event(self, happening: Happening) -> str:
        text = self._fed.apply(happening.kind, happening.cpu, happening.number, happening.value)
        self._twin.feed(happening)
        return text + self._settle()

    def _read(self, reader: Reader) -> str:
        done = reader.read(self._fed.generator, self._now_ns)
        if (twin := self._twin.follows) is not None:
            reader.ask(twin.generator)
        if not done:
            return f"{reader.device}: the reader sleeps, the pools give nothing"
        return f"{reader.device}: {len(reader.last)} of {reader.nbytes} bytes" + self._settle()

    def _settle(self) -> str:
        """Run the spill an operation brought about, wake who may go on; what came of it."""
        generator = self._fed.generator
        spilled = [pool.name for pool in generator.queued]
        for fed in self._twin.alike(self._fed):
            fed.generator.run_work()
        text = f", spill to {' and '.join(spilled)}" if spilled else ""
        for reader in self._readers.values():
            if reader.waiting_since is None or not reader.may_go_on(generator):
                continue
            if reader.read(generator, self._now_ns):
                text += f", {reader.device} wakes"
            if (twin := self._twin.follows) is not None:
                reader.ask(twin.generator)
        return text

    # -- by hand ----------------------------------------------------------------------

    def extract(self, nbytes: int) -> ModelStep:
        """Extract from the input pool; the output is as short as the accounted bits make it."""
        output = b""

        def extraction() -> str:
            nonlocal output
            for fed in self._twin.alike(self._fed):
                found = fed.generator.extract_entropy(fed.generator.input, nbytes)
                output = found if fed is self._fed else output
            short = f" of {nbytes}" if len(output) < nbytes else ""
            return f"extract {len(output)}{short} bytes"

        step = self._do(extraction)
        return ModelStep(
            step.index, step.operation, output, step.input, step.changed_words, step.changes
        )

    def urandom(self, nbytes: int) -> bytes:
        """What a reader of the model's /dev/urandom gets; no step is told of it."""
        return read_urandom(self._fed.generator, nbytes).out

    def mix(self, data: bytes) -> ModelStep:
        """Mix bytes into the input pool without credit."""

        def mixing() -> str:
            for fed in self._twin.alike(self._fed):
                mix_pool_bytes(fed.generator.input, data)
            return f"mix {counted(len(data), 'byte')}"

        return self._do(mixing)

    def credit(self, bits: int) -> ModelStep:
        """Credit the input pool, or debit it when negative, as RNDADDTOENTCNT does."""

        def crediting() -> str:
            for fed in self._twin.alike(self._fed):
                fed.generator.credit_safe(fed.generator.input, bits)
            word = "credit" if bits >= 0 else "debit"
            return f"{word} {counted(abs(bits), 'bit')}"

        return self._do(crediting)

    def _do(self, operation: Callable[[], str]) -> ModelStep:
        """Run an operation of the person's and what it brings about, and tell what changed."""
        inventory = self._fed.inventory()
        words = list(self._fed.generator.input.words)
        self._before = Before.of(self._fed)
        text = operation() + self._settle()
        self._twin.look(self._fed)
        step = self._told(text, words)
        changes = changes_between(inventory, self._fed.inventory())
        return ModelStep(step.index, step.operation, b"", step.input, step.changed_words, changes)

    def _told(self, text: str, before: list[int]) -> ModelStep:
        state = self._fed.generator.input.state()
        changed = frozenset(
            i for i, (old, new) in enumerate(zip(before, state.words, strict=True)) if old != new
        )
        step = ModelStep(self._index, text, b"", state, changed)
        self._index += 1
        return step

    # -- looking ----------------------------------------------------------------------

    @property
    def seconds(self) -> float:
        """Since the model's boot, on its own clock."""
        return self._now_ns / NS

    def state(self) -> PoolState:
        """The input pool now."""
        return self._fed.generator.input.state()

    def outputs(self) -> tuple[PoolState, ...]:
        """The blocking pool and those behind /dev/urandom now."""
        return tuple(pool.state() for pool in self._fed.generator.pools[1:])
