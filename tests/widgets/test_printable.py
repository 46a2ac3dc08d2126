from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from kdash.widgets.printable import printable


def test_printable_text_is_left_alone() -> None:
    assert printable("x_probe [red] é 漢\nnext") == "x_probe [red] é 漢\nnext"


def test_an_escape_sequence_is_shown_not_sent() -> None:
    assert printable("a\x1b]0;b\x07") == "a\\x1b]0;b\\x07"


def test_a_bidirectional_override_and_a_lone_surrogate_are_shown() -> None:
    assert printable("\u202e\ud800\U000e0001") == "\\u202e\\ud800\\U000e0001"


def test_a_byte_that_is_no_utf_8_is_shown_as_that_byte() -> None:
    assert printable(b"a\xff".decode(errors="surrogateescape")) == "a\\xff"


@given(st.text(st.characters(codec=None)))
def test_nothing_that_commands_a_terminal_is_left(text: str) -> None:
    assert all(char == "\n" or char.isprintable() for char in printable(text))
