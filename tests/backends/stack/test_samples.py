"""The bundled objects: small, without foreign paths, made from the sources beside them."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import FileReport
from kdash.backends.stack.object_files import sample_paths

SAMPLES = sorted(Path(path) for path in sample_paths())
# How a sample is made from its source: in its folder, with the options of its first line.
COMMON = (
    "-g -gno-record-gcc-switches -fdebug-prefix-map={folder}=. -fcf-protection=none -fno-pic"
    " -fno-asynchronous-unwind-tables -fno-stack-protector -mno-red-zone -mcmodel=kernel"
)


def _kinds(report: FileReport) -> list[tuple[str, str]]:
    return sorted((finding.kind, finding.function) for finding in report.findings)


def test_the_samples_show_many_kinds_of_findings() -> None:
    kinds = {f.kind for path in SAMPLES for f in Checker().check(str(path)).findings}
    assert 5 <= len(SAMPLES) <= 8
    assert {
        *("call-without-frame", "return-modified", "state-mismatch", "sibling-modified"),
        *("unreachable", "return-outside", "fallthrough", "entry-insn", "bp-scratch"),
    } <= kinds


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_is_small_and_names_no_foreign_folder(path: Path) -> None:
    data = path.read_bytes()
    assert len(data) < 8192
    assert not re.search(rb"/(work|tmp|home|root|usr|build)\b", data)


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_samples_findings_have_their_source_line(path: Path) -> None:
    report = Checker().check(str(path))
    assert report.findings
    for finding in report.findings:
        assert finding.source is not None
        assert finding.source.file in (f"{path.stem}.c", f"{path.stem}.S")


@pytest.mark.gcc
@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_a_sample_made_again_from_its_source_has_the_same_findings(
    path: Path, tmp_path: Path
) -> None:
    source = next(path.parent.glob(f"{path.stem}.[cS]"))
    options = re.match(r"/\* gcc: (.*)", source.read_text())
    assert options is not None
    target = tmp_path / path.name
    command = ["gcc", "-c", *options[1].split(), *COMMON.format(folder=path.parent).split()]
    subprocess.run([*command, source.name, "-o", str(target)], cwd=path.parent, check=True)
    again, bundled = Checker().check(str(target)), Checker().check(str(path))
    assert not again.error
    assert _kinds(again) == _kinds(bundled)
