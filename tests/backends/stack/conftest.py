"""Objects for the tests, assembled and compiled with gcc as they are needed."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from kdash.backends.stack.check import Checker
from kdash.backends.stack.facts import CheckOptions, FileReport, Finding

Assemble = Callable[..., Path]
Check = Callable[..., FileReport]

# FUNC, GLOBAL and LABEL open a function, an unannotated global label, and a local function.
_MACROS = """
.section .note.GNU-stack,"",@progbits
.text
.macro FUNC name
.globl \\name
.type \\name, @function
\\name:
.endm
.macro END name
.size \\name, . - \\name
.endm
"""


@pytest.fixture
def assemble(tmp_path: Path) -> Assemble:
    """Assemble a text (FUNC and END open and close functions) and give the object's path."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")

    def make(text: str, name: str = "object", *options: str) -> Path:
        source, target = tmp_path / f"{name}.S", tmp_path / f"{name}.o"
        source.write_text(_MACROS + text)
        _gcc(source, target, *options)
        return target

    return make


@pytest.fixture
def compile_c(tmp_path: Path) -> Assemble:
    """Compile a C text with further gcc options and give the object's path."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")

    def make(text: str, *options: str) -> Path:
        source, target = tmp_path / "unit.c", tmp_path / "unit.o"
        source.write_text(text)
        _gcc(source, target, *options)
        return target

    return make


def _gcc(source: Path, target: Path, *options: str) -> None:
    subprocess.run(
        ["gcc", "-c", *options, source.name, "-o", target.name], cwd=source.parent, check=True
    )


@pytest.fixture
def check(assemble: Assemble) -> Check:
    """Assemble a text and validate it; frame pointer rules off unless asked for."""

    def run(
        text: str,
        *,
        frame_pointer: str = "off",
        noreturn: tuple[str, ...] = (),
        uaccess: bool = False,
    ) -> FileReport:
        options = CheckOptions(frame_pointer, noreturn, uaccess=uaccess)
        report = Checker(options).check(str(assemble(text)))
        assert not report.error
        return report

    return run


def brief(findings: tuple[Finding, ...]) -> list[tuple[str, str, int]]:
    """Kind, place and offset of findings."""
    return [(f.kind, f.function or f.section, f.offset) for f in findings]


@pytest.fixture
def sites(check: Check) -> Callable[..., list[tuple[str, str, int]]]:
    """Assemble, validate, and give kind, place and offset of each finding."""

    def run(text: str, **options: object) -> list[tuple[str, str, int]]:
        return brief(check(text, **options).findings)

    return run
