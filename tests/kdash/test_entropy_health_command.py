"""`kdash entropy health`, as a user calls it."""

import json
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = [sys.executable, "-m", "kdash", "entropy", "health"]


def health(*arguments: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([*COMMAND, *arguments], input=data, capture_output=True, check=False)


@pytest.fixture(scope="module")
def good() -> bytes:
    return random.Random(5).randbytes(62_504)


def test_a_good_stream_passes_with_status_0(good: bytes) -> None:
    done = health("-", data=good)
    assert done.returncode == 0
    assert b"FAIL" not in done.stdout
    assert b"says nothing about seeding" in done.stdout.replace(b"\n", b" ")
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_bad_file_fails_with_status_1_and_the_tests_are_named(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"the same again\n" * 5000)
    done = health(str(path))
    assert done.returncode == 1
    assert b"fips140 blocks that failed, by test: " in done.stdout


def test_the_object_has_the_keys_other_programs_parse(good: bytes) -> None:
    found = json.loads(health("-", "--format", "json", "--min-entropy", "6", data=good).stdout)
    assert found["bytes"] == 62_504
    assert set(found["fips140"]) == {
        "blocks", "failures", "monobit", "poker", "runs", "long_run", "continuous",
    }  # fmt: skip
    assert found["sp800_90b"]["rct"]["cutoff"] == 5
    assert found["sp800_90b"]["apt"]["cutoff"] == 25
    assert {"mcv_bytes", "mcv_bits", "collision_bits", "markov_bits"} < set(found["sp800_90b"])
    assert {"chi_square", "mean", "serial_correlation"} < set(found)
    assert found["verdicts"]["fips140"]["verdict"] == "pass"


def test_only_the_first_bytes_are_tested_where_that_is_asked_for(good: bytes) -> None:
    found = json.loads(health("-", "--bytes", "2504", "--format", "json", data=good).stdout)
    assert found["bytes"] == 2504
    assert found["fips140"]["blocks"] == 1


def test_an_empty_stream_has_nothing_to_test() -> None:
    done = health("-")
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"kdash entropy health: standard input: empty, nothing to test\n"


def test_a_stream_too_short_for_a_test_is_told_with_what_is_known(good: bytes) -> None:
    done = health("-", data=good[:2503])
    assert done.returncode == 2
    assert b"fips140             -     too few bytes" in done.stdout
    told = b"kdash entropy health: standard input: 2,503 bytes, too few for fips140\n"
    assert done.stderr == told
    failed = health("-", "--format", "json", data=bytes(100))  # that it fails is known
    assert failed.returncode == 1
    assert failed.stderr == b""


def test_a_missing_file_is_the_environments_fault(tmp_path: Path) -> None:
    done = health(str(tmp_path / "no\x1b[31mfile"))
    assert (done.returncode, done.stdout) == (3, b"")
    assert b"No such file or directory" in done.stderr
    assert b"\x1b" not in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("file", "--source", "timing"), ("--source", "dice"), ("file", "--bytes", "0"),
        ("file", "--bytes", "many"), ("file", "--min-entropy", "9"),
        ("file", "--min-entropy", "nan"),
    ],
)  # fmt: skip
def test_a_wrong_argument_is_told_in_one_line(arguments: tuple[str, ...]) -> None:
    done = health(*arguments)
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.count(b"\n") == 1


def test_ctrl_c_prints_what_is_known() -> None:
    with subprocess.Popen([*COMMAND, "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        # A pipe holds 64 KiB: when all is written the child has begun to read.
        child.stdin.write(random.Random(6).randbytes(1 << 18))
        child.stdin.flush()
        child.send_signal(signal.SIGINT)
        told = child.stdout.read()
        child.stdin.close()
        assert child.wait() == 130
    assert b"fips140" in told
