"""Reports kept by content: an unchanged object is not validated twice."""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import CheckOptions, FileReport
from kdash.backends.stack.object_files import sample_paths
from kdash.backends.stack.result_cache import ResultCache, cache_folder, tidy
from kdash.backends.stack.service import validate

_SAMPLE = sample_paths()[0]


def _untimed(report: FileReport) -> FileReport:
    return replace(report, seconds=0.0)


class Refusing(Checker):
    """A checker that must not have to validate anything."""

    def _examined(self, path: str, data: bytes | None, sample: bool) -> tuple[FileReport, None]:
        raise AssertionError(path)


def test_what_was_validated_once_is_known(tmp_path: Path) -> None:
    first = Checker(cache=tmp_path).check(_SAMPLE)
    assert first.findings
    assert _untimed(Refusing(cache=tmp_path).check(_SAMPLE)) == _untimed(first)


def test_the_same_bytes_are_known_by_another_name(tmp_path: Path) -> None:
    Checker(cache=tmp_path / "cache").check(_SAMPLE)
    other = tmp_path / "other.o"
    shutil.copyfile(_SAMPLE, other)
    report = Refusing(cache=tmp_path / "cache").check(str(other), sample=True)
    assert {finding.file for finding in report.findings} == {report.file} == {str(other)}
    assert report.sample


def test_other_bytes_and_other_options_are_not_known(tmp_path: Path) -> None:
    Checker(cache=tmp_path / "cache").check(_SAMPLE)
    changed = tmp_path / "changed.o"
    changed.write_bytes(Path(_SAMPLE).read_bytes() + b"\0")
    for options, path in ((None, str(changed)), (CheckOptions("on", ("g",)), _SAMPLE)):
        with pytest.raises(AssertionError):
            Refusing(options, tmp_path / "cache").check(path)


def test_another_version_of_the_validator_starts_afresh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Checker(cache=tmp_path).check(_SAMPLE)
    monkeypatch.setattr("kdash.backends.stack.result_cache._validator", lambda: b"newer")
    with pytest.raises(AssertionError):
        Refusing(cache=tmp_path).check(_SAMPLE)


@pytest.mark.parametrize("damage", [b"", b"x", b"\0" * 4000])
def test_a_damaged_report_counts_as_none(damage: bytes, tmp_path: Path) -> None:
    first = Checker(cache=tmp_path).check(_SAMPLE)
    (kept,) = tmp_path.glob("*.report")
    kept.write_bytes(damage)
    assert _untimed(Checker(cache=tmp_path).check(_SAMPLE)) == _untimed(first)
    assert kept.read_bytes() != damage


def test_reports_are_for_the_user_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "stack"
    Checker(cache=folder).check(_SAMPLE)
    (kept,) = folder.iterdir()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert Checker(cache=tmp_path / "file" / "stack").check(_SAMPLE).findings


def test_a_file_that_cannot_be_validated_is_not_kept(tmp_path: Path) -> None:
    broken = tmp_path / "broken.o"
    broken.write_bytes(b"\x7fELF")
    checker = Checker(cache=tmp_path / "cache")
    assert checker.check(str(broken)).error
    assert checker.check(str(tmp_path / "missing.o")).error == "no such file"
    assert not (tmp_path / "cache").exists()


def test_the_oldest_reports_go_when_there_are_too_many(tmp_path: Path) -> None:
    for age in range(8):
        file = tmp_path / f"{age}.report"
        file.write_bytes(b"x" * 4096)
        os.utime(file, (1000 + age, 1000 + age))
    tidy(tmp_path, most_bytes=1 << 20, most_files=8)
    assert len(list(tmp_path.iterdir())) == 8
    tidy(tmp_path, most_bytes=1 << 20, most_files=7)
    assert sorted(file.stem for file in tmp_path.iterdir()) == ["3", "4", "5", "6", "7"]


def test_a_key_is_the_same_in_every_process_and_differs_by_content(tmp_path: Path) -> None:
    one, other = ResultCache(CheckOptions(), tmp_path), ResultCache(CheckOptions(), tmp_path)
    assert one.key(b"a") == other.key(b"a") != one.key(b"b")


def test_the_folder_is_that_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/kdash/stack")
    monkeypatch.setenv("XDG_CACHE_HOME", "not/absolute")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache_folder() == Path("/home/me/.cache/kdash/stack")
    monkeypatch.delenv("HOME")
    assert cache_folder() is None


def test_workers_keep_reports_unless_told_not_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    async def run(cache: bool) -> list[FileReport]:
        return [r async for r in validate(sample_paths()[:3], jobs=2, cache=cache)]

    uncached = asyncio.run(run(False))
    assert not (tmp_path / "kdash").exists()
    first, second = asyncio.run(run(True)), asyncio.run(run(True))
    assert len(list((tmp_path / "kdash" / "stack").iterdir())) == 3
    plain = [sorted(map(_untimed, each), key=lambda r: r.file) for each in (uncached, first)]
    assert plain[0] == plain[1] == sorted(map(_untimed, second), key=lambda r: r.file)
