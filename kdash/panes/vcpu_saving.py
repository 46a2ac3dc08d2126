"""Saving recordings and snapshots from the VCPU pane: nothing is lost unasked, all is told."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from kdash.backends.kvm.facts import GuestError, RecordingView, Snapshot
from kdash.widgets.pane import CommandError

if TYPE_CHECKING:
    from kdash.panes.vcpu import VcpuPane
    from kdash.panes.vcpu_words import Save


def save(pane: VcpuPane, command: Save) -> str:
    """Save the recording or the moment shown, after a question where a file is there already.

    Returns:
        What to tell the user now; what came of it is told when it is done.

    Raises:
        CommandError: There is nothing to save, or it can't go there.
    """
    word = "save-snapshot" if command.moment_only else "save"
    place = _place(pane, word, command.path)
    past = pane.past

    def begin() -> None:
        work = past.save_snapshot if command.moment_only else past.save_recording
        pane.follow(work(str(place)), done, title="Not saved")

    def done(saved: Snapshot) -> None:
        what = _what(saved.recording, moment_only=command.moment_only)
        pane.notify(f"{what} in {place}, {_size(place)}", title="Saved", markup=False)

    if command.over or not place.exists():
        begin()
        return f"saving to {place}"

    def answered(yes: bool | None) -> None:
        if yes:
            begin()

    from kdash.widgets.question import Question  # most places are free

    pane.app.push_screen(
        Question(f"{place} is there already: {_about(place)}.", "replace it", "leave it"), answered
    )
    return ""


def _place(pane: VcpuPane, word: str, typed: str) -> Path:
    """Where to save; never over what the guest was made of."""
    from kdash.backends.kvm.images import is_recording
    from kdash.backends.kvm.places import writable_place

    name = _name(typed)
    if "\0" in name:
        raise CommandError(f"{word}: {name}: no file has a null byte in its name")
    options, guest = pane.settings.options, pane.settings.guest
    read = [getattr(options, name, None) for name in ("symbols", "initrd", "stdin")]
    if guest is not None and not is_recording(guest):
        read.append(str(guest))
    try:
        return writable_place(
            Path(name).expanduser(), [str(one) for one in read if one is not None]
        )
    except GuestError as error:
        raise CommandError(f"{word}: {error}") from None
    except RuntimeError as error:  # a user that is not there
        raise CommandError(f"{word}: {name}: {error}") from None


def _name(typed: str) -> str:
    """The name that was typed: quoted as for a shell, or with blanks as it stands."""
    try:
        words = shlex.split(typed)
    except ValueError:
        return typed
    return words[0] if len(words) == 1 else typed


def _what(recording: RecordingView | None, *, moment_only: bool) -> str:
    if recording is None:
        return "the recording"
    if moment_only:
        return f"moment {recording.position:,}"
    return f"moments {recording.first:,} to {recording.last:,}"


def _about(place: Path) -> str:
    """What a file that is to be replaced is, how large, and how old."""
    from kdash.backends.kvm.images import is_recording

    kind = "a recording" if is_recording(place) else "no recording"
    try:
        written = time.strftime("%Y-%m-%d %H:%M", time.localtime(place.stat().st_mtime))
    except (OSError, ValueError, OverflowError):
        return f"{kind}, {_size(place)}"
    return f"{kind}, {_size(place)}, of {written}"


def _size(place: Path) -> str:
    from kdash.backends.kvm.sizes import size_text

    try:
        return size_text(place.stat().st_size)
    except OSError as error:
        return error.strerror or "gone"
