"""Where the borders between the parts of the VCPU pane were left, kept for the next start."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from kdash.panes.kept_state import read_state, write_state
from kdash.widgets.vcpu.arrangement import PARTS
from kdash.widgets.vcpu.splits import COLUMN

FILE: Final = "vcpu-borders.json"
#: Cells; no terminal is larger.
_FARTHEST: Final = 1000


def kept_borders() -> dict[str, int]:
    """Cells by which each border had been moved; none where nothing of use was kept."""
    found = read_state(FILE)
    if not isinstance(found, dict):
        return {}
    return {
        name: by
        for name, by in found.items()
        if name in (*PARTS, COLUMN) and type(by) is int and 0 < abs(by) <= _FARTHEST
    }


def keep_borders(moved: Mapping[str, int]) -> None:
    """Keep them, unless they are where they had been."""
    changed = {name: by for name, by in moved.items() if by}
    if changed != kept_borders():
        write_state(FILE, changed)
