"""Which kind of results a file holds, and how malformed or hostile ones are met."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import os
import threading
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.stack.facts import FileReport, Finding, ResultsError
from kdash.backends.stack.formats import Summary, json_line
from kdash.backends.stack.import_results import import_file, read_results
from kdash.backends.stack.result_kinds import HEAD, holds_results, kind_of_results
from tests.backends.stack.test_sarif import BARE, FULL, log_of

WARNING = b"x.o: warning: objtool: f()+0x9: undefined stack state\n"


def found_in(data: bytes) -> list[Finding | FileReport]:
    return list(read_results(io.BufferedReader(io.BytesIO(data), HEAD)))


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"", "log"),
        (b"  CC x.o\n" + WARNING, "log"),
        (json_line(FULL).encode(), "results"),
        (Summary().json_line(1).encode() + b"\n", "results"),
        (b'{"file": "x.o", "path": [' + b" " * 70000, "results"),
        (b'{"kdash": "stack baseline", "version": 1, "findings": 0}\n', "baseline"),
        (b'\xef\xbb\xbf  {\n "version": "2.1.0",', "sarif"),
        (json.dumps({"version": "2.1.0", "runs": []}).encode(), "sarif"),
        (b"\x7fELF\0\0", "log"),
    ],
)
def test_the_kind_is_told_by_what_a_file_holds(head: bytes, kind: str) -> None:
    assert kind_of_results(head[:HEAD]) == kind


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("build.log", b"a.o: \x1b[31m\xff\n", True),
        ("build.txt", b"  CC  a.o\na.c: \xe4\n", True),
        ("latin", b"caf\xe9, and nothing of a build\n" * 3, False),
        ("x", WARNING, True),
        ("x", b"#\n" * 10_000 + WARNING, True),
        ("x", b"  CC [M]  drivers/x.o\n", True),
        ("x", b"make[2]: Entering directory '/x'\n", True),
        ("build.log", "ünd\n".encode() * 3000, True),
        ("x", json_line(FULL).encode(), True),
        ("x", b'{"kdash": "stack baseline", "version": 1, "findings": 0}\n', True),
        ("build.log.gz", b"\x1f\x8b\x08\x00", True),
        ("vmlinux.gz", b"\x1f\x8b\x08\x00", False),
        ("x", b"", False),
        ("x.log", b"\xf4" * 512, False),
        ("x", b"plain words\n", False),
        ("x", b"\xb0\x00objtool: ", False),
        ("x", b"\x7fELF", False),
    ],
)
def test_results_and_build_logs_are_told_from_guests(
    name: str, data: bytes, expected: bool
) -> None:
    assert holds_results(name, io.BytesIO(data)) is expected


def test_all_kinds_are_read_to_the_same_findings() -> None:
    assert found_in(json.dumps(log_of(FileReport("x", (FULL,)))).encode()) == [FULL]
    assert found_in((json_line(FULL) + "\n").encode()) == [FULL]
    (finding,) = found_in(WARNING)
    assert isinstance(finding, Finding)
    assert (finding.kind, finding.origin) == ("undefined-state", "objtool")


def test_compressed_files_are_expanded_and_damaged_ones_refused() -> None:
    for compress in (gzip.compress, lzma.compress, zstandard.compress):
        data = compress(WARNING * 2)
        assert len(found_in(data)) == 1
        with pytest.raises(ResultsError, match=r"truncated|damaged"):
            found_in(data[:-6])


def test_an_object_is_no_results() -> None:
    for data in (b"\x7fELF\x02", b"!<arch>\n"):
        with pytest.raises(ResultsError, match="kdash stack check validates it"):
            found_in(data)


def test_what_stands_before_a_fault_is_reported_before_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "results"
    path.write_text(json_line(BARE) + '\n{"file": "cut')
    reports = import_file(str(path))
    assert [finding.kind for finding in next(reports).findings] == ["return-outside"]
    with pytest.raises(ResultsError, match="line 2 is no JSON"):
        next(reports)


def test_a_baseline_is_no_stream_of_results(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="a baseline, where results are needed"):
        found_in(b'{"kdash": "stack baseline", "version": 1, "findings": 0}\n')


def test_a_line_without_end_is_looked_at_only_as_far_as_a_line_goes() -> None:
    found = found_in(b"#" * (1 << 20) + WARNING + WARNING)
    assert len(found) == 1


@pytest.mark.parametrize("make", ["folder", "loop", "gone", "device"])
def test_what_cant_be_read_is_refused(make: str, tmp_path: Path) -> None:
    path = tmp_path / "x"
    if make == "folder":
        path.mkdir()
    elif make == "loop":
        path.symlink_to(path)
    elif make == "device":
        path = Path("/dev/null")
    with pytest.raises((OSError, ResultsError)):
        list(import_file(str(path)))


def test_a_pipe_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=path.write_bytes, args=(WARNING,))
    writer.start()
    (report,) = import_file(str(path))
    writer.join()
    assert report.file == "x.o"


def test_a_name_that_no_file_can_have_is_an_object_that_is_missing(tmp_path: Path) -> None:
    data = json.loads(json_line(BARE)) | {"file": "\x1b[31m\0../../etc/passwd"}
    path = tmp_path / "results"
    path.write_text(json.dumps(data))
    (report,) = import_file(str(path), str(tmp_path))
    assert report.findings[0].agrees is None
    assert report.findings[0].verdict.startswith("no \x1b[31m")


@given(st.binary(max_size=200) | st.binary(max_size=100).map(lambda tail: b"{" + tail))
def test_any_bytes_are_results_or_refused(data: bytes) -> None:
    try:
        found_in(data)
    except ResultsError as error:
        assert "\n" not in str(error)
