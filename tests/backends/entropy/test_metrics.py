from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from kdash.backends.entropy.alerts import ALERTS
from kdash.backends.entropy.facts import Era, HardwareSource, Reading, Reseed
from kdash.backends.entropy.metrics import ReadingCollector, registry_of
from tests.widgets.entropy.made import BOOTING, BY_ERA, MODERN, OLD

READING = replace(MODERN, irq_count_by_cpu=(7, 300), vm_forks=1)


def scraped(reading: Reading | None) -> dict[str, float]:
    """Every sample, by its name and labels, read back from the text that Prometheus gets."""
    now = reading.monotonic + 0.5 if reading else 0.0
    registry = registry_of(ReadingCollector(lambda: reading, lambda: now))
    text = generate_openmetrics(registry).decode()  # type: ignore[no-untyped-call]
    return {
        sample.name + "".join(f",{k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
    }


@pytest.mark.parametrize("reading", [*BY_ERA.values(), BOOTING, READING])
def test_every_era_reads_back_by_the_rules_of_openmetrics(reading: Reading) -> None:
    assert scraped(reading)["kdash_random_entropy_is_level"] == reading.gauge


def test_every_unit_is_told_and_ends_the_name_of_its_metric() -> None:
    registry = registry_of(ReadingCollector(lambda: READING, lambda: 0.0))
    text = generate_openmetrics(registry).decode()  # type: ignore[no-untyped-call]
    assert text.endswith("# EOF\n")
    families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
    units = {family.name: family.unit for family in families}
    assert all(name.endswith(unit) for name, unit in units.items())
    assert units["kdash_random_reseed_age_seconds"] == "seconds"
    assert units["kdash_random_entropy_available_bits"] == "bits"
    assert {family.type for family in families} == {"gauge", "counter", "info"}


def test_the_values_are_in_base_units() -> None:
    found = scraped(READING)
    assert found["kdash_random_ready"] == 1
    assert found["kdash_random_entropy_available_bits"] == 256
    assert found["kdash_random_reseeds_total"] == 41
    assert found["kdash_random_reseed_age_seconds"] == 12.3
    latency = "kdash_random_getrandom_latency_seconds,path=syscall,percentile=50"
    assert found[latency] == pytest.approx(441e-9)
    assert found["kdash_random_interrupts_total,cpu=1"] == 300
    assert found["kdash_random_hwrng_quality_ratio"] == 1
    assert found["kdash_random_vm_forks_total"] == 1
    assert found["kdash_random_sample_age_seconds"] == 0.5


def test_interrupts_are_labelled_by_the_cpus_own_numbers() -> None:
    assert scraped(replace(READING, irq_cpus=(0, 6)))["kdash_random_interrupts_total,cpu=6"] == 300


def test_every_alert_is_there_raised_or_not() -> None:
    found = scraped(replace(READING, alerts=("vm-fork: cloned 3 s ago",)))
    states = {name: found[f"kdash_random_alert,alert={name}"] for name in ALERTS}
    assert states == dict.fromkeys(ALERTS, 0.0) | {"vm-fork": 1.0}


def test_what_is_not_known_is_absent_and_says_why() -> None:
    found = scraped(replace(OLD, era=Era.UNKNOWN, ready=None, reseed=None))
    names = {name.partition(",")[0] for name in found}
    assert not {"kdash_random_ready", "kdash_random_reseeds_total"} & names
    missing = "kdash_random_signal_missing,reason=not sampled where that could draw from the pool"
    assert found[missing + ",signal=getrandom"] == 1


def test_a_reseed_that_was_never_seen_has_a_lower_bound_and_no_age() -> None:
    found = scraped(replace(READING, reseed=Reseed(41, None, "vdso", at_least=181.0)))
    assert found["kdash_random_reseed_age_at_least_seconds"] == 181.0
    assert "kdash_random_reseed_age_seconds" not in found


def test_before_the_first_reading_there_is_nothing() -> None:
    assert scraped(None) == {}


@given(st.text(), st.text(max_size=20))
def test_names_of_the_system_are_escaped(current: str, why: str) -> None:
    reading = replace(READING, hwrng=HardwareSource(current), unavailable={"x": why})
    registry = registry_of(ReadingCollector(lambda: reading, lambda: 0.0))
    for text in (
        generate_latest(registry),
        generate_openmetrics(registry),  # type: ignore[no-untyped-call]
    ):
        assert all(is_line(line) for line in text.decode().split("\n"))


def is_line(line: str) -> bool:
    return not line or line.startswith(("# ", "kdash_random_"))
