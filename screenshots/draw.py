"""Draws screenshots/*.svg from the recorded inputs (`make screenshots`).

With --check it draws into memory and fails when a picture in the folder is not the same.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from textual.strip import Strip
from textual.widgets import Input

from kdash.app import KdashApp
from screenshots.recorded import recorded_app

FOLDER = Path(__file__).resolve().parent
FONT_FACE = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)  # of elsewhere: pictures load nothing


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture: its size in cells and the keys that lead to it."""

    name: str
    columns: int
    lines: int
    keys: tuple[str, ...] = ()
    guest: str = "article"  # one of those in screenshots/record_guests.py, or of STATES
    theme: str = ""
    ascii: bool = False


def _typed(line: str) -> tuple[str, ...]:
    """The keys of a line of the command prompt."""
    return ("colon", *("space" if letter == " " else letter for letter in line), "enter")


_NEXT, _BEFORE = ("greater_than_sign",), ("less_than_sign",)  # sub-views

PICTURES = (
    Picture("dashboard", 160, 48, ("s", "s", "s", "s", "s")),
    Picture("vcpu", 120, 40, ("s", "s", "s", "s", "s")),
    Picture("vcpu-80x24", 80, 24, ("s", "s", "s", "s")),
    Picture("vcpu-ended", 120, 40, ("space",)),
    Picture("vcpu-source", 120, 40, ("s", "s", "s", "s"), "digits"),
    Picture("vcpu-state", 120, 40, ("s", *_typed("info control")), "digits"),
    Picture("vcpu-screen", 120, 40, _typed("info screen"), "boot"),
    Picture("vcpu-two", 120, 40, ("s", "s"), "lock"),
    Picture("vcpu-open", 120, 40, ("o",)),
    Picture("stack", 120, 40, ("2", "j", "j", "j")),
    Picture("stack-80x24", 80, 24, ("2",)),
    Picture("stack-tree", 80, 24, ("2", "T")),
    Picture("stack-flow", 120, 40, ("2", "enter", *_NEXT, *_NEXT, *_NEXT)),
    Picture("entropy", 120, 40, ("3",)),
    Picture("entropy-80x24", 80, 24, ("3",)),
    Picture("entropy-pool", 80, 24, ("3", *_NEXT)),
    Picture("entropy-diagram", 120, 40, ("3", *_NEXT, *_NEXT, "d", "space", "s")),
    Picture("entropy-contention", 160, 48, ("3", "z", *_BEFORE, *_BEFORE, "r")),
    Picture("entropy-health", 120, 40, ("3", *_BEFORE)),
    Picture("help", 100, 40, ("question_mark",)),
    Picture("palette", 80, 24, ("ctrl+p",)),
    Picture("vcpu-no-kvm", 80, 24, guest="no-kvm"),
    Picture("vcpu-emulated", 80, 24, guest="emulated"),
    Picture("vcpu-running", 80, 24, guest="running"),
    Picture("stack-clean", 80, 24, ("2",), "clean"),
    Picture("stack-unreadable", 80, 24, ("2",), "unreadable"),
    Picture("entropy-failed", 80, 24, ("3",), "no-proc"),
    Picture("entropy-not-seeded", 80, 24, ("3",), "not-seeded"),
    Picture("too-small", 40, 12),
    Picture("what-to-try", 80, 24, ("f2",)),
    Picture("stack-no-match", 80, 24, ("2", "slash", *"kfree", "enter")),
    Picture("prompt-mistake", 80, 24, ("colon", *"break nowhere", "enter")),
    Picture("theme-light", 80, 24, ("2",), theme="light"),
    Picture("theme-high-contrast", 80, 24, ("2",), theme="high-contrast"),
    Picture("theme-colour-blind", 80, 24, ("2",), theme="colour-blind"),
    Picture("theme-ansi", 80, 24, ("2",), theme="ansi"),
    Picture("ascii", 80, 24, ("3",), ascii=True),
)


async def draw(picture: Picture) -> str:
    """Return the picture as SVG."""
    with _fixed_terminal():
        app = recorded_app(words=(picture.guest,), theme=picture.theme, ascii=picture.ascii)
        async with app.run_test(size=(picture.columns, picture.lines)) as pilot:
            while not app.all_built:
                await asyncio.sleep(0.02)
            await _still(app, looks=2)
            for key in picture.keys:
                await pilot.press(key)
            for line in app.screen.query(Input):
                line.cursor_blink = False
            await _still(app, looks=3)
            svg = app.export_screenshot(title=f"kdash: {picture.name}", simplify=True)
            return FONT_FACE.sub("", svg)


@contextmanager
def _fixed_terminal() -> Iterator[None]:
    """The pictures are of one kind of terminal and a new user, whatever is kept here."""
    before = dict(os.environ)
    os.environ.pop("NO_COLOR", None)
    os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", KDASH_CONFIG="")
    try:
        with TemporaryDirectory() as state:
            os.environ["XDG_STATE_HOME"] = state
            yield
    finally:
        os.environ.clear()
        os.environ.update(before)


async def _still(app: KdashApp, looks: int) -> None:
    """Wait until the screen has been the same for some looks in turn."""
    before: list[Strip] = []
    same = 0
    while same < looks:
        await asyncio.sleep(0.3)
        now = app.screen._compositor.render_strips()
        same = same + 1 if now == before else 0
        before = now


def main() -> int:
    """Draw or check every picture; return the exit status."""
    check = "--check" in sys.argv[1:]
    stale = []
    for picture in PICTURES:
        svg = asyncio.run(draw(picture))
        path = FOLDER / f"{picture.name}.svg"
        if check and (not path.exists() or path.read_text() != svg):
            stale.append(path.name)
        elif not check:
            path.write_text(svg)
    if stale:
        print(f"not current: {', '.join(stale)}; `make screenshots` draws them", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
