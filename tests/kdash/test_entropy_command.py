import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from kdash.backends.entropy.facts import (
    DeviceHolder,
    Era,
    GeneratorEvent,
    GetrandomLatency,
    HardwareSource,
    Holders,
    Percentiles,
    Reading,
    Reseed,
    Throughput,
)
from kdash.backends.entropy.procfs import Unavailable
from kdash.backends.entropy.random_trace import RandomTrace
from kdash.backends.entropy.report import reading_json
from kdash.commands import entropy
from kdash.commands.entropy_text import reading_line, reading_text, replay_text

VECTORS = Path(__file__).parents[1] / "backends/entropy/vectors.json"
KDASH = [sys.executable, "-m", "kdash", "entropy"]

READING = Reading(
    monotonic=1.0,
    era=Era.SINCE_5_19,
    ready=True,
    entropy_avail=256,
    poolsize=256,
    meaning="boot progress, complete: nothing to do",
    gauge=False,
    write_wakeup_threshold=256,
    hwrng=HardwareSource("virtio_rng.0", ("virtio_rng.0",), 1024),
    irq_per_second=1.23456,
    reseed=Reseed(41, 12.3456, "vdso", 12.3456),
    latency=GetrandomLatency(Percentiles(441, 581), Percentiles(40, 60)),
    unavailable={"hwrng_rate": "needs root", "read_wakeup_threshold": "not on this kernel"},
)


def kdash(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*KDASH, *arguments], capture_output=True, text=True, check=False)


def test_the_facts_are_printed_as_one_object() -> None:
    done = kdash("--format", "json")
    found = json.loads(done.stdout)
    assert done.returncode == 0
    assert done.stderr == ""
    assert {"era", "meaning", "unavailable", "alerts"} <= found.keys()
    assert None not in found.values()


def test_the_object_has_the_keys_other_programs_parse() -> None:
    found: dict[str, Any] = reading_json(READING)
    assert found["era"] == "since-5.19"
    assert (found["ready"], found["entropy_avail"], found["poolsize"]) == (True, 256, 256)
    assert found["reseed"] == {
        "generation": 41,
        "seconds_since": 12.346,
        "at_least": 12.346,
        "source": "vdso",
    }
    assert found["hwrng"]["current"] == "virtio_rng.0"
    assert found["hwrng"]["quality"] == 1024
    assert found["getrandom"] == {
        "syscall": {"p50_ns": 441, "p99_ns": 581},
        "vdso": {"p50_ns": 40, "p99_ns": 60},
    }
    assert found["irq_per_second"] == 1.235
    assert found["unavailable"] == READING.unavailable
    assert found["alerts"] == []


def test_events_are_printed_with_their_time_since_boot() -> None:
    event = GeneratorEvent(1.3031, "vm-fork", "crng reseeded due to virtual machine fork")
    reading = dataclasses.replace(READING, events=(event,), vm_forks=1)
    found = reading_json(reading)
    assert found["vm_forks"] == 1
    assert found["events"] == [{"uptime_seconds": 1.303, "kind": "vm-fork", "text": event.text}]
    assert "events          1.3 s after boot: vm-fork: crng reseeded" in reading_text(reading)


def test_throughput_and_holders_are_printed() -> None:
    reading = dataclasses.replace(
        READING,
        throughput=(Throughput(256, 261e6), Throughput(4096, 389e6, 712e6)),
        holders=Holders((DeviceHolder("/dev/hwrng", 41, "rngd"),), 1, 80, 60),
    )
    found: dict[str, Any] = reading_json(reading)
    assert found["throughput"][1] == {
        "bytes": 4096,
        "syscall_bytes_per_second": 389_000_000,
        "vdso_bytes_per_second": 712_000_000,
    }
    assert found["holders"]["found"] == [{"device": "/dev/hwrng", "pid": 41, "name": "rngd"}]
    text = " ".join(reading_text(reading).split())
    assert "system call 261 MB/s at 256 B, 389 MB/s at 4096 B; vDSO 712 MB/s at 4096 B" in text
    assert "/dev/hwrng rngd (41) of 80 processes, 60 hidden from this user" in text


def test_unknown_keys_are_absent() -> None:
    blank = dataclasses.replace(
        READING, ready=None, hwrng=None, reseed=None, latency=None, irq_per_second=None
    )
    found = reading_json(blank)
    assert not {"ready", "hwrng", "reseed", "getrandom", "irq_per_second"} & found.keys()
    assert None not in found.values()


def test_the_time_of_a_reseed_is_absent_until_one_was_seen() -> None:
    reading = dataclasses.replace(READING, reseed=Reseed(41, None, "vdso", 3.0))
    assert reading_json(reading)["reseed"] == {"generation": 41, "at_least": 3.0, "source": "vdso"}


def test_the_text_is_aligned_and_narrow() -> None:
    lines = reading_text(READING).splitlines()
    assert lines[0] == "entropy_avail   256 of 256 bits"
    assert all(len(line) <= 88 for line in lines)
    assert all(line[15] == " " for line in lines)
    assert "not available   hwrng_rate: needs root" in lines


def test_alerts_stand_in_the_text() -> None:
    reading = dataclasses.replace(READING, ready=False, alerts=("would-block: callers wait",))
    assert "alert           would-block: callers wait" in reading_text(reading)
    assert "NOT SEEDED" in reading_line(reading, datetime(2026, 1, 2, 3, 4, 5))
    assert "ALERT would-block" in reading_line(reading, datetime(2026, 1, 2, 3, 4, 5))


def test_escape_sequences_of_the_system_are_shown_and_not_obeyed() -> None:
    reading = dataclasses.replace(READING, hwrng=HardwareSource("\x1b[2J\nrng"))
    for text in (reading_text(reading), reading_line(reading, datetime(2026, 1, 2))):
        assert "\x1b" not in text
        assert "\\x1b[2J\\nrng" in text


def test_watch_prints_a_line_for_each_sample() -> None:
    done = kdash("watch", "--count", "2", "--interval", "0.25", "--format", "json")
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0
    assert len(found) == 2
    assert found[0]["time"] < found[1]["time"]


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("needs root", "needs root\n"), ("not on this kernel", "not on this kernel\n"),
        ("tracefs is not mounted", "tracefs is not mounted; kdash doctor says what to do\n"),
    ],
)  # fmt: skip
def test_what_is_asked_for_and_cannot_be_had_ends_with_the_reason(
    reason: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(_: object) -> None:
        raise Unavailable(reason)

    monkeypatch.setattr(RandomTrace, "start", refuse)
    assert entropy.run(["watch", "--random-events", "--count", "1"]) == 3
    assert capsys.readouterr().err == f"kdash entropy: --random-events: {told}"


def test_watch_prints_text_lines() -> None:
    done = kdash("watch", "--count", "1", "--interval", "0.25")
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1


def test_the_vectors_pass() -> None:
    done = kdash("model", "--vectors", str(VECTORS), "--format", "json")
    assert done.returncode == 0
    assert json.loads(done.stdout) == {"cases": 19, "passed": 19, "failed": []}


def changed_vectors(folder: Path) -> Path:
    document = json.loads(VECTORS.read_text(encoding="utf-8"))
    document["cases"] = document["cases"][3:5]
    document["cases"][0]["expect"][3]["out"] = "00" * 10
    path = folder / "vectors.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_a_failing_case_is_named_with_what_was_expected_and_what_came(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = entropy.run(["model", "--vectors", str(changed_vectors(tmp_path)), "--format", "json"])
    found = json.loads(capsys.readouterr().out)
    assert status == 1
    assert (found["cases"], found["passed"]) == (2, 1)
    (failed,) = found["failed"]
    assert (failed["id"], failed["operation"], failed["field"]) == ("E004", 3, "out")
    assert failed["expected"] == "00" * 10 != failed["got"]


def test_a_failing_case_is_a_line_of_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entropy.run(["model", "--vectors", str(changed_vectors(tmp_path))]) == 1
    first, last = capsys.readouterr().out.splitlines()
    assert first.startswith("E004: operation 3, out: expected 00000")
    assert last == "1 of 2 cases passed (8 operations)"


def test_a_malformed_file_is_refused_with_the_place(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "vectors.json"
    path.write_text('{"cases": [{"id": "X", "ops": [{"op": "\\u001b[2J"}], "expect": [{}]}]}')
    assert entropy.run(["model", "--vectors", str(path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "case X, operation 0: unknown operation" in captured.err
    assert "\x1b" not in captured.err


def test_a_missing_file_is_the_environments_fault(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entropy.run(["model", "--vectors", str(tmp_path / "none.json")]) == 3
    assert "No such file or directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["wtch"], "'wtch'"),
        (["--format", "xml"], "--format"),
        (["--format", "json", "watch"], "comes first"),
        (["watch", "--interval", "0"], "from 0.25 to 3600"),
        (["watch", "--interval", "nan"], "from 0.25 to 3600"),
        (["watch", "--count", "0"], "from 1"),
        (["watch", "--count", "x"], "from 1"),
        (["model"], "--vectors"),
    ],
)
def test_a_wrong_argument_is_named_in_one_line(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        entropy.run(arguments)
    captured = capsys.readouterr()
    assert ended.value.code == 2
    assert captured.err.count("\n") == 1
    assert said in captured.err


@pytest.mark.parametrize("arguments", [[], ["watch"], ["model"]])
def test_every_help_has_an_example(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        entropy.run([*arguments, "--help"])
    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert "example" in out
    assert " ".join(["  kdash entropy", *arguments]) in out


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)]
)
def test_a_signal_ends_watch_with_its_status_and_what_was_seen(number: int, status: int) -> None:
    with subprocess.Popen(
        [*KDASH, "watch", "--format", "json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        first = process.stdout.readline()
        process.send_signal(number)
        assert process.wait() == status
        assert json.loads(first)["era"]
        assert process.stderr.read() == b""


def test_a_reader_that_goes_ends_watch_quietly() -> None:
    with subprocess.Popen(
        [*KDASH, "watch", "--interval", "0.25"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait() == 141
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("changes", "check", "status"),
    [
        ({}, True, 0),
        ({"alerts": ("would-block: callers wait",)}, True, 1),
        ({"alerts": ("would-block: callers wait",)}, False, 0),
        ({"entropy_avail": None, "ready": None}, True, 3),
    ],
)
def test_check_turns_alerts_into_a_status(
    changes: dict[str, Any], check: bool, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert entropy.status_of(dataclasses.replace(READING, **changes), check=check) == status
    assert bool(capsys.readouterr().err) is (status == 3)


def test_headless_commands_load_no_heavy_library() -> None:
    script = (
        "import sys; from kdash.commands import entropy; entropy.run([]);"
        "heavy = {'textual', 'rich', 'numpy', 'psutil', 'elftools', 'iced_x86', 'cffi'};"
        "sys.exit(' '.join(heavy & set(sys.modules)) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_replay_without_failures_is_one_line() -> None:
    assert replay_text(19, 2048, []) == "19 of 19 cases passed (2,048 operations)\n"


def children_of(process: int) -> list[str]:
    return Path(f"/proc/{process}/task/{process}/children").read_text().split()


def test_the_probe_ends_with_the_command_that_is_killed() -> None:
    with subprocess.Popen([*KDASH, "watch"], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        children = children_of(process.pid)
        process.kill()
    assert children
    while any(os.path.exists(f"/proc/{child}/exe") for child in children):
        time.sleep(0.02)


def test_a_user_without_a_home_directory_keeps_no_history_and_sees_the_rest(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def nowhere() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", nowhere)
    assert entropy.run(["--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["era"]


def test_a_check_may_look_for_a_while() -> None:
    begun = time.monotonic()
    done = kdash("--check", "--for", "0.5", "--format", "json")
    assert done.returncode == 0 or json.loads(done.stdout)["alerts"]
    assert time.monotonic() - begun > 0.5 or json.loads(done.stdout)["alerts"]
    assert kdash("--for", "0").returncode == 2
