"""What README and docs/ give to be put into files works as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from kdash.commands.privileges import PRIVILEGES
from kdash.configuration import read_configuration

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
STACK = ROOT / "docs" / "stack.md"


def test_the_table_of_privileges_is_the_programs_own() -> None:
    rows = [f"| {' | '.join(one)} |" for one in PRIVILEGES]
    assert "\n".join(rows) in README.read_text()


KERNEL = "modules:\n\tgcc -c $(M)/unit.S -o $(M)/unit.o\n"
UNIT = """
.section .note.GNU-stack,"",@progbits
.text
.globl unit
.type unit, @function
unit:
    {}
    ret
.size unit, . - unit
"""


def code_of(document: Path, language: str, containing: str) -> str:
    """The block of a document in a language that holds a text."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", document.read_text(), re.DOTALL)
    return next(block for block in blocks if containing in block)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """A module's folder beside a kernel that builds it, and a kdash in the PATH."""
    for name in ("kernel", "module", "bin"):
        (tmp_path / name).mkdir()
    (tmp_path / "kernel" / "Makefile").write_text(KERNEL)
    program = tmp_path / "bin" / "kdash"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kdash "$@"\n')
    program.chmod(0o755)
    return tmp_path / "module"


def built(command: list[str], module: Path, instruction: str) -> tuple[int, str]:
    (module / "unit.S").write_text(UNIT.format(instruction))
    environment = {
        **os.environ,
        "PATH": f"{module.parent}/bin:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "kernel_source_dir": str(module.parent / "kernel"),
    }
    done = subprocess.run(
        command, check=False, cwd=module, env=environment, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.gcc
@pytest.mark.parametrize("document", [README, STACK], ids=lambda path: path.name)
def test_the_line_for_kbuild_fails_the_build_of_a_module_with_an_error(
    document: Path, module: Path
) -> None:
    (module / "Makefile").write_text(code_of(document, "make", "kdash"))
    command = ["make", f"KDIR={module.parent}/kernel", "modules"]
    assert built(command, module, "nop")[0] == 0
    status, output = built(command, module, "push %rbx")
    assert status == 2  # make's, of a recipe that failed
    assert "return-modified" in output


@pytest.mark.gcc
def test_the_line_for_dkms_fails_the_build_of_a_module_with_an_error(module: Path) -> None:
    line = code_of(STACK, "sh", "MAKE[0]").strip()
    # As DKMS does: the configuration is sourced somewhere, then the command in it is carried out
    # in the folder of the build.
    command = ["bash", "-ec", f"cd /\n{line}\ncd {module}\n" + 'eval "${MAKE[0]}"']
    assert built(command, module, "nop")[0] == 0
    status, output = built(command, module, "push %rbx")
    assert (status, "return-modified" in output) == (1, True)


def test_the_configuration_of_the_rules_is_one(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(code_of(STACK, "toml", "stack.rules"))
    configuration = read_configuration({"KDASH_CONFIG": str(path)})
    assert configuration.rules == (("unreachable", "warning"),)
    assert configuration.noreturn == ("journal_abort",)


def test_the_configuration_of_the_dashboard_in_readme_is_one(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(code_of(README, "toml", "[dashboard]"))
    found = read_configuration({"KDASH_CONFIG": str(file)})
    assert (found.theme, found.interval) == ("light", 0.5)
    assert found.keys == (("vcpu.step", "f8"),)
