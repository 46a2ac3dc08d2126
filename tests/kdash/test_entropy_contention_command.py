"""`kdash entropy contention`, as a user calls it."""

import json
import signal
import subprocess
import sys
from typing import Any

import pytest

from kdash.backends.entropy import contention as laboratory
from kdash.backends.entropy.contention_facts import Point
from kdash.commands import entropy

COMMAND = [sys.executable, "-m", "kdash", "entropy", "contention"]


def contention(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *arguments], capture_output=True, text=True, check=False)


def test_points_are_measured_and_told_as_one_object() -> None:
    done = contention("--threads", "1", "--runs", "1", "--seconds", "0.01", "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert found["cpus"] >= 1
    assert found["points"][0]["design"] == "1 pool"
    assert found["points"][0]["origin"] == "measured"
    assert set(found["points"][0]["shares"]) == {"spin", "hold", "think"}


def test_the_table_fits_a_terminal() -> None:
    done = contention("--threads", "1", "--runs", "1", "--seconds", "0.01")
    assert done.returncode == 0
    assert "1 pool" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_simulated_machine_says_what_it_is_calibrated_to() -> None:
    done = contention("--simulate", "4,120,1")
    assert done.returncode == 0
    assert done.stdout.startswith("simulated, calibrated to Kleen's statement: 4 sockets")
    assert "more than 80% of the time" in done.stdout
    assert done.stdout.splitlines()[2].split() == [
        "threads", "design", "reads/s", "spin", "hold", "think",
    ]  # fmt: skip
    found = json.loads(contention("--simulate", "4,120,4", "--format", "json").stdout)
    assert (found["sockets"], found["threads"], found["nodes"]) == (4, 120, 4)
    point = found["points"][0]
    assert point["shares"]["spin"] < 0.05
    assert set(point) == {"design", "threads", "pools", "reads_per_second", "shares", "origin"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--simulate", "4"), ("--simulate", "4,120,x"), ("--simulate", "4,120,121"),
        ("--simulate", "0,0,0"), ("--threads", "0"), ("--threads", "9999"), ("--runs", "none"),
        ("--seconds", "0"), ("--seconds", "1e9"), ("surplus",), ("--seed", "7"),
        ("--simulate", "4,120,1", "--runs", "3"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_told_in_one_line(arguments: tuple[str, ...]) -> None:
    done = contention(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_ends_an_experiment_with_what_is_known(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = laboratory.measure
    measured = 0

    def measure(*arguments: Any, **options: Any) -> Point:
        nonlocal measured
        measured += 1
        if measured == 2:
            signal.raise_signal(signal.SIGINT)
        return real(*arguments, **options)

    monkeypatch.setattr(laboratory, "measure", measure)
    monkeypatch.setattr(laboratory, "takes_from_input_pool", lambda: False)
    status = entropy.run(
        ["contention", "--threads", "1", "--runs", "1", "--seconds", "0.01", "--format", "json"]
    )
    assert status == 130
    assert [point["design"] for point in json.loads(capsys.readouterr().out)["points"]] == [
        "1 pool"
    ]
