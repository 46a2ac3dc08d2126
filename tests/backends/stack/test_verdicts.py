"""Verdicts on findings: kept in a file, never lost."""

from __future__ import annotations

import fcntl
import os
import stat
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.stack import verdicts
from kdash.backends.stack.facts import VERDICTS, Verdict
from kdash.backends.stack.verdicts import VerdictError, VerdictFile, settled

KEY, OTHER = "aaaa", "bbbb"
TODAY = date(2026, 11, 22)


def verdict(key: str = KEY, word: str = "false-positive", **changes: str) -> dict[str, Verdict]:
    return {key: Verdict(key, word, **changes)}


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "state" / "verdicts")


def test_a_verdict_is_there_again_after_a_restart(path: str) -> None:
    VerdictFile(path).change(verdict(note="asm stub\nnever calls", expires="2026-12-31"))
    assert VerdictFile(path).load() == verdict(note="asm stub\nnever calls", expires="2026-12-31")


def test_without_a_file_there_is_no_verdict_and_none_is_made(path: str) -> None:
    assert VerdictFile(path).load() == {}
    assert not os.path.exists(os.path.dirname(path))


def test_the_file_is_for_its_owner_alone(path: str) -> None:
    VerdictFile(path).change(verdict())
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700


def test_two_programs_keep_each_others_verdicts(path: str) -> None:
    one, other = VerdictFile(path), VerdictFile(path)
    one.load()
    other.load()
    one.change(verdict(KEY))
    other.change(verdict(OTHER))
    assert other.load() == verdict(KEY) | verdict(OTHER)
    assert one.changed
    assert one.load() == other.verdicts
    assert not one.changed


def test_undo_brings_back_what_was_there_before(path: str) -> None:
    file = VerdictFile(path)
    file.change(verdict(word="to-fix") | verdict(OTHER))
    file.change(verdict(word="toolchain") | {OTHER: None})
    assert file.load() == verdict(word="toolchain")
    assert file.undo() == (2, 0)
    assert file.load() == verdict(word="to-fix") | verdict(OTHER)
    assert file.undo() == (2, 0)
    assert file.load() == {}
    with pytest.raises(VerdictError, match="nothing to undo"):
        file.undo()


def test_undo_leaves_what_another_program_decided_since(path: str) -> None:
    file = VerdictFile(path)
    file.change(verdict(KEY) | verdict(OTHER))
    VerdictFile(path).change(verdict(KEY, "wont-fix"))
    assert file.undo() == (1, 1)
    assert file.load() == verdict(KEY, "wont-fix")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not a file of verdicts"),
        ('{"kdash": "stack baseline", "version": 1, "findings": 0}\n', "not a file of verdicts"),
        ('{"kdash": "stack verdicts", "version": 9, "verdicts": 0}\n', "version 9"),
        ('{"kdash": "stack verdicts", "version": 1, "verdicts": 2}\n', "2 verdicts announced"),
        (
            '{"kdash": "stack verdicts", "version": 1, "verdicts": 1}\n{"word": "to-fix"}\n',
            "line 2",
        ),
    ],
)
def test_a_damaged_file_is_refused_and_kept(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "verdicts"
    path.write_text(text)
    file = VerdictFile(str(path))
    for use in (file.load, lambda: file.change(verdict())):
        with pytest.raises(VerdictError, match=says):
            use()
    assert path.read_text() == text
    assert sorted(os.listdir(tmp_path)) == ["verdicts", "verdicts.lock"]


@pytest.mark.parametrize("changes", [{"word": "fine"}, {"expires": "soon"}])
def test_a_verdict_that_means_nothing_is_refused(path: str, changes: dict[str, str]) -> None:
    VerdictFile(path).change(verdict(**changes))
    with pytest.raises(VerdictError, match="line 2"):
        VerdictFile(path).load()


def test_a_file_that_another_program_holds_is_told(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts, "_PATIENCE", 0.05)
    VerdictFile(path).change(verdict())
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(VerdictError, match="another program"):
            VerdictFile(path).change(verdict(OTHER))
    assert VerdictFile(path).load() == verdict()


def test_a_write_that_fails_leaves_the_verdicts(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    file = VerdictFile(path)
    file.change(verdict())

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        file.change(verdict(OTHER))
    assert VerdictFile(path).load() == verdict() == file.verdicts
    assert sorted(os.listdir(os.path.dirname(path))) == ["verdicts", "verdicts.lock"]


def test_accepted_findings_are_those_whose_verdict_counts_today() -> None:
    given_to = {
        **verdict("fix", "to-fix"),
        **verdict("fine"),
        **verdict("today", expires="2026-11-22"),
        **verdict("over", expires="2026-11-21"),
    }
    assert settled([*given_to, "none"], given_to, TODAY) == {"fine", "today"}


TEXT = st.text(max_size=20)


@given(st.builds(Verdict, TEXT, st.sampled_from(VERDICTS), TEXT, st.just(""), TEXT, TEXT, TEXT))
def test_any_text_survives(tmp_path_factory: pytest.TempPathFactory, one: Verdict) -> None:
    path = str(tmp_path_factory.getbasetemp() / "any-verdict")
    VerdictFile(path).change({one.fingerprint: one})
    assert VerdictFile(path).load()[one.fingerprint] == one
