"""`kdash manual`: the manual page, made of the parsers of all commands."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from kdash import __version__, __version_date__
from kdash.commands.argument_parser import Parser
from kdash.commands.privileges import PRIVILEGES
from kdash.exit_status import ExitStatus

if TYPE_CHECKING:
    from kdash.commands.grammar import Argument, Command

EPILOG = """\
examples:
  kdash manual | man -l -
  kdash manual > ~/.local/share/man/man1/kdash.1
"""
_DESCRIPTION = (
    "A terminal dashboard for three kernel subsystems: it steps a KVM guest, browses what"
    " validation of the stack rules finds in object files and kernel builds, and watches the"
    " random-number generator.",
    "Without a command the dashboard is opened, on the pane that fits its argument: relocatable"
    " ELF objects, archives, modules, folders, build logs and SARIF open the stack pane,"
    " everything else the VCPU pane. Standard output is data, standard error is narration. A"
    " file named like a command is given with a folder: ./stack.",
)
_STATUS = (
    ("0", "Clean; a guest that halted."),
    ("1", "Findings of level error, a guest that ended otherwise, an alert, a failed test."),
    ("2", "Usage: an option, an argument, a malformed file; no terminal for the dashboard."),
    ("3", "The environment: something this machine lacks or refuses, a file that can't be read."),
    ("141", "Whoever read the output went away (SIGPIPE)."),
    ("129, 130, 143", "Ended by SIGHUP, SIGINT or SIGTERM; what is known so far was printed."),
    ("131", "The dashboard, ended by SIGQUIT."),
)
_ENVIRONMENT = (
    ("KDASH_CONFIG", "The configuration file; empty for none."),
    ("XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_CACHE_HOME",
     "Where the folders kdash with configuration, state and results are."),
    ("NO_COLOR", "When set, the dashboard is drawn in greys."),
    ("LC_ALL, LC_CTYPE, LANG", "A locale without UTF-8 has the dashboard drawn in ASCII."),
    ("EDITOR, VISUAL", "What opens the source of a finding."),
)  # fmt: skip
_FILES = (
    ("$XDG_CONFIG_HOME/kdash/config.toml", "The configuration (~/.config)."),
    (
        "$XDG_STATE_HOME/kdash",
        "Verdicts, the plots' history, guests opened, lines typed (~/.local/state).",
    ),
    ("$XDG_CACHE_HOME/kdash", "Results that can be made again (~/.cache)."),
)


def run(argv: list[str]) -> int:
    """Print the page as roff."""
    manual_parser().parse_args(argv)
    from kdash.commands.grammar import commands

    sys.stdout.write(page(commands()))
    return ExitStatus.OK


def manual_parser() -> Parser:
    """`kdash manual`."""
    return Parser("manual", "Print the manual page, for man(1).", EPILOG)


def page(commands: Sequence[Command]) -> str:
    """The page kdash(1) in the macros of man(7)."""
    return "\n".join(_page(commands)) + "\n"


def _page(commands: Sequence[Command]) -> Iterator[str]:
    yield f'.TH KDASH 1 "{__version_date__}" "kdash {_roff(__version__)}" "User Commands"'
    yield from (".ad l", ".nh")  # options are neither stretched nor hyphenated
    yield from (".SH NAME", _roff("kdash - dashboard for KVM guests, stack validation, entropy"))
    yield ".SH SYNOPSIS"
    for command in commands:
        if command.words and command.below and command.words != ("entropy",):
            continue
        yield from (".HP", _synopsis(command))
    yield ".SH DESCRIPTION"
    yield from _filled(_DESCRIPTION[0])
    for paragraph in _DESCRIPTION[1:]:
        yield from (".PP", *_filled(paragraph))
    yield ".SH OPTIONS OF THE DASHBOARD"
    yield from _arguments(commands[0])
    yield from (".SH COMMANDS", _roff("Each of them tells what is said here by --help."))
    for command in commands[1:]:
        yield from (f'.SS "{_roff(command.name)}"', *_filled(command.summary))
        yield from _arguments(command)
        yield from _epilog(command.epilog)
    for title, entries in (
        ("EXIT STATUS", _STATUS),
        ("ENVIRONMENT", _ENVIRONMENT),
        ("FILES", _FILES),
    ):
        yield f".SH {title}"
        for term, text in entries:
            yield from (".TP", f".B {_argument(term)}", *_filled(text))
    yield from (
        ".SH PRIVILEGES",
        *_filled(
            "What is named here needs more than an ordinary user has; everything else works for any"
            " user. kdash doctor tells what holds on this machine."
        ),
    )
    for one in PRIVILEGES:
        text = f"Needs {one.needs}: {one.why}. Without: {one.without}."
        yield from (".TP", f".B {_argument(one.feature)}", *_filled(text))
    yield from (".SH SEE ALSO", r"\fBgdb\fR(1), \fBqemu\fR(1), \fBrandom\fR(4), \fBrandom\fR(7)")


def _synopsis(command: Command) -> str:
    parts = [rf"\fB{_roff(command.name)}\fR"]
    parts += ["[options]"] if len(command.options) > 1 else []  # --help is one of all
    parts += [_head(one) for one in command.options if one.required]
    for one in command.positionals:
        value = rf"\fI{_roff(_value_name(one))}\fR{'...' if one.repeats else ''}"
        parts.append(value if one.required else f"[{value}]")
    return " ".join(parts)


def _arguments(command: Command) -> Iterator[str]:
    for one in (*command.positionals, *command.options):
        if not command.words or "--help" not in one.flags:
            yield from (".TP", _head(one), *_filled(_text(one)))


def _head(one: Argument) -> str:
    value = rf" \fI{_roff(_value_name(one))}\fR" if one.metavar else ""
    if not one.flags:
        return value.strip()
    return ", ".join(rf"\fB{_roff(flag)}\fR{value}" for flag in one.flags)


def _value_name(one: Argument) -> str:
    """The value's name; its words where they are few."""
    return (
        "|".join(one.words) if not one.is_file and one.words and len(one.words) < 8 else one.metavar
    )


def _text(one: Argument) -> str:
    text = one.text or one.metavar
    return f"{text[:1].upper()}{text[1:]}" + ("" if text.endswith(".") else ".")


def _epilog(epilog: str) -> Iterator[str]:
    """What a command's --help says below its options: paragraphs, and examples as they stand."""
    for paragraph in epilog.strip().split("\n\n"):
        for indented, lines in groupby(paragraph.splitlines(), lambda line: line.startswith(" ")):
            if indented:
                yield from (".nf", *(_roff(line) for line in lines), ".fi")
            else:
                # A line that ends a sentence ends a thought there.
                text = "\n".join(lines).replace(".\n", ".\0").replace("\n", " ")
                for number, thought in enumerate(text.split("\0")):
                    yield from (".br" if number else ".PP", *_filled(thought))


def _filled(text: str) -> Iterator[str]:
    """Text in lines of a file that is pleasant to read; troff fills them anew."""
    yield from (_roff(line) for line in textwrap.wrap(text, 70, break_long_words=False,
                                                      break_on_hyphens=False))  # fmt: skip


def _roff(text: str) -> str:
    r"""Text that troff prints as it is: - for options, no request at the start of a line."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    text = text.replace("`", r"\(ga").replace("^", r"\(ha").replace("~", r"\(ti")
    text = text.replace('"', r"\(dq")
    text = re.sub(r"[^\x00-\x7f]", lambda found: rf"\[u{ord(found[0]):04X}]", text)
    return rf"\&{text}" if text.startswith(".") else text


def _argument(text: str) -> str:
    """A term as one argument of a macro."""
    return f'"{_roff(text)}"'
