import os
import threading
import time
from itertools import count
from pathlib import Path

import pytest

from kdash.backends.entropy.hwrng_rate import RateMeter, measure_rate
from kdash.backends.entropy.procfs import Root, Unavailable

from .conftest import Present, PresentedSystem


def test_the_rate_is_what_came_in_the_time_it_took(tmp_path: Path) -> None:
    device = tmp_path / "hwrng"
    device.write_bytes(bytes(4096))
    clock = count(0.0, 0.25)
    rate = measure_rate(lambda: next(clock), device, seconds=0.5)
    assert (rate.nbytes, rate.seconds, rate.bytes_per_second) == (2048, 0.5, 4096.0)


def test_a_source_that_ended_is_no_rate(tmp_path: Path) -> None:
    (tmp_path / "hwrng").touch()
    with pytest.raises(OSError, match="No data"):
        measure_rate(time.monotonic, tmp_path / "hwrng")


def test_a_source_is_measured_on_request_alone(present: Present) -> None:
    machine = present(files={"dev/hwrng": "x" * 9000}, readable_files=True)
    reader = machine.reader()
    assert reader.read().unavailable["hwrng_rate"].startswith("on request: kdash entropy ")
    machine.system.monotonic = time.monotonic  # type: ignore[method-assign]
    reader.on_request.measure_hwrng()
    reader.on_request.wait_for_hwrng(10)
    rate = reader.read().hwrng_rate
    assert rate is not None
    assert rate.nbytes == 9000
    assert rate.bytes_per_second > 0


def test_without_a_device_or_the_right_it_says_so(tmp_path: Path) -> None:
    meter = RateMeter(Root(tmp_path), PresentedSystem())
    with pytest.raises(Unavailable, match="not on this kernel"):
        meter.start()
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/hwrng").touch()
    with pytest.raises(Unavailable, match="needs root"):
        meter.start()


def test_a_source_that_blocks_holds_nothing_up_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "dev").mkdir()
    os.mkfifo(tmp_path / "dev/hwrng")
    system = PresentedSystem(readable_files=True)
    meter = RateMeter(Root(tmp_path), system)
    meter.start()
    with pytest.raises(Unavailable, match=r"^being measured$"):
        meter.rate()
    system.now += 12
    with pytest.raises(Unavailable, match="which gave nothing for 12 s"):
        meter.rate()
    with open(tmp_path / "dev/hwrng", "wb"):  # it vanishes
        pass
    meter.wait(10)
    with pytest.raises(Unavailable, match="the hardware source fails"):
        meter.rate()
    assert "hwrng-rate" not in {thread.name for thread in threading.enumerate()}


@pytest.mark.root
@pytest.mark.skipif(not os.path.exists("/dev/hwrng"), reason="no /dev/hwrng on this machine")
def test_the_hardware_source_of_this_machine_is_measured() -> None:
    try:
        rate = measure_rate(time.monotonic, Path("/dev/hwrng"), seconds=0.05)
    except OSError as error:
        pytest.skip(f"/dev/hwrng: {error.strerror}")
    assert rate.nbytes > 0
