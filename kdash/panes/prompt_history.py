"""What was typed at the prompts: kept in $XDG_STATE_HOME/kdash, for each pane the newest lines."""

from __future__ import annotations

from typing import Final

from kdash.panes.kept_state import read_state, write_state

FILE: Final = "prompt-history.json"
MOST: Final = 200  # lines of a pane
_LONGEST: Final = 4096  # characters of a line


class PromptHistory:
    """The lines of every pane, oldest first; read when a prompt is opened for the first time."""

    def __init__(self) -> None:
        self._lines: dict[str, list[str]] | None = None

    def of(self, pane: str) -> list[str]:
        """The lines typed in a pane."""
        if self._lines is None:
            self._lines = _read()
        return self._lines.setdefault(pane, [])

    def add(self, pane: str, line: str) -> None:
        """Remember a line, beside those that another dashboard has kept meanwhile.

        Where it can't be written it is known until the program ends.
        """
        lines = self.of(pane)
        if lines[-1:] == [line]:
            return
        lines.append(line)
        kept = _read()
        kept[pane] = [*kept.get(pane, []), line][-MOST:]
        write_state(FILE, kept)


def _read() -> dict[str, list[str]]:
    """What is kept; nothing of what no prompt could have taken."""
    found = read_state(FILE)
    if not isinstance(found, dict):
        return {}
    return {
        pane: [line for line in lines if _is_line(line)][-MOST:]
        for pane, lines in found.items()
        if isinstance(lines, list)
    }


def _is_line(line: object) -> bool:
    return isinstance(line, str) and 0 < len(line) <= _LONGEST and line.isprintable()
