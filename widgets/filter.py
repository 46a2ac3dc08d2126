"""The filter language of every list: text, regular expressions, `field:value`, `!` inverse."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

Fields = Mapping[str, str]  # what one row offers to be searched: field name -> text
EXPRESSION = re.compile(r"[\\.^$*+?{}\[\]|()]")  # a word with one of these may be an expression
TOKEN = re.compile(r"\\.|\(\?P|[^\\]", re.DOTALL)  # of an expression: escapes stay as they are
CODED = re.compile(r"\\[xuUN0-9]")  # characters by number or name may be capitals
FIELD = re.compile(r"([a-z][a-z0-9_-]*):(?!:)")  # what looks like a field before a colon
NUMBER = re.compile(r"(0x)?([0-9a-f]{1,20})", re.ASCII)
BETWEEN = "\n"  # between the fields of a search text: `.` does not cross it, `^` and `$` see it


@dataclass(frozen=True, slots=True)
class Term:
    """One word of a filter, in lower case. A row passes when it is found (or not, if inverse)."""

    field: str  # "" searches every field
    text: str  # plain text to look for, unless there is a pattern
    pattern: re.Pattern[str] | None
    inverse: bool

    def found_in(self, text: str) -> bool:
        """Whether the word occurs in `text`, which is in lower case."""
        if self.pattern is None:
            return self.text in text
        return self.pattern.search(text) is not None


def parse(text: str, known: Iterable[str], numbers: Iterable[str] = ()) -> tuple[Term, ...]:
    """Read a filter such as ``kind:unreachable !file:kvm mutex_.*lock``.

    Args:
        text: Words separated by blanks; a row has to pass all of them.
        known: Names of fields, in lower case; typed in any case. A prefix that is none of them
            belongs to the text searched for (see `unknown_fields`).
        numbers: Those of them that hold one number each: it is compared as a whole, however it
            is written. Digits alone are decimal or hexadecimal, whichever the field shows.

    Returns:
        The terms. Every word is a case-insensitive regular expression; one that is not valid is
        taken as plain text. Words that are not complete yet (`!`, `kind:`) are left out.
    """
    names = frozenset(known)
    whole = frozenset(numbers)
    terms = (_term(word, names, whole) for word in text.split())
    return tuple(term for term in terms if term is not None)


def _term(word: str, known: frozenset[str], numbers: frozenset[str]) -> Term | None:
    inverse = word.startswith("!")
    word = word.removeprefix("!")
    field, colon, value = word.partition(":")
    field = field.lower()
    if not colon or field not in known:
        field, value = "", word
    if not value:
        return None
    pattern = (_number(value.lower()) if field in numbers else None) or _pattern(value)
    return Term(field, value.lower(), pattern, inverse)


def _number(value: str) -> re.Pattern[str] | None:
    """What finds a number as a field shows it, decimal or 0x and hexadecimal; None: it is none."""
    typed = NUMBER.fullmatch(value)
    if typed is None:
        return None
    hexadecimal = int(typed[2], 16)
    plain = not typed[1] and typed[2].isdecimal()
    number = int(typed[2]) if plain else hexadecimal
    return re.compile(rf"\A(?:{number}|0x{number:x}|0x{hexadecimal:x})\Z")


def _pattern(value: str) -> re.Pattern[str] | None:
    if EXPRESSION.search(value) is None:
        return None
    flags = re.MULTILINE
    if CODED.search(value):
        flags |= re.IGNORECASE
    else:
        # Search texts are in lower case: an expression that is too is several times faster
        # than one that ignores case.
        value = TOKEN.sub(lambda token: token[0] if len(token[0]) > 1 else token[0].lower(), value)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "possible nested set" while a set is being typed
            return re.compile(value, flags)
    except (re.error, OverflowError, RecursionError):
        return None


def unknown_fields(terms: Iterable[Term], texts: Sequence[str]) -> tuple[str, ...]:
    """Names typed before a colon that are no fields.

    Args:
        terms: What `parse` returned.
        texts: Search text of every row: what occurs in one was meant as text, not as a field.
    """
    meant = [(term, FIELD.match(term.text)) for term in terms if not term.field]
    return tuple(
        dict.fromkeys(
            found[1]
            for term, found in meant
            if found is not None and not any(map(term.found_in, texts))
        )
    )


def search_text(fields: Fields) -> str:
    """The fields of a row as one text that `select` can search quickly."""
    texts = fields.values()
    joined = BETWEEN.join(texts)
    if joined.count(BETWEEN) >= len(texts):
        joined = BETWEEN.join(text.replace(BETWEEN, " ") for text in texts)
    return joined.lower()


def select(
    terms: Iterable[Term], names: Sequence[str], texts: Sequence[str], rows: Sequence[int]
) -> list[int]:
    """The rows that pass all terms.

    Args:
        terms: What `parse` returned.
        names: Names of the fields, in the order in which they stand in the search texts.
        texts: Search text of every row, see `search_text`.
        rows: Indexes into `texts` of the rows to look at.

    Returns:
        Those of `rows` that pass, in the same order.
    """
    passing = list(rows)
    for term in terms:
        found, wanted = term.found_in, not term.inverse
        if term.field and term.field in names:
            passing = _by_field(term, names.index(term.field), texts, passing)
        elif term.pattern is None:
            text = term.text
            passing = [i for i in passing if (text in texts[i]) is wanted]
        else:
            passing = [i for i in passing if found(texts[i]) is wanted]
    return passing


def _by_field(term: Term, at: int, texts: Sequence[str], rows: list[int]) -> list[int]:
    """The rows whose field number `at` passes a term."""
    found, wanted = term.found_in, not term.inverse
    if term.pattern is not None:
        return [i for i in rows if found(texts[i].split(BETWEEN, at + 1)[at]) is wanted]
    # Most rows lack the text altogether: those need not be taken apart.
    text = term.text
    return [
        i
        for i in rows
        if (text in texts[i] and text in texts[i].split(BETWEEN, at + 1)[at]) is wanted
    ]


def predicate(text: str, known: Iterable[str]) -> Callable[[Fields], bool]:
    """A test for single rows: all terms of `text` pass. The empty filter passes everything."""
    terms = parse(text, known)

    def passes(fields: Fields) -> bool:
        return bool(select(terms, tuple(fields), (search_text(fields),), (0,)))

    return passes
