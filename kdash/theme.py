"""The dashboard's own colours: quiet greys, and one accent for what changed."""

from textual.theme import Theme

KDASH = Theme(
    name="kdash",
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
    variables={
        # A colour of its own: Textual's mix with the background needs to know what lies below,
        # which text that is styled span by span does not tell.
        "text-muted": "#8b949e",
        "border": "#3a424b",
        "scrollbar": "#3a424b",
        "scrollbar-hover": "#56606b",
        "scrollbar-active": "#5f87af",
        "scrollbar-background": "#1b1f24",
        "scrollbar-background-hover": "#1b1f24",
        "scrollbar-background-active": "#1b1f24",
        "scrollbar-corner-color": "#1b1f24",
        "block-cursor-blurred-background": "#2d3a4a",
        "footer-key-foreground": "#e5a84b",
        "input-selection-background": "#5f87af 40%",
    },
)
