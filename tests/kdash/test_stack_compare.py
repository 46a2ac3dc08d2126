"""`kdash stack compare`: two runs beside each other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from kdash.backends.stack.object_files import sample_paths
from kdash.commands.stack import run


def sample(name: str) -> str:
    return next(path for path in sample_paths() if path.endswith(name))


@pytest.fixture
def builds(tmp_path: Path) -> tuple[Path, Path]:
    """An old build, and a new one in which one object stays, one is changed, and one came."""
    old, new = tmp_path / "old", tmp_path / "new"
    for folder in (old, new):
        folder.mkdir()
        shutil.copy(sample("idle_enter.o"), folder / "stays.o")
    shutil.copy(sample("copy_words.o"), old / "fixed.o")
    shutil.copy(sample("uart_irq.o"), new / "fixed.o")
    shutil.copy(sample("journal.o"), new / "broken.o")
    return old, new


def changes_of(output: str) -> dict[str, int]:
    counts: dict[str, int] = json.loads(output.splitlines()[-1])["summary"]["changes"]
    return counts


def test_a_run_compared_with_itself_has_no_change(capsys: pytest.CaptureFixture[str]) -> None:
    path = sample("idle_enter.o")
    assert run(["compare", path, path]) == 0
    out, err = capsys.readouterr()
    assert (out, err) == ("", "0 new, 0 fixed, 0 moved, 3 same\n")


def test_new_and_fixed_findings_of_two_builds_are_told(
    builds: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = map(str, builds)
    assert run(["compare", old, new]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert {line.partition(": ")[0] for line in lines} == {"new", "fixed"}
    assert not any("stays.o" in line for line in lines)
    assert all("fixed.o" in line for line in lines if line.startswith("fixed"))
    assert run(["compare", new, new]) == 0


def test_saved_results_sarif_and_baselines_stand_for_a_run(
    builds: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = map(str, builds)
    run(["compare", old, new, "--format", "json"])
    expected = changes_of(capsys.readouterr().out)
    assert expected["new"] > 0 < expected["fixed"]
    for form in ("json", "sarif"):
        for folder in (old, new):
            run(["check", folder, "--format", form])
            (tmp_path / f"{Path(folder).name}.{form}").write_text(capsys.readouterr().out)
    run(["baseline", "write", str(tmp_path / "old.base"), old])
    for older in ("old.json", "old.sarif", "old.base", "old"):
        for newer in ("new.json", "new.sarif", "new"):
            arguments = ["compare", str(tmp_path / older), str(tmp_path / newer)]
            assert run([*arguments, "--format", "json"]) == 1, (older, newer)
            assert changes_of(capsys.readouterr().out) == expected, (older, newer)


def test_objects_that_were_not_looked_at_again_are_not_called_fixed(
    builds: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = builds
    assert run(["compare", str(old), str(new / "stays.o")]) == 0
    assert capsys.readouterr().err.startswith("0 new, 0 fixed, 0 moved, 3 same")


@pytest.mark.gcc
def test_a_finding_that_moved_says_where_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import subprocess

    text = (
        '.section .note.GNU-stack,"",@progbits\n.text\n.type f, @function\nf:\n{}    push %rbx\n'
        "    mov %rdi, %rax\n    xor %ecx, %ecx\n    ret\n.size f, . - f\n"
    )
    for name, before in (("a", ""), ("b", "    mov %rsi, %rdx\n    mov %rsi, %rdx\n")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x.S").write_text(text.format(before))
        subprocess.run(["gcc", "-c", "x.S", "-o", "x.o"], cwd=tmp_path / name, check=True)
    old, new = str(tmp_path / "a" / "x.o"), str(tmp_path / "b" / "x.o")
    assert run(["compare", old, new]) == 0
    line = capsys.readouterr().out
    assert line.startswith(f"moved: {new}: f+0xc: error: return-modified: ")
    assert line.endswith(f"(was {old}: f+0x6)\n")


def test_what_cant_be_read_or_is_malformed_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sample("idle_enter.o")
    assert run(["compare", str(tmp_path / "gone"), path]) == 3
    (tmp_path / "cut").write_text('{"file": "x')
    assert run(["compare", path, str(tmp_path / "cut")]) == 2
    (tmp_path / "junk.o").write_bytes(b"junk")
    assert run(["compare", path, str(tmp_path / "junk.o")]) == 3
    err = capsys.readouterr().err
    assert "gone: no such file or folder" in err
    assert "cut: line 1 is no JSON; truncated?" in err
    assert "junk.o: not an ELF file" in err


def test_what_is_gone_is_fixed_between_folders_and_unknown_elsewhere(
    builds: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = builds
    (new / "fixed.o").unlink()
    run(["check", str(old), "--format", "json"])
    (tmp_path / "before").write_text(capsys.readouterr().out)
    for older, fixed in ((old, True), (tmp_path / "before", False)):
        run(["compare", str(older), str(new), "--format", "json"])
        assert (changes_of(capsys.readouterr().out)["fixed"] > 0) is fixed


def test_a_baseline_is_compared_in_text_and_json(
    builds: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old, new = builds
    base = str(tmp_path / "base")
    assert run(["baseline", "write", base, str(old)]) == 0
    assert run(["baseline", "diff", base, str(new), "--format", "json"]) == 1
    counts = changes_of(capsys.readouterr().out)
    assert counts["new"] > 0 < counts["fixed"]
    assert run(["baseline", "diff", base, str(old), "--format", "json"]) == 0
    assert changes_of(capsys.readouterr().out)["new"] == 0


def test_a_comparison_as_sarif_says_what_each_result_is_to_the_older_run(
    builds: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["compare", *map(str, builds), "--format", "sarif"]) == 1
    (log,) = json.loads(capsys.readouterr().out)["runs"]
    states = {result["baselineState"] for result in log["results"]}
    assert states == {"new", "absent", "unchanged"}
