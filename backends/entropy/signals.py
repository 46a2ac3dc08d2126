"""One reading of the live generator: every signal tried, every refusal explained.

Nothing is opened for writing, nothing is credited, no pool is drained. Source of the signals:
random(4), random(7), proc(5); Linux drivers/char/random.c of the versions era.py names.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from kdash.backends.entropy import era as eras
from kdash.backends.entropy import history_file
from kdash.backends.entropy.alerts import alerts_of
from kdash.backends.entropy.behaviour import Behaviour
from kdash.backends.entropy.crypto_api import GeneratorMeter
from kdash.backends.entropy.facts import (
    Era,
    HardwareSource,
    Holders,
    RandomEvents,
    Reading,
    Reseed,
)
from kdash.backends.entropy.generator_events import EventGatherer
from kdash.backends.entropy.history_file import Memory
from kdash.backends.entropy.holders import HolderMeter
from kdash.backends.entropy.hwrng import NONE as NO_SOURCE
from kdash.backends.entropy.hwrng import hwrng_quality, read_hwrng
from kdash.backends.entropy.interrupts import InterruptMeter
from kdash.backends.entropy.kernel_log import KernelLog
from kdash.backends.entropy.lrng import lrng_facts
from kdash.backends.entropy.on_request import OnRequest
from kdash.backends.entropy.procfs import (
    NOT_ON_THIS_KERNEL,
    RANDOM_SYSCTLS,
    Root,
    Unavailable,
    reason,
)
from kdash.backends.entropy.readers import count_blocked_readers
from kdash.backends.entropy.reseed_clock import ReseedClock, Seen
from kdash.backends.entropy.system import LiveSystem, System
from kdash.backends.entropy.vdso import NoVdso, VdsoFacts, VdsoSource

_T = TypeVar("_T")
_POLL_IN = 0x0001
_POLLED = frozenset({Era.SINCE_5_6, Era.SINCE_5_18, Era.SINCE_5_19, Era.LRNG})
_SAMPLED = frozenset({Era.SINCE_5_18, Era.SINCE_5_19})  # getrandom draws from per-CPU keys
_BOOT_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_LEFT_ALONE = "not asked: /dev/random is left alone on this kernel"


class SignalReader:
    """Reads the signals, and remembers what rates, the reseed clock and alerts compare with.

    `on_request` holds what is had only when asked for.
    """

    def __init__(
        self,
        root: str | Path = "/",
        system: System | None = None,
        vdso: VdsoSource | None = None,
        kept: Path | None = None,
    ) -> None:
        """Prepare; nothing is read yet.

        Args:
            root: The folder that holds /proc, /sys and /dev.
            system: Who answers the system calls; the running kernel by default.
            vdso: Who tells the reseed generation; nobody by default.
            kept: A history's file; what the dashboard knew when it wrote it is gone on from.
        """
        self._root = Root(root)
        self._system: System = system or LiveSystem(root)
        self._vdso: VdsoSource = vdso or NoVdso()
        self._behaviour = Behaviour(self._root, self._system)
        self._interrupts = InterruptMeter(self._root, self._system.monotonic)
        self._reseed_clock = ReseedClock()
        self._kernel_log = KernelLog(self._root)
        self._holders = HolderMeter(self._root, self._system.monotonic)
        self.on_request = OnRequest(self._root, self._system, self._vdso)
        self._logged: int | None = None
        self._crypto = GeneratorMeter(self._root, self._system.monotonic)
        self._first = True  # what takes longer waits for the second reading
        self._gatherer = EventGatherer()
        self._forced = 0  # forced reseeds told so far
        self._last_hwrng: HardwareSource | None = None
        self._unavailable: dict[str, str] = {}
        self._kept = kept

    def read(self) -> Reading:
        """Take one reading. What can't be had is in its `unavailable`, with the reason."""
        self._unavailable = {}
        if self._vdso.has_symbol():
            self._vdso.ask()  # answered while the files are read
        now = self._system.monotonic()
        boot_id = self._try("boot_id", self._boot_id) or ""
        self._remember(boot_id, now)
        poolsize = self._sysctl("poolsize")
        # Before the number: a generator that turns ready in between shows a full one.
        ready = self._try("ready", lambda: self._behaviour.ready(poolsize))
        avail = self._available()
        read_wakeup = self._sysctl("read_wakeup_threshold")
        era = self._behaviour.era(
            poolsize, avail, ready, self._has_threshold(read_wakeup), self._vdso.has_symbol()
        )
        own = self._behaviour.own_era
        rates = self._try("irq_per_second", self._interrupts.rates)
        hwrng = self._try("hwrng", lambda: read_hwrng(self._root))
        if hwrng is not None and hwrng.quality is None and hwrng.current != NO_SOURCE:
            self._try("hwrng_quality", lambda: hwrng_quality(self._root))
        reseed, calls = self._vdso_facts(own, now)
        self._gather(hwrng, now)
        reading = Reading(
            monotonic=now,
            era=era,
            ready=ready,
            entropy_avail=avail,
            poolsize=poolsize,
            meaning=eras.meaning(era, avail, poolsize, ready),
            gauge=own in eras.MOVING,
            read_wakeup_threshold=read_wakeup,
            write_wakeup_threshold=self._sysctl("write_wakeup_threshold"),
            min_reseed_seconds=self._sysctl("urandom_min_reseed_secs", "min_reseed_seconds"),
            hwrng=hwrng,
            irq_per_second=rates.total if rates else None,
            irq_per_second_by_cpu=rates.per_cpu if rates else (),
            irq_count_by_cpu=rates.counts if rates else (),
            irq_cpus=rates.cpus if rates else (),
            irq_seconds=rates.seconds if rates else None,
            boot_id=boot_id,
            reseed=reseed,
            latency=calls.latency if calls else None,
            throughput=calls.throughput if calls else (),
            stream=calls.stream if calls else None,
            holders=self._look_round(),
            callers=self._try("callers", self.on_request.callers),
            random_events=self._try("random_events", lambda: self._random_events(own)),
            entropy_count=self._try("rndgetentcnt", lambda: self._entropy_count(era)),
            lrng=self._try("lrng", lambda: lrng_facts(self._root)) or (),
            logged=self._logged,
            log_overwritten=self._kernel_log.overwritten,
            hwrng_rate=self._try("hwrng_rate", self.on_request.hwrng_rate),
            random_readable=self._try("random_readable", lambda: self._poll(era)),
            blocked_readers=self._blocked_readers(era, avail, read_wakeup),
            uptime_seconds=self._try("uptime_seconds", self._root.uptime),
            kernel_generators=self._generators(),
            events=self._gatherer.events,
            forced_reseeds=self._reseed_clock.forced,
            vm_forks=self._gatherer.vm_forks,
        )
        self._first = False
        alerts = alerts_of(reading, self._last_hwrng)
        if hwrng is not None and hwrng.current != NO_SOURCE:
            self._last_hwrng = hwrng
        return dataclasses.replace(reading, unavailable=dict(self._unavailable), alerts=alerts)

    @property
    def memory(self) -> Memory:
        """What a reader of a later process can go on from."""
        source = self._last_hwrng.current if self._last_hwrng else ""
        last = self._reseed_clock.last
        if last is None:
            return Memory(hwrng=source)
        generation, seen = last
        return Memory(generation, seen.earliest, seen.latest, source)

    def resume(self, memory: Memory) -> None:
        """Go on from what a reader of an earlier process of this boot knew."""
        if memory.generation is not None:
            seen = Seen(memory.reseed_earliest, memory.reseed_latest)
            self._reseed_clock.resume(memory.generation, seen)
        if memory.hwrng and self._last_hwrng is None:
            self._last_hwrng = HardwareSource(memory.hwrng)

    def close(self) -> None:
        """Let go of what answers in the background and of what is kept open."""
        self._vdso.close()
        self._kernel_log.close()
        self.on_request.close()
        self._system.close()

    def _try(self, signal: str, read: Callable[[], _T]) -> _T | None:
        """The signal's value; None, and the reason noted, where it can't be had."""
        try:
            return read()
        except Unavailable as error:
            self._unavailable[signal] = str(error)
        except OSError as error:
            self._unavailable[signal] = reason(error)
        return None

    def _sysctl(self, name: str, signal: str = "") -> int | None:
        signal = signal or name
        value = self._try(signal, lambda: self._root.integer(f"{RANDOM_SYSCTLS}/{name}"))
        if value is not None and not 0 <= value <= eras.MOST_BITS:
            self._unavailable[signal] = eras.NO_PLAUSIBLE_NUMBER
            return None
        return value

    def _has_threshold(self, read_wakeup: int | None) -> bool:
        """Whether this kernel has the threshold, readable or not."""
        name = f"{RANDOM_SYSCTLS}/read_wakeup_threshold"
        return read_wakeup is not None or self._root.exists(name)

    def _available(self) -> int | None:
        """entropy_avail, by ioctl where /proc does not show it."""
        avail = self._sysctl("entropy_avail")
        if avail is None:
            with suppress(OSError, Unavailable):
                count = self._behaviour.entropy_count()
                del self._unavailable["entropy_avail"]
                return count
        return avail

    def _entropy_count(self, era: Era) -> int:
        """The number as RNDGETENTCNT tells it."""
        if era in eras.DRAINING:
            raise Unavailable(_LEFT_ALONE)
        return self._behaviour.entropy_count()

    def _random_events(self, era: Era) -> RandomEvents:
        """The kernel's own events, gone from those whose pool has 256 bits."""
        try:
            return self.on_request.random_events()
        except Unavailable:
            if era in _SAMPLED:
                raise Unavailable(NOT_ON_THIS_KERNEL) from None
            raise

    def _remember(self, boot_id: str, now: float) -> None:
        """Go on from what the dashboard of this boot left, once."""
        kept, self._kept = self._kept, None
        if kept is not None and boot_id:
            with suppress(history_file.NoHistoryError):
                self.resume(history_file.load_memory(kept, boot_id, now))

    def _boot_id(self) -> str:
        text = self._root.text(f"{RANDOM_SYSCTLS}/boot_id").strip()
        if not _BOOT_ID.fullmatch(text):
            raise Unavailable("holds no boot identifier")
        return text

    def _poll(self, era: Era) -> bool:
        if era not in _POLLED:
            raise Unavailable(_LEFT_ALONE)
        return bool(self._system.poll_random() & _POLL_IN)

    def _blocked_readers(self, era: Era, avail: int | None, read_wakeup: int | None) -> int | None:
        """Sleepers, looked for unless the number says that there can be none."""
        if era not in eras.DRAINING:
            self._unavailable["blocked_readers"] = (
                "not looked for: whose device /dev/random is can't be told"
                if era in (Era.REPLACED, Era.UNKNOWN)
                else NOT_ON_THIS_KERNEL
            )
            return None
        if avail is not None and read_wakeup is not None and avail >= read_wakeup:
            return 0
        return self._try("blocked_readers", lambda: count_blocked_readers(self._root))

    def _vdso_facts(self, era: Era, now: float) -> tuple[Reseed | None, VdsoFacts | None]:
        """The reseed clock and the cost of calls, from the isolated probe."""
        if era not in _SAMPLED:
            self._unavailable["reseed"] = NOT_ON_THIS_KERNEL
            self._not_sampled("not sampled where that could draw from the pool")
            return None, None
        facts = self._try("reseed", self._vdso.answer)
        if facts is None:
            self._not_sampled(self._unavailable["reseed"])
            return None, None
        reseed = self._try("reseed", lambda: self._reseed_clock.tick(facts, now))
        if facts.latency is None:
            self._not_sampled(facts.latency_missing or "not sampled")
        elif facts.latency.vdso is None:
            self._unavailable["getrandom_vdso"] = NOT_ON_THIS_KERNEL
        if not facts.throughput:
            self._unavailable.setdefault("throughput", "not timed yet")
        if facts.stream is None and "stream" not in self._unavailable:
            self._unavailable["stream"] = "tested from the sixth sample on"
        return reseed, facts

    def _not_sampled(self, why: str) -> None:
        """Nothing that calls of getrandom tell can be had."""
        for signal in ("getrandom", "throughput", "stream"):
            self._unavailable[signal] = why

    def _gather(self, hwrng: HardwareSource | None, now: float) -> None:
        """Note what happened since the last reading, told by whoever tells it."""
        if not self._first:
            told = self._try("kernel_log", self._kernel_log.read)
            self._gatherer.add(told or ())
            self._logged = None if told is None else len(told) + (self._logged or 0)
        self._gatherer.announced(self._try("vm_forks", self._system.uevents) or (), now)
        forced = self._reseed_clock.forced
        self._gatherer.reseeded(forced - self._forced, now)
        self._forced = forced
        self._gatherer.hardware(hwrng, now)

    def _generators(self) -> tuple[str, ...]:
        """The generators of the kernel's crypto API."""
        if self._first:
            return ()
        return self._try("kernel_generators", self._crypto.generators) or ()

    def _look_round(self) -> Holders | None:
        """Who holds the devices; looked for from the second reading on."""
        return None if self._first else self._try("holders", self._holders.holders)
