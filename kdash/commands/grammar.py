"""What can be typed behind `kdash`, taken from the parsers of its commands.

Completions and the manual page are made of it; nothing here is imported to carry out a command.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from kdash.cli import COMMANDS


class Kind(Enum):
    """What a value is, as far as a shell can help with it."""

    NONE = "none"  # takes no value
    TEXT = "text"
    WORDS = "words"  # one of `words`
    FILE = "file"
    FOLDER = "folder"
    WORDS_OR_FILE = "words or file"


@dataclass(frozen=True, slots=True)
class Argument:
    """An option, or a positional argument where `flags` is empty."""

    flags: tuple[str, ...]
    kind: Kind
    metavar: str  # the value's name; empty without one
    text: str  # the help
    words: tuple[str, ...] = ()  # the values it can have
    repeats: bool = False  # whether it may be given more than once
    required: bool = False

    @property
    def is_file(self) -> bool:
        """Whether a file may be its value."""
        return self.kind in (Kind.FILE, Kind.FOLDER, Kind.WORDS_OR_FILE)


@dataclass(frozen=True, slots=True)
class Command:
    """The dashboard, a command, or a command below another one."""

    words: tuple[str, ...]  # behind `kdash`; () for the dashboard
    summary: str
    options: tuple[Argument, ...]
    positionals: tuple[Argument, ...]
    below: tuple[str, ...]  # commands whose word may follow
    epilog: str

    @property
    def name(self) -> str:
        """Its words, `kdash` the first."""
        return " ".join(("kdash", *self.words))


_FILES = frozenset(("FILE", "PATH", "GUEST", "OBJECT", "LOG", "OLD", "NEW"))


def commands() -> tuple[Command, ...]:
    """Every command, the dashboard first, those below another one behind it."""
    return tuple(_commands())


def _commands() -> Iterator[Command]:
    from kdash.commands import entropy_parsers, vcpu_parsers
    from kdash.commands.completion import completion_parser
    from kdash.commands.config import config_parser
    from kdash.commands.dashboard import dashboard_parser
    from kdash.commands.doctor import doctor_parser
    from kdash.commands.manual import manual_parser
    from kdash.commands.stack import stack_parser
    from kdash.commands.web import web_parser

    yield _command((), dashboard_parser(), "", tuple(COMMANDS))
    yield _command(("vcpu",), vcpu_parsers.main_parser(), "", tuple(vcpu_parsers.PARSERS))
    for word, vcpu_parser in vcpu_parsers.PARSERS.items():
        yield _command(("vcpu", word), vcpu_parser())
    stack = stack_parser()
    below = _subparsers(stack)
    yield _command(("stack",), stack, "", tuple(word for word, _, _ in below))
    for word, one, summary in below:
        yield _command(("stack", word), one, summary)
    yield _command(("entropy",), entropy_parsers.once_parser(), "", tuple(entropy_parsers.PARSERS))
    for word, entropy_parser in entropy_parsers.PARSERS.items():
        yield _command(("entropy", word), entropy_parser())
    yield _command(("doctor",), doctor_parser())
    yield _command(("config",), config_parser())
    yield _command(("web",), web_parser())
    yield _command(("completion",), completion_parser())
    yield _command(("manual",), manual_parser())


def _subparsers(
    parser: argparse.ArgumentParser,
) -> list[tuple[str, argparse.ArgumentParser, str]]:
    """Word, parser and summary of each command that argparse itself knows below another one."""
    found = []
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            summaries = {one.dest: one.help or "" for one in action._get_subactions()}
            found += [(word, one, summaries[word]) for word, one in action.choices.items()]
    return found


def _command(
    words: tuple[str, ...],
    parser: argparse.ArgumentParser,
    summary: str = "",
    below: tuple[str, ...] = (),
) -> Command:
    shown = [
        action
        for action in parser._actions
        if action.help is not argparse.SUPPRESS
        and not isinstance(action, argparse._SubParsersAction)
    ]
    return Command(
        words,
        _sentence(summary or parser.description or ""),
        tuple(_argument(one) for one in shown if one.option_strings),
        tuple(_argument(one) for one in shown if not one.option_strings),
        below,
        parser.epilog or "",
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _argument(action: argparse.Action) -> Argument:
    metavar = action.metavar if isinstance(action.metavar, str) else ""
    words = tuple(str(one) for one in action.choices or ())
    if not words:
        words = _known_words(metavar)
    if not metavar and action.nargs != 0:
        metavar = action.dest.upper()
    return Argument(
        tuple(action.option_strings),
        Kind.NONE if action.nargs == 0 else _kind(metavar, words),
        metavar if action.nargs != 0 else "",
        _plain(action.help or ""),
        words,
        isinstance(action, argparse._AppendAction) or action.nargs in ("*", "+"),
        action.required and action.nargs != "*",
    )


def _kind(metavar: str, words: tuple[str, ...]) -> Kind:
    parts = set(re.findall(r"[A-Za-z]+", metavar))
    if words:
        return Kind.WORDS_OR_FILE if parts & _FILES else Kind.WORDS
    if parts & _FILES:
        return Kind.FILE
    return Kind.FOLDER if "DIR" in parts else Kind.TEXT


def _known_words(metavar: str) -> tuple[str, ...]:
    """The values behind the name of a value that its parser checks by itself."""
    from kdash.backends.stack.rules import LEVELS, RULES

    if metavar == "KIND=LEVEL":
        return tuple(f"{kind}={level}" for kind in RULES for level in LEVELS)
    return tuple(RULES) if metavar == "KIND|FILE" else ()


def _plain(text: str) -> str:
    """Help as it is printed: argparse formats it with %."""
    return " ".join(text.replace("%%", "%").split())
