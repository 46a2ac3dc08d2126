"""The entropy facts as text a person reads: aligned, one fact a line."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from kdash.backends.wording import counted

if TYPE_CHECKING:
    from kdash.backends.entropy.facts import GeneratorEvent, Percentiles, Reading
    from kdash.backends.entropy.replay import Mismatch

_LABEL_WIDTH = 16
_TEXT_WIDTH = 88
_LONGEST_VALUE = 64
_CPUS = 8  # the busiest ones
_HOLDERS = 8  # the first ones
_EVENTS = 8  # the newest ones


def reading_text(reading: Reading) -> str:
    """All facts of one reading."""
    rows = [
        ("entropy_avail", _number(reading)),
        ("meaning", reading.meaning),
        ("era", reading.era.value),
        ("ready", _ready(reading)),
        ("reseed", _reseed(reading)),
        ("hardware source", _hardware(reading)),
        ("getrandom", _latency(reading)),
        ("throughput", _throughput(reading)),
        ("stream", _stream(reading)),
        ("interrupts", _interrupts(reading)),
        ("thresholds", _thresholds(reading)),
        ("kernel log", _log(reading)),
        ("RNDGETENTCNT", "" if reading.entropy_count is None else f"{reading.entropy_count} bits"),
        ("LRNG", "; ".join(f"{name} {value}".strip() for name, value in reading.lrng)),
        ("pools", _pools(reading)),
        ("blocked readers", "" if reading.blocked_readers is None else _blocked(reading)),
        ("callers", _callers(reading)),
        ("device holders", _holders(reading)),
        ("crypto API", ", ".join(reading.kernel_generators)),
        ("boot", reading.boot_id),
    ]
    rows += [
        ("" if index else "events", _event(event))
        for index, event in enumerate(reading.events[-_EVENTS:])
    ]
    rows += [("alert", alert) for alert in reading.alerts] or [("alerts", "none")]
    rows += [
        ("" if index else "not available", f"{name}: {why}")
        for index, (name, why) in enumerate(reading.unavailable.items())
    ]
    return "".join(_row(label, text) for label, text in rows if text)


def reading_line(reading: Reading, when: datetime) -> str:
    """One line of `watch`."""
    parts = [
        f"{when:%H:%M:%S}",
        {True: "seeded", False: "NOT SEEDED", None: "seeded?"}[reading.ready],
        _number(reading),
        f"reseed {_reseed(reading)}" if reading.reseed else "",
        f"irq {_interrupts(reading)}" if reading.irq_per_second is not None else "",
        f"source {reading.hwrng.current}" if reading.hwrng else "",
        f"getrandom {_latency(reading)}" if reading.latency else "",
        f"callers {_callers(reading)}" if reading.callers is not None else "",
        f"pools {_pools(reading)}" if reading.random_events is not None else "",
        *(f"ALERT {alert}" for alert in reading.alerts),
    ]
    return escaped("  ".join(part for part in parts if part)) + "\n"


def replay_text(cases: int, operations: int, failed: Sequence[Mismatch]) -> str:
    """What a replay found, a line for each case that failed."""
    lines = [
        f"{mismatch.id}: operation {mismatch.operation}, {mismatch.field}: "
        f"expected {_short(mismatch.expected)}, got {_short(mismatch.got)}"
        for mismatch in failed
    ]
    passed = cases - len(failed)
    lines.append(f"{passed} of {cases} cases passed ({operations:,} operations)")
    return "".join(escaped(line) + "\n" for line in lines)


def escaped(text: str) -> str:
    """The text with what a terminal would obey made visible."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _row(label: str, text: str) -> str:
    indent = " " * _LABEL_WIDTH
    lines = textwrap.wrap(escaped(text), _TEXT_WIDTH - _LABEL_WIDTH, break_on_hyphens=False)
    return f"{label:<{_LABEL_WIDTH}}" + f"\n{indent}".join(lines) + "\n"


def _number(reading: Reading) -> str:
    if reading.entropy_avail is None:
        return "unknown"
    size = "" if reading.poolsize is None else f" of {reading.poolsize}"
    return f"{reading.entropy_avail}{size} bits"


def _ready(reading: Reading) -> str:
    if reading.ready is None:
        return "unknown"
    return "yes, getrandom answers at once" if reading.ready else "NO, getrandom waits"


def _reseed(reading: Reading) -> str:
    reseed = reading.reseed
    if reseed is None:
        return ""
    if reseed.seconds_since is None:
        return f"generation {reseed.generation}, more than {reseed.at_least:.1f} s ago"
    return f"generation {reseed.generation}, {reseed.seconds_since:.1f} s ago"


def _hardware(reading: Reading) -> str:
    source = reading.hwrng
    if source is None:
        return ""
    rate = reading.hwrng_rate
    speed = f", gives {rate.bytes_per_second / 1e3:.1f} kB/s" if rate else ""
    quality = "" if source.quality is None else f", quality {source.quality} of 1024"
    return f"{source.current}{quality}{speed}"


def _latency(reading: Reading) -> str:
    latency = reading.latency
    if latency is None:
        return ""
    ways = (("system call", latency.syscall), ("vDSO", latency.vdso))
    return ", ".join(f"{name} {_way(way)}" for name, way in ways if way is not None)


def _way(way: Percentiles) -> str:
    return f"{way.p50_ns} ns (p99 {way.p99_ns} ns)"


def _interrupts(reading: Reading) -> str:
    if reading.irq_per_second is None:
        return ""
    by_cpu = list(zip(reading.cpu_numbers, reading.irq_per_second_by_cpu, strict=True))
    busiest = sorted(by_cpu, key=lambda rate: -rate[1])[:_CPUS]
    cpus = ", ".join(f"CPU {cpu} {rate:.1f}" for cpu, rate in sorted(busiest))
    of = f", busiest of {len(by_cpu)}" if len(by_cpu) > _CPUS else ""
    window = "" if reading.irq_seconds is None else f" over {reading.irq_seconds:.1f} s"
    each = f" ({cpus}{of})" if len(by_cpu) > 1 else ""
    return f"{reading.irq_per_second:.1f}/s{window}{each}"


def _thresholds(reading: Reading) -> str:
    known = (
        ("read wake-up", reading.read_wakeup_threshold, "bits"),
        ("write wake-up", reading.write_wakeup_threshold, "bits"),
        ("shortest reseed", reading.min_reseed_seconds, "s"),
    )
    inert = "" if reading.gauge else " (without effect on this kernel)"
    shown = ", ".join(f"{name} {n} {unit}" for name, n, unit in known if n is not None)
    return shown + inert if shown else ""


def _blocked(reading: Reading) -> str:
    return f"{reading.blocked_readers} asleep in the generator"


def _throughput(reading: Reading) -> str:
    ways = (
        ("system call", [(sized.nbytes, sized.syscall) for sized in reading.throughput]),
        ("vDSO", [(sized.nbytes, sized.vdso) for sized in reading.throughput]),
    )
    told = []
    for name, sizes in ways:
        known = [(nbytes, speed) for nbytes, speed in sizes if speed is not None]
        if known:
            speeds = ", ".join(f"{speed / 1e6:.0f} MB/s at {nbytes} B" for nbytes, speed in known)
            told.append(f"{name} {speeds}")
    return "; ".join(told)


def _stream(reading: Reading) -> str:
    stream = reading.stream
    if stream is None:
        return ""
    return f"{stream.failures} of {stream.blocks} blocks failed; says nothing about seeding"


def _callers(reading: Reading) -> str:
    """Who called getrandom since the reading before."""
    callers = reading.callers
    if callers is None:
        return ""
    shown = [f"{c.name} ({c.pid}) {c.calls} x, {c.nbytes} B" for c in callers[:_HOLDERS]]
    if len(callers) > len(shown):
        shown.append(f"{len(callers) - len(shown)} more")
    return "; ".join(shown) or "none"


def _pools(reading: Reading) -> str:
    """What went into and out of the kernel's pools since the reading before."""
    traced = reading.random_events
    if traced is None:
        return ""
    return "; ".join(map(str, traced.pools)) or "no event"


def _log(reading: Reading) -> str:
    lines = reading.logged
    if lines is None:
        return ""
    gone = reading.log_overwritten
    lost = f"; its oldest {counted(gone, 'line')} are overwritten" if gone else ""
    return f"{counted(lines, 'line')} about the generator{lost}"


def _holders(reading: Reading) -> str:
    holders = reading.holders
    if holders is None:
        return ""
    shown = [f"{held.device} {held.name} ({held.pid})" for held in holders.found[:_HOLDERS]]
    if holders.count > len(shown):
        shown.append(f"{holders.count - len(shown)} more")
    seen = f"of {holders.processes} processes"
    if holders.hidden:
        seen += f", {holders.hidden} hidden from this user"
    return f"{', '.join(shown) or 'none'} {seen}; callers of getrandom hold none"


def _event(event: GeneratorEvent) -> str:
    return f"{event.monotonic:.1f} s after boot: {event.kind}: {event.text}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."
