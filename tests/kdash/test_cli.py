from __future__ import annotations

import subprocess
import sys

import pytest

import kdash
from kdash import cli, fault

LOADED = (
    "import sys; from kdash.cli import run\n"
    "try: status = run({argv!r})\n"
    "except SystemExit as end: status = end.code\n"
    "print('textual' in sys.modules or 'rich' in sys.modules, file=sys.stderr)\n"
)


def kdash_process(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "kdash", *argv],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
        check=False,
    )


def test_version_is_one_line_on_stdout() -> None:
    result = kdash_process("--version")
    assert (result.returncode, result.stdout, result.stderr) == (
        0,
        f"kdash {kdash.__version__}\n",
        "",
    )


def test_help_names_every_command() -> None:
    result = kdash_process("--help")
    assert result.returncode == 0
    assert all(f"\n  {name} " in result.stdout for name in cli.COMMANDS)


@pytest.mark.parametrize("command", sorted(cli.COMMANDS))
def test_each_command_has_help_with_an_example(command: str) -> None:
    result = kdash_process(command, "--help")
    assert result.returncode == 0
    assert "example" in result.stdout.lower()
    assert result.stdout.startswith("usage: kdash")


@pytest.mark.parametrize(
    "argv",
    [
        ["--help"],
        ["--version"],
        ["doctor"],
        ["entropy"],
        ["vcpu", "--help"],
        ["vcpu", "run"],
        ["vcpu", "caps"],
        ["stack", "explain", "unreachable"],
        ["stack", "check", "--help"],
    ],
    ids=" ".join,
)
def test_headless_commands_import_no_interface_library(argv: list[str]) -> None:
    result = subprocess.run(
        [sys.executable, "-c", LOADED.format(argv=argv)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.stderr.splitlines()[-1] == "False"


def test_a_closed_pipe_ends_quietly() -> None:
    result = subprocess.run(
        f"{sys.executable} -m kdash doctor | true", shell=True, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert result.stderr == ""


@pytest.mark.parametrize(
    ("argv", "status", "words"),
    [
        (["/no/such/file"], 3, "/no/such/file: No such file or directory"),
        (["--colour"], 2, "unrecognized arguments: --colour (see kdash --help)"),
        (["--mode", "virtual"], 2, "'virtual'"),
        (["/dev/null"], 2, "/dev/null: neither a file nor a folder"),
    ],
)
def test_a_bad_argument_names_itself_in_one_line(argv: list[str], status: int, words: str) -> None:
    result = kdash_process(*argv)
    assert result.returncode == status
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
    assert result.stdout == ""


def test_an_escape_sequence_in_an_argument_is_shown_not_sent() -> None:
    result = kdash_process("\x1b[31mno\npe")
    assert result.stderr == "kdash: \\x1b[31mno\\npe: No such file or directory\n"


def test_a_fault_of_the_program_is_told_as_data() -> None:
    program = (
        "import sys, kdash.cli, kdash.commands.doctor\n"
        "def run(argv): raise RuntimeError('[red]\\x1b[2J')\n"
        "kdash.commands.doctor.run = run\n"
        "sys.exit(kdash.cli.run(['doctor']))"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, check=False, capture_output=True, text=True)
    assert result.returncode == 1
    assert "RuntimeError: [red]\\x1b[2J" in result.stderr
    assert result.stderr.endswith(f"\n{fault.WORDS}\n")


@pytest.mark.parametrize("command", [["--help"], ["doctor"], ["stack", "explain", "unreachable"]])
def test_an_output_that_cant_be_written_is_told_in_one_line(command: list[str]) -> None:
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "kdash", *command],
            stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert result.returncode == 3
    assert result.stderr == "kdash: standard output can't be written: No space left on device\n"


def test_a_closed_output_is_told_in_one_line() -> None:
    result = subprocess.run(
        f"{sys.executable} -m kdash --help >&-", shell=True, capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stderr.count("\n")) == (3, 1)


@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full"])
def test_losing_the_narration_does_not_change_the_status(redirection: str) -> None:
    result = subprocess.run(
        f"{sys.executable} -m kdash stack check /no/such.o {redirection}", shell=True,
        capture_output=True, timeout=60, check=False,
    )  # fmt: skip
    assert result.returncode == 3


def test_without_a_terminal_one_line_names_the_headless_commands() -> None:
    result = kdash_process()
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert "standard input is not a terminal" in result.stderr
    assert "kdash vcpu run" in result.stderr
