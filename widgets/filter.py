"""The filter language of every list: text, regular expressions, `field:value`, `!` inverse."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Fields = Mapping[str, str]  # what one row offers to be searched: field name -> text


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a filter."""

    field: str  # "" searches every field
    pattern: re.Pattern[str]
    inverse: bool

    def matches(self, fields: Fields) -> bool:
        """Whether a row with these fields passes this term."""
        texts = [fields[self.field]] if self.field else fields.values()
        return any(self.pattern.search(text) for text in texts) != self.inverse


def parse(text: str, known: frozenset[str]) -> tuple[Term, ...]:
    """Read a filter such as ``kind:unreachable !file:kvm mutex_.*lock``.

    Every term is a case-insensitive regular expression; one that is not a valid expression is
    taken as plain text. A prefix that is no known field belongs to the text searched for.
    """
    return tuple(_term(word, known) for word in text.split() if word != "!")


def _term(word: str, known: frozenset[str]) -> Term:
    inverse = word.startswith("!")
    word = word.removeprefix("!")
    field, colon, value = word.partition(":")
    if not colon or field not in known:
        field, value = "", word
    try:
        pattern = re.compile(value, re.IGNORECASE)
    except re.error:
        pattern = re.compile(re.escape(value), re.IGNORECASE)
    return Term(field, pattern, inverse)


def predicate(text: str, known: frozenset[str]) -> Callable[[Fields], bool]:
    """A test for rows: all terms of `text` pass. The empty filter passes everything."""
    terms = parse(text, known)
    return lambda fields: all(term.matches(fields) for term in terms)
