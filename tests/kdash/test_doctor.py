from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import pytest

from kdash.commands import doctor as command
from kdash.doctor import PlainProbe, Section, examine, probe_terminal, works

VERDICTS = {"ok", "warning", "failed"}


def test_every_pane_and_the_terminal_are_probed() -> None:
    assert [section.title for section in examine()] == ["vcpu", "stack", "entropy", "terminal"]


def test_every_probe_has_a_verdict_and_a_failed_one_a_remedy() -> None:
    for section in examine():
        assert section.probes
        for probe in section.probes:
            assert probe.verdict in VERDICTS
            assert probe.detail
            assert probe.remedy or probe.verdict != "failed"


def failing(essential: bool) -> tuple[Section, ...]:
    probe = PlainProbe("thing", "failed", "is missing", "bring it")
    return (Section("vcpu", (probe,), essential),)


def test_a_failed_probe_of_a_pane_means_that_not_all_works() -> None:
    assert not works(failing(essential=True))


def test_a_failed_probe_of_the_terminal_does_not_count() -> None:
    assert works(failing(essential=False))


def test_json_has_the_remedy_where_there_is_one_and_no_empty_keys() -> None:
    data = command.as_json(failing(essential=True))
    assert data == {
        "works": False,
        "sections": [
            {
                "name": "vcpu",
                "works": False,
                "probes": [
                    {
                        "name": "thing",
                        "verdict": "failed",
                        "detail": "is missing",
                        "remedy": "bring it",
                    }
                ],
            }
        ],
    }


def test_text_puts_the_remedy_below_what_it_mends() -> None:
    lines = command.as_text(failing(essential=True)).splitlines()
    assert lines[1].split() == ["FAIL", "thing", "is", "missing"]
    assert lines[2].strip() == "-> bring it"


@pytest.mark.parametrize(("essential", "status"), [(True, 3), (False, 0)])
def test_the_exit_status_tells_whether_all_panes_work(
    essential: bool,
    status: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "examine", lambda: failing(essential))
    assert command.run(["--format", "json"]) == status
    assert json.loads(capsys.readouterr().out)["works"] is (status == 0)


@pytest.mark.kvm
def test_this_machine_can_do_all_three() -> None:
    assert works(examine())


def test_an_absent_kvm_device_fails_the_vcpu_section_with_a_remedy(tmp_path: Path) -> None:
    from kdash.backends.kvm.capabilities import probe_kvm

    probes = probe_kvm(str(tmp_path / "kvm"))
    failed = [probe for probe in probes if probe.verdict == "failed"]
    assert failed
    assert all(probe.remedy for probe in failed)


@pytest.mark.parametrize(
    ("environment", "verdict"),
    [
        ({"COLORTERM": "truecolor", "TERM": "xterm"}, "ok"),
        ({"TERM": "xterm-256color"}, "ok"),
        ({"TERM": "linux"}, "warning"),
        ({"TERM": "linux", "NO_COLOR": "1"}, "ok"),
    ],
)
def test_the_colours_are_told_from_the_environment(
    environment: dict[str, str], verdict: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("COLORTERM", "TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    colours = next(probe for probe in probe_terminal() if probe.name == "colours")
    assert colours.verdict == verdict


def test_a_small_terminal_is_told_with_the_size_that_is_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((60, 20)))
    monkeypatch.setattr(sys.stderr, "fileno", lambda: 2, raising=False)
    size = next(probe for probe in probe_terminal() if probe.name == "size")
    assert (size.verdict, size.detail) == ("warning", "60x20")
    assert "80x24" in size.remedy


def test_the_build_names_its_compiler_and_kernel_headers() -> None:
    build = examine()[0].probes[0]
    assert (build.name, build.verdict) == ("native module", "ok")
    assert re.fullmatch(r"built by .+ with the headers of Linux \d+\.\d+\.\d+", build.detail)


def test_a_part_that_is_not_installed_fails_its_own_section_with_a_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "kdash.backends.kvm.build_probe", None)
    sections = {section.title: section for section in examine()}
    assert not sections["vcpu"].works
    assert "install kdash again" in sections["vcpu"].probes[0].remedy
    assert sections["stack"].works
