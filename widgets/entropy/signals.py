"""The signals of one reading as lines: a name, a value in words, a tone."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import NamedTuple

from kdash.backends.entropy.facts import (
    DeviceHolder,
    Era,
    GetrandomCaller,
    HardwareSource,
    Holders,
    Percentiles,
    RandomEvents,
    Reading,
    Reseed,
)
from kdash.widgets.entropy.series import number
from kdash.widgets.entropy.tone_lines import Line, Span
from kdash.widgets.line_table import fit
from kdash.widgets.printable import printable

NAME_WIDTH = 16
# Seconds since the last reseed. One is due every 60 s (CRNG_RESEED_INTERVAL, drivers/char/random.c
# since 5.18), which the timer wheel rounds up to 61.44 s at 250 Hz.
RESEED_LATE = 75.0
RESEED_MISSED = 180.0
# write_wakeup_threshold and urandom_min_reseed_secs are kept for their readers alone since 5.18.
INERT = (Era.SINCE_5_18, Era.SINCE_5_19)

NAMES = {  # of signals that are not available, where the name is too long for its column
    "read_wakeup_threshold": "read wake-up",
    "write_wakeup_threshold": "write wake-up",
    "min_reseed_seconds": "min. reseed",
    "random_readable": "/dev/random",
    "rndgetentcnt": "RNDGETENTCNT",
    "lrng": "LRNG",
    "irq_per_second": "interrupts",
    "hwrng": "hardware source",
    "hwrng_rate": "hardware rate",
    "reseed": "last reseed",
    "vm_forks": "machine forks",
    "callers": "getrandom by",
    "random_events": "random:* events",
    "getrandom": "getrandom 16 B",
    "getrandom_vdso": "vDSO getrandom",
    "holders": "device holders",
    "kernel_generators": "crypto API",
    "ready": "readiness",
}

CPUS = 8  # that are listed one by one
CALLERS = 4  # the most frequent ones
HOLDERS = 3  # the first ones
EVENTS = 3  # the newest ones
GRAVE = frozenset({"vm-fork", "hwrng-lost", "hwrng-silent"})  # kinds of events
TOLD_ABOVE = frozenset({"entropy_avail", "sample"})  # beside the number they are about


class Signal(NamedTuple):
    """One signal as the pane shows it."""

    name: str
    value: str
    tone: str = ""


def signals(reading: Reading) -> tuple[Signal, ...]:
    """What the reading tells, then what can't be told and why."""
    return (*_told(reading), *_untold(reading))


def _told(reading: Reading) -> Iterator[Signal]:
    if reading.reseed is not None:
        yield _reseed(reading, reading.reseed)
    yield from _events(reading)
    if reading.hwrng is not None:
        yield _hardware(reading, reading.hwrng)
    if reading.irq_per_second is not None:
        yield Signal("interrupts", _interrupts(reading))
    if reading.random_events is not None:
        yield from _pools(reading.random_events)
    yield from _getrandom(reading)
    if reading.holders is not None:
        yield Signal("device holders", _holders(reading.holders))
    if reading.random_readable is not None:
        readable = reading.random_readable
        yield Signal("/dev/random", "readable" if readable else "a read would wait",
                     "" if readable else "warning")  # fmt: skip
    if reading.blocked_readers is not None:
        count = reading.blocked_readers
        yield Signal("blocked readers", str(count), "warning" if count else "")
    yield from _thresholds(reading)
    if reading.kernel_generators:
        yield Signal("crypto API", ", ".join(reading.kernel_generators))
    if reading.uptime_seconds is not None:
        yield Signal("uptime", duration(reading.uptime_seconds))


def _getrandom(reading: Reading) -> Iterator[Signal]:
    """What calls of getrandom cost and give, and who makes them."""
    if reading.latency is not None:
        if reading.latency.syscall:
            yield Signal("getrandom 16 B", "syscall " + _percentiles(reading.latency.syscall))
        if reading.latency.vdso:
            yield Signal("", "vDSO " + _percentiles(reading.latency.vdso))
    yield from _throughput(reading)
    if reading.stream is not None:
        tested, failed = reading.stream.blocks, reading.stream.failures
        told = f"FIPS 140-2: {failed} of {tested} blocks failed (tells nothing of seeding)"
        yield Signal("stream", told)
    if reading.callers is not None:
        yield Signal("getrandom by", _callers(reading.callers))


def _pools(traced: RandomEvents) -> Iterator[Signal]:
    """What moved in the kernel's own pools since the reading before."""
    told = [str(pool) for pool in traced.pools] or ["no event"]
    for place, text in enumerate(told):
        yield Signal("" if place else NAMES["random_events"], text)


def _events(reading: Reading) -> Iterator[Signal]:
    """The newest events, the last one first."""
    for place, event in enumerate(reading.events[-1 : -EVENTS - 1 : -1]):
        ago = duration(max(0.0, reading.monotonic - event.monotonic))
        tone = "bad" if event.kind in GRAVE else ""
        yield Signal("" if place else "events", f"{ago} ago: {event.text}", tone)


def _hardware(reading: Reading, source: HardwareSource) -> Signal:
    told = source.current
    if source.quality is not None:
        told += f", quality {source.quality}/1024"
    if reading.hwrng_rate is not None:
        told += f", {number(reading.hwrng_rate.bytes_per_second / 1e3)} kB/s"
    others = [name for name in source.available if name != source.current]
    if others:
        told += f" (also {', '.join(others)})"
    return Signal("hardware source", told, "muted" if source.current in ("", "none") else "")


def _reseed(reading: Reading, reseed: Reseed) -> Signal:
    known = reseed.seconds_since is not None
    seconds = reseed.seconds_since if reseed.seconds_since is not None else reseed.at_least
    words, tone = _lateness(seconds)
    since = f"{'' if known else 'over '}{seconds:.0f} s ago"
    text = f"{since}{words}, generation {reseed.generation}"
    if reading.forced_reseeds:
        text += f", {reading.forced_reseeds} forced"
    return Signal("last reseed", text, tone or ("good" if known else ""))


def _lateness(seconds: float) -> tuple[str, str]:
    if seconds > RESEED_MISSED:
        return ", MISSED", "bad"
    return (", late", "warning") if seconds > RESEED_LATE else ("", "")


def _interrupts(reading: Reading) -> str:
    window = "" if reading.irq_seconds is None else f" over {reading.irq_seconds:.1f} s"
    total = f"{number(reading.irq_per_second or 0.0)}/s{window}"
    by_cpu = reading.irq_per_second_by_cpu
    if len(by_cpu) < 2:
        return total
    if len(by_cpu) <= CPUS:
        return f"{total} (by CPU: {' '.join(number(rate) for rate in by_cpu)})"
    busiest = sorted(range(len(by_cpu)), key=lambda cpu: -by_cpu[cpu])[: CPUS // 2]
    cpus = reading.cpu_numbers
    shown = " ".join(f"#{cpus[place]} {number(by_cpu[place])}" for place in sorted(busiest))
    return f"{total} (busiest of {len(by_cpu)} CPUs: {shown})"


def _percentiles(call: Percentiles) -> str:
    return f"p50 {nanoseconds(call.p50_ns)}, p99 {nanoseconds(call.p99_ns)}"


def _throughput(reading: Reading) -> Iterator[Signal]:
    name = "throughput"
    ways = (
        ("syscall", [(sized.nbytes, sized.syscall) for sized in reading.throughput]),
        ("vDSO", [(sized.nbytes, sized.vdso) for sized in reading.throughput]),
    )
    for way, sizes in ways:
        known = [(nbytes, speed) for nbytes, speed in sizes if speed is not None]
        if known:
            speeds = ", ".join(f"{nbytes} B {number(speed / 1e6)}" for nbytes, speed in known)
            yield Signal(name, f"{way} {speeds} MB/s")
            name = ""


def _holders(holders: Holders) -> str:
    shown = [f"{_device(held)} {held.name} {held.pid}" for held in holders.found[:HOLDERS]]
    if holders.count > len(shown):
        shown.append(f"{holders.count - len(shown)} more")
    hidden = f" ({holders.hidden} processes hidden from you)" if holders.hidden else ""
    return (", ".join(shown) or "none seen") + hidden


def _callers(callers: tuple[GetrandomCaller, ...]) -> str:
    """Who called since the reading before."""
    shown = [f"{c.name} {c.pid} x{c.calls}" for c in callers[:CALLERS]]
    if len(callers) > len(shown):
        shown.append(f"{len(callers) - len(shown)} more")
    return ", ".join(shown) or "nobody through the system call"


def _device(held: DeviceHolder) -> str:
    return held.device.removeprefix("/dev/")


def _thresholds(reading: Reading) -> Iterator[Signal]:
    parts = []
    if reading.read_wakeup_threshold is not None:
        parts.append(f"read {reading.read_wakeup_threshold} bits")
    if reading.write_wakeup_threshold is not None:
        inert = " (inert here)" if reading.era in INERT else ""
        parts.append(f"write {reading.write_wakeup_threshold} bits{inert}")
    if parts:
        yield Signal("wake-ups", ", ".join(parts))
    if reading.min_reseed_seconds is not None:
        inert = " (inert here)" if reading.era in INERT else ""
        yield Signal("min. reseed", f"{reading.min_reseed_seconds} s{inert}")


def _untold(reading: Reading) -> Iterator[Signal]:
    """What can't be told; signals that share a reason share a line."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in reading.unavailable.items():
        if name not in TOLD_ABOVE:
            by_reason.setdefault(reason, []).append(NAMES.get(name, name.replace("_", " ")))
    for reason, names in by_reason.items():
        if len(names) == 1:
            yield Signal(names[0], f"({reason})", "muted")
    first = "not available"
    for reason, names in by_reason.items():
        if len(names) > 1:
            yield Signal(first, f"{reason}: {', '.join(names)}", "muted")
            first = ""


def signal_lines(signal: Signal, width: int) -> list[Line]:
    """A signal as lines; a value that is too long goes on below itself."""
    room = max(8, width - NAME_WIDTH - 1)
    name = fit(signal.name, NAME_WIDTH) if len(signal.name) <= NAME_WIDTH else signal.name
    tone = "muted"
    if len(name) > NAME_WIDTH:
        return [(Span(f"{name}: ", tone), Span(signal.value, signal.tone))]
    pieces = _broken(signal.value, room)
    lines: list[Line] = [(Span(f"{name} ", tone), Span(pieces[0], signal.tone))]
    lines += [(Span(" " * (NAME_WIDTH + 1)), Span(piece, signal.tone)) for piece in pieces[1:]]
    return lines


def _broken(text: str, width: int) -> list[str]:
    return textwrap.wrap(printable(text), width) or [""]


def nanoseconds(value: int) -> str:
    """A time with three digits at most: 441 ns, 1.2 us, 3.4 ms."""
    if value < 1000:
        return f"{value} ns"
    return f"{value / 1000:.1f} us" if value < 1_000_000 else f"{value / 1_000_000:.1f} ms"


def duration(seconds: float) -> str:
    """A time as people say it: 42 s, 3 min, 5 h 10 min, 12 d 3 h."""
    minutes, hours, days = int(seconds) // 60, int(seconds) // 3600, int(seconds) // 86400
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min" if minutes else f"{seconds:.0f} s"
