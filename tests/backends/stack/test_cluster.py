"""Objects validated by a Dask cluster: one of its own processes on this machine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from kdash.backends.stack.check import Checker
from kdash.backends.stack.cluster import validate_on
from kdash.backends.stack.cluster_task import ELSEWHERE, digest_of, validate_task
from kdash.backends.stack.facts import CheckOptions, Cluster, ClusterError, FileReport
from kdash.backends.stack.object_files import sample_paths
from kdash.backends.stack.wire import decode, encode_request
from kdash.commands.stack import run

if find_spec("distributed") is None:
    pytest.skip("dask is not installed (the extra `cluster`)", allow_module_level=True)

# What dask and tornado leave to the garbage collector is not ours.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning")

_OPTIONS = CheckOptions("on")


def _started(module: str, *arguments: str) -> subprocess.Popen[bytes]:
    environment = os.environ | {"PYTHONPATH": os.getcwd()}
    return subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{module}", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


class Running:
    """A scheduler and two workers."""

    def __init__(self, folder: Path) -> None:
        note = folder / "scheduler.json"
        self.scheduler = _started(
            *("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"),
            *("--scheduler-file", str(note)),
        )
        end = time.monotonic() + 60
        while not note.exists() or not note.read_text().strip():
            assert time.monotonic() < end
            time.sleep(0.05)
        self.address = json.loads(note.read_text())["address"]
        self.workers = [
            _started(
                *("dask_worker", self.address, "--no-nanny", "--nthreads", "1", "--no-dashboard"),
                *("--host", "127.0.0.1", "--local-directory", str(folder)),
            )
            for _ in range(2)
        ]

    def end(self) -> None:
        for process in (*self.workers, self.scheduler):
            process.kill()
            process.wait()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    cluster = Running(tmp_path)
    yield cluster
    cluster.end()


def _plain(reports: list[FileReport]) -> list[FileReport]:
    return [replace(report, seconds=0.0) for report in reports]


def _here(files: list[str]) -> list[FileReport]:
    checker = Checker(_OPTIONS)
    return _plain([checker.check(file) for file in files])


def test_a_killed_worker_costs_nothing(running: Running, tmp_path: Path) -> None:
    once = [*sample_paths(), str(tmp_path / "missing.o")]
    files = once * 10
    reports = validate_on(Cluster(running.address), files, _OPTIONS)
    found = [next(reports)]
    running.workers[0].send_signal(signal.SIGKILL)
    found += reports
    assert _plain(found) == _here(once) * 10


def test_without_its_scheduler_the_rest_is_validated_here(running: Running) -> None:
    files = [*sample_paths()] * 10
    told: list[str] = []
    reports = validate_on(Cluster(running.address), files, _OPTIONS, told.append)
    found = [next(reports)]
    running.scheduler.kill()
    found += reports
    assert _plain(found) == _here([*sample_paths()]) * 10
    assert told == [f"lost the cluster at {running.address}: the rest is validated here"]


def test_without_any_worker_all_is_validated_here(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdash.backends.stack.cluster._PATIENCE", 0.5)
    for worker in running.workers:
        worker.kill()
        worker.wait()
    files = list(sample_paths())
    assert _plain(list(validate_on(Cluster(running.address), files, _OPTIONS))) == _here(files)


def test_a_worker_that_cannot_see_an_object_is_sent_it(tmp_path: Path) -> None:
    data = Path(sample_paths()[0]).read_bytes()
    request = encode_request(str(tmp_path / "elsewhere.o"), _OPTIONS)
    assert validate_task(request, digest_of(data))[1] == ELSEWHERE
    (tmp_path / "elsewhere.o").write_bytes(b"other bytes")
    assert validate_task(request, digest_of(data))[1] == ELSEWHERE
    report = decode(validate_task(request, digest_of(data), data)[1])
    assert report.file == str(tmp_path / "elsewhere.o")
    assert [f.kind for f in report.findings] == [
        f.kind for f in _here([sample_paths()[0]])[0].findings
    ]


def test_an_address_without_a_scheduler_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("kdash.backends.stack.cluster._CONNECT", 0.5)
    address = "tcp://127.0.0.1:1"
    with pytest.raises(ClusterError, match=address):
        list(validate_on(Cluster(address), [sample_paths()[0]], _OPTIONS))
    assert run(["check", sample_paths()[0], "--scheduler", address]) == 3
    assert f"no scheduler at {address}" in capsys.readouterr().err


def test_without_dask_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"kdash\[cluster\]"):
        list(validate_on(Cluster("tcp://127.0.0.1:1"), [], _OPTIONS))


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        (Cluster("tls://127.0.0.1:9"), "needs --scheduler-ca and --scheduler-cert"),
        (Cluster("tls://127.0.0.1:9", ca="ca.pem"), "needs --scheduler-ca and --scheduler-cert"),
        (Cluster("127.0.0.1:9", ca="ca.pem"), "TLS options go with an address tls://..."),
        (
            Cluster("tls://127.0.0.1:9", ca="/none", certificate="/none"),
            "can't read /none: No such",
        ),
        (
            Cluster("tls://127.0.0.1:9", ca=__file__, certificate=__file__),
            "no usable certificates and key in",
        ),
    ],
)
def test_options_of_tls_that_can_not_work_say_why(cluster: Cluster, says: str) -> None:
    with pytest.raises(ClusterError, match=says):
        list(validate_on(cluster, sample_paths(), _OPTIONS))
