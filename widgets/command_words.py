"""The words of a command prompt: what they are, which one was meant, what they do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches


class CommandError(Exception):
    """A line of the command prompt that can't be carried out: why, and what would be right."""


@dataclass(frozen=True, slots=True)
class CommandWord:
    """A word the command prompt of a pane knows."""

    word: str  # "step"
    usage: str  # "step [N]"
    help: str  # one line
    aliases: tuple[str, ...] = ()  # "s", "si"
    more: str = ""  # paragraphs and examples for `:help WORD`


#: Known in every pane; the program itself carries it out.
HELP = CommandWord("help", "help [COMMAND]", "what a command does; alone: all commands", ("h",))

THEME = CommandWord(
    "theme",
    "theme [NAME]",
    "other colours until the end; alone: which there are",
    more="For good: theme in [dashboard] of the configuration file, or kdash --theme NAME.",
)


def meant(typed: str, words: Sequence[CommandWord]) -> CommandWord:
    """The word that `typed` names: in full, by an alias, or by a beginning that fits one alone.

    Raises:
        CommandError: There is none, or more than one begins so.
    """
    for word in words:
        if typed == word.word or typed in word.aliases:
            return word
    begin = [word for word in words if typed and word.word.startswith(typed)]
    if len(begin) == 1:
        return begin[0]
    if begin:
        names = ", ".join(word.word for word in begin)
        raise CommandError(f"{typed!r} begins several commands: {names}")
    near = get_close_matches(typed, [word.word for word in words], 3)
    hint = f"near it: {', '.join(near)}; " if near else ""
    raise CommandError(f"unknown command {typed!r}; {hint}:help lists all")


def explanation(word: CommandWord) -> str:
    """All there is to say about a word, in lines."""
    also = f"   (also: {', '.join(word.aliases)})" if word.aliases else ""
    first = f":{word.usage}{also}\n{word.help}"
    return f"{first}\n\n{word.more}" if word.more else first
