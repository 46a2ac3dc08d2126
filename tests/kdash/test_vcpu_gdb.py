"""`kdash vcpu run --gdb` as a user starts and ends it."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kdash.commands.host_port import host_port

pytestmark = pytest.mark.kvm

WAIT = 30
OTHERS = "--let-others-control-the-guest"
SPIN = bytes.fromhex("ebfe")
#: Prints A on the serial port, then writes AL to the exit port.
PRINTS = bytes.fromhex("baf803 b041 ee b000 e6f4")


@contextmanager
def started(*arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The command, waiting for gdb, and its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", "kdash", "vcpu", "run", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(rb"waiting for gdb on \S*:(\d+); connect with: gdb -ex", line):
                yield process, int(found[1])
                return
        raise AssertionError("it does not wait for gdb")
    finally:
        process.kill()
        process.communicate(timeout=WAIT)


def refused(*arguments: str) -> tuple[int, str]:
    """Status and complaint of a command that does not start."""
    done = subprocess.run(
        [sys.executable, "-m", "kdash", "vcpu", "run", *arguments],
        capture_output=True, text=True, check=False, timeout=WAIT,
    )  # fmt: skip
    return done.returncode, done.stderr


@pytest.fixture
def guest(tmp_path: Path) -> str:
    path = tmp_path / "guest.bin"
    path.write_bytes(SPIN)
    return str(path)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1234", ("127.0.0.1", 1234)),
        (":1234", ("127.0.0.1", 1234)),
        ("localhost:0", ("localhost", 0)),
        ("0.0.0.0:65535", ("0.0.0.0", 65535)),
        ("[::1]:1234", ("::1", 1234)),
    ],
)
def test_an_address_is_read(text: str, address: tuple[str, int]) -> None:
    assert host_port(text) == address


@pytest.mark.parametrize(
    "text", ["", ":", "host", "host:", ":x", "1:2:3", ":65536", "-1", ":-1", "[::1]", ":\u0661"]
)
def test_what_is_no_address_is_a_usage_error_of_one_line(guest: str, text: str) -> None:
    status, told = refused(guest, f"--gdb={text}")
    assert (status, told.count("\n")) == (2, 1)
    assert "HOST:PORT" in told


@pytest.mark.parametrize("option", [["--format", "json"], ["--raw-exits"], ["--max-steps", "5"]])
def test_options_without_a_use_beside_gdb_are_refused(guest: str, option: list[str]) -> None:
    status, told = refused(guest, "--gdb", ":0", *option)
    assert (status, told.count("\n")) == (2, 1)
    assert "does not go with --gdb" in told


def test_a_port_in_use_is_one_line_and_status_3(guest: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, told = refused(guest, "--gdb", f":{port}")
    assert (status, told.count("\n")) == (3, 1)
    assert f"127.0.0.1:{port}: Address already in use" in told


def test_a_host_that_is_not_ours_is_one_line_and_status_3(guest: str) -> None:
    status, told = refused(guest, "--gdb", "192.0.2.1:0", OTHERS)
    assert (status, told.count("\n")) == (3, 1)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1"])
def test_another_address_than_loopback_needs_the_flag_that_names_the_danger(
    guest: str, host: str
) -> None:
    status, told = refused(guest, "--gdb", f"{host}:0")
    assert status == 2
    assert f"{host}:0 is reached from other machines" in told
    assert OTHERS in told


def test_another_host_than_the_loopback_is_warned_of(guest: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "kdash", "vcpu", "run", guest, "--gdb", "0.0.0.0:0", OTHERS],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        assert "warning: whoever reaches 0.0.0.0:" in process.stderr.readline()
        assert "waiting for gdb on 0.0.0.0:" in process.stderr.readline()
    finally:
        process.terminate()
        process.communicate(timeout=WAIT)


def test_the_loopback_of_ipv6_is_no_cause_for_a_warning(guest: str) -> None:
    if not socket.has_ipv6 or not Path("/proc/net/if_inet6").exists():
        pytest.skip("this machine has no IPv6")
    process = subprocess.Popen(
        [sys.executable, "-m", "kdash", "vcpu", "run", guest, "--gdb", "[::1]:0"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stderr is not None
        found = re.search(
            r"waiting for gdb on \[::1\]:(\d+); connect with: gdb -ex 'target remote \[::1\]:\1'",
            process.stderr.readline(),
        )
        assert found is not None
        with socket.create_connection(("::1", int(found[1])), WAIT) as client:
            client.sendall(b"$qC#b4")
            assert client.recv(1) == b"+"
    finally:
        process.terminate()
        process.communicate(timeout=WAIT)


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_with_the_guest_running(
    guest: str, number: signal.Signals, status: int
) -> None:
    with started(guest, "--gdb", ":0") as (process, port):
        client = socket.create_connection(("127.0.0.1", port), WAIT)
        client.sendall(b"$c#63")
        assert client.recv(1) == b"+"
        process.send_signal(number)
        out, err = process.communicate(timeout=WAIT)
        client.close()
    assert (process.returncode, out) == (status, b"")
    assert b"Traceback" not in err


def test_the_timeout_ends_it(guest: str) -> None:
    with started(guest, "--gdb", ":0", "--timeout", "0.2") as (process, _):
        _, err = process.communicate(timeout=WAIT)
    assert (process.returncode, b"timeout: no end in 0.2 s, at 0x1000" in err) == (1, True)


@pytest.mark.gdb
def test_the_guests_output_is_on_stdout_and_its_end_the_status(tmp_path: Path) -> None:
    path = tmp_path / "guest.bin"
    path.write_bytes(PRINTS)
    with started(str(path), "--gdb", ":0", "--dump", "0x1000:2", "--set", "rcx=7") as found:
        process, port = found
        gdb = ["gdb", "-nx", "-batch", "-ex", f"target remote :{port}", "-ex", "p $rcx"]
        told = subprocess.run(
            [*gdb, "-ex", "continue", "-ex", "continue"],
            capture_output=True, text=True, check=True, timeout=WAIT,
        ).stdout  # fmt: skip
        out, err = process.communicate(timeout=WAIT)
    assert "$1 = 7" in told
    assert "exited normally" in told
    assert (process.returncode, out) == (0, b"A0x1000: ba f8\n")
    assert b"exit_port: exit port: 0x0" in err


@pytest.mark.gdb
def test_killing_from_gdb_ends_it_well(guest: str) -> None:
    with started(guest, "--gdb", ":0") as (process, port):
        script = ["-ex", f"target remote :{port}", "-ex", "stepi", "-ex", "kill"]
        subprocess.run(
            ["gdb", "-nx", "-batch", *script], check=False, capture_output=True, timeout=WAIT
        )
        _, err = process.communicate(timeout=WAIT)
    assert (process.returncode, b"ended by gdb at 0x1000" in err) == (0, True)


def test_stdout_that_goes_away_ends_it(tmp_path: Path) -> None:
    path = tmp_path / "guest.bin"
    path.write_bytes(bytes.fromhex("baf803 b041 ee ebfd"))
    with started(str(path), "--gdb", ":0") as (process, port):
        assert process.stdout is not None
        process.stdout.close()
        with socket.create_connection(("127.0.0.1", port), WAIT) as client:
            client.sendall(b"$c#63")
            process.wait(WAIT)
    assert process.returncode == 141
