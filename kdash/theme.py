"""The dashboard's own colours: quiet greys, and one accent for what changed.

Contrasts are those of WCAG 2.1: text and what has a meaning has at least 4.5 to its ground, 7 in
the theme of high contrast.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from textual.theme import BUILTIN_THEMES, Theme


def _variables(  # noqa: PLR0913 - each is a colour, by name
    *, muted: str, border: str, bar: str, hover: str, active: str, ground: str, row: str, key: str
) -> dict[str, str]:
    """What Textual would mix from the colours of a theme, said outright."""
    return {
        # A colour of its own: Textual's mix with the background needs to know what lies below,
        # which text that is styled span by span does not tell.
        "text-muted": muted,
        "border": border,
        "scrollbar": bar,
        "scrollbar-hover": hover,
        "scrollbar-active": active,
        "scrollbar-background": ground,
        "scrollbar-background-hover": ground,
        "scrollbar-background-active": ground,
        "scrollbar-corner-color": ground,
        "block-cursor-blurred-background": row,
        "footer-key-foreground": key,
        "input-selection-background": f"{active} 40%",
    }


def _unmixed(theme: Theme, *names: str) -> Theme:
    """The theme, with text in the colours themselves that are named.

    Textual's mixes of them are made for dark grounds and its own colours.
    """
    text = {f"text-{name}": getattr(theme, name) for name in names}
    return replace(theme, variables=theme.variables | text)


MEANINGS: Final = ("accent", "warning", "error", "success")  # colours that tell something

DARK: Final = Theme(
    name="dark",
    dark=True,
    primary="#5f87af",
    secondary="#6c7a89",
    accent="#e5a84b",
    warning="#d7a65f",
    error="#e06c75",
    success="#7fb27f",
    foreground="#cfd3d8",
    background="#14171a",
    surface="#1b1f24",
    panel="#23282e",
    variables=_variables(
        muted="#8b949e", border="#3a424b", bar="#3a424b", hover="#56606b", active="#5f87af",
        ground="#1b1f24", row="#2d3a4a", key="#e5a84b",
    ),
)  # fmt: skip
LIGHT: Final = _unmixed(Theme(
    name="light",
    dark=False,
    primary="#2f5f8f",
    secondary="#5a6672",
    accent="#8a5200",
    warning="#7d5a00",
    error="#b3261e",
    success="#2a6b2f",
    foreground="#22272c",
    background="#fafafa",
    surface="#f2f3f4",
    panel="#e6e8ea",
    variables=_variables(
        muted="#5c6670", border="#b4bbc2", bar="#b4bbc2", hover="#929ba4", active="#2f5f8f",
        ground="#f2f3f4", row="#d3deea", key="#8a5200",
    ),
), "primary", *MEANINGS)  # fmt: skip
HIGH_CONTRAST: Final = _unmixed(Theme(
    name="high-contrast",
    dark=True,
    primary="#5fd7ff",
    secondary="#ffffff",
    accent="#ffd700",
    warning="#ffaf00",
    error="#ff8787",
    success="#5fff5f",
    foreground="#ffffff",
    background="#000000",
    surface="#000000",
    panel="#1c1c1c",
    variables=_variables(
        muted="#d0d0d0", border="#d0d0d0", bar="#bcbcbc", hover="#ffffff", active="#5fd7ff",
        ground="#000000", row="#303030", key="#ffd700",
    ),
), "primary", *MEANINGS)  # fmt: skip
#: Good is blue, bad vermilion, what changed yellow: of the palette of Okabe and Ito (2008), which
#: people who see red and green alike tell apart; lighter where that needs it on dark ground.
COLOUR_BLIND: Final = _unmixed(
    replace(
        DARK,
        name="colour-blind",
        primary="#56b4e9",
        accent="#f0e442",
        warning="#e69f00",
        error="#ff8c42",
        success="#56b4e9",
        variables=DARK.variables | {"footer-key-foreground": "#f0e442"},
    ),
    *MEANINGS,
)
#: The terminal's own sixteen colours.
ANSI: Final = replace(BUILTIN_THEMES["ansi-dark"], name="ansi")

#: By name, as in kdash.configuration.THEMES.
THEMES: Final = {one.name: one for one in (DARK, LIGHT, HIGH_CONTRAST, COLOUR_BLIND, ANSI)}
