"""NO_COLOR on terminals of few colours: the screen stays readable."""

from __future__ import annotations

import pytest

from kdash.app import KdashApp
from kdash.settings import Settings


@pytest.mark.parametrize(
    ("no_color", "own"), [("1", False), (None, True)], ids=["without colours", "with them"]
)
def test_the_terminals_own_colours_are_used_only_where_textual_keeps_them(
    monkeypatch: pytest.MonkeyPatch, no_color: str | None, own: bool
) -> None:
    """Textual's filter for NO_COLOR makes black of every colour that has no shade."""
    monkeypatch.setenv("TERM", "linux")
    monkeypatch.delenv("COLORTERM", raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color is not None:
        monkeypatch.setenv("NO_COLOR", no_color)
    assert KdashApp(Settings()).current_theme.ansi is own
