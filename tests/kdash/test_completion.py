"""The completions and the manual page: made of the parsers, taken by the real shells and man."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pexpect
import pytest

from kdash.cli import COMMANDS, run
from kdash.commands.grammar import Kind, commands
from kdash.commands.manual import page

ROOT = Path(__file__).parents[2]


def printed(*argv: str) -> str:
    result = subprocess.run(
        [sys.executable, "-m", "kdash", *argv], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return result.stdout


def need(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "driver one.o").touch()
    (tmp_path / "kernel.elf").touch()
    (tmp_path / "build").mkdir()
    return tmp_path


# --- the grammar


def test_every_command_has_its_options_and_says_what_each_does() -> None:
    every = commands()
    assert {command.words[0] for command in every if command.words} == set(COMMANDS)
    for command in every:
        assert len(command.summary) > 10 or not command.words, command.name
        for one in (*command.options, *command.positionals):
            assert one.text, f"{command.name} {one.flags or one.metavar}"


def test_it_is_what_the_help_of_the_commands_lists(capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands()[1:]:
        with suppress(SystemExit):  # argparse's way to end
            assert run([*command.words, "--help"]) == 0
        text = capsys.readouterr().out
        for option in command.options:
            assert option.flags[-1] in text, f"{command.name} {option.flags[-1]}"


@pytest.mark.parametrize(
    ("words", "name", "kind"),
    [
        (("vcpu", "run"), "GUEST", Kind.FILE),
        (("vcpu", "run"), "--symbols", Kind.FILE),
        (("vcpu", "run"), "--device", Kind.FILE),
        (("vcpu", "run"), "--mode", Kind.WORDS),
        (("vcpu", "run"), "--memory", Kind.TEXT),
        (("vcpu", "run"), "--irqchip", Kind.NONE),
        (("stack", "explain"), "KIND|FILE", Kind.WORDS_OR_FILE),
        (("stack", "import"), "--build-dir", Kind.FOLDER),
        ((), "GUEST | OBJECT | LOG", Kind.FILE),
    ],
)
def test_values_are_known_for_what_they_are(words: tuple[str, ...], name: str, kind: Kind) -> None:
    command = next(one for one in commands() if one.words == words)
    found = {
        (one.flags[-1] if one.flags else one.metavar): one.kind
        for one in (*command.options, *command.positionals)
    }
    assert found[name] is kind


# --- the shells


def every_argument() -> list[tuple[str, set[str]]]:
    """A line for each word of a command and for each file or folder that one takes."""
    lines = []
    for command in commands():
        lines += [(f"{command.name} {word[:-1]}", word) for word in command.below]
        before = ""
        for one in command.positionals:
            lines += [(f"{command.name}{before} ker", "kernel.elf")] if one.is_file else []
            before += f" {one.words[0] if one.words else 'kernel.elf'}"
        files = [option for option in command.options if option.is_file]
        for option in files:
            typed, found = (
                ("bui", "build/") if option.kind is Kind.FOLDER else ("ker", "kernel.elf")
            )
            lines.append((f"{command.name} {option.flags[-1]} {typed}", found))
    return [(line, {found}) for line, found in lines]


LINES = [
    ("kdash st", {"stack"}),
    ("kdash ker", {"kernel.elf"}),
    ("kdash --engine ", {"kvm", "emulator", "auto"}),
    ("kdash stack ch", {"check"}),
    ("kdash vcpu ", {"run", "trace", "caps"}),
    ("kdash vcpu run --page", {"--page-tables"}),
    ("kdash stack check --format s", {"sarif", "summary"}),
    ("kdash stack check --uaccess ker", {"kernel.elf"}),
    ("kdash vcpu run --symbols ker", {"kernel.elf"}),
    ("kdash entropy watch --ca", {"--callers"}),
    ("kdash entropy --ch", {"--check"}),
    ("kdash stack explain unreach", {"unreachable"}),
    ("kdash completion ", {"bash", "zsh", "fish"}),
]


class Bash:
    """A bash with the completions, asked by the keys of a person."""

    def __init__(self, script: Path, folder: Path) -> None:
        self.child = pexpect.spawn(
            need("bash"),
            ["--norc", "--noprofile", "-i"],
            cwd=str(folder),
            env={**os.environ, "PS1": "", "TERM": "dumb", "INPUTRC": "/dev/null"},
            encoding="utf-8",
            dimensions=(40, 500),
            timeout=30,
        )
        self.child.sendline(f"source '{script}'; printf 'rea%s\\n' dy")
        self.child.expect("ready\r\n")

    def candidates(self, line: str) -> set[str]:
        """What the completion function is asked and answers through readline itself."""
        # Meta-* inserts every completion into the line; what is echoed then is the command.
        self.child.send(f"{line}\x1b*")
        self.child.send("\x01printf '<%s>' \x05; printf 'e%s\\n' nd\r")
        self.child.expect("end\r\n")
        found = self.child.before.rsplit("\n", 1)[-1]
        words = [one.rstrip(">") for one in found.split("<")[1:]]
        return set(words[len(line.rpartition(" ")[0].split()) :])


@pytest.fixture
def bash(tmp_path: Path, folder: Path) -> Bash:
    script = tmp_path / "kdash.bash"
    script.write_text(printed("completion", "bash"))
    return Bash(script, folder)


def test_bash_completes_commands_options_values_and_files(bash: Bash) -> None:
    for line, wanted in LINES:
        assert bash.candidates(line) == wanted, line


def test_bash_completes_behind_an_equals_sign(bash: Bash) -> None:
    assert bash.candidates("kdash stack check --format=sar") == {"--format=sarif"}
    assert bash.candidates("kdash vcpu run --symbols=ker") == {"--symbols=kernel.elf"}
    assert bash.candidates("kdash stack check --rule unreachable=w") == {"unreachable=warning"}


def test_bash_offers_commands_where_one_can_stand_alone(bash: Bash) -> None:
    assert "trace" not in bash.candidates("kdash ./vcpu tr")
    assert "vcpu" not in bash.candidates("kdash --ascii vc")


def test_bash_quotes_the_names_of_files(bash: Bash) -> None:
    assert bash.candidates("kdash stack check dri") == {"driver one.o"}


def test_bash_completes_folders_where_one_is_wanted(bash: Bash) -> None:
    assert bash.candidates("kdash stack import --build-dir b") == {"build"}
    assert "kernel.elf" not in bash.candidates("kdash stack import --build-dir ")


def test_fish_completes_commands_options_values_and_files(tmp_path: Path, folder: Path) -> None:
    fish = need("fish")
    script = tmp_path / "kdash.fish"
    script.write_text(printed("completion", "fish"))
    lines = [*LINES, *every_argument()]
    asked = "\n".join(f"echo '> {line}'; complete -C '{line}'" for line, _ in lines)
    result = subprocess.run(
        [fish, "--no-config", "-c", f"source '{script}'\n{asked}"],
        capture_output=True, text=True, cwd=folder, check=True,
        env={**os.environ, "HOME": str(tmp_path)},
    )  # fmt: skip
    assert result.stderr == ""
    answers = dict(part.split("\n", 1) for part in result.stdout.split("> ")[1:])
    for line, wanted in lines:
        found = {one.split("\t")[0] for one in answers[line].splitlines()}
        assert wanted <= found, line
        assert wanted == found or line.endswith(("ker", "bui")), line


def test_zsh_completes_commands_options_values_and_files(tmp_path: Path, folder: Path) -> None:
    zsh = need("zsh")
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "_kdash").write_text(printed("completion", "zsh"))
    child = pexpect.spawn(
        zsh, ["-f", "-i"], cwd=str(folder), encoding="utf-8", dimensions=(60, 200), timeout=30,
        env={**os.environ, "TERM": "vt100", "PS1": "", "HOME": str(tmp_path)},
    )  # fmt: skip
    # Every match that is added is printed, as the function of the completion sees it.
    child.sendline(
        f"unsetopt zle_bracketed_paste 2>/dev/null; fpath=('{tmp_path}/functions' $fpath);"
        " autoload -Uz compinit; compinit -u -D; LISTMAX=10000; setopt auto_list;"
        " unsetopt menu_complete auto_menu; print rea''dy"
    )
    child.expect("ready\r\n")
    for line, wanted in LINES:
        child.send(f"{line}\t")
        child.send("\x01: \x05; print e''nd\r")
        child.expect("end\r\n")
        for word in wanted:
            assert word in child.before, line
    child.close(force=True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_has_no_mistake_of_grammar(tmp_path: Path, shell: str) -> None:
    script = tmp_path / "script"
    script.write_text(printed("completion", shell))
    result = subprocess.run([need(shell), "-n", script], capture_output=True, check=False)
    assert (result.returncode, result.stderr) == (0, b"")


def test_an_unknown_shell_is_told_the_known_ones() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "kdash", "completion", "tcsh"],
        capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    assert result.returncode == 2
    assert "bash" in result.stderr
    assert result.stdout == ""


# --- the manual page


def test_the_manual_names_every_command_and_option() -> None:
    text = page(commands()).replace("\\-", "-")
    for command in commands():
        assert command.name in text
        for option in command.options:
            assert option.flags[-1] in text


def test_man_formats_the_manual_without_a_warning(tmp_path: Path) -> None:
    source = tmp_path / "kdash.1"
    source.write_text(printed("manual"))
    result = subprocess.run(
        [need("man"), "--warnings", "-l", source], capture_output=True, text=True, check=True,
        env={**os.environ, "MANWIDTH": "100", "LC_ALL": "C.UTF-8", "MANPAGER": "cat"},
    )  # fmt: skip
    assert result.stderr == ""
    for word in ("SYNOPSIS", "kdash stack check", "--frame-pointer auto|on|off", "EXIT STATUS"):
        assert word in result.stdout


def test_mandoc_and_groff_find_nothing_to_say_about_the_manual(tmp_path: Path) -> None:
    source = tmp_path / "kdash.1"
    source.write_text(page(commands()))
    for command in (["mandoc", "-Tlint"], ["groff", "-ww", "-man", "-Tutf8"]):
        words = [need(command[0]), *command[1:], str(source)]
        result = subprocess.run(words, capture_output=True, text=True, check=False)
        told = result.stderr if command[0] == "groff" else result.stdout
        # Examples are lines as they are typed, however long.
        assert [line for line in told.splitlines() if "longer than 80 bytes" not in line] == []


def test_the_manual_has_prose_in_lines_of_any_width_and_examples_as_they_are_typed() -> None:
    text = page(commands())
    line = next(line for line in text.splitlines() if line.startswith("A flat binary has RAM"))
    assert len(line) <= 80
    assert ".nf\n  kdash vcpu run kernel.elf \\-\\-cpuid 1.ecx=0x80000000\n" in text


def test_the_manual_is_plain_roff_for_any_terminal() -> None:
    text = printed("manual")
    assert text.isascii()
    assert text.startswith(".TH KDASH 1")
