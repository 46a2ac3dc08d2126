from __future__ import annotations

import pytest

from kdash.widgets.command_words import CommandError, CommandWord, explanation, meant

WORDS = (
    CommandWord("step", "step [N]", "do N steps", ("s",), "step 20   does 20"),
    CommandWord("restart", "restart", "load it anew"),
    CommandWord("reload", "reload", "read it again"),
)


@pytest.mark.parametrize(
    ("typed", "word"), [("step", "step"), ("s", "step"), ("st", "step"), ("res", "restart")]
)
def test_a_word_is_meant_by_name_alias_or_beginning(typed: str, word: str) -> None:
    assert meant(typed, WORDS).word == word


@pytest.mark.parametrize(
    ("typed", "told"),
    [
        ("re", "'re' begins several commands: restart, reload"),
        ("relaod", "unknown command 'relaod'; near it: reload"),
        ("", "unknown command ''; :help lists all"),
    ],
)
def test_what_is_no_word_is_told_with_what_would_be(typed: str, told: str) -> None:
    with pytest.raises(CommandError) as refused:
        meant(typed, WORDS)
    assert str(refused.value).startswith(told)


def test_an_explanation_has_usage_short_forms_and_examples() -> None:
    assert explanation(WORDS[0]) == ":step [N]   (also: s)\ndo N steps\n\nstep 20   does 20"
