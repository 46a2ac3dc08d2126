"""Devices that never return: the run ends all the same, by signals, --timeout and in the pane."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from kdash.app import KdashApp, Place
from kdash.backends.kvm import device_calls
from kdash.backends.kvm.facts import Outcome
from kdash.backends.kvm.guests import flat
from kdash.backends.kvm.session import VcpuSession
from kdash.backends.kvm.user_devices import load_device
from kdash.commands.dashboard import read_settings
from kdash.panes.vcpu import VcpuPane
from kdash.widgets.vcpu.status import StatusLine

kvm = pytest.mark.kvm

#: mov al,'A'; mov dx,0x3f8; out dx,al; out 0x10,al; jmp $
GUEST = bytes.fromhex("b041 baf803 ee e610 ebfe")
DEVICE = """\
import time
from pathlib import Path
class Hang:
    ports = range(0x10, 0x11)
    def read(self, address, size): return 0
    def write(self, address, size, value):
        Path(__file__).with_name("entered").touch()
        {how}
"""
HOW = {"loop": "while True: pass", "sleep": "time.sleep(1000)"}
WAIT = 60


@pytest.fixture(params=HOW)
def device(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return written(tmp_path, request.param)


def written(folder: Path, how: str) -> Path:
    (folder / "guest.bin").write_bytes(GUEST)
    path = folder / "hang.py"
    path.write_text(DEVICE.format(how=HOW[how]))
    return path


def started(device: Path, *options: str) -> subprocess.Popen[bytes]:
    guest = str(device.with_name("guest.bin"))
    arguments = ("run", guest, "--device", f"{device}:Hang", "--format", "json", *options)
    return subprocess.Popen(
        [sys.executable, "-m", "kdash", "vcpu", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def wait_until_it_hangs(device: Path) -> None:
    end = time.monotonic() + WAIT
    while not device.with_name("entered").exists():
        assert time.monotonic() < end
        time.sleep(0.02)


def ended(process: subprocess.Popen[bytes]) -> tuple[int, bytes, bytes]:
    try:
        out, err = process.communicate(timeout=WAIT)
    finally:
        process.kill()
    return process.returncode, out, err


ENGINES = [pytest.param("kvm", marks=kvm), "emulator"]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_device_that_hangs(
    device: Path, engine: str, number: signal.Signals, status: int
) -> None:
    process = started(device, "--engine", engine)
    wait_until_it_hangs(device)
    process.send_signal(number)
    returned, out, _ = ended(process)
    found = json.loads(out)
    assert (returned, found["outcome"], found["serial"]) == (status, "interrupted", "A")
    assert found["detail"].startswith("device Hang did not return")


@pytest.mark.parametrize("engine", ENGINES)
def test_the_timeout_ends_a_device_that_hangs(device: Path, engine: str) -> None:
    returned, out, _ = ended(started(device, "--engine", engine, "--timeout", "0.5"))
    found = json.loads(out)
    assert (returned, found["outcome"], found["serial"]) == (1, "timeout", "A")
    assert found["detail"].startswith("device Hang did not return")


def test_the_traceback_of_a_device_whose_time_is_over_ends_in_plain_words(device: Path) -> None:
    process = started(device, "--engine", "emulator", "--timeout", "0.3", "--format", "text")
    err = ended(process)[2].decode()
    assert err.rstrip().endswith("OverdueCall: the time was over while the device had not returned")


@kvm
def test_with_several_vcpus_a_signal_ends_a_device_that_hangs(device: Path) -> None:
    process = started(device, "--vcpus", "2", "--engine", "kvm")
    wait_until_it_hangs(device)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143


@kvm
def test_a_second_signal_ends_the_program_at_once(tmp_path: Path) -> None:
    device = written(tmp_path, "sleep")
    device.write_text(device.read_text().replace("time.sleep(1000)", SWALLOWS))
    process = started(device)
    wait_until_it_hangs(device)
    process.send_signal(signal.SIGTERM)
    time.sleep(0.4)
    process.send_signal(signal.SIGTERM)
    assert ended(process)[0] == 143


SWALLOWS = """while True:
            try: time.sleep(1000)
            except BaseException: pass"""


def hanging(device: Path) -> VcpuSession:
    return VcpuSession(flat(GUEST, "hangs"), devices=[load_device(f"{device}:Hang")])


@kvm
def test_a_session_closes_with_a_device_that_hangs(device: Path) -> None:
    if "sleep" in device.read_text():  # ends some day, so that the tests' process can free it
        device.write_text(device.read_text().replace("1000", "6"))
    session = hanging(device)
    session.run()
    wait_until_it_hangs(device)
    session.close()
    assert not device_calls.hung() or "did not return" in session.snapshot().failure


@kvm
def test_a_pause_ends_a_device_that_loops(tmp_path: Path) -> None:
    device = written(tmp_path, "loop")
    session = hanging(device)
    try:
        session.run()
        wait_until_it_hangs(device)
        snapshot = session.pause().result(WAIT)
        assert snapshot.outcome is Outcome.INTERRUPTED
        assert "device Hang did not return" in snapshot.detail
    finally:
        session.close()


def application(device: Path) -> KdashApp:
    guest = str(device.with_name("guest.bin"))
    settings = read_settings([guest, "--device", f"{device}:Hang"])
    return KdashApp(settings, (Place("vcpu", "VCPU", "kdash.panes.vcpu", "VcpuPane"),))


async def until(pilot: Pilot[Any], met: Callable[[], bool]) -> None:
    end = time.monotonic() + WAIT
    while not met():
        assert time.monotonic() < end
        await pilot.pause(0.1)


#: mov al,1; out 0x10,al; hlt: the guest is in the device before anything is seen of it
AT_ONCE = bytes.fromhex("b001 e610 f4")


@pytest.mark.no_cover
@kvm
@pytest.mark.parametrize("keys", [["space"], ["s", "s", "s", "s"]])
async def test_a_device_that_hangs_is_told_and_space_ends_it(
    tmp_path: Path, keys: list[str]
) -> None:
    device = written(tmp_path, "loop")
    device.with_name("guest.bin").write_bytes(AT_ONCE)
    app = application(device)
    async with app.run_test(size=(100, 40)) as pilot:

        def line() -> str:
            return app.query_one(StatusLine).lines[0].text

        for key in keys:
            app.simulate_key(key)  # a pilot waits behind each key for a process that rests
        await until(pilot, lambda: "in device Hang.write for" in line())
        assert "▶ running" in line()
        assert "space ends it" in line()
        app.simulate_key("space")
        await until(pilot, lambda: "did not return" in line())
        assert app.query_one(VcpuPane).session.snapshot().outcome is Outcome.INTERRUPTED
    assert not device_calls.hung()


@kvm
async def test_run_and_pause_are_taken_in_turn_however_quickly_they_come(tmp_path: Path) -> None:
    device = written(tmp_path, "loop")
    device.with_name("guest.bin").write_bytes(AT_ONCE)
    app = application(device)
    async with app.run_test(size=(100, 40)) as pilot:
        pane = app.query_one(VcpuPane)
        pane.action_run()
        wait_until_it_hangs(device)  # without a moment in which the pane could see it
        pane.action_run()
        await until(pilot, lambda: pane.session.snapshot().outcome is Outcome.INTERRUPTED)


@kvm
async def test_the_dashboard_pauses_and_quits_with_a_device_that_hangs(tmp_path: Path) -> None:
    device = written(tmp_path, "loop")
    app = application(device)
    async with app.run_test(size=(100, 40)) as pilot:
        app.simulate_key("space")
        await asyncio.to_thread(wait_until_it_hangs, device)
        app.simulate_key("space")
        pane = app.query_one(VcpuPane)
        await until(pilot, lambda: pane.session.snapshot().outcome is Outcome.INTERRUPTED)
        device.with_name("entered").unlink()
        await pilot.press("R")
        app.simulate_key("space")
        await asyncio.to_thread(wait_until_it_hangs, device)
        app.simulate_key("q")
        while app.return_code is None:
            await asyncio.sleep(0.02)
    assert not device_calls.hung()


def test_a_thread_that_a_device_left_behind_does_not_keep_the_program(tmp_path: Path) -> None:
    device = tmp_path / "left.py"
    device.write_text(
        "import threading\n"
        "class Left:\n"
        "    ports = range(0x10, 0x11)\n"
        "    def read(self, address, size): return 0\n"
        "    def write(self, address, size, value):\n"
        "        threading.Thread(target=threading.Event().wait, name='poller').start()\n"
    )
    guest = tmp_path / "guest.bin"
    guest.write_bytes(bytes.fromhex("e610 f4"))  # out 0x10,al; hlt
    command = [sys.executable, "-m", "kdash", "vcpu", "run", str(guest), "--engine", "emulator",
        "--device", f"{device}:Left", "--format", "json"]  # fmt: skip
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    returned, out, err = ended(process)
    assert (returned, json.loads(out)["outcome"]) == (0, "hlt")
    assert b"a device's thread still runs: poller" in err
