"""Readings as metrics for Prometheus, named and scaled by the rules of OpenMetrics 1.0.

Base units (seconds, ratios from 0 to 1), counters that end in `_total`, information in labels of
metrics that end in `_info`. The bits of the generator's own counts stay bits, as in node_exporter.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from kdash.backends.entropy.alerts import ALERTS
from kdash.backends.entropy.facts import Percentiles, Reading

PREFIX = "kdash_random"
_NS_A_SECOND = 1e9
_FULL_QUALITY = 1024  # entropy per 1024 bits of input
_FILE_MODE = 0o644  # node_exporter is another user, whatever this one's umask says
_UNITS = ("seconds", "bits", "ratio", "bytes_per_second")  # that end the names of metrics


class ReadingCollector(Collector):
    """Presents the newest reading at each scrape."""

    def __init__(
        self, latest: Callable[[], Reading | None], monotonic: Callable[[], float]
    ) -> None:
        """Prepare.

        Args:
            latest: Gives the newest reading, None before the first.
            monotonic: The clock of the readings, seconds.
        """
        self._latest = latest
        self._monotonic = monotonic

    def collect(self) -> Iterator[Metric]:
        """The metrics of the newest reading; what is not known is absent."""
        reading = self._latest()
        if reading is None:
            return
        age = max(0.0, self._monotonic() - reading.monotonic)
        yield _gauge("sample_age_seconds", "Age of the sample these metrics are of.", age)
        yield from metrics_of(reading)


def registry_of(collector: Collector) -> CollectorRegistry:
    """A registry that holds these metrics alone."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    return registry


def write_metrics(path: Path, registry: CollectorRegistry) -> None:
    """Write the metrics as a text file for everybody to read, at every moment the old or the new.

    Raises:
        OSError: It can't be written, or something else than a file is there, such as a device.
    """
    place = path.resolve()  # a link stays one
    if place.exists() and not place.is_file():
        is_folder = place.is_dir()
        raise OSError(errno.EINVAL, "is a folder" if is_folder else "is not a regular file")
    import tempfile

    text = generate_latest(registry)
    number, temporary = tempfile.mkstemp(dir=place.parent, prefix=f".{place.name}.")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(text)
            os.fchmod(number, _FILE_MODE)
        os.replace(temporary, place)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary)
        raise


def metrics_of(reading: Reading) -> Iterator[Metric]:
    """The metrics of one reading; what is not known is absent."""
    facts = {"era": reading.era.value, "boot_id": reading.boot_id}
    yield InfoMetricFamily(PREFIX, "The generation of the kernel's generator, by behaviour.", facts)
    yield from _gauges(reading)
    yield from _counters(reading)
    yield from _hardware(reading)
    yield from _latency(reading)
    yield from _states(reading)


def _gauges(reading: Reading) -> Iterator[Metric]:
    values = (
        ("ready", "1 when getrandom answers at once.", reading.ready),
        ("entropy_available_bits", "entropy_avail; the era says what it means.",
         reading.entropy_avail),
        ("pool_size_bits", "poolsize.", reading.poolsize),
        (
            "entropy_is_level",
            "1 where entropy_avail is a level that moves, 0 where it is boot progress alone.",
            reading.gauge,
        ),
        (
            "read_wakeup_threshold_bits",
            "Readers of /dev/random sleep below it (kernels up to 5.5).",
            reading.read_wakeup_threshold,
        ),
        ("write_wakeup_threshold_bits", "Writers wake below it.", reading.write_wakeup_threshold),
        ("device_readable", "1 when poll says that /dev/random can be read.",
         reading.random_readable),
        ("blocked_readers", "Processes asleep in the generator.", reading.blocked_readers),
    )  # fmt: skip
    for name, help_text, value in values:
        if value is not None:
            yield _gauge(name, help_text, float(value))


def _counters(reading: Reading) -> Iterator[Metric]:
    reseed = reading.reseed
    if reseed is not None:
        yield _counter("reseeds", "Reseeds since boot.", reseed.generation)
        if reseed.seconds_since is not None:
            yield _gauge("reseed_age_seconds", "Time since the last reseed.", reseed.seconds_since)
        yield _gauge(
            "reseed_age_at_least_seconds",
            "Time watched without a reseed: a lower bound while none was seen to happen.",
            reseed.at_least,
        )
        yield _counter(
            "forced_reseeds",
            "Reseeds before the kernel's own were due, since the exporter began.",
            reading.forced_reseeds,
        )
    yield _counter(
        "vm_forks", "Times this virtual machine was cloned or restored, as known.", reading.vm_forks
    )
    if reading.irq_count_by_cpu:
        family = CounterMetricFamily(
            f"{PREFIX}_interrupts",
            "Interrupts that fed the generator since boot.",
            labels=["cpu"],
        )
        cpus = reading.irq_cpus or range(len(reading.irq_count_by_cpu))
        for cpu, count in zip(cpus, reading.irq_count_by_cpu, strict=True):
            family.add_metric([str(cpu)], count)
        yield family


def _hardware(reading: Reading) -> Iterator[Metric]:
    source = reading.hwrng
    if source is None:
        return
    facts = {"current": source.current, "available": " ".join(source.available)}
    yield InfoMetricFamily(f"{PREFIX}_hwrng", "The hardware source in use.", facts)
    if source.quality is not None:
        yield _gauge(
            "hwrng_quality_ratio",
            "Entropy the kernel credits for each bit of the hardware source.",
            source.quality / _FULL_QUALITY,
        )


def _latency(reading: Reading) -> Iterator[Metric]:
    if reading.latency is None:
        return
    family = _family(
        "getrandom_latency_seconds",
        "Time of a call of getrandom for 16 bytes, by the way in and percentile.",
        ["path", "percentile"],
    )
    ways: tuple[tuple[str, Percentiles | None], ...] = (
        ("syscall", reading.latency.syscall),
        ("vdso", reading.latency.vdso),
    )
    for path, way in ways:
        if way is not None:
            family.add_metric([path, "50"], way.p50_ns / _NS_A_SECOND)
            family.add_metric([path, "99"], way.p99_ns / _NS_A_SECOND)
    yield family
    speeds = _family(
        "getrandom_bytes_per_second",
        "Throughput of getrandom for one caller alone, by the way in and bytes a call.",
        ["path", "size"],
    )
    for sized in reading.throughput:
        for path, speed in (("syscall", sized.syscall), ("vdso", sized.vdso)):
            if speed is not None:
                speeds.add_metric([path, str(sized.nbytes)], speed)
    yield speeds


def _states(reading: Reading) -> Iterator[Metric]:
    if reading.stream is not None:
        yield _gauge(
            "stream_blocks", "Newest blocks of getrandom under FIPS 140-2.", reading.stream.blocks
        )
        yield _gauge(
            "stream_failed_blocks",
            "Of these, the ones that failed; one in 1250 is chance.",
            reading.stream.failures,
        )
    if reading.holders is not None:
        yield _gauge(
            "device_holders",
            "Processes that have /dev/random, /dev/urandom or /dev/hwrng open, as far as seen.",
            reading.holders.count,
        )
    raised = {alert.partition(":")[0] for alert in reading.alerts}
    alerts = _family("alert", "1 while the alert is raised.", ["alert"])
    for name in ALERTS:
        alerts.add_metric([name], float(name in raised))
    yield alerts
    missing = _family(
        "signal_missing",
        "1 for each signal that can't be had here, with the reason.",
        ["signal", "reason"],
    )
    for signal, why in sorted(reading.unavailable.items()):
        missing.add_metric([signal, why], 1.0)
    yield missing


def _gauge(name: str, help_text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"{PREFIX}_{name}", help_text, value=value, unit=_unit(name))


def _family(name: str, help_text: str, labels: list[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"{PREFIX}_{name}", help_text, labels=labels, unit=_unit(name))


def _unit(name: str) -> str:
    """The unit a metric's name ends in; empty where it counts things."""
    return next((unit for unit in _UNITS if name.endswith(f"_{unit}")), "")


def _counter(name: str, help_text: str, value: float) -> Metric:
    return CounterMetricFamily(f"{PREFIX}_{name}", help_text, value=value)
