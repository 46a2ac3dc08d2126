"""Every character has a likeness in ASCII that is as wide."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color

from kdash.widgets.ascii_filter import AsciiFilter, as_ascii


@pytest.mark.parametrize(
    ("text", "drawn"),
    [
        ("╭─ VCPU ─╮", "+- VCPU -+"),
        ("│ ‖ stopped", "| | stopped"),
        ("┏━┳━┓", "+=+=+"),
        ("▶ ▸ ● ○ ← ↑ →", "> > * o < ^ >"),
        ("█▋░", "#=."),
        ("⠀⠉⣀⣿⡇", " '.#:"),
        ("1 µs ≥ 2 …", "1 us > 2 ~"),
        ("naïve Größe", "naive Gro?e"),
        ("日本", "????"),
    ],
)
def test_signs_look_alike(text: str, drawn: str) -> None:
    assert as_ascii(text) == drawn


@pytest.mark.parametrize(("sign", "name"), [("⏎", "enter"), ("←", "left"), ("<", "<"), ("s", "s")])
def test_keys_that_have_a_sign_are_named(sign: str, name: str) -> None:
    assert AsciiFilter.key_name(sign) == name


@given(st.text(st.characters(exclude_categories=["C"])))
def test_any_text_is_ascii_and_as_wide(text: str) -> None:
    drawn = as_ascii(text)
    assert drawn.isascii()
    assert cell_len(drawn) == sum(cell_len(one) for one in text)


def test_styles_and_control_segments_stay() -> None:
    style = Style(bold=True)
    bell = Segment("\x07", None, [(0,)])  # type: ignore[list-item]
    found = AsciiFilter().apply([Segment("─x", style), bell], Color(0, 0, 0))
    assert found == [Segment("-x", style), bell]
