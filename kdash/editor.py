"""Opening a source line in the user's editor."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from kdash.web_mode import REFUSED, in_browser

if TYPE_CHECKING:
    from textual.app import App

ENDING = (signal.SIGHUP, signal.SIGTERM)
GRACE_SECONDS = 5.0
GOTO = ("code", "codium", "code-insiders", "cursor", "zed")  # take FILE:LINE, not +LINE FILE


class EditorError(Exception):
    """The editor could not be started; the message says why."""


def edit(app: App[int], path: Path, line: int) -> None:
    """Hand the terminal to the user's editor until it ends.

    Args:
        app: The program on the terminal.
        path: The file.
        line: The line to open it at, from 1.

    Raises:
        EditorError: A browser asks, there is no terminal to hand over, or no such editor.
    """
    from textual.app import SuspendNotSupported

    if in_browser():
        raise EditorError(f"the editor is {REFUSED}: {path}:{line}")
    try:
        command = editor_command(path, line)
        with app.suspend():
            _run(command)
    except SuspendNotSupported:
        raise EditorError("no editor here: this terminal can't be handed over") from None
    except (OSError, ValueError) as error:
        raise EditorError(f"the editor did not start: {error}") from None
    finally:
        app.refresh()


def _run(command: list[str]) -> None:
    """Wait for the editor; a signal that ends the program ends it, too."""
    with subprocess.Popen(command) as editor:
        # One that does not answer is not waited for.
        last_resort = threading.Timer(GRACE_SECONDS, editor.kill)

        def pass_on(number: int, _: object) -> None:
            editor.send_signal(number)
            if last_resort.ident is None:
                last_resort.start()

        # The event loop is told of a signal as well, and ends the program once it goes on.
        before = {number: signal.signal(number, pass_on) for number in ENDING}
        try:
            editor.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            last_resort.cancel()


def find_source(name: str, object_file: str, directory: str = "") -> Path | None:
    """The source file that an object's line table names, if it is there.

    Kernel builds record names relative to the root of the tree, so the folders above the
    object are tried as well as the folder of the compilation and the working directory.

    Args:
        name: File name from the line table.
        object_file: The object that holds the table.
        directory: The folder it was compiled in, as the object says; "" if unknown.
    """
    path = Path(name)
    tried = [path] if path.is_absolute() else [Path.cwd(), *Path(object_file).resolve().parents]
    if Path(directory).is_absolute():
        tried.insert(0, Path(directory))
    for place in tried:
        candidate = place / path
        try:
            if candidate.is_file():
                return candidate.absolute()
        except (OSError, ValueError):
            continue
    return None


def editor_command(path: Path, line: int) -> list[str]:
    """The command that opens `path` at `line`: $VISUAL, else $EDITOR, else vi.

    Raises:
        ValueError: The variable can't be split into words.
    """
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi") or ["vi"]
    if Path(words[0]).name in GOTO:
        return [*words, "--goto", f"{path}:{line}"]
    return [*words, f"+{line}", str(path)]
