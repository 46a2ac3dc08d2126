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
    assert '\nunreachable = "warning"  # line 4\n' in printed
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
    assert data["sources"]["stack.rules.unreachable"] == f"{file}:4"
    assert data["sources"]["stack.rules.decode"] == "default"


def test_every_value_says_where_it_comes_from(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.setenv("TERM", "linux")
    for name in ("COLORTERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    file.write_text('[entropy]\ninterval = 2\n[keys]\nvcpu.step = "f8"\n')
    assert run([]) == 0
    printed = capsys.readouterr().out
    assert "interval = 2.0  # line 2\n" in printed
    assert '"vcpu.step" = "f8"  # line 4\n' in printed
    assert "# ascii = true  # by LC_ALL\n" in printed
    assert '# theme = "ansi"  # by TERM\n' in printed
    file.write_text("[dashboard]\nascii = false\n")
    assert run([]) == 0
    assert "\nascii = false  # line 2\n" in capsys.readouterr().out


def test_every_binding_is_listed_as_lines_of_the_file(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text('[keys]\nvcpu.step = "f8"\n')
    assert run(["--keys"]) == 0
    printed = capsys.readouterr().out
    assert '\n"vcpu.step" = "f8"\n' in printed
    assert '\n# "app.zoom" = "z"\n' in printed
    file.write_text(printed.replace("# ", ""))  # what is printed is accepted
    assert dict(read_configuration().keys)["app.zoom"] == "z"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('"vcpu.stepp" = "f8"', "2: [keys] vcpu.stepp: no such binding; near it: vcpu.step"),
        ('app.zoom = "bananas"', "2: [keys] app.zoom: 'bananas' is no key"),
        ('app.zoom = "f5"\napp.help = "f5"', "3: [keys] app.help: f5 is app.zoom's already"),
        ('vcpu.step = "ctrl+p"', "2: [keys] vcpu.step: ctrl+p opens the palette"),
        ('vcpu.step = "q"', "2: [keys] vcpu.step: q is app.quit's already; give that one"),
        ('stack.watch = "?"', "2: [keys] stack.watch: ? is app.help's already"),
        ('vcpu.step = "j"', "2: [keys] vcpu.step: j is "),
    ],
)
def test_a_binding_that_can_not_be_is_refused_with_its_line(
    file: Path, capsys: pytest.CaptureFixture[str], text: str, says: str
) -> None:
    file.write_text(f"[keys]\n{text}\n")
    assert run([]) == 2
    assert f"{file}:{says}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        'vcpu.step = "n"\nvcpu.next = "s"',  # exchanged
        'vcpu.step = "q"\napp.quit = "f10"',
        'stack.watch = "R"',  # of another pane
        'question.yes = "R"',  # a dialog gets its keys alone
    ],
)
def test_keys_that_never_meet_may_be_the_same(file: Path, text: str) -> None:
    file.write_text(f"[keys]\n{text}\n")
    assert run([]) == 0


def test_all_keys_as_they_are_may_be_said(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--keys"]) == 0
    file.write_text(capsys.readouterr().out.replace("# ", ""))
    assert run([]) == 0


def test_a_guest_that_is_not_there_is_told_with_its_line(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text('[dashboard]\n\nguest = "gone.bin"\n')
    assert run([]) == 2
    assert f"{file}:3: [dashboard] guest: " in capsys.readouterr().err


def test_what_a_terminal_would_obey_is_printed_with_escapes(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (file.parent / "g\u009b2J\u202e").write_bytes(b"\xf4")
    file.write_text('[dashboard]\nguest = "g\\u009b2J\\u202e"\n')
    before = read_configuration()
    assert run([]) == 0
    printed = capsys.readouterr().out
    assert 'g\\u009b2J\\u202e"' in printed
    file.write_text(printed)
    assert read_configuration() == before


def test_a_malformed_file_has_its_line_and_status(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_text("[stack]\nrules = 1\n")
    assert run([]) == 2
    assert f"{file}:2: [stack] rules: a table is needed" in capsys.readouterr().err
    file.unlink()
    assert run([]) == 3


def test_the_dashboard_checks_by_the_configuration(file: Path) -> None:
    check = configured(Settings(), read_configuration()).check
    assert check is not None
    assert (check.levels, check.noreturn) == ((("unreachable", "warning"),), ("die",))
    file.write_text("x")
    with pytest.raises(ConfigurationError):
        read_configuration()
