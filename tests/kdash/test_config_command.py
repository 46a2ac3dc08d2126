"""`kdash config`: what holds, and where it comes from."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from kdash.backends.stack.rules import RULES
from kdash.commands.config import run
from kdash.commands.dashboard import configured
from kdash.configuration import Configuration, ConfigurationError, read_configuration
from kdash.settings import Settings

TEXT = '[stack]\nnoreturn = ["die"]\n[stack.rules]\nunreachable = "warning"\n'


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(TEXT)
    monkeypatch.setenv("KDASH_CONFIG", str(path))
    return path


def test_what_is_printed_is_a_configuration_that_says_the_same(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = read_configuration()
    assert run([]) == 0
    printed = capsys.readouterr().out
    assert f"# {file}\n" in printed
    assert '\nunreachable = "warning"\n' in printed
    assert '\n# decode = "error"\n' in printed
    file.write_text(printed)
    assert read_configuration() == before


def test_without_a_file_the_defaults_are_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KDASH_CONFIG")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert run([]) == 0
    printed = capsys.readouterr().out
    assert "not there: these are the defaults" in printed
    (tmp_path / "kdash").mkdir()
    (tmp_path / "kdash" / "config.toml").write_text(printed)
    assert read_configuration() == Configuration()


def test_json_has_all_rules_with_their_levels(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["--format", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["path"] == str(file)
    assert set(data["stack"]["rules"]) == set(RULES)
    assert data["stack"]["rules"]["unreachable"] == "warning"


def test_a_malformed_file_has_its_line_and_status(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("[stack]\nrules = 1\n")
    assert run([]) == 2
    assert f"{file}:2: rules: a table is needed" in capsys.readouterr().err
    file.unlink()
    assert run([]) == 3


def test_the_dashboard_checks_by_the_configuration(file: Path) -> None:
    check = configured(Settings()).check
    assert check is not None
    assert (check.levels, check.noreturn) == ((("unreachable", "warning"),), ("die",))
    file.write_text("x")
    with pytest.raises(ConfigurationError):
        configured(Settings())
