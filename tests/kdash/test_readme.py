"""What README shows works as it stands there."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from kdash.commands import entropy
from kdash.commands.grammar import commands
from kdash.commands.privileges import PRIVILEGES
from kdash.configuration import read_configuration

README = Path(__file__).parents[2] / "README.md"


def commands_and_output(text: str) -> tuple[str, str]:
    """The indented lines that begin with $, and the others."""
    lines = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    commands = [line[2:] for line in lines if line.startswith("$ ")]
    output = [line for line in lines if not line.startswith("$ ")]
    return "\n".join(commands), "\n".join(output) + "\n"


@pytest.mark.kvm
def test_the_device_of_ten_lines_does_what_readme_says(tmp_path: Path) -> None:
    section = README.read_text().partition("### Your own hardware in ten lines")[2]
    section = section.partition("\n## ")[0]
    found = re.search(r"`(\w+\.py)`:\n\n```python\n(.*?)```\n(.*)", section, re.DOTALL)
    assert found is not None
    name, code, rest = found.groups()
    (tmp_path / name).write_text(code)
    commands, output = commands_and_output(rest)
    assert carried_out(commands, tmp_path) == (0, output)


def shown(containing: str) -> tuple[str, str]:
    """The indented block of README that holds a text: its commands, and their output."""
    blocks = re.findall(r"(?:^    .*\n)+", README.read_text(), re.MULTILINE)
    return commands_and_output(next(block for block in blocks if containing in block))


def carried_out(commands: str, folder: Path) -> tuple[int, str]:
    kdash = f'kdash() {{ "{sys.executable}" -m kdash "$@"; }}\n'
    done = subprocess.run(
        ["sh", "-c", kdash + commands],
        check=False, cwd=folder, env={**os.environ, "PYTHONPATH": str(README.parent)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.kvm
@pytest.mark.parametrize(
    ("containing", "status"),
    [("$ kdash vcpu run 2>exits", 0), ("--until-exit MMIO", 1)],
    ids=["the article's guest", "the first MMIO exit"],
)
def test_a_guest_of_readme_prints_what_is_shown(
    containing: str, status: int, tmp_path: Path
) -> None:
    typed, output = shown(containing)
    assert carried_out(typed, tmp_path) == (status, output)


def test_the_findings_of_readme_are_those_that_the_sample_has() -> None:
    typed, output = shown("$ kdash stack check backends")
    status, told = carried_out(typed, README.parent)
    assert status == 1
    assert set(output.splitlines()) <= set(told.splitlines())


def test_what_readme_shows_of_the_generator_is_told_under_these_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, output = shown("$ kdash entropy --check\n")
    names = [line[:15].strip() for line in output.splitlines()]
    assert entropy.run([]) == 0
    told = {line[:15].strip() for line in capsys.readouterr().out.splitlines()}
    assert {name for name in names if name} <= told | {"reseed", "hardware source"}


def every_command() -> list[list[str]]:
    """What stands behind `$ kdash` anywhere in README, without what follows in the shell."""
    lines = re.findall(r"^    \$ kdash (.*)$", README.read_text(), re.MULTILINE)
    return [shlex.split(re.split(r" (?:\||#|\|\|) ", line)[0], comments=True) for line in lines]


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_option_that_readme_types_is_one_of_its_command(words: list[str]) -> None:
    known = {command.words: command for command in commands()}
    path = max((p for p in known if tuple(words[: len(p)]) == p), key=len)
    flags = {flag for option in known[path].options for flag in option.flags}
    typed = {word.partition("=")[0] for word in words if word.startswith("--")}
    assert typed <= flags


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


def code_of(language: str, containing: str) -> str:
    """The block of README in a language that holds a text."""
    blocks: list[str] = re.findall(rf"```{language}\n(.*?)```", README.read_text(), re.DOTALL)
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
        "PYTHONPATH": str(README.parent),
        "kernel_source_dir": str(module.parent / "kernel"),
    }
    done = subprocess.run(
        command, check=False, cwd=module, env=environment, capture_output=True, text=True,
        timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.gcc
def test_the_line_for_kbuild_fails_the_build_of_a_module_with_an_error(module: Path) -> None:
    (module / "Makefile").write_text(code_of("make", "kdash"))
    command = ["make", f"KDIR={module.parent}/kernel", "modules"]
    assert built(command, module, "nop")[0] == 0
    status, output = built(command, module, "push %rbx")
    assert status == 2  # make's, of a recipe that failed
    assert "return-modified" in output


@pytest.mark.gcc
def test_the_line_for_dkms_fails_the_build_of_a_module_with_an_error(module: Path) -> None:
    line = code_of("sh", "MAKE[0]").strip()
    # As DKMS does: the configuration is sourced somewhere, then the command in it is carried out
    # in the folder of the build.
    command = ["bash", "-ec", f"cd /\n{line}\ncd {module}\n" + 'eval "${MAKE[0]}"']
    assert built(command, module, "nop")[0] == 0
    status, output = built(command, module, "push %rbx")
    assert (status, "return-modified" in output) == (1, True)


def test_the_configuration_of_readme_is_one(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text(code_of("toml", "stack.rules"))
    configuration = read_configuration({"KDASH_CONFIG": str(path)})
    assert configuration.rules == (("unreachable", "warning"),)
    assert configuration.noreturn == ("journal_abort",)


def test_the_configuration_of_the_dashboard_in_readme_is_one(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text(code_of("toml", "[dashboard]"))
    found = read_configuration({"KDASH_CONFIG": str(file)})
    assert (found.theme, found.interval) == ("light", 0.5)
    assert found.keys == (("vcpu.step", "f8"),)
