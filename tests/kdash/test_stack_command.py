"""`kdash stack`: output, exit status and refusals."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from kdash.backends.stack.object_files import sample_paths
from kdash.commands.stack import run

SAMPLE = next(path for path in sample_paths() if path.endswith("idle_enter.o"))
_PROGRAM = "import sys; from kdash.cli import run; sys.exit(run(sys.argv[1:]))"


def test_findings_make_exit_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", SAMPLE]) == 1
    out, err = capsys.readouterr()
    assert "idle_enter.S:15: idle_enter+0xf: error: sibling-modified: " in out
    assert "frame pointer rules on: 2 functions with a prologue" in err


def test_warnings_do_not_change_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    kinds = ("sibling-modified", "entry-insn", "unreachable")
    rules = [argument for kind in kinds for argument in ("--rule", f"{kind}=warning")]
    assert run(["check", SAMPLE, *rules]) == 0
    assert capsys.readouterr().out.count("warning:") == 3


def test_a_rule_that_is_off_is_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    run(["check", SAMPLE, "--rule", "unreachable=off"])
    assert "unreachable" not in capsys.readouterr().out


def test_an_unreadable_file_beats_findings_and_the_others_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.o"
    broken.write_bytes(b"\x7fELF")
    assert run(["check", str(broken), SAMPLE, "--format", "json"]) == 3
    out, err = capsys.readouterr()
    lines = [json.loads(line) for line in out.splitlines()]
    assert lines[0]["file"] == str(broken)
    assert "truncated" in lines[0]["error"]
    assert lines[1]["kind"] == "sibling-modified"
    summary = lines[-1]["summary"]
    assert (summary["files"], summary["unreadable"]) == (2, 1)
    assert f"{broken}: truncated" in err


def test_a_folder_is_searched_and_workers_find_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = str(Path(SAMPLE).parent)
    run(["check", folder])
    alone = sorted(capsys.readouterr().out.splitlines())
    run(["check", folder, "--jobs", "2"])
    assert sorted(capsys.readouterr().out.splitlines()) == alone
    assert len(alone) > 10


def test_the_summary_counts_kinds(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["check", SAMPLE, "--format", "summary"]) == 1
    assert "1 sibling-modified" in capsys.readouterr().out


def test_a_noreturn_name_is_followed(capsys: pytest.CaptureFixture[str]) -> None:
    sample = next(path for path in sample_paths() if path.endswith("journal.o"))
    assert run(["check", sample]) == 1
    assert run(["check", sample, "--noreturn", "journal_abort"]) == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["check"], "PATH"),
        (["check", SAMPLE, "--rule", "nonsense=off"], "no rule 'nonsense'"),
        (["check", SAMPLE, "--rule", "decode=loud"], "error, warning, off"),
        (["check", SAMPLE, "--jobs", "0"], "'0' is no number of processes"),
        (["check", SAMPLE, "--frame-pointer", "maybe"], "maybe"),
        (["look"], "look"),
        (["explain", "nonsense"], "no rule 'nonsense'"),
        (["explain", SAMPLE, "nothing"], "no function 'nothing'"),
    ],
)
def test_a_usage_error_is_one_line_that_names_the_argument(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err
    assert err.count("\n") == 1


def test_help_has_an_example(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["--help"], ["check", "--help"], ["explain", "--help"]):
        assert run(arguments) == 0
        assert "example" in capsys.readouterr().out


def test_a_rule_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["explain", "bp-scratch"]) == 0
    assert "BP used as a scratch register" in capsys.readouterr().out


def test_explaining_a_file_that_is_not_there_is_an_environment_error(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(["explain", "/nonexistent.o", "f"]) == 3
    assert "/nonexistent.o: no such file" in capsys.readouterr().err


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = [sys.executable, "-c", _PROGRAM, "stack", "check", str(Path(SAMPLE).parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        errors = process.stderr.read()
    assert process.returncode == 141
    assert b"Traceback" not in errors
    assert b"BrokenPipe" not in errors


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_a_signal_ends_it_after_what_is_known_was_printed(
    number: signal.Signals, status: int, tmp_path: Path
) -> None:
    for copy in range(3000):
        (tmp_path / f"{copy}.o").symlink_to(SAMPLE)
    command = [sys.executable, "-c", _PROGRAM, "stack", "check", str(tmp_path), "--format", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        process.send_signal(number)
        rest = process.stdout.read()
    assert process.returncode == status
    assert json.loads(first)["kind"]
    assert "summary" in json.loads(rest.splitlines()[-1])


def test_a_folder_that_holds_no_object_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", str(tmp_path)]) == 0
    assert f"no *.o, *.ko or *.a in {tmp_path}" in capsys.readouterr().err


@pytest.mark.root
def test_a_folder_that_cant_be_listed_is_not_clean(public_path: Path) -> None:
    # What is imported on the way is imported as root: the interpreter may be root's alone.
    program = (
        "import os, sys; from kdash.commands.stack import run\n"
        f"run(['check', {SAMPLE!r}])\n"
        "os.setgid(65534); os.setuid(65534); sys.exit(run(sys.argv[1:]))"
    )
    closed = public_path / "closed"
    closed.mkdir(mode=0)
    command = [sys.executable, "-c", program, "check", str(public_path)]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert result.returncode == 3
    assert f"{closed}: Permission denied" in result.stderr


LOG = "x.o: warning: objtool: f()+0x9: undefined stack state\n"


def test_import_prints_the_findings_of_a_log_with_their_origin(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "build.log").write_text("  CC x.o\n" + LOG)
    assert run(["import", str(tmp_path / "build.log"), "--format", "json"]) == 0
    first, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert (first["kind"], first["origin"], first["offset"]) == ("undefined-state", "objtool", 9)
    assert "agrees" not in first
    assert summary["summary"]["findings"] == {"undefined-state": 1}


def test_import_of_an_error_has_the_status_of_findings(tmp_path: Path) -> None:
    (tmp_path / "build.log").write_text(LOG.replace("warning", "error"))
    assert run(["import", str(tmp_path / "build.log")]) == 1


def test_import_of_a_log_without_warnings_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "build.log").write_text("  CC x.o\n")
    assert run(["import", str(tmp_path / "build.log")]) == 0
    assert "no warning of objtool or stacktool in" in capsys.readouterr().err


def test_import_of_a_log_that_is_not_there_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["import", str(tmp_path / "gone.log")]) == 3
    assert "No such file" in capsys.readouterr().err
    (tmp_path / "build.log").write_text(LOG)
    assert run(["import", str(tmp_path / "build.log"), "--build-dir", "/nowhere"]) == 2


def test_a_baseline_covers_what_was_there_when_it_was_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = next(path for path in sample_paths() if path.endswith("checksum_alt.o"))
    path = str(tmp_path / "base")
    assert run(["check", sample]) == 1
    assert run(["baseline", "write", path, sample]) == 0
    capsys.readouterr()
    assert run(["check", "--baseline", path, sample]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"covered by {path}, none fixed\n" in captured.err
    assert run(["baseline", "diff", path, sample]) == 0


def test_what_a_baseline_accepts_in_objects_not_checked_is_neither_fixed_nor_forgotten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other, *_ = sample_paths()
    path = str(tmp_path / "base")
    assert run(["baseline", "write", path, one, other]) == 0
    capsys.readouterr()
    assert run(["baseline", "diff", path, one]) == 0
    told = capsys.readouterr().err
    assert "0 new, 0 fixed" in told
    assert "of objects not checked here" in told


def test_a_new_finding_and_a_fixed_one_are_told_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = sample_paths()[:2]
    copy = tmp_path / "x.o"
    path = str(tmp_path / "base")
    copy.write_bytes(Path(first).read_bytes())
    assert run(["baseline", "write", path, str(copy)]) == 0
    copy.write_bytes(Path(second).read_bytes())
    capsys.readouterr()
    assert run(["baseline", "diff", path, str(copy)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert {line.partition(":")[0] for line in lines} == {"new", "fixed"}


def test_a_file_that_is_no_baseline_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = sample_paths()[0]
    assert run(["check", "--baseline", sample, sample]) == 2
    assert "not a baseline of kdash" in capsys.readouterr().err
    assert run(["check", "--baseline", str(tmp_path / "gone"), sample]) == 3


def test_a_baseline_is_not_written_over_an_unreadable_object(tmp_path: Path) -> None:
    path = tmp_path / "base"
    assert run(["baseline", "write", str(path), str(tmp_path / "gone.o")]) == 3
    assert not path.exists()


def test_sarif_of_a_check_is_imported_again_and_agrees(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", SAMPLE, "--format", "sarif"]) == 1
    log = tmp_path / "scan"
    log.write_text(capsys.readouterr().out)
    assert run(["import", str(log), "--format", "json"]) == 1
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()[:-1]]
    assert [line["agrees"] for line in lines] == [True] * 3
    assert {line["origin"] for line in lines} == {"kdash"}


def test_malformed_results_are_a_usage_error_after_what_stood_before(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["check", SAMPLE, "--format", "json"]) == 1
    path = tmp_path / "results\x1b[31m"
    path.write_text(capsys.readouterr().out.partition("\n")[0] + '\n{"file": "cut')
    assert run(["import", str(path)]) == 2
    out, err = capsys.readouterr()
    assert "idle_enter+0xf" in out
    assert "results\\x1b[31m: line 2 is no JSON; truncated?" in err


def test_levels_come_from_the_configuration_and_the_command_line_beats_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[stack.rules]\nunreachable = 'off'\nentry-insn = 'warning'\n")
    monkeypatch.setenv("KDASH_CONFIG", str(path))
    assert run(["check", SAMPLE, "--rule", "sibling-modified=warning"]) == 0
    out = capsys.readouterr().out
    assert (out.count("warning:"), "unreachable" in out) == (2, False)
    assert run(["check", SAMPLE, "--rule", "unreachable=error"]) == 1


def test_a_malformed_configuration_is_a_usage_error_that_names_file_and_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "config.toml"
    path.write_text("[stack.rules]\nunreachable = 'loud'\n")
    monkeypatch.setenv("KDASH_CONFIG", str(path))
    assert run(["check", SAMPLE]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert f"{path}:2: [stack.rules] unreachable: 'loud' is none of error, warning, off" in err
    monkeypatch.setenv("KDASH_CONFIG", str(tmp_path / "gone"))
    assert run(["check", SAMPLE]) == 3


def test_rules_functions_and_one_function_are_explained_in_text_and_json(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for arguments in ([], ["unreachable"], [SAMPLE], [SAMPLE, "idle_enter"]):
        assert run(["explain", *arguments]) == 0
        text = capsys.readouterr().out
        assert run(["explain", *arguments, "--format", "json"]) == 0
        objects = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        name = objects[0].get("kind") or objects[0]["function"]
        assert name in text


def test_files_alone_open_the_dashboard(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([SAMPLE]) == 2  # there is no terminal here
    assert "no dashboard: " in capsys.readouterr().err


def test_levels_that_were_set_beat_those_of_a_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "build.log").write_text(LOG + LOG.replace("undefined stack state", "naked gun"))
    log = str(tmp_path / "build.log")
    assert run(["import", log]) == 0
    assert run(["import", log, "--rule", "undefined-state=error"]) == 1
    capsys.readouterr()
    assert run(["import", log, "--rule", "undefined-state=off", "--format", "json"]) == 0
    assert [json.loads(line).get("kind") for line in capsys.readouterr().out.splitlines()] == [
        *("other", None),
    ]


def test_of_many_files_it_is_told_how_often_the_frame_pointer_rules_were_on(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run(["check", str(Path(SAMPLE).parent), "--format", "summary"])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert re.fullmatch(r"frame pointer rules \(auto\): on in \d files, off in \d", lines[-1])


@pytest.mark.parametrize("arguments", [["import"], ["check", "-"]])
def test_a_closed_standard_input_is_an_environment_error(arguments: list[str]) -> None:
    command = ["sh", "-c", 'exec "$0" "$@" <&-', sys.executable, "-c", _PROGRAM, "stack"]
    result = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, timeout=60
    )
    assert (result.returncode, result.stderr.count("\n")) == (3, 1)
    assert "standard input is closed" in result.stderr


def test_results_given_to_check_are_told_from_objects(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "build.log").write_text(LOG)
    assert run(["check", SAMPLE, str(tmp_path / "build.log")]) == 2
    assert "results, no object; kdash stack import shows them" in capsys.readouterr().err
