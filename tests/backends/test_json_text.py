"""JSON that every reader takes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdash.backends.json_text import json_text


@pytest.mark.parametrize(
    ("kept", "shown"),
    [
        ("caf\udce9.o", "caf\xe9.o"),
        ("\\udce9", "\\udce9"),
        ("\N{SKULL}\N{GRINNING FACE}\U0001f480", "\N{SKULL}\N{GRINNING FACE}\U0001f480"),
    ],
)
def test_bytes_that_are_no_utf_8_are_latin_1_and_all_else_is_itself(kept: str, shown: str) -> None:
    assert json.loads(json_text({"names": [kept], kept: (1, None)})) == {
        "names": [shown],
        shown: [1, None],
    }


@given(st.binary())
def test_any_name_of_a_file_is_read_by_every_reader(name: bytes) -> None:
    text = json.loads(json_text(name.decode("utf-8", "surrogateescape")))
    assert text.encode("utf-8").decode() == text
