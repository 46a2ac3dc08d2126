import dataclasses

import pytest

from kdash.backends.entropy.alerts import ALERTS, alerts_of
from kdash.backends.entropy.facts import (
    Era,
    GeneratorEvent,
    HardwareSource,
    Reading,
    Reseed,
    StreamRate,
)

GOOD = Reading(
    monotonic=5000.0, era=Era.SINCE_5_19, ready=True, entropy_avail=256, poolsize=256,
    meaning="boot progress, complete", gauge=False, reseed=Reseed(80, 12.0, "vdso", 12.0),
    hwrng=HardwareSource("virtio_rng.0"), uptime_seconds=5000.0,
)  # fmt: skip
FORK = GeneratorEvent(4900.0, "vm-fork", "crng reseeded due to virtual machine fork")
STARVING = {
    "era": Era.SINCE_3_17, "entropy_avail": 12, "poolsize": 4096,
    "read_wakeup_threshold": 64, "blocked_readers": 2, "reseed": None,
}  # fmt: skip


def names(before: HardwareSource | None = None, **changes: object) -> list[str]:
    reading = dataclasses.replace(GOOD, **changes)  # type: ignore[arg-type]
    return [alert.split(":")[0] for alert in alerts_of(reading, before)]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, []),
        ({"ready": False, "uptime_seconds": 12.0}, ["would-block"]),
        ({"ready": False, "uptime_seconds": 31.0}, ["would-block", "not-seeded"]),
        ({"reseed": Reseed(80, 180.0, "vdso", 180.0)}, []),
        ({"reseed": Reseed(80, 181.0, "vdso", 181.0)}, ["reseed-late"]),
        ({"reseed": Reseed(80, None, "vdso", 181.0)}, ["reseed-late"]),
        ({"stream": StreamRate(600, 3)}, []),
        ({"stream": StreamRate(3, 3)}, ["stream-failing"]),
        ({"stream": StreamRate(600, 30)}, ["stream-failing"]),
        ({"events": (FORK,)}, ["vm-fork"]),
        ({"events": (FORK,), "monotonic": 5501.0}, []),
        (STARVING, ["starving"]),
        (STARVING | {"blocked_readers": 0}, []),
        (STARVING | {"era": Era.SINCE_5_6}, []),
    ],
)
def test_each_alert_comes_with_its_cause_alone(
    changes: dict[str, object], expected: list[str]
) -> None:
    assert names(None, **changes) == expected


def test_a_hardware_source_that_went_is_an_alert() -> None:
    before = HardwareSource("virtio_rng.0")
    assert names(before, hwrng=HardwareSource("none")) == ["hwrng-lost"]
    assert names(before, hwrng=HardwareSource("tpm-rng-0")) == []


def test_every_alert_raised_is_one_of_the_known() -> None:
    raised = names(
        HardwareSource("tpm"), ready=False, hwrng=None, events=(FORK,),
        reseed=Reseed(80, 500.0, "vdso"),
    ) + names(None, **STARVING)  # fmt: skip
    assert set(raised) <= ALERTS.keys()
