import os
import re
import signal
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from kdash.backends.entropy.alerts import ALERTS
from kdash.backends.entropy.facts import Reading
from kdash.backends.entropy.metrics import ReadingCollector, registry_of, write_metrics
from kdash.backends.entropy.metrics_server import serve_metrics
from kdash.commands import entropy_export
from tests.backends.entropy.test_metrics import READING

KDASH = [sys.executable, "-m", "kdash", "entropy", "export"]
DOCUMENT = Path(__file__).parents[2] / "docs" / "entropy.md"


def export(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*KDASH, *arguments], capture_output=True, text=True, check=False)


@contextmanager
def serving(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str, list[str]]]:
    """The exporter, its address, and what it said before."""
    with subprocess.Popen([*KDASH, *arguments], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said: list[str] = []
        for line in process.stderr:
            if found := re.search(r"serving (http://\S+)", line):
                yield process, found[1], said
                break
            said.append(line)
        process.terminate()


def test_prometheus_gets_openmetrics_over_loopback() -> None:
    with serving("--listen", ":0") as (process, address, said):
        assert address.startswith("http://127.0.0.1:")
        assert said == []
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        with urllib.request.urlopen(urllib.request.Request(address, headers=accept)) as answer:
            assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
            text = answer.read().decode()
        names = {family.name for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]
        assert {"kdash_random", "kdash_random_ready", "kdash_random_alert"} <= names
        process.send_signal(signal.SIGTERM)
        assert process.wait() == 143


@pytest.fixture(scope="module")
def loopback() -> Iterator[str]:
    """The address of metrics over IPv6."""
    with suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
        server = serve_metrics("::1", 0, registry_of(ReadingCollector(latest, lambda: 0.0)))
        yield f"http://[::1]:{server.server_address[1]}/metrics"
        server.shutdown()
        server.server_close()
        return
    pytest.skip("this machine has no IPv6 loopback")


ENDED: list[str] = []  # why the sampler ended, when it has


def latest() -> Reading:
    if ENDED:
        raise RuntimeError(ENDED[0])
    return READING


@pytest.mark.parametrize(
    ("asked", "got"),
    [
        ("application/openmetrics-text", "application/openmetrics-text; version=1.0.0"),
        ("text/html, application/openmetrics-text;version=1.0.0;q=0.5", "application/openmetrics"),
        ("application/openmetrics-text; version=abc", "text/plain; version=0.0.4"),
        ("application/openmetrics-text; version=99.0.0", "text/plain; version=0.0.4"),
        ("text/plain; version=\x7f;;=,,", "text/plain; version=0.0.4"),
        ("*/*", "text/plain; version=0.0.4"),
    ],
)
def test_whatever_is_asked_for_gets_a_format_that_is_known(
    loopback: str, asked: str, got: str
) -> None:
    request = urllib.request.Request(loopback, headers={"Accept": asked})
    with urllib.request.urlopen(request) as answer:
        assert answer.headers["Content-Type"].startswith(got)


def test_a_client_that_goes_before_its_answer_is_no_news(
    loopback: str, capfd: pytest.CaptureFixture[str]
) -> None:
    port = urllib.parse.urlsplit(loopback).port
    with socket.create_connection(("::1", port or 0)) as client:
        client.sendall(b"GET /metr")
        while not answering():
            time.sleep(0.01)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # reset
    while answering():
        time.sleep(0.01)
    assert capfd.readouterr().err == ""


def answering() -> bool:
    return any("process_request" in thread.name for thread in threading.enumerate())


def test_a_sampler_that_ended_is_told_to_who_asks(
    loopback: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "ENDED", ["sampling ended: OSError: out of luck"])
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(loopback)
    assert (refused.value.code, refused.value.read()) == (503, f"{ENDED[0]}\n".encode())
    assert capsys.readouterr().err == ""


def test_an_address_that_others_reach_needs_the_flag_that_says_so() -> None:
    done = export("--listen", "0.0.0.0:0")
    assert done.returncode == 2
    assert "0.0.0.0:0 is reached from other machines" in done.stderr
    assert "--let-others-read" in done.stderr


def test_an_address_that_others_reach_is_warned_about() -> None:
    with serving("--listen", "0.0.0.0:0", "--let-others-read") as (_, _, said):
        assert "whoever reaches 0.0.0.0:" in said[0]


def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = export("--listen", str(port))
    assert done.returncode == 3
    assert done.stderr == (
        f"kdash entropy export: 127.0.0.1:{port}: Address already in use; "
        "choose another address with --listen\n"
    )


def test_a_host_that_does_not_exist_is_told() -> None:
    done = export("--listen", "no-such-host.invalid:9577")
    assert done.returncode == 3
    assert done.stderr.startswith("kdash entropy export: no-such-host.invalid:9577: ")
    assert done.stderr.count("\n") == 1


def test_a_text_file_is_written_whole_for_node_exporter(tmp_path: Path) -> None:
    path = tmp_path / "kdash.prom"
    command = [*KDASH, "--textfile", str(path), "--count", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, umask=0o077)
    assert path.stat().st_mode & 0o777 == 0o644
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert "\nkdash_random_ready 1.0\n" in path.read_text()
    assert os.listdir(tmp_path) == ["kdash.prom"]


def test_a_text_file_that_cannot_be_written_or_is_not_collected_is_told(tmp_path: Path) -> None:
    done = export("--textfile", str(tmp_path / "missing" / "kdash.txt"))
    assert done.returncode == 3
    warning, refusal = done.stderr.splitlines()
    assert warning.endswith("node_exporter reads files that end in .prom alone")
    assert refusal.endswith("kdash.txt: No such file or directory")


def test_what_is_no_file_is_never_replaced(tmp_path: Path) -> None:
    pipe, link, file = tmp_path / "pipe", tmp_path / "link", tmp_path / "file"
    os.mkfifo(pipe)
    link.symlink_to(file)
    registry = registry_of(ReadingCollector(lambda: None, lambda: 0.0))
    for path, told in ((pipe, "not a regular file"), (tmp_path, "is a folder")):
        with pytest.raises(OSError, match=told):
            write_metrics(path, registry)
    write_metrics(link, registry)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert link.is_symlink()
    assert file.is_file()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--listen", "host"], "'host' is not HOST:PORT"),
        (["--listen", ":1", "--textfile", "x"], "exclude each other"),
        (["--count", "1"], "--count goes with --textfile"),
        (["--interval", "0"], "no number of seconds"),
    ],
)
def test_a_bad_argument_is_told_in_one_line(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        entropy_export.run(arguments)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1


def test_the_rules_in_the_documentation_ask_for_what_is_exported() -> None:
    rules = DOCUMENT.read_text().partition("groups:")[2].partition("```")[0]
    text = generate_latest(registry_of(ReadingCollector(lambda: READING, lambda: 0.0))).decode()
    asked = set(re.findall(r"kdash_random_\w+", rules))
    assert len(asked) >= 3
    assert asked <= set(re.findall(r"^(kdash_random_\w+)", text, re.MULTILINE))
    alerts = {
        name for names in re.findall(r'alert=~?"([^"]+)"', rules) for name in names.split("|")
    }
    assert {"vm-fork"} <= alerts <= ALERTS.keys()
    assert rules.count("- alert: ") == rules.count("expr: ") == 3
