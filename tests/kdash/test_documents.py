"""README and docs/: every command in them is carried out and prints what they show."""

from __future__ import annotations

import os
import re
import shlex
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from kdash.commands.grammar import commands
from kdash.keymap import known_bindings
from kdash.panes import entropy_words, stack_words, vcpu_vocabulary
from kdash.widgets.command_words import HELP, THEME

ROOT = Path(__file__).parents[2]
DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


class Shown(NamedTuple):
    """A command line behind `$`, and the lines below it."""

    command: str
    output: list[str]


class Section(NamedTuple):
    """What one heading shows."""

    lines: list[Shown]
    files: dict[str, str]  # Python code whose name stands before it


def sections() -> dict[str, Section]:
    """By document and heading, those that show something."""
    found = {}
    for document in DOCUMENTS:
        for part in re.split(r"^## ", document.read_text(), flags=re.MULTILINE)[1:]:
            title, _, text = part.partition("\n")
            files = re.findall(r"`(\w+\.py)`:\n\n```python\n(.*?)```\n", text, re.DOTALL)
            if lines := shown_in(text):
                found[f"{document.name}: {title}"] = Section(lines, dict(files))
    return found


def shown_in(text: str) -> list[Shown]:
    """What the indented blocks show, in their order."""
    found: list[Shown] = []
    text = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    for block in re.findall(r"(?:^    .*\n(?:\n(?=    ))*)+", text, re.MULTILINE):
        for line in (one[4:] for one in block.rstrip("\n").split("\n")):
            if line.startswith("$ "):
                found.append(Shown(line[2:], []))
            elif found:
                found[-1].output.append(line)
    return found


# --- what of an output is compared, where another machine or moment has other figures


def whole(line: str) -> str:
    return line


def without_figures(line: str) -> str:
    """The line with every figure as 0, and no more than one space between words."""
    return " ".join(re.sub(r"-?\d[\d,.]*|-(?= |$)", "0", line).split())


def name(line: str) -> str:
    """What stands in the first column of the generator's facts."""
    return line[:15].strip()


def fields(line: str) -> str:
    """First words of what `entropy watch` has on a line, without those that a machine may lack."""
    firsts = [one.split()[0] for one in re.split(r"  +", line)[1:]]
    return " ".join(one for one in firsts if one in {"seeded", "irq", "getrandom"})


#: By how the command begins; everything else prints what is shown, to the letter.
COMPARED: dict[str, Callable[[str], str]] = {
    "kdash entropy --check |": name,
    "kdash entropy watch": fields,
    "kdash entropy contention --simulate": whole,
    "kdash entropy contention": without_figures,
    "head -c 1M /dev/urandom": without_figures,
}
#: Nobody waits in a test.
SHORTER = {"--interval 5": "--interval 0.5", "contention\n": "contention --runs 1 --threads 2\n"}
#: Facts of the generator that some kernels and machines do not have.
LACKED = {"reseed", "hardware source", "throughput"}


def compared(command: str) -> Callable[[str], str]:
    return next((how for start, how in COMPARED.items() if command.startswith(start)), whole)


def carried_out(lines: list[Shown], folder: Path) -> list[Shown]:
    """The same commands one after the other in one shell, with what they print here."""
    mark = "\1"
    (folder / "backends").symlink_to(ROOT / "backends")
    script = f'kdash() {{ "{sys.executable}" -m kdash "$@"; }}\n' + "".join(
        f"{line.command}\nprintf '\\1'\n" for line in lines
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        script = script.replace(":1234", f":{free.getsockname()[1]}")
    for long, short in SHORTER.items():
        script = script.replace(long, short)
    done = subprocess.run(
        ["bash", "-c", script], check=False, cwd=folder, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder),
             "XDG_CACHE_HOME": str(folder), "XDG_CONFIG_HOME": str(folder)},
    )  # fmt: skip
    told = done.stdout.split(mark)
    assert len(told) == len(lines) + 1, done.stdout
    return [
        Shown(line.command, out.rstrip("\n").split("\n") if out else [])
        for line, out in zip(lines, told, strict=False)
    ]


SHOWN = sections()


def needs(title: str) -> list[pytest.MarkDecorator]:
    """What of the machine a section's commands take."""
    typed = "\n".join(line.command for line in SHOWN[title].lines)
    marks = [pytest.mark.kvm] if "kdash vcpu" in typed else []
    return [*marks, pytest.mark.gdb] if "\ngdb " in typed else marks


@pytest.mark.parametrize("title", [pytest.param(title, marks=needs(title)) for title in SHOWN])
def test_a_section_shows_what_its_commands_print(title: str, tmp_path: Path) -> None:
    lines, files = SHOWN[title]
    for file, text in files.items():
        (tmp_path / file).write_text(text)
    for shown, told in zip(lines, carried_out(lines, tmp_path), strict=True):
        how = compared(shown.command)
        found = [how(one) for one in told.output]
        wanted = [how(one) for one in shown.output]
        if how is whole:
            assert wanted == found, shown.command
        else:
            missing = {*wanted} - {*found} - LACKED
            assert missing == set(), f"{shown.command}\n" + "\n".join(told.output)


def test_each_pane_has_a_document_with_commands_and_so_has_readme() -> None:
    assert {title.split(":")[0] for title in SHOWN} == {
        "README.md", "vcpu.md", "stack.md", "entropy.md",
    }  # fmt: skip


def test_a_command_that_prints_nothing_is_shown_so_on_purpose() -> None:
    silent = [one.command for section in SHOWN.values() for one in section.lines if not one.output]
    quiet = re.compile(r"printf |echo |.* &$|.* 2>/dev/null$|.*--textfile |.* 2>exits$")
    assert [one for one in silent if not quiet.match(one)] == []


def typed() -> list[list[str]]:
    """What stands behind `kdash` in blocks and in code between the words of all documents."""
    found = []
    for document in DOCUMENTS:
        text = re.sub(r"```.*?```", "", document.read_text(), flags=re.DOTALL)
        found += re.findall(r"^    \$ (?:.*\| )?kdash (.*)$", text, re.MULTILINE)
        spans = [" ".join(one.split()) for one in re.findall(r"`([^`]+)`", text)]
        found += [one[6:] for one in spans if one.startswith("kdash ")]
    lines = [re.split(r";| (?:\||#|&|2>\S*)(?: |$)", one)[0] for one in found]
    return [words for one in dict.fromkeys(lines) if (words := shlex.split(one)) and one[0] != "|"]


@pytest.mark.parametrize("words", typed(), ids=" ".join)
def test_every_option_that_is_typed_is_one_of_its_command(words: list[str]) -> None:
    known = {command.words: command for command in commands()}
    path = max((p for p in known if tuple(words[: len(p)]) == p), key=len)
    flags = {flag for option in known[path].options for flag in option.flags}
    found = {word.partition("=")[0].partition("|")[0] for word in words if word.startswith("--")}
    assert found <= flags | {"--help"}


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_word_of_a_prompt_is_one_that_a_pane_knows(document: Path) -> None:
    panes = (vcpu_vocabulary.WORDS, stack_words.WORDS, entropy_words.WORDS)
    known = {word.word for words in panes for word in words} | {HELP.word, THEME.word}
    typed = re.findall(r"`:((?:model )?[a-z][a-z-]*)", document.read_text())
    assert set(typed) <= known


def test_the_keys_of_the_table_are_those_of_its_pane() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "vcpu.md").read_text(), re.MULTILINE)
    bound = {key for one in known_bindings().values() if one.id.startswith("vcpu.")
             for key in one.keys}  # fmt: skip
    assert len(rows) > 5
    assert set(rows) <= bound


def anchor(heading: str) -> str:
    """The name under which a heading is linked to, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, ROOT / "ARCHITECTURE.md", ROOT / "CONTRIBUTING.md"],
    ids=lambda path: path.name,
)  # fmt: skip
def test_every_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", document.read_text())
    for file, heading in links:
        target = document.parent / file if file else document
        assert target.is_file(), file
        if heading:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert heading in {anchor(one) for one in headings}, f"{file}#{heading}"


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "docs/internals.md"])
def test_every_file_of_the_sources_that_is_named_exists(document: str) -> None:
    rooms = [ROOT / room for room in ("kdash", "widgets", "backends")]
    there = {path.name for room in rooms for path in room.rglob("*.*")}
    named = re.findall(r"(?<![\w/<>*])[a-z_0-9]+\.(?:py|c)\b", (ROOT / document).read_text())
    assert {*named} - there == set()


def test_readme_leads_to_every_document_and_is_read_in_three_minutes() -> None:
    text = (ROOT / "README.md").read_text()
    assert [one.name for one in DOCUMENTS[1:] if f"(docs/{one.name})" not in text] == []
    assert len(text.splitlines()) <= 210
    shown = r"(?s:```.*?```)|^    .*$|^\|.*$|\]\([^)]*\)|<!--.*?-->"
    prose = re.sub(shown, "", text, flags=re.MULTILINE)
    assert len(prose.split()) <= 1100
