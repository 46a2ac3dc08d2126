"""A reading, a replay, as the JSON objects other programs parse; unknown keys are absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

from kdash.backends.entropy.facts import (
    GeneratorEvent,
    GetrandomCaller,
    GetrandomLatency,
    HardwareSource,
    Holders,
    Percentiles,
    RandomEvents,
    Reading,
    Reseed,
    Throughput,
)
from kdash.backends.entropy.replay import Mismatch

Json = dict[str, object]


def reading_json(reading: Reading) -> Json:
    """The object of `kdash entropy --format json`."""
    found: Json = {
        "era": reading.era.value,
        "ready": reading.ready,
        "entropy_avail": reading.entropy_avail,
        "poolsize": reading.poolsize,
        "meaning": reading.meaning,
        "gauge": reading.gauge,
        "read_wakeup_threshold": reading.read_wakeup_threshold,
        "write_wakeup_threshold": reading.write_wakeup_threshold,
        "min_reseed_seconds": reading.min_reseed_seconds,
        "reseed": _reseed(reading.reseed),
        "hwrng": _hwrng(reading.hwrng),
        "getrandom": _latency(reading.latency),
        "throughput": [_throughput(sized) for sized in reading.throughput] or None,
        "irq_per_second": _rounded(reading.irq_per_second),
        "irq_window_seconds": _rounded(reading.irq_seconds),
        "random_readable": reading.random_readable,
        "blocked_readers": reading.blocked_readers,
        "uptime_seconds": reading.uptime_seconds,
        "irq_per_second_by_cpu": [round(rate, 3) for rate in reading.irq_per_second_by_cpu] or None,
        "irq_cpus": list(reading.cpu_numbers) or None,
        "kernel_generators": list(reading.kernel_generators) or None,
        "rndgetentcnt": reading.entropy_count,
        "lrng": [{"name": name, "value": value} for name, value in reading.lrng] or None,
        "kernel_log": None
        if reading.logged is None
        else {"events": reading.logged, "overwritten": reading.log_overwritten},
        "stream": {"blocks": reading.stream.blocks, "failures": reading.stream.failures}
        if reading.stream
        else None,
        "callers": _callers(reading.callers),
        "random_events": _random_events(reading.random_events),
        "hwrng_rate": _rounded(reading.hwrng_rate.bytes_per_second) if reading.hwrng_rate else None,
        "holders": _holders(reading.holders),
        "forced_reseeds": reading.forced_reseeds if reading.reseed else None,
        "vm_forks": reading.vm_forks,
        "events": [_event(event) for event in reading.events],
        "boot_id": reading.boot_id or None,
        "unavailable": reading.unavailable,
        "alerts": list(reading.alerts),
    }
    return _known(found)


def replay_json(cases: int, failed: Sequence[Mismatch]) -> Json:
    """The object of `kdash entropy model --format json`; `cases` counts cases."""
    return {
        "cases": cases,
        "passed": cases - len(failed),
        "failed": [
            {
                "id": mismatch.id,
                "operation": mismatch.operation,
                "field": mismatch.field,
                "expected": mismatch.expected,
                "got": mismatch.got,
            }
            for mismatch in failed
        ],
    }


def _known(found: Mapping[str, object]) -> Json:
    return {key: value for key, value in found.items() if value is not None}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _reseed(reseed: Reseed | None) -> Json | None:
    if reseed is None:
        return None
    return _known(
        {
            "generation": reseed.generation,
            "seconds_since": _rounded(reseed.seconds_since),
            "at_least": _rounded(reseed.at_least),
            "source": reseed.source,
        }
    )


def _throughput(sized: Throughput) -> Json:
    return _known(
        {
            "bytes": sized.nbytes,
            "syscall_bytes_per_second": _whole(sized.syscall),
            "vdso_bytes_per_second": _whole(sized.vdso),
        }
    )


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _holders(holders: Holders | None) -> Json | None:
    if holders is None:
        return None
    return {
        "processes": holders.processes,
        "hidden": holders.hidden,
        "count": holders.count,
        "found": [
            {"device": held.device, "pid": held.pid, "name": held.name} for held in holders.found
        ],
    }


def _callers(callers: Sequence[GetrandomCaller] | None) -> list[Json] | None:
    if callers is None:
        return None
    return [
        {"pid": caller.pid, "name": caller.name, "calls": caller.calls, "bytes": caller.nbytes}
        for caller in callers
    ]


def _random_events(traced: RandomEvents | None) -> Json | None:
    if traced is None:
        return None
    return {"counts": dict(traced.counts), "pools": [asdict(pool) for pool in traced.pools]}


def _event(event: GeneratorEvent) -> Json:
    return {"uptime_seconds": round(event.monotonic, 3), "kind": event.kind, "text": event.text}


def _hwrng(source: HardwareSource | None) -> Json | None:
    if source is None:
        return None
    return _known(
        {
            "current": source.current,
            "quality": source.quality,
            "available": list(source.available),
        }
    )


def _latency(latency: GetrandomLatency | None) -> Json | None:
    if latency is None:
        return None
    return _known({"syscall": _way(latency.syscall), "vdso": _way(latency.vdso)}) or None


def _way(way: Percentiles | None) -> Json | None:
    return None if way is None else {"p50_ns": way.p50_ns, "p99_ns": way.p99_ns}
